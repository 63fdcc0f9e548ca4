//! The check before a service, and the bearer before a client.

use std::convert::Infallible;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use locum_api::broker::v1::AuthorizeResponse;
use locum_sdk::{BearerLayer, CheckLayer, Checker, Need, PresentedCertificate, VerifiedToken};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::fake::{Fake, active};

fn permit() -> Option<AuthorizeResponse> {
    Some(AuthorizeResponse { permitted: true, token: Some(active()), insufficient_scope: false })
}

fn request(authorization: &[&str]) -> Request<()> {
    let mut request = Request::builder().uri("/order/1881");
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    request.body(()).expect("a request")
}

/// Sends a request through the layer to a service that tells whose token it saw.
async fn send(layer: CheckLayer, request: Request<()>) -> Response<String> {
    let inner = service_fn(|request: Request<()>| async move {
        let token = request.extensions().get::<VerifiedToken>().expect("claims travel on");
        Ok::<_, Infallible>(Response::new(token.subject().to_owned()))
    });
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    response
}

fn layer(client: &locum_sdk::Client) -> CheckLayer {
    CheckLayer::operation(Checker::new(client.clone()), "orders:refund")
        .expect("an operation")
        .resource(|parts| Some(parts.uri.path().trim_start_matches('/').to_owned()))
}

#[tokio::test]
async fn a_covered_request_goes_through_with_its_claims() {
    let (fake, client) = Fake::start();
    fake.state(|s| s.authorize = permit());
    let mut asked = request(&["Bearer good"]);
    asked.extensions_mut().insert(PresentedCertificate([7; 32]));
    let response = send(layer(&client), asked).await;
    assert_eq!((response.status(), response.body().as_str()), (StatusCode::OK, "alice"));
    let question = fake.state(|s| s.authorized[0].clone());
    assert_eq!((question.operation.as_str(), question.resource.as_str()), ("orders:refund", "order/1881"));
    assert_eq!(question.token, "good");
    assert_eq!(question.presented.expect("shown").certificate_sha256, vec![7; 32]);
}

#[tokio::test]
async fn everything_else_is_answered_by_the_layer() {
    let inactive = Some(AuthorizeResponse::default());
    let narrow =
        Some(AuthorizeResponse { token: Some(active()), insufficient_scope: true, permitted: false });
    let headless = Some(AuthorizeResponse { permitted: true, token: None, insufficient_scope: false });
    let contradictory =
        Some(AuthorizeResponse { permitted: true, token: Some(active()), insufficient_scope: true });
    let long = format!("Bearer {}", "x".repeat(8 * 1024 + 1));
    for (answer, header, status, challenge) in [
        (permit(), &[][..], 401, Some("Bearer")),
        (permit(), &["Bearer a", "Bearer b"], 401, Some("Bearer error=\"invalid_token\"")),
        (permit(), &["Basic a"], 401, Some("Bearer error=\"invalid_token\"")),
        (permit(), &[long.as_str()], 401, Some("Bearer error=\"invalid_token\"")),
        (inactive, &["Bearer a"], 401, Some("Bearer error=\"invalid_token\"")),
        (narrow, &["Bearer a"], 403, Some("Bearer error=\"insufficient_scope\", scope=\"orders:refund\"")),
        (None, &["Bearer a"], 503, None),
        (headless, &["Bearer a"], 503, None),
        (contradictory, &["Bearer a"], 503, None),
    ] {
        let (fake, client) = Fake::start();
        fake.state(|s| s.authorize = answer.clone());
        let response = send(layer(&client), request(header)).await;
        assert_eq!(response.status().as_u16(), status, "{header:?}");
        let shown = response.headers().get(WWW_AUTHENTICATE).map(|v| v.to_str().expect("ascii"));
        assert_eq!(shown, challenge);
        assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        assert_eq!(response.body(), "", "the service was not called");
    }
}

#[tokio::test]
async fn a_check_that_spends_is_asked_once_even_when_it_fails() {
    let (fake, client) = Fake::start();
    send(layer(&client), request(&["Bearer a"])).await;
    assert_eq!(fake.state(|s| s.authorized.len()), 1);
}

#[tokio::test]
async fn a_route_without_a_rule_is_refused() {
    let (fake, client) = Fake::start();
    fake.state(|s| s.authorize = permit());
    let rule = |parts: &http::request::Parts| {
        (parts.uri.path() == "/known")
            .then(|| Need { operation: "orders:read".parse().expect("good"), resource: None })
    };
    let layer = CheckLayer::by_route(Checker::new(client), rule);
    assert_eq!(send(layer, request(&["Bearer a"])).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(fake.state(|s| s.authorized.len()), 0);
}

#[tokio::test]
async fn a_grpc_caller_gets_a_grpc_status() {
    let (fake, client) = Fake::start();
    fake.state(|s| s.authorize = Some(AuthorizeResponse::default()));
    let mut asked = request(&["Bearer a"]);
    asked.headers_mut().insert(CONTENT_TYPE, "application/grpc+proto".parse().expect("a header"));
    let response = send(layer(&client), asked).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
}

#[tokio::test]
async fn introspection_tells_active_from_not() {
    let (_fake, client) = Fake::start();
    let checker = Checker::new(client);
    let token = checker.introspect("good", "orders").await.expect("asked").expect("active");
    assert!(
        token.allows(&"orders:refund".parse().expect("good"), Some(&"order/1881".parse().expect("good")))
    );
    assert!(!token.allows(&"orders:refund".parse().expect("good"), Some(&"order/2".parse().expect("good"))));
    assert_eq!(checker.introspect("bad", "orders").await.expect("asked"), None);
    assert_eq!(checker.introspect("x".repeat(9000).as_str(), "orders").await.expect("not asked"), None);
}

#[tokio::test]
async fn each_outgoing_request_carries_a_token() {
    let (fake, client) = Fake::start();
    let task =
        client.task("refund-order").scope("orders:refund", ["order/1881"]).start().await.expect("started");
    let source = task.token("orders").scope("orders:refund", ["order/1881"]).source().expect("good");
    let backend = service_fn(|request: Request<()>| async move {
        let header = &request.headers()[AUTHORIZATION];
        assert!(header.is_sensitive());
        let status = if header == "Bearer token-1" { 401 } else { 200 };
        Ok::<_, Infallible>(Response::builder().status(status).body(()).expect("a response"))
    });
    let mut calls = BearerLayer::new(source).layer(backend);
    for status in [401, 200, 200] {
        let response = calls.ready().await.expect("ready").call(request(&[])).await.expect("called");
        assert_eq!(response.status(), status);
    }
    assert_eq!(fake.state(|s| s.issued.len()), 2, "the refused token was forgotten");
}
