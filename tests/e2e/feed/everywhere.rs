//! Revoke with a wait: everywhere, or who is missing; and who follows at all.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{ListVerifiersRequest, RevokeRequest, RevokeResponse, Verifier};
use locum_model::Reason;
use locum_model::feed::Body;
use locum_tests::follower::Follower;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, grant, issue, revoke, seconds};
use locum_tests::{Daemon, Party, Site, eventually};

use crate::LOCUMD;

/// A site where verifiers of mail may answer for a minute, so that no lease ends by itself here.
fn patient() -> Site {
    let site = Site::new();
    site.edit(
        "registry.toml",
        "audience = \"https://mail.acme.test\"",
        "audience = \"https://mail.acme.test\"\nstaleness_bound = \"60s\"",
    );
    site
}

fn reader(wait: i64) -> RevokeRequest {
    RevokeRequest { wait: seconds(wait), ..revoke(Target::Workload("reader".to_owned())) }
}

async fn revoked(operator: &Party, request: RevokeRequest) -> RevokeResponse {
    operator.revocation().revoke(request).await.expect("revoked").into_inner()
}

async fn verifiers(operator: &Party) -> Vec<Verifier> {
    let listed = operator.inspection().list_verifiers(ListVerifiersRequest::default()).await;
    listed.expect("listed").into_inner().verifiers
}

fn hex(instance: [u8; 16]) -> String {
    instance.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn it_is_everywhere_once_everybody_acknowledged() {
    let daemon = Daemon::start(LOCUMD, patient()).await;
    let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
    assert!(revoked(&operator, reader(0)).await.everywhere, "nobody follows");
    let mut one = Follower::new(&daemon, &mail, "mail").await.expect("served");
    let mut two = Follower::new(&daemon, &mail, "mail").await.expect("served");
    for follower in [&mut one, &mut two] {
        follower.beat().await;
        follower.ping().await;
        follower.beat().await;
    }
    let done = revoked(&operator, reader(0)).await;
    assert!(!done.everywhere);
    let mut missing: Vec<_> = done.missing.iter().map(|verifier| verifier.instance.clone()).collect();
    let mut both = vec![hex(one.instance), hex(two.instance)];
    missing.sort_unstable();
    both.sort_unstable();
    assert_eq!(missing, both);
    assert!(done.missing.iter().all(|verifier| {
        verifier.workload == "mail-api" && verifier.connector == "mail" && verifier.behind > 0
    }));
    // One acknowledges, the other does not yet: only that one is missing.
    let applied = |body: &Body| matches!(body, Body::Delta { .. });
    while !applied(&one.next().await.body) {}
    one.acknowledge().await;
    let again = RevokeRequest { wait: None, ..reader(0) };
    let waiting = tokio::spawn({
        let operator = operator.clone();
        async move { revoked(&operator, RevokeRequest { wait: seconds(15), ..again }).await }
    });
    for follower in [&mut one, &mut two] {
        while !applied(&follower.next().await.body) {}
        while follower.dead.values().max() < one_before(follower.at.sequence).as_ref() {
            follower.next().await;
        }
    }
    // `two` may have read the first revocation alone so far; both say how far they are until the answer is
    // there, and one of them pings besides.
    while !waiting.is_finished() {
        one.acknowledge().await;
        two.acknowledge().await;
        two.ping().await;
        two.beat().await;
        one.ping().await;
        one.beat().await;
    }
    let done = waiting.await.expect("answered");
    assert!(done.everywhere && done.missing.is_empty(), "{:?}", done.missing);
}

fn one_before(sequence: u64) -> Option<u64> {
    sequence.checked_sub(1)
}

#[tokio::test]
async fn a_partition_that_is_not_concerned_is_not_waited_for() {
    let daemon = Daemon::start(LOCUMD, patient()).await;
    let (refunder, mail) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let operator = daemon.operator("operator");
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    follower.beat().await;
    follower.ping().await;
    follower.beat().await;
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let issued = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued");
    assert!(revoked(&operator, revoke(Target::Token(issued.jti))).await.everywhere);
    assert!(revoked(&operator, revoke(Target::Task(task.task_id))).await.everywhere);
    assert!(!revoked(&operator, reader(0)).await.everywhere);
}

#[tokio::test]
async fn who_is_gone_is_waited_for_until_its_lease_is_over() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (mail, operator) = (daemon.at("services/mail-api"), daemon.operator("operator"));
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    follower.beat().await;
    let instance = hex(follower.instance);
    drop(follower);
    eventually("its leaving", || async {
        let shown = verifiers(&operator).await;
        shown.iter().all(|verifier| !verifier.connected).then_some(())
    })
    .await;
    let done = revoked(&operator, reader(15)).await;
    assert!(done.everywhere && done.missing.is_empty());
    assert!(verifiers(&operator).await.iter().all(|verifier| verifier.instance != instance));
}

