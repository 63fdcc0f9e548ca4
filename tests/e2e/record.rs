//! The record: one id is enough to tell the whole story.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{
    self as admin, GetTaskHistoryRequest, LockRequest, RecordEntry, TailRecordRequest, UnlockRequest,
};
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::wait::within;
use locum_tests::work::{begin, begin_part, grant, issue, may, revoke, seconds, secret, selector, start};
use locum_tests::{Daemon, Party, Site};

use crate::LOCUMD;

async fn story(party: &Party, task_id: &str) -> Result<Vec<RecordEntry>, tonic::Status> {
    let request = GetTaskHistoryRequest { task_id: task_id.to_owned() };
    let answer = party.inspection().get_task_history(request).await?.into_inner();
    assert!(!answer.partial);
    Ok(answer.entries)
}

async fn tail(party: &Party, last: u32) -> Vec<RecordEntry> {
    let request = TailRecordRequest { last, follow: false };
    let mut stream = party.inspection().tail_record(request).await.expect("a stream").into_inner();
    let mut entries = Vec::new();
    while let Some(next) = within("the record", stream.message()).await.expect("no failure") {
        entries.push(next.entry.expect("an entry"));
    }
    entries
}

#[tokio::test]
async fn the_story_of_a_task_is_whole() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let scope = || vec![grant("orders:refund", &["order/*"])];
    let root = begin(&daemon, &refunder, scope()).await.expect("allowed");
    let part = begin_part(&daemon, &refunder, &root, scope()).await.expect("allowed");
    let single = locum_api::broker::v1::IssueTokenRequest {
        uses_max: 1,
        request_id: "call-4711".to_owned(),
        ..part.ask("orders:refund", &["order/7"])
    };
    let first = issue(&daemon, &refunder, single).await.expect("issued");
    let used = orders.checks().authorize(may(&first.token, "orders:refund", "order/7")).await;
    assert!(used.expect("an answer").into_inner().permitted);
    let denied = issue(&daemon, &refunder, part.ask("orders:read", &["order/7"])).await;
    assert_eq!(reason(denied), Reason::ScopeBeyondIntent);
    let second = issue(&daemon, &refunder, part.ask("orders:refund", &["order/8"])).await.expect("issued");
    let operator = daemon.operator("acme-operator");
    operator.revocation().revoke(revoke(Target::Token(second.jti.clone()))).await.expect("revoked");
    let third = issue(&daemon, &refunder, part.ask("orders:refund", &["order/9"])).await.expect("issued");
    operator.revocation().revoke(revoke(Target::Connector("orders".to_owned()))).await.expect("revoked");
    // A neighbour that has nothing to do with it.
    begin(&daemon, &refunder, scope()).await.expect("allowed");
    // Denials are summed up for a while; an orderly end writes them down.
    daemon.terminate().await;
    daemon.up().await;
    let told = story(&daemon.operator("viewer"), &root.task_id).await.expect("known");
    let events: Vec<(&str, &str)> =
        told.iter().map(|entry| (entry.event.as_str(), entry.jti.as_str())).collect();
    for expected in [
        ("task-started", ""),
        ("token-issued", first.jti.as_str()),
        ("token-used", first.jti.as_str()),
        ("token-issued", second.jti.as_str()),
        ("revoked", second.jti.as_str()),
        ("token-issued", third.jti.as_str()),
        ("revoked", ""),
        ("denials-summed", ""),
    ] {
        assert!(events.contains(&expected), "{expected:?} is missing in {events:#?}");
    }
    assert_eq!(events.iter().filter(|(event, _)| *event == "task-started").count(), 2, "no neighbour");
    let issued = told.iter().find(|entry| entry.jti == first.jti).expect("there");
    assert_eq!((issued.policies.as_slice(), issued.policy_revision), (&["acme-works".to_owned()][..], 1));
    assert_eq!(issued.facts.get("request_id").map(String::as_str), Some("call-4711"), "{issued:?}");
    assert!(issued.by.contains("spiffe://acme.test/agents/refunder"), "{issued:?}");
    let denial = told.iter().find(|entry| entry.event == "denials-summed").expect("there");
    assert_eq!(denial.reason, "SCOPE_BEYOND_INTENT");
    let revoked = told.iter().find(|entry| entry.event == "revoked").expect("there");
    assert!(revoked.by.contains("acme-operator") && revoked.summary.contains("a drill"), "{revoked:?}");
    let of_the_part = story(&daemon.operator("viewer"), &part.task_id).await.expect("known");
    assert!(of_the_part.len() < told.len());
    let foreign = story(&daemon.operator("globex-operator"), &root.task_id).await;
    assert_eq!(reason(foreign), Reason::TaskNotFound);
    assert_eq!(reason(story(&daemon.operator("viewer"), "task-1-99999").await), Reason::TaskNotFound);
}

