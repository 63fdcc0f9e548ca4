//! The source: keeps, renews at two thirds, asks once, forgets on 401.

use std::cell::Cell;
use std::time::Duration;

use http::{Response, StatusCode};
use locum_api::broker::v1 as wire;
use locum_api::status::status;
use locum_model::Reason;
use locum_sdk::{Client, Error, Task, TokenSource};
use tokio::time::sleep;
use tonic::Status;

use crate::fake::{Fake, LIFE_SECONDS};

async fn start(client: &Client) -> (Task, TokenSource) {
    let task = client.task("refund-order").scope("orders:refund", ["order/1881"]).start().await;
    let task = task.expect("started");
    let source = task.token("orders").scope("orders:refund", ["order/1881"]).source().expect("good");
    (task, source)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_until_two_thirds_of_its_life() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    assert_eq!(source.get().await.expect("a token").expose(), "token-1");
    sleep(Duration::from_secs(79)).await;
    assert_eq!(source.get().await.expect("kept").expose(), "token-1");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(source.get().await.expect("renewed").expose(), "token-2");
    assert_eq!(fake.state(|s| s.issued.len()), 2);
    let ids = fake.state(|s| s.issued.iter().map(|i| i.request_id.clone()).collect::<Vec<_>>());
    assert_ne!(ids[0], ids[1], "each is a request of its own");
}

#[tokio::test(start_paused = true)]
async fn many_callers_make_one_request() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.get().await.expect("a token").expose().to_owned() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.expect("ran"), "token-1");
    }
    assert_eq!(fake.state(|s| s.issued.len()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_does_not_block_the_others() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    let first = tokio::time::timeout(Duration::from_millis(10), source.get()).await;
    assert!(first.is_err(), "the fake takes longer");
    assert!(source.get().await.is_ok());
    assert_eq!(fake.state(|s| s.issued.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn while_renewal_fails_for_a_while_the_kept_token_serves_out_its_life() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    source.get().await.expect("a token");
    let busy = || status(Reason::Overloaded, None, "", &[]);
    fake.state(|s| s.issue_refusals.extend([busy(), busy()]));
    sleep(Duration::from_secs(90)).await;
    assert_eq!(source.get().await.expect("still lives").expose(), "token-1");
    sleep(Duration::from_secs(LIFE_SECONDS as u64 - 90)).await;
    let error = source.get().await.expect_err("its life is over");
    assert!(error.retryable() && error.reason() == Some(Reason::Overloaded), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_denied_renewal_is_told_although_the_kept_token_lives() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    source.get().await.expect("a token");
    let detail = Some("`orders:write`");
    fake.state(|s| s.issue_refusals.push_back(status(Reason::ScopeBeyondIntent, detail, "r-7", &[])));
    sleep(Duration::from_secs(90)).await;
    let error = source.get().await.expect_err("denied");
    assert_eq!(error.reason(), Some(Reason::ScopeBeyondIntent));
    assert_eq!((error.detail().as_str(), error.request_id()), ("`orders:write`", Some("r-7")));
    let told = error.to_string();
    assert!(told.contains("orders:write") && told.contains("declare this scope"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_401_gets_one_retry_with_a_new_token() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    let calls = Cell::new(0);
    let answer = source.apply(|token| {
        calls.set(calls.get() + 1);
        async move {
            let good = token.expose() == "token-2";
            Response::builder().status(if good { 200 } else { 401 }).body(()).expect("an answer")
        }
    });
    assert_eq!(answer.await.expect("called").status(), StatusCode::OK);
    assert_eq!((calls.get(), fake.state(|s| s.issued.len())), (2, 2));

    let never = source.apply(|_| {
        calls.set(calls.get() + 1);
        async { (StatusCode::UNAUTHORIZED, ()) }
    });
    assert_eq!(never.await.expect("called").0, StatusCode::UNAUTHORIZED);
    assert_eq!(calls.get(), 4, "once more, not forever");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_retry_once_the_task_is_over() {
    let (fake, client) = Fake::start();
    let (task, source) = start(&client).await;
    source.get().await.expect("a token");
    fake.tell(wire::TaskState::Revoked).await;
    task.ended().await;
    let calls = Cell::new(0);
    let answer = source.apply(|_| {
        calls.set(calls.get() + 1);
        async { (StatusCode::UNAUTHORIZED, ()) }
    });
    assert!(matches!(answer.await, Err(Error::TaskOver(_))));
    assert_eq!((calls.get(), fake.state(|s| s.issued.len())), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_the_task_is_over_is_remembered() {
    let (fake, client) = Fake::start();
    let (task, source) = start(&client).await;
    fake.state(|s| s.issue_refusals.push_back(status(Reason::TaskLapsed, None, "", &[])));
    assert_eq!(source.get().await.expect_err("lapsed").reason(), Some(Reason::TaskLapsed));
    assert!(task.ending().is_some());
    assert!(matches!(source.get().await, Err(Error::TaskOver(_))));
    assert_eq!(fake.state(|s| s.issued.len()), 1, "not asked again");
}

#[tokio::test(start_paused = true)]
async fn a_use_limited_token_is_never_kept() {
    let (fake, client) = Fake::start();
    let (task, _) = start(&client).await;
    let source =
        task.token("orders").scope("orders:refund", ["order/1881"]).uses_max(1).source().expect("good");
    let (one, two) = (source.get().await.expect("one"), source.get().await.expect("two"));
    assert_ne!(one.expose(), two.expose());
    assert_eq!(fake.state(|s| s.issued[0].uses_max), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_in_debug() {
    let (_fake, client) = Fake::start();
    let (task, source) = start(&client).await;
    let token = source.get().await.expect("a token");
    let shown = format!("{client:?} {task:?} {source:?} {token:?} {:?}", token.header());
    assert!(!shown.contains("token-1"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_source_is_for_one_connector() {
    let (_fake, client) = Fake::start();
    let (task, _) = start(&client).await;
    assert!(matches!(
        task.token("mail").scope("orders:refund", ["order/1881"]).source(),
        Err(Error::Malformed(_))
    ));
    assert!(matches!(task.token("orders").source(), Err(Error::Malformed(_))));
}

#[tokio::test(start_paused = true)]
async fn an_unclear_refusal_is_an_error_with_its_kind() {
    let (fake, client) = Fake::start();
    let (_task, source) = start(&client).await;
    fake.state(|s| s.issue_refusals.push_back(Status::permission_denied("x\u{1b}[2J")));
    let error = source.get().await.expect_err("denied");
    assert_eq!((error.kind(), error.reason()), (locum_sdk::ErrorKind::Denied, None));
    assert!(!error.to_string().contains('\u{1b}'));
}
