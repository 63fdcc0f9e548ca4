//! The offline check: the same answers as online, in the backend's own process.

use std::convert::Infallible;
use std::future::ready as now;
use std::time::Duration;

use http::{Request, Response};
use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_model::KeyId;
use locum_sdk::{
    CheckAnswer, CheckLayer, Checker, Client, Decision, Error, ErrorKind, Presentation, PresentedCertificate,
    Unknown, Verifier,
};
use locum_tests::backend::{options, orders, ready};
use locum_tests::work::{Held, begin, begin_part, grant, issue, revoke};
use locum_tests::{Daemon, Line, Relay, Site, eventually, hostile};
use tower::{Layer as _, ServiceExt as _};

use crate::LOCUMD;

/// A daemon of our own, and a verifier of `orders` that hears it.
async fn stage() -> (Daemon, Relay, Verifier) {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&daemon, &relay).await).await;
    (daemon, relay, verifier)
}

async fn token_of(daemon: &Daemon, task: &Held) -> String {
    let refunder = daemon.at("agents/refunder");
    issue(daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token
}

fn is_active(verifier: &Verifier, token: &str) -> bool {
    match verifier.check(token) {
        CheckAnswer::Active(_) => true,
        CheckAnswer::Inactive(_) => false,
        CheckAnswer::Unknown(unknown) => unreachable!("the feed is there: {unknown}"),
    }
}

/// Waits for a token to be dead here, through nothing but *active*.
async fn dies(verifier: &Verifier, token: &str) {
    eventually("the revocation to be heard", || now((!is_active(verifier, token)).then_some(()))).await;
    assert!(!is_active(verifier, token));
}

#[tokio::test]
async fn every_end_of_a_token_is_heard() {
    let (daemon, _relay, verifier) = stage().await;
    let (refunder, operator) = (daemon.at("agents/refunder"), daemon.operator("operator"));
    let scope = || vec![grant("orders:read", &[])];
    // The token itself.
    let task = begin(&daemon, &refunder, scope()).await.expect("allowed");
    let (one, other) = (token_of(&daemon, &task).await, token_of(&daemon, &task).await);
    assert!(is_active(&verifier, &one) && is_active(&verifier, &other));
    let request = wire::RevokeTokenRequest { token: one.clone() };
    refunder.tokens().revoke_token(request).await.expect("revoked");
    dies(&verifier, &one).await;
    assert!(is_active(&verifier, &other));
    // A task above it.
    let part = begin_part(&daemon, &refunder, &task, scope()).await.expect("allowed");
    let below = token_of(&daemon, &part).await;
    assert!(is_active(&verifier, &below));
    refunder.tasks().end_task(task.end()).await.expect("ended");
    dies(&verifier, &below).await;
    dies(&verifier, &other).await;
    // What it rests on, by an operator.
    for target in [
        Target::Workload("refunder".to_owned()),
        Target::Connector("orders".to_owned()),
        Target::Owner("payments".to_owned()),
        Target::Owner("support".to_owned()),
        Target::Model("support-llm".to_owned()),
        Target::Tenant("acme".to_owned()),
        Target::Subject("spiffe://acme.test/agents/refunder".to_owned()),
    ] {
        let task = begin(&daemon, &refunder, scope()).await.expect("allowed");
        let token = token_of(&daemon, &task).await;
        assert!(is_active(&verifier, &token), "{target:?}");
        operator.revocation().revoke(revoke(target.clone())).await.expect("revoked");
        dies(&verifier, &token).await;
        assert!(!is_active(&verifier, &below), "what was dead stays so");
    }
    let figures = verifier.figures();
    assert!(figures.watermarks >= 9 && figures.unknown == 0 && figures.recognised > 0, "{figures:?}");
    assert_eq!(verifier.trouble(), None);
}

#[tokio::test]
async fn a_signing_key_that_is_revoked_signs_nothing_any_more() {
    let (daemon, _relay, verifier) = stage().await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let before = token_of(&daemon, &task).await;
    assert!(is_active(&verifier, &before));
    let kid = hostile::kid_of(&before);
    daemon.operator("admin").revocation().revoke(revoke(Target::SigningKey(kid))).await.expect("revoked");
    dies(&verifier, &before).await;
    let after = token_of(&daemon, &task).await;
    let heard = eventually("the new key", || {
        now(matches!(verifier.check(after.as_str()), CheckAnswer::Active(_)).then_some(()))
    });
    heard.await;
    assert!(!is_active(&verifier, &before));
}

#[tokio::test]
async fn the_layer_answers_as_it_does_online() {
    let (daemon, relay, verifier) = stage().await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = token_of(&daemon, &task).await;
    let layer = CheckLayer::operation(Checker::offline(verifier.clone()), "orders:read")
        .expect("an operation")
        .resource(|parts| Some(parts.uri.path().trim_start_matches('/').to_owned()));
    let service = layer.layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(String::from("done")))
    }));
    let call = |path: &str, token: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(());
        service.clone().oneshot(request.expect("a request"))
    };
    for (path, token, status) in
        [("/order/1", &*token, 200), ("/order/2", &token, 403), ("/order/1", "x", 401)]
    {
        let response = call(path, token).await.expect("infallible");
        assert_eq!(response.status(), status, "{path}");
    }
    relay.set(Line::Cut);
    eventually("the lease to run out", || now(verifier.figures().lease_left.is_none().then_some(()))).await;
    let response = call("/order/1", &token).await.expect("infallible");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers().get("retry-after").expect("when to come again"), "1");
    let grpc = Request::get("/order/1").header("authorization", format!("Bearer {token}"));
    let grpc = grpc.header("content-type", "application/grpc").body(()).expect("a request");
    let response = service.clone().oneshot(grpc).await.expect("infallible");
    assert_eq!(response.headers().get("grpc-status").expect("a status"), "14");
}

