//! Revoke and PreviewRevoke: every level kills what came before, and nothing that comes after.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{self as admin, PreviewRevokeRequest, RevokeRequest};
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{Held, begin, grant, introspect, is_active, issue, now, revoke, selector};
use locum_tests::{Daemon, Party, Site, eventually};

use crate::LOCUMD;

struct Live {
    task: Held,
    token: String,
    jti: String,
    kid: String,
}

/// A task of `party` with a token to read one order.
async fn live(daemon: &Daemon, party: &Party) -> Live {
    let task = begin(daemon, party, vec![grant("orders:read", &[])]).await.expect("allowed");
    let issued = issue(daemon, party, task.ask("orders:read", &["order/1"])).await.expect("issued");
    let header = issued.token.split('.').next().expect("a part");
    let header = locum_jose::base64url::decode(header).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    let kid = header["kid"].as_str().expect("a text").to_owned();
    Live { task, token: issued.token, jti: issued.jti, kid }
}

fn preview(target: Target) -> PreviewRevokeRequest {
    PreviewRevokeRequest { selector: selector(target), issued_before: None }
}

#[tokio::test]
async fn every_level_kills_what_was_and_spares_what_comes() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, reader) = (daemon.at("agents/refunder"), daemon.at("agents/reader"));
    let (orders, operator) = (daemon.at("services/orders-api"), daemon.operator("operator"));
    type Pick = fn(&Live) -> Target;
    // The selector, and whether the reader's token dies as well.
    let levels: [(Pick, bool); 10] = [
        (|live| Target::Token(live.jti.clone()), false),
        (|live| Target::Task(live.task.task_id.clone()), false),
        (|_| Target::Subject("spiffe://acme.test/agents/refunder".to_owned()), false),
        (|_| Target::Workload("refunder".to_owned()), false),
        (|_| Target::Workload("spiffe://acme.test/agents/*".to_owned()), true),
        (|_| Target::Owner("support".to_owned()), false),
        (|_| Target::Model("support-llm".to_owned()), false),
        (|_| Target::Connector("orders".to_owned()), true),
        (|_| Target::Tenant("acme".to_owned()), true),
        (|_| Target::PolicyRevision(1), true),
    ];
    for (pick, reader_dies) in levels {
        let (one, other) = (live(&daemon, &refunder).await, live(&daemon, &reader).await);
        let target = pick(&one);
        let request = preview(target.clone());
        let counted = operator.revocation().preview_revoke(request).await.expect("shown").into_inner();
        let expected = 1 + u64::from(reader_dies);
        // Tokens of the rounds before are dead, but for the reader's, which some rounds spare.
        assert!(counted.tokens >= expected && !counted.partial, "{target:?}: {counted:?}");
        assert!(is_active(&orders, "orders", &one.token).await, "a preview changes nothing");
        let done = operator.revocation().revoke(revoke(target.clone())).await.expect("revoked").into_inner();
        assert!(!done.matches.is_empty() && done.position.starts_with("1.1."), "{done:?}");
        assert!(!is_active(&orders, "orders", &one.token).await, "{target:?}");
        assert_eq!(is_active(&orders, "orders", &other.token).await, !reader_dies, "{target:?}");
        let next = live(&daemon, &refunder).await;
        assert!(is_active(&orders, "orders", &next.token).await, "later tokens live: {target:?}");
        let counted = operator.revocation().preview_revoke(preview(pick(&one))).await;
        let left = counted.expect("shown").into_inner().tokens;
        assert!(left <= 1 + u64::from(reader_dies), "only what came after is left: {target:?} {left}");
    }
}

#[tokio::test]
async fn a_signing_key_that_is_revoked_verifies_nothing_ever() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let one = live(&daemon, &refunder).await;
    let target = || Target::SigningKey(one.kid.clone());
    let confined = daemon.operator("acme-operator").revocation().revoke(revoke(target())).await;
    assert_eq!(reason(confined), Reason::SelectorForbidden);
    let revision = revoke(Target::PolicyRevision(1));
    let confined = daemon.operator("acme-operator").revocation().revoke(revision).await;
    assert_eq!(reason(confined), Reason::SelectorForbidden);
    daemon.operator("operator").revocation().revoke(revoke(target())).await.expect("revoked");
    assert!(!is_active(&orders, "orders", &one.token).await);
    // Another one takes over at once and the revoked one is gone from what is published.
    let viewer = daemon.operator("viewer");
    eventually("the key to be replaced", async || {
        let listed =
            viewer.control().list_keys(admin::ListKeysRequest {}).await.expect("listed").into_inner();
        listed.keys.iter().all(|key| key.kid != one.kid).then_some(())
    })
    .await;
    let issued = issue(&daemon, &refunder, one.task.ask("orders:read", &["order/1"])).await.expect("issued");
    assert!(is_active(&orders, "orders", &issued.token).await, "issued with the next key");
    assert!(!is_active(&orders, "orders", &one.token).await);
}