#[tokio::test]
async fn who_is_gone_with_a_long_lease_is_named_and_after_a_restart_nobody_can_be() {
    let mut daemon = Daemon::start(LOCUMD, patient()).await;
    let mail = daemon.at("services/mail-api");
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    follower.beat().await;
    let instance = hex(follower.instance);
    drop(follower);
    let operator = daemon.operator("operator");
    eventually("its leaving", || async {
        verifiers(&operator).await.iter().all(|verifier| !verifier.connected).then_some(())
    })
    .await;
    let done = revoked(&operator, reader(1)).await;
    assert!(!done.everywhere);
    let missing: Vec<_> = done.missing.iter().map(|one| (one.instance.as_str(), one.connected)).collect();
    assert_eq!(missing, [(instance.as_str(), false)]);
    daemon.kill().await;
    daemon.up().await;
    let done = revoked(&daemon.operator("operator"), reader(0)).await;
    assert!(!done.everywhere && done.missing.is_empty(), "it holds its lease, and nobody knows of it");
}

#[tokio::test]
async fn verifiers_are_listed_within_an_operator_s_tenants() {
    let daemon = Daemon::start(LOCUMD, patient()).await;
    let mail = daemon.at("services/mail-api");
    let mut follower = Follower::new(&daemon, &mail, "mail").await.expect("served");
    let _wiki = Follower::new(&daemon, &mail, "wiki").await.expect("served");
    follower.beat().await;
    follower.ping().await;
    follower.beat().await;
    let shown = verifiers(&daemon.operator("viewer")).await;
    assert_eq!(shown.len(), 2);
    let one = shown.iter().find(|verifier| verifier.connector == "mail").expect("shown");
    assert_eq!((one.workload.as_str(), one.version.as_str()), ("mail-api", "follower 1.0"));
    assert_eq!((&one.instance, one.tenant.as_str()), (&hex(follower.instance), "acme"));
    assert!(one.connected && one.behind == 0 && one.acknowledged_sequence == follower.at.sequence);
    assert!(one.lease_left.is_some_and(|left| (1..=62).contains(&left.seconds)));
    assert_eq!(verifiers(&daemon.operator("globex-operator")).await, []);
    let mut inspection = daemon.operator("acme-operator").inspection();
    let mut ask = ListVerifiersRequest { page_size: 1, page_token: String::new() };
    let mut paged = Vec::new();
    loop {
        let page = inspection.list_verifiers(ask.clone()).await.expect("listed").into_inner();
        assert!(page.verifiers.len() <= 1);
        paged.extend(page.verifiers.into_iter().map(|verifier| verifier.instance));
        if page.next_page_token.is_empty() {
            break;
        }
        ask.page_token = page.next_page_token;
    }
    let all: Vec<_> = shown.into_iter().map(|verifier| verifier.instance).collect();
    assert_eq!(paged, all);
    ask.page_token = "1.2.3".to_owned();
    assert_eq!(fields(inspection.list_verifiers(ask).await), ["page_token"]);
    let refusal = mail.inspection().list_verifiers(ListVerifiersRequest::default()).await;
    assert_eq!(reason(refusal), Reason::RoleMissing);
}

#[tokio::test]
async fn a_wait_has_a_bound() {
    let daemon = Daemon::shared(LOCUMD);
    let operator = daemon.operator("operator");
    for wait in [21, -1, i64::MAX] {
        let request = RevokeRequest { wait: seconds(wait), ..revoke(Target::Token("00".repeat(16))) };
        let refused = fields(operator.revocation().revoke(request).await);
        assert!(refused.iter().all(|field| field.starts_with("wait")) && !refused.is_empty(), "{refused:?}");
    }
}
