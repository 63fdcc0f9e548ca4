//! Authorize: may this happen now? Spends a use, durably, exactly once.

use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::Daemon;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, grant, is_active, issue, may};

use crate::LOCUMD;

#[tokio::test]
async fn a_single_use_is_spent_once_under_fifty_calls() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, mail) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let task = begin(&daemon, &refunder, vec![grant("mail:send", &[])]).await.expect("allowed");
    // Policy makes whatever sends single use.
    let token = issue(&daemon, &refunder, task.ask("mail:send", &["mailbox/1"])).await.expect("issued").token;
    let backends = [mail.clone(), daemon.at("services/mail-api"), daemon.at("services/mail-api")];
    let mut calls = Vec::new();
    for turn in 0..50 {
        let (backend, request) = (backends[turn % 3].clone(), may(&token, "mail:send", "mailbox/1"));
        calls.push(tokio::spawn(async move { backend.checks().authorize(request).await }));
    }
    let mut permitted = 0;
    for call in calls {
        let answer = call.await.expect("not cancelled").expect("an answer").into_inner();
        permitted += u32::from(answer.permitted);
        assert!(answer.permitted || answer == wire::AuthorizeResponse::default(), "{answer:?}");
    }
    assert_eq!(permitted, 1);
    assert!(!is_active(&mail, "mail", &token).await);
}

#[tokio::test]
async fn what_the_token_does_not_cover_is_insufficient_and_spends_nothing() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:refund", &["order/1"])]).await.expect("allowed");
    let request = wire::IssueTokenRequest { uses_max: 1, ..task.ask("orders:refund", &["order/1"]) };
    let token = issue(&daemon, &refunder, request).await.expect("issued").token;
    for (operation, resource) in [
        ("orders:refund", "order/2"),
        ("orders:refund", "order/11"),
        ("orders:refund", ""),
        ("orders:read", "order/1"),
        ("orders:burn", "order/1"),
    ] {
        let answer = orders.checks().authorize(may(&token, operation, resource)).await;
        let answer = answer.expect("an answer").into_inner();
        assert!(!answer.permitted && answer.insufficient_scope, "{operation} {resource}: {answer:?}");
        assert_eq!(answer.token.expect("active").uses_left, 1);
    }
    let permitted = orders.checks().authorize(may(&token, "orders:refund", "order/1")).await;
    assert!(permitted.expect("an answer").into_inner().permitted);
}

#[tokio::test]
async fn others_are_refused_and_the_malformed_names_its_field() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let mail = daemon.at("services/mail-api");
    let foreign = mail.checks().authorize(may(&token, "orders:read", "order/1")).await;
    assert_eq!(reason(foreign), Reason::ConnectorNotServed);
    for (operation, resource, field) in [
        ("orders", "order/1", "operation"),
        ("", "order/1", "operation"),
        ("orders:read", "order/*", "resource"),
        ("orders:read", "//", "resource"),
        ("orders:read", "order/\u{7f}", "resource"),
    ] {
        let refusal = orders.checks().authorize(may(&token, operation, resource)).await;
        assert_eq!(fields(refusal), [field], "{operation} {resource}");
    }
    for turn in 0..3 {
        let answer = orders.checks().authorize(may(&token, "orders:read", "order/1")).await;
        assert!(answer.expect("an answer").into_inner().permitted, "unlimited: {turn}");
    }
}
