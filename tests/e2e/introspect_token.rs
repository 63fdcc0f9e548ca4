//! IntrospectToken and IntrospectTokens: is it to be believed, now, by this backend?

use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::Daemon;
use locum_tests::refused::{fields, reason};
use locum_tests::wait::within;
use locum_tests::work::{begin, grant, introspect, issue};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::LOCUMD;

#[tokio::test]
async fn an_active_token_tells_its_claims_to_its_backend_alone() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let issued = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued");
    let answer = introspect(&orders, "orders", &issued.token).await.expect("an answer");
    let token = answer.token.expect("active");
    assert!(answer.active);
    assert_eq!(
        (&token.jti, &token.task_id, &token.root_task_id),
        (&issued.jti, &task.task_id, &task.task_id)
    );
    assert_eq!((token.client_id, token.audience), (token.subject, issued.audience));
    assert_eq!((token.scope, token.expire_time), (issued.scope, issued.expire_time));
    assert_eq!((token.use_limited, token.confirmation), (false, None));
    let inactive = wire::IntrospectTokenResponse::default();
    // Served too, but the token is not for it.
    assert_eq!(introspect(&orders, "ledger", &issued.token).await.expect("an answer"), inactive);
    let mail = daemon.at("services/mail-api");
    assert_eq!(introspect(&mail, "mail", &issued.token).await.expect("an answer"), inactive);
    for (who, connector) in [
        ("services/mail-api", "orders"),
        ("agents/refunder", "orders"),
        ("services/orders-api", "vault"),
        ("globex/vault-api", "orders"),
    ] {
        let refusal = introspect(&daemon.at(who), connector, &issued.token).await;
        assert_eq!(reason(refusal), Reason::ConnectorNotServed, "{who} asks as {connector}");
    }
    assert_eq!(fields(introspect(&orders, "", &issued.token).await), ["connector"]);
}

#[tokio::test]
async fn batches_are_answered_in_order() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let mut asked = Vec::new();
    for turn in 0..6 {
        let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued");
        let token = if turn % 2 == 0 { token.token } else { format!("{}x", token.token) };
        asked.push(wire::IntrospectTokenRequest { token, connector: "orders".to_owned(), presented: None });
    }
    let (questions, stream) = mpsc::channel(4);
    let answers = orders.checks().introspect_tokens(ReceiverStream::new(stream)).await.expect("a stream");
    let mut answers = answers.into_inner();
    for _ in 0..3 {
        let batch = wire::IntrospectTokensRequest { tokens: asked.clone() };
        questions.send(batch).await.expect("room");
        let answer = within("an answer", answers.message()).await.expect("no failure").expect("an answer");
        let active: Vec<bool> = answer.tokens.iter().map(|one| one.active).collect();
        assert_eq!(active, [true, false, true, false, true, false]);
    }
    for size in [0, 257] {
        let (questions, stream) = mpsc::channel(4);
        let batch = wire::IntrospectTokensRequest { tokens: vec![asked[0].clone(); size] };
        questions.send(batch).await.expect("room");
        let answers = orders.checks().introspect_tokens(ReceiverStream::new(stream)).await;
        let answer = within("a refusal", answers.expect("a stream").into_inner().message()).await;
        assert_eq!(reason(answer), Reason::RequestMalformed, "{size}");
    }
    let full = wire::IntrospectTokensRequest { tokens: vec![asked[0].clone(); 256] };
    questions.send(full).await.expect("room");
    drop(questions);
    let answer = within("an answer", answers.message()).await.expect("no failure").expect("an answer");
    assert!(answer.tokens.len() == 256 && answer.tokens.iter().all(|one| one.active));
    assert_eq!(within("the end", answers.message()).await.expect("no failure"), None);
}