#[tokio::test]
async fn a_bound_token_needs_the_certificate() {
    let (daemon, _relay, verifier) = stage().await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let request =
        wire::IssueTokenRequest { bind_to_certificate: true, ..task.ask("orders:read", &["order/1"]) };
    let token = issue(&daemon, &refunder, request).await.expect("issued").token;
    assert!(!is_active(&verifier, &token));
    for (shown, active) in [(refunder.certificate_sha256, true), ([7; 32], false)] {
        let presented = Presentation::bearer(&token).with_certificate(PresentedCertificate(shown));
        assert_eq!(matches!(verifier.check(presented), CheckAnswer::Active(_)), active);
    }
}

#[tokio::test]
async fn what_only_online_can_answer_is_asked_there() {
    let (daemon, relay, verifier) = stage().await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let request = wire::IssueTokenRequest { uses_max: 1, ..task.ask("orders:read", &["order/1"]) };
    let token = issue(&daemon, &refunder, request).await.expect("issued").token;
    assert_eq!(verifier.check(&*token), CheckAnswer::Unknown(Unknown::OnlineOnly));
    let checker = Checker::offline(verifier);
    let alone = checker.authorize(&*token, "orders:read", Some("order/1")).await.expect_err("unknown");
    assert!(matches!(&alone, Error::Stale(why) if why.contains("online")), "{alone}");
    assert_eq!((alone.kind(), alone.retryable()), (ErrorKind::Unavailable, true));
    let online = Client::connect(&options(&daemon, "services/orders-api", &relay.addr())).expect("good");
    let both = checker.or_ask(online);
    let [first, second] = [
        both.authorize(&*token, "orders:read", Some("order/1")).await.expect("asked"),
        both.authorize(&*token, "orders:read", Some("order/1")).await.expect("asked"),
    ];
    assert!(matches!(first, Decision::Permitted(_)));
    assert_eq!(second, Decision::Inactive, "it was spent");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let good = orders(&daemon, &relay).await;
    let changed = |change: fn(&mut locum_sdk::VerifierOptions)| {
        let mut options = good.clone();
        change(&mut options);
        options
    };
    let wrong = [
        (changed(|options| options.root = KeyId([7; 32])), "is pinned"),
        (changed(|options| options.issuer = "https://locum.acme.test/".to_owned()), "is pinned"),
        (changed(|options| options.connector = "mail".to_owned()), "mail"),
        (changed(|options| options.connector = "nowhere".to_owned()), "nowhere"),
        (changed(|options| options.brokers[0].addr = "https://localhost:1".to_owned()), "cannot be reached"),
    ];
    for (options, named) in wrong {
        let verifier = Verifier::start(options).expect("they could work");
        let told = eventually("the trouble to be told", || now(verifier.trouble())).await;
        let error = verifier.ready(Duration::ZERO).await.expect_err("nothing can be said").to_string();
        assert!(told.contains(named) && error.contains(named), "{named}: {error}");
        assert!(matches!(verifier.check("x"), CheckAnswer::Unknown(Unknown::NotStarted)));
    }
    let mut several = good.clone();
    several.brokers.insert(0, options(&daemon, "services/orders-api", "https://localhost:1"));
    ready(several).await;
}
