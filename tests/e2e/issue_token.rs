//! IssueToken: written down, then signed, never wider than the task's intent.

use locum_api::broker::v1 as wire;
use locum_jose::base64url;
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, grant, introspect, is_active, issue, may, now, seconds};
use locum_tests::{Daemon, Party};
use serde_json::Value;

use crate::LOCUMD;

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&base64url::decode(payload).expect("base64url")).expect("JSON")
}

#[tokio::test]
async fn a_token_says_what_was_allowed_and_no_more() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:refund", &["order/*"])]).await.expect("allowed");
    let request = wire::IssueTokenRequest { ttl: seconds(90), ..task.ask("orders:refund", &["order/1"]) };
    let issued = issue(&daemon, &refunder, request).await.expect("issued");
    let said = claims(&issued.token);
    assert_eq!(said["iss"], "https://locum.acme.test");
    assert_eq!(
        (&said["aud"], issued.audience.as_str()),
        (&"https://orders.acme.test".into(), "https://orders.acme.test")
    );
    assert_eq!(said["sub"], "spiffe://acme.test/agents/refunder");
    assert_eq!(said["client_id"], said["sub"]);
    assert_eq!(said["jti"], issued.jti.as_str());
    assert_eq!(issued.scope, vec![grant("orders:refund", &["order/1"])]);
    let exp = said["exp"].as_i64().expect("a number");
    assert_eq!(exp, issued.expire_time.expect("a time").seconds);
    assert!((88..=91).contains(&(exp - now())), "{exp}");
    assert_eq!(issued.refresh_in.expect("a span").seconds, 60);
    let header = issued.token.split('.').next().expect("a part");
    let header = String::from_utf8(base64url::decode(header).expect("base64url")).expect("text");
    assert!(header.starts_with(r#"{"alg":"ES256","kid":""#) && header.ends_with(r#"","typ":"at+jwt"}"#));
}

#[tokio::test]
async fn each_connector_gets_its_algorithm() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("ledger:book", &[])]).await.expect("allowed");
    let issued =
        issue(&daemon, &refunder, task.ask("ledger:book", &["account/7/cash"])).await.expect("issued");
    let header = issued.token.split('.').next().expect("a part");
    let header = String::from_utf8(base64url::decode(header).expect("base64url")).expect("text");
    assert!(header.starts_with(r#"{"alg":"EdDSA""#), "{header}");
    assert!(is_active(&backend, "ledger", &issued.token).await);
}

#[tokio::test]
async fn a_retry_answers_the_same_claims_and_another_body_is_refused() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &["order/*"])]).await.expect("allowed");
    let request =
        wire::IssueTokenRequest { request_id: "again".to_owned(), ..task.ask("orders:read", &["order/1"]) };
    let first = issue(&daemon, &refunder, request.clone()).await.expect("issued");
    let mut racing = Vec::new();
    for _ in 0..8 {
        let (party, request) = (refunder.clone(), request.clone());
        racing.push(tokio::spawn(async move { party.tokens().issue_token(request).await }));
    }
    for one in racing {
        let again = one.await.expect("not cancelled").expect("the same").into_inner();
        daemon.secret(&again.token);
        assert_eq!(claims(&again.token), claims(&first.token));
        assert!(is_active(&backend, "orders", &again.token).await);
    }
    let other = wire::IssueTokenRequest { ttl: seconds(5), ..request.clone() };
    let refusal = refunder.tokens().issue_token(other).await;
    assert_eq!(refusal.as_ref().err().map(tonic::Status::code), Some(tonic::Code::FailedPrecondition));
    assert_eq!(reason(refusal), Reason::RequestIdReused);
    let revoked = wire::RevokeTokenRequest { token: first.token.clone() };
    refunder.tokens().revoke_token(revoked).await.expect("one's own");
    assert!(!is_active(&backend, "orders", &first.token).await);
    assert!(issue(&daemon, &refunder, request).await.is_err(), "what is dead is not signed again");
}

#[tokio::test]
async fn what_is_wider_or_longer_is_refused_never_narrowed() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let scope = vec![grant("orders:read", &["order/1"]), grant("mail:list", &[])];
    let task = begin(&daemon, &refunder, scope).await.expect("allowed");
    let read = || task.ask("orders:read", &["order/1"]);
    let two = || vec![grant("orders:read", &["order/1"]), grant("mail:list", &[])];
    for (request, expected) in [
        (task.ask("orders:read", &["order/2"]), Reason::ScopeBeyondIntent),
        (task.ask("orders:read", &[]), Reason::ScopeBeyondIntent),
        (task.ask("orders:refund", &["order/1"]), Reason::ScopeBeyondIntent),
        (wire::IssueTokenRequest { scope: two(), ..read() }, Reason::RequestMalformed),
        (wire::IssueTokenRequest { ttl: seconds(121), ..read() }, Reason::TtlTooLong),
        (wire::IssueTokenRequest { ttl: seconds(0), ..read() }, Reason::RequestMalformed),
        (wire::IssueTokenRequest { uses_max: 1001, ..read() }, Reason::RequestMalformed),
        (wire::IssueTokenRequest { holder_secret: vec![3; 32], ..read() }, Reason::TaskNotHeld),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(reason(refunder.tokens().issue_token(request).await), expected, "{shown}");
    }
    for (request, field) in [
        (wire::IssueTokenRequest { ttl: seconds(-5), ..read() }, "ttl"),
        (wire::IssueTokenRequest { scope: Vec::new(), ..read() }, "scope"),
        (wire::IssueTokenRequest { task_id: "task-x".to_owned(), ..read() }, "task_id"),
        (wire::IssueTokenRequest { holder_secret: vec![3; 33], ..read() }, "holder_secret"),
    ] {
        let shown = format!("{request:?}");
        let refusal = refunder.tokens().issue_token(request).await;
        assert_eq!(
            refusal.as_ref().err().map(tonic::Status::code),
            Some(tonic::Code::InvalidArgument),
            "{shown}"
        );
        let named = fields(refusal);
        assert!(named.iter().any(|name| name.starts_with(field)), "{named:?} for {shown}");
    }
}

#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_its_key() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[]), grant("ledger:close", &[])]).await;
    let task = task.expect("allowed");
    let request =
        wire::IssueTokenRequest { bind_to_certificate: true, ..task.ask("orders:read", &["order/1"]) };
    let wished = issue(&daemon, &refunder, request).await.expect("issued").token;
    // Here nobody asked, but policy demands it.
    let demanded = issue(&daemon, &refunder, task.ask("ledger:close", &[])).await.expect("issued").token;
    for (token, connector) in [(wished, "orders"), (demanded, "ledger")] {
        assert!(!is_active(&backend, connector, &token).await, "nothing was shown");
        for (key, active) in [(refunder.certificate_sha256, true), (backend.certificate_sha256, false)] {
            let answer = presented(&backend, connector, &token, &key).await;
            assert_eq!(answer.active, active);
            let cnf = answer.token.map(|token| token.confirmation.expect("bound").key.expect("a key"));
            let expected = wire::confirmation::Key::CertificateSha256(key.to_vec());
            assert_eq!(cnf, active.then_some(expected));
        }
    }
    let svid = daemon.site.jwt_svid("spiffe://acme.test/agents/refunder", now());
    let keyless = daemon.party(None).bearer(&svid);
    let request =
        wire::IssueTokenRequest { bind_to_certificate: true, ..task.ask("orders:read", &["order/1"]) };
    assert_eq!(reason(keyless.tokens().issue_token(request).await), Reason::ProofRequired);
    let demanded = keyless.tokens().issue_token(task.ask("ledger:close", &[])).await;
    assert_eq!(reason(demanded), Reason::ProofRequired);
}

async fn presented(
    backend: &Party,
    connector: &str,
    token: &str,
    key: &[u8],
) -> wire::IntrospectTokenResponse {
    let request = wire::IntrospectTokenRequest {
        token: token.to_owned(),
        connector: connector.to_owned(),
        presented: Some(wire::Presented { certificate_sha256: key.to_vec(), proof: None }),
    };
    backend.checks().introspect_token(request).await.expect("an answer").into_inner()
}

#[tokio::test]
async fn uses_are_counted_and_checked_online() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let request = wire::IssueTokenRequest { uses_max: 2, ..task.ask("orders:read", &["order/1"]) };
    let token = issue(&daemon, &refunder, request).await.expect("issued").token;
    for left in [1, 0] {
        let seen = introspect(&backend, "orders", &token).await.expect("an answer").token.expect("active");
        assert_eq!((seen.use_limited, seen.uses_left), (true, left + 1), "introspection spends nothing");
        let answer = backend.checks().authorize(may(&token, "orders:read", "order/1")).await;
        let answer = answer.expect("an answer").into_inner();
        assert!(answer.permitted);
        assert_eq!(answer.token.expect("active").uses_left, left);
    }
    let spent = backend.checks().authorize(may(&token, "orders:read", "order/1")).await;
    let spent = spent.expect("an answer").into_inner();
    assert_eq!(spent, wire::AuthorizeResponse::default());
    assert!(!is_active(&backend, "orders", &token).await);
}

#[tokio::test]
async fn a_token_dies_on_time() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let request = wire::IssueTokenRequest { ttl: seconds(2), ..task.ask("orders:read", &["order/1"]) };
    let issued = issue(&daemon, &refunder, request).await.expect("issued");
    assert!(is_active(&backend, "orders", &issued.token).await);
    let end = issued.expire_time.expect("a time").seconds;
    locum_tests::eventually("the token's end", || async {
        (!is_active(&backend, "orders", &issued.token).await).then_some(())
    })
    .await;
    assert!(now() >= end, "not before its time");
    assert!(now() <= end + 1, "not long after");
}