#[tokio::test]
async fn tasks_that_are_covered_die_with_their_tokens() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, operator) = (daemon.at("agents/refunder"), daemon.operator("acme-operator"));
    for target in [
        Target::Workload("refunder".to_owned()),
        Target::Owner("support".to_owned()),
        Target::Model("support-llm".to_owned()),
        Target::Tenant("acme".to_owned()),
        Target::Subject("spiffe://acme.test/agents/refunder".to_owned()),
    ] {
        let one = live(&daemon, &refunder).await;
        operator.revocation().revoke(revoke(target.clone())).await.expect("revoked");
        let again = issue(&daemon, &refunder, one.task.ask("orders:read", &["order/1"])).await;
        assert_eq!(reason(again), Reason::TaskRevoked, "{target:?}");
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let (bot, vault) = (daemon.at("globex/bot"), daemon.at("globex/vault-api"));
    let one = live(&daemon, &refunder).await;
    let task = begin(&daemon, &bot, vec![grant("vault:open", &[])]).await.expect("allowed");
    let theirs = issue(&daemon, &bot, task.ask("vault:open", &["box/1"])).await.expect("issued").token;
    let globex = daemon.operator("globex-operator");
    for target in [
        Target::Token(one.jti.clone()),
        Target::Task(one.task.task_id.clone()),
        Target::Workload("refunder".to_owned()),
        Target::Connector("orders".to_owned()),
        Target::Tenant("acme".to_owned()),
        Target::Owner("support".to_owned()),
        Target::Model("support-llm".to_owned()),
        Target::Workload("nobody".to_owned()),
        Target::Workload("spiffe://acme.test/agents/**".to_owned()),
    ] {
        let refusal = globex.revocation().revoke(revoke(target.clone())).await;
        assert_eq!(reason(refusal), Reason::SelectorUnknown, "{target:?}");
        let refusal = globex.revocation().preview_revoke(preview(target.clone())).await;
        assert_eq!(reason(refusal), Reason::SelectorUnknown, "{target:?}");
    }
    // A subject is cut to the operator's tenants.
    let subject = Target::Subject("spiffe://acme.test/agents/refunder".to_owned());
    let done = globex.revocation().revoke(revoke(subject)).await.expect("revoked").into_inner();
    assert!(done.matches.iter().all(|found| found.tenant == "globex"), "{done:?}");
    assert!(is_active(&orders, "orders", &one.token).await);
    assert!(is_active(&vault, "vault", &theirs).await);
    let everywhere = Target::Workload("spiffe://acme.test/**".to_owned());
    let done = globex.revocation().revoke(revoke(everywhere)).await.expect("revoked").into_inner();
    assert!(done.matches.iter().all(|found| found.tenant == "globex"), "{done:?}");
    assert!(!is_active(&vault, "vault", &theirs).await);
    assert!(is_active(&orders, "orders", &one.token).await);
}

async fn issued_at(orders: &Party, token: &str) -> i64 {
    let answer = introspect(orders, "orders", token).await.expect("an answer");
    answer.token.expect("active").issue_time.expect("a time").seconds
}

#[tokio::test]
async fn issued_before_spares_what_came_later() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let ask = || task.ask("orders:read", &["order/1"]);
    let old = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    let second = issued_at(&orders, &old).await;
    // A moment's granularity is the second.
    let moment = eventually("a token of a later second", || async {
        let young = issue(&daemon, &refunder, ask()).await.expect("issued").token;
        let moment = issued_at(&orders, &young).await;
        (moment > second).then_some(moment)
    })
    .await;
    // Of a task of its own: an older one dies with the connector's tokens, and takes younger ones along.
    let young = live(&daemon, &refunder).await.token;
    // An orderly end writes down sums of what was checked before: that makes nothing older.
    daemon.terminate().await;
    daemon.up().await;
    let (orders, operator) = (daemon.at("services/orders-api"), daemon.operator("operator"));
    let before = |seconds| RevokeRequest {
        issued_before: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        ..revoke(Target::Connector("orders".to_owned()))
    };
    let late = operator.revocation().revoke(before(now() + 60)).await;
    assert_eq!(reason(late), Reason::TimeInFuture);
    operator.revocation().revoke(before(second - 60)).await.expect("taken");
    assert!(is_active(&orders, "orders", &old).await, "nothing is that old");
    operator.revocation().revoke(before(moment)).await.expect("taken");
    assert!(!is_active(&orders, "orders", &old).await);
    assert!(is_active(&orders, "orders", &young).await);
}

#[tokio::test]
async fn a_reason_and_a_selector_are_needed() {
    let daemon = Daemon::shared(LOCUMD);
    let operator = daemon.operator("operator");
    let ask = |reason: &str, selector| admin::RevokeRequest {
        selector,
        reason: reason.to_owned(),
        ..Default::default()
    };
    let nobody = || selector(Target::Token("00".repeat(16)));
    for (request, field) in [
        (ask("", nobody()), "reason"),
        (ask(&"x".repeat(513), nobody()), "reason"),
        (ask("a drill", None), "selector"),
        (ask("a drill", Some(admin::Selector { target: None })), "selector"),
        (ask("a drill", selector(Target::Token("zz".to_owned()))), "selector"),
        (ask("a drill", selector(Target::Task("1".to_owned()))), "selector"),
        (ask("a drill", selector(Target::Workload("spiffe://*/x".to_owned()))), "selector"),
    ] {
        let shown = format!("{request:?}");
        let named = fields(operator.revocation().revoke(request).await);
        assert!(named.iter().any(|name| name.starts_with(field)), "{named:?} for {shown}");
    }
    operator.revocation().revoke(ask("a drill", nobody())).await.expect("unknown is success");
}

#[tokio::test]
async fn backends_that_cannot_hear_have_a_residue() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    for (connector, deaf) in [("wiki", true), ("orders", false), ("mail", false)] {
        let done = operator.revocation().revoke(revoke(Target::Connector(connector.to_owned()))).await;
        let until = done.expect("revoked").into_inner().residual_until;
        assert_eq!(until.is_some(), deaf, "{connector}");
        assert!(until.is_none_or(|until| (55..=60).contains(&(until.seconds - now()))), "{until:?}");
    }
}
