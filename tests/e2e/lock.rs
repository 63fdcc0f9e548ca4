//! Lock, Unlock and ListLocks: nothing new until the lock ends.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{ListLocksRequest, LockRequest, UnlockRequest};
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, grant, is_active, issue, seconds, selector};
use locum_tests::{Daemon, Site, eventually};

use crate::LOCUMD;

fn lock(target: Target, ttl: i64) -> LockRequest {
    LockRequest { selector: selector(target), reason: "a drill".to_owned(), ttl: seconds(ttl) }
}

fn unlock(target: Target) -> UnlockRequest {
    UnlockRequest { selector: selector(target), reason: "the drill is over".to_owned() }
}

fn refunder() -> Target {
    Target::Workload("refunder".to_owned())
}

#[tokio::test]
async fn what_is_locked_gets_nothing_new_and_keeps_what_it_has() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (party, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let (reader, operator) = (daemon.at("agents/reader"), daemon.operator("acme-operator"));
    let scope = || vec![grant("orders:read", &[])];
    let task = begin(&daemon, &party, scope()).await.expect("allowed");
    let token = issue(&daemon, &party, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    for target in [
        refunder(),
        Target::Workload("spiffe://acme.test/agents/refunder".to_owned()),
        Target::Owner("support".to_owned()),
        Target::Model("support-llm".to_owned()),
        Target::Tenant("acme".to_owned()),
        Target::Connector("orders".to_owned()),
        Target::Subject("spiffe://acme.test/agents/refunder".to_owned()),
    ] {
        let made = operator.revocation().lock(lock(target.clone(), 60)).await.expect("locked").into_inner();
        let made = made.lock.expect("a lock");
        assert_eq!((made.reason.as_str(), made.matches.len()), ("a drill", 1), "{target:?}");
        let again = issue(&daemon, &party, task.ask("orders:read", &["order/1"])).await;
        assert_eq!(reason(again), Reason::Locked, "{target:?}");
        assert!(is_active(&orders, "orders", &token).await, "{target:?}");
        let listed = operator.revocation().list_locks(ListLocksRequest::default()).await.expect("listed");
        let listed = listed.into_inner().locks;
        assert!(listed.iter().any(|one| one.lock_id == made.lock_id), "{listed:?}");
        let lifted = operator.revocation().unlock(unlock(target.clone())).await.expect("lifted").into_inner();
        assert_eq!(lifted.locks.len(), 1, "{target:?}");
        issue(&daemon, &party, task.ask("orders:read", &["order/1"])).await.expect("open again");
        let twice = operator.revocation().unlock(unlock(target.clone())).await;
        assert_eq!(reason(twice), Reason::LockUnknown, "{target:?}");
    }
    operator.revocation().lock(lock(refunder(), 60)).await.expect("locked");
    assert_eq!(reason(begin(&daemon, &party, scope()).await), Reason::Locked);
    begin(&daemon, &reader, scope()).await.expect("somebody else");
    let foreign = daemon.operator("globex-operator");
    let theirs = foreign.revocation().list_locks(ListLocksRequest::default()).await.expect("listed");
    assert_eq!(theirs.into_inner().locks, []);
    assert_eq!(reason(foreign.revocation().unlock(unlock(refunder())).await), Reason::LockUnknown);
    assert_eq!(reason(foreign.revocation().lock(lock(refunder(), 60)).await), Reason::SelectorUnknown);
}

#[tokio::test]
async fn a_lock_ends_by_itself() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (party, operator) = (daemon.at("agents/refunder"), daemon.operator("operator"));
    operator.revocation().lock(lock(refunder(), 1)).await.expect("locked");
    let refused = begin(&daemon, &party, vec![grant("orders:read", &[])]).await;
    assert_eq!(reason(refused), Reason::Locked);
    eventually("the lock's end", || async {
        begin(&daemon, &party, vec![grant("orders:read", &[])]).await.ok()
    })
    .await;
    let left = operator.revocation().list_locks(ListLocksRequest::default()).await.expect("listed");
    assert_eq!(left.into_inner().locks, []);
}

#[tokio::test]
async fn a_lock_has_a_reason_and_an_end() {
    let daemon = Daemon::shared(LOCUMD);
    let operator = daemon.operator("operator");
    for (request, field) in [
        (LockRequest { reason: String::new(), ..lock(refunder(), 60) }, "reason"),
        (LockRequest { ttl: None, ..lock(refunder(), 60) }, "ttl"),
        (lock(refunder(), 0), "ttl"),
        (lock(refunder(), -1), "ttl"),
        (lock(refunder(), 366 * 24 * 3600 + 1), "ttl"),
        (LockRequest { selector: None, ..lock(refunder(), 60) }, "selector"),
        (lock(Target::Token("00".repeat(16)), 60), "selector"),
        (lock(Target::PolicyRevision(1), 60), "selector"),
    ] {
        let shown = format!("{request:?}");
        let refusal = operator.revocation().lock(request).await;
        let code = refusal.as_ref().err().map(tonic::Status::code);
        assert_eq!(code, Some(tonic::Code::InvalidArgument), "{shown}");
        let named = fields(refusal);
        assert!(
            named.is_empty() || named.iter().any(|name| name.starts_with(field)),
            "{named:?} for {shown}"
        );
    }
}
