//! What the orders API answers, request by request: an API of yours can be tested like this.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use locum_demo::{Character, Stage};
use locum_sdk::{Client, Outcome, Task, Token};
use locum_server::clock::WallClock;
use tokio::net::TcpStream;

use crate::Api;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    status: u16,
    challenge: Option<String>,
    retry_after: Option<String>,
    body: String,
}

/// One request, with these `Authorization` headers.
async fn send(addr: &str, method: Method, path: &str, authorization: &[&str]) -> Answered {
    let stream = TokioIo::new(TcpStream::connect(addr).await.expect("it listens"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(stream).await.expect("HTTP");
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header(HOST, addr);
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    let answer =
        sender.send_request(request.body(Empty::new()).expect("a request")).await.expect("an answer");
    let header = |name| answer.headers().get(name).map(|value| value.to_str().expect("plain").to_owned());
    let (challenge, retry_after) = (header(WWW_AUTHENTICATE), header(RETRY_AFTER));
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    Answered { status, challenge, retry_after, body: String::from_utf8_lossy(&body).into_owned() }
}

async fn get(addr: &str, order: &str, token: &Token) -> Answered {
    send(addr, Method::GET, &format!("/orders/{order}"), &[&bearer(token)]).await
}

async fn refund(addr: &str, order: &str, token: &Token) -> Answered {
    send(addr, Method::POST, &format!("/orders/{order}/refund"), &[&bearer(token)]).await
}

fn bearer(token: &Token) -> String {
    token.header().to_str().expect("plain").to_owned()
}

fn refused(status: u16, challenge: &str) -> Answered {
    Answered { status, challenge: Some(challenge.to_owned()), retry_after: None, body: String::new() }
}

async fn task(stage: &Stage) -> Task {
    let plugin = Client::connect(&stage.options(Character::Refunder)).expect("a client");
    let orders = ["order/1", "order/2"];
    let started = plugin.task("refund-order").scope("orders:read", orders).scope("orders:refund", orders);
    started.start().await.expect("allowed")
}

async fn token(task: &Task, operation: &str, order: &str) -> Token {
    let source = task.token("orders").scope(operation, [order]).source().expect("a source");
    source.get().await.expect("allowed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_what_it_covers_and_nothing_else() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let api = Api::start(&stage);
    let task = task(&stage).await;
    let read = token(&task, "orders:read", "order/1").await;
    let insufficient =
        |operation| refused(403, &format!("Bearer error=\"insufficient_scope\", scope=\"{operation}\""));

    let shown = get(&api.addr, "1", &read).await;
    assert_eq!((shown.status, shown.challenge), (200, None));
    assert!(shown.body.ends_with("(shown to spiffe://demo.invalid/agents/refunder)"), "{}", shown.body);
    // Another order of the same task, another operation, and what is no order at all.
    assert_eq!(get(&api.addr, "2", &read).await, insufficient("orders:read"));
    assert_eq!(refund(&api.addr, "1", &read).await, insufficient("orders:refund"));
    for odd in ["*", "..", "%2e%2e", "1%2f2", "**"] {
        assert_eq!(get(&api.addr, odd, &read).await, insufficient("orders:read"), "{odd}");
    }
    let back = token(&task, "orders:refund", "order/2").await;
    assert_eq!(get(&api.addr, "2", &back).await, insufficient("orders:read"));
    let done = refund(&api.addr, "2", &back).await;
    assert_eq!((done.status, done.body.as_str()), (200, "order 2 refunded"));

    task.end(Outcome::Completed).await.expect("ended");
    assert_eq!(get(&api.addr, "1", &read).await, refused(401, "Bearer error=\"invalid_token\""));
    drop(api);
    stage.close(async {}).await.expect("closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_good_token_is_asked_for_one() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let api = Api::start(&stage);
    let task = task(&stage).await;
    let good = bearer(&token(&task, "orders:read", "order/1").await);
    let cut = &good[..good.len() - 1];
    let basic = good.replace("Bearer", "Basic");
    let doubled = good.replace("Bearer", "Bearer Bearer");

    let asked = |authorization: &[&str]| {
        let authorization: Vec<String> = authorization.iter().map(|one| (*one).to_owned()).collect();
        let addr = api.addr.clone();
        async move {
            let authorization: Vec<&str> = authorization.iter().map(String::as_str).collect();
            send(&addr, Method::GET, "/orders/1", &authorization).await
        }
    };
    assert_eq!(asked(&[&good]).await.status, 200);
    assert_eq!(asked(&[]).await, refused(401, "Bearer"));
    // The same for every cause.
    for authorization in
        [&["Bearer nonsense"][..], &[cut], &[&basic], &[&doubled], &["Bearer"], &[""], &[&good, &good]]
    {
        assert_eq!(asked(authorization).await, refused(401, "Bearer error=\"invalid_token\""));
    }
    drop(api);
    stage.close(async {}).await.expect("closed in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nobody_can_be_asked_nobody_passes() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let api = Api::start(&stage);
    let task = task(&stage).await;
    let read = token(&task, "orders:read", "order/1").await;
    assert_eq!(get(&api.addr, "1", &read).await.status, 200);
    stage.close(async {}).await.expect("closed in order");

    let expected =
        Answered { status: 503, challenge: None, retry_after: Some("1".to_owned()), body: String::new() };
    assert_eq!(get(&api.addr, "1", &read).await, expected);
}