#[tokio::test]
async fn what_lost_a_race_is_not_told_as_if_it_had_happened() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:refund", &[])]).await.expect("allowed");
    let single =
        locum_api::broker::v1::IssueTokenRequest { uses_max: 1, ..task.ask("orders:refund", &["order/7"]) };
    let token = issue(&daemon, &refunder, single).await.expect("issued").token;
    let mut racing = Vec::new();
    for _ in 0..12 {
        let (backend, request) = (orders.clone(), may(&token, "orders:refund", "order/7"));
        racing.push(tokio::spawn(async move {
            backend.checks().authorize(request).await.expect("an answer").into_inner().permitted
        }));
    }
    let mut permitted = 0;
    for one in racing {
        permitted += usize::from(one.await.expect("not cancelled"));
    }
    let mut ending = Vec::new();
    for _ in 0..12 {
        let (party, request) = (refunder.clone(), task.end());
        ending.push(tokio::spawn(async move { party.tasks().end_task(request).await.expect("an answer") }));
    }
    for one in ending {
        one.await.expect("not cancelled");
    }
    let told = story(&daemon.operator("viewer"), &task.task_id).await.expect("known");
    let effective =
        |event: &str| told.iter().filter(|one| one.event == event && one.reason.is_empty()).count();
    assert_eq!((effective("token-used"), permitted), (1, 1), "{told:#?}");
    assert_eq!(effective("task-ended"), 1, "{told:#?}");
}

#[tokio::test]
async fn the_tail_is_in_order_and_cut_to_ones_tenants() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, bot) = (daemon.at("agents/refunder"), daemon.at("globex/bot"));
    let ours = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let theirs = begin(&daemon, &bot, vec![grant("vault:open", &[])]).await.expect("allowed");
    refunder.tasks().end_task(ours.end()).await.expect("ended");
    bot.tasks().end_task(theirs.end()).await.expect("ended");
    let all = tail(&daemon.operator("viewer"), 1000).await;
    let positions: Vec<u64> = all.iter().map(|entry| sequence(&entry.position)).collect();
    assert!(positions.windows(2).all(|two| two[0] + 1 == two[1]) && positions[0] == 1, "{positions:?}");
    assert!(all.iter().any(|entry| entry.event == "registry-activated"));
    let last = tail(&daemon.operator("viewer"), 2).await;
    assert_eq!(last.len(), 2);
    for (operator, mine, other) in [
        ("acme-operator", &ours.task_id, &theirs.task_id),
        ("globex-operator", &theirs.task_id, &ours.task_id),
    ] {
        let seen = tail(&daemon.operator(operator), 1000).await;
        let of = |task: &str| seen.iter().filter(|entry| entry.task_id == task).count();
        assert_eq!((of(mine), of(other)), (2, 0), "{operator}: {seen:#?}");
        assert!(seen.iter().all(|entry| !entry.tenant.is_empty()), "{operator}");
    }
    let far = TailRecordRequest { last: 1001, follow: false };
    let refusal = daemon.operator("viewer").inspection().tail_record(far).await.map(drop);
    assert_eq!(reason(refusal), Reason::RequestMalformed);
}

/// Who locks and unlocks for a tenant sees both in its record; the event of the second names locks alone.
#[tokio::test]
async fn a_tenant_sees_that_its_lock_was_lifted() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (acme, globex) = (daemon.operator("acme-operator"), daemon.operator("globex-operator"));
    let selector = || selector(Target::Workload("refunder".to_owned()));
    let lock = LockRequest { selector: selector(), reason: "a drill".to_owned(), ttl: seconds(600) };
    acme.revocation().lock(lock).await.expect("locked");
    let unlock = UnlockRequest { selector: selector(), reason: "it is over".to_owned() };
    acme.revocation().unlock(unlock).await.expect("unlocked");
    for (operator, expected) in [(&acme, &["locked", "unlocked"][..]), (&globex, &[])] {
        let seen = tail(operator, 1000).await;
        let locks = seen.iter().filter(|entry| entry.event.ends_with("locked"));
        assert_eq!(locks.clone().map(|entry| entry.event.as_str()).collect::<Vec<_>>(), expected);
        assert!(locks.clone().all(|entry| entry.tenant == "acme"), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_follower_of_the_record_sees_what_comes() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let request = TailRecordRequest { last: 0, follow: true };
    let stream = daemon.operator("viewer").inspection().tail_record(request).await;
    let mut stream = stream.expect("a stream").into_inner();
    let justified = locum_api::broker::v1::StartTaskRequest {
        justification: "customer 4711 rang twice".to_owned(),
        ..start(vec![grant("orders:read", &[])], &secret(&daemon))
    };
    daemon.secret("customer 4711 rang twice");
    let task = refunder.tasks().start_task(justified).await.expect("allowed").into_inner().task;
    let task_id = task.expect("a task").task_id;
    loop {
        let entry = within("the start", stream.message()).await.expect("no failure").expect("it goes on");
        let entry = entry.entry.expect("an entry");
        if entry.task_id == task_id {
            assert_eq!(entry.event, "task-started");
            assert!(!format!("{entry:?}").contains("4711"), "a justification is only committed to");
            break;
        }
    }
}

#[tokio::test]
async fn an_operators_listing_is_cut_to_their_tenants_and_comes_in_pages() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, bot) = (daemon.at("agents/refunder"), daemon.at("globex/bot"));
    for _ in 0..5 {
        begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
        begin(&daemon, &bot, vec![grant("vault:open", &[])]).await.expect("allowed");
    }
    for (operator, expected) in [("viewer", 10), ("acme-operator", 5), ("globex-operator", 5)] {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = admin::ListTasksRequest { page_size: 3, page_token, ..Default::default() };
            let page = daemon.operator(operator).inspection().list_tasks(request).await.expect("listed");
            let page = page.into_inner();
            assert!(page.tasks.len() <= 3);
            seen.extend(page.tasks.into_iter().map(|task| task.task_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (expected, expected), "{operator}");
    }
}

fn sequence(position: &str) -> u64 {
    position.rsplit('.').next().and_then(|text| text.parse().ok()).expect("home.epoch.sequence")
}
