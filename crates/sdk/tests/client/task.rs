//! The guard: holds, hears of the end, ends, and ends on drop.

use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::status::status;
use locum_model::Reason;
use locum_sdk::{Client, Ending, Error, Outcome, Task};
use tokio::time::sleep;
use tonic::Status;

use crate::fake::Fake;

async fn start(client: &Client) -> Task {
    client.task("refund-order").scope("orders:refund", ["order/1881"]).start().await.expect("started")
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_with_its_outcome_and_only_once() {
    let (fake, client) = Fake::start();
    let task = start(&client).await;
    assert_eq!(task.id().to_string(), crate::fake::TASK);
    task.end(Outcome::Completed).await.expect("ended");
    sleep(Duration::from_secs(60)).await;
    let ended = fake.state(|s| s.ended.clone());
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].outcome(), wire::TaskOutcome::Completed);
    assert_eq!(ended[0].holder_secret.len(), 32);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_ends_the_task_as_cancelled() {
    let (fake, client) = Fake::start();
    drop(start(&client).await);
    sleep(Duration::from_secs(1)).await;
    let outcomes: Vec<_> = fake.state(|s| s.ended.iter().map(|e| e.outcome()).collect());
    assert_eq!(outcomes, [wire::TaskOutcome::Cancelled]);
}

#[tokio::test(start_paused = true)]
async fn a_released_task_is_left_alone() {
    let (fake, client) = Fake::start();
    let handle = start(&client).await.release();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(fake.state(|s| s.ended.len()), 0);
    let signs = fake.state(|s| s.signs_of_life);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(fake.state(|s| s.signs_of_life), signs, "nobody holds it any more");
    handle.end(Outcome::Failed).await.expect("the secret still opens it");
}

#[tokio::test(start_paused = true)]
async fn the_secret_is_fresh_and_only_its_hash_is_told_at_the_start() {
    let (fake, client) = Fake::start();
    let (one, two) = (start(&client).await, start(&client).await);
    assert_ne!(one.secret().expose(), two.secret().expose());
    let digest = ring::digest::digest(&ring::digest::SHA256, one.secret().expose());
    assert_eq!(fake.state(|s| s.started[0].holder_sha256.clone()), digest.as_ref());
    assert!(!format!("{one:?} {:?}", one.secret()).contains(&format!("{:?}", one.secret().expose())));
}

#[tokio::test(start_paused = true)]
async fn a_child_shows_its_parents_secret() {
    let (fake, client) = Fake::start();
    let parent = start(&client).await;
    let child = client.task("refund-order").scope("orders:refund", ["order/1881"]).parent(&parent);
    let _child = child.start().await.expect("started");
    let request = fake.state(|s| s.started[1].clone());
    assert_eq!(request.parent_task_id, parent.id().to_string());
    assert_eq!(request.parent_holder_secret, parent.secret().expose());
}

#[tokio::test(start_paused = true)]
async fn a_held_task_shows_signs_of_life() {
    let (fake, client) = Fake::start();
    let _task = start(&client).await;
    sleep(Duration::from_secs(301)).await;
    let (holders, signs) = fake.state(|s| (s.holders.len(), s.signs_of_life));
    assert_eq!(holders, 1);
    assert!(signs >= 30, "a sign every third of the 30 s lease, got {signs}");
}

#[tokio::test(start_paused = true)]
async fn the_holder_hears_how_the_task_was_over() {
    for (state, ending) in [
        (wire::TaskState::Revoked, Ending::Revoked),
        (wire::TaskState::Lapsed, Ending::Lapsed),
        (wire::TaskState::Ended, Ending::Ended),
    ] {
        let (fake, client) = Fake::start();
        let task = start(&client).await;
        sleep(Duration::from_millis(10)).await;
        fake.tell(state).await;
        assert_eq!(task.ended().await, ending);
        let source = task.token("orders").scope("orders:refund", ["order/1881"]).source().expect("good");
        assert!(matches!(source.get().await, Err(Error::TaskOver(heard)) if heard == ending));
        drop(task);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(fake.state(|s| (s.ended.len(), s.issued.len())), (0, 0), "nothing left to end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_renewed_meanwhile_and_opened_again() {
    let (fake, client) = Fake::start();
    let task = start(&client).await;
    sleep(Duration::from_millis(10)).await;
    fake.state(|s| {
        s.hold_refusals.extend([Status::unavailable("a"), Status::unavailable("b")]);
        s.holders.clear(); // the server drops the stream
    });
    sleep(Duration::from_secs(60)).await;
    let (holders, renewed) = fake.state(|s| (s.holders.len(), s.renewed));
    assert_eq!((holders, renewed), (1, 3), "one renewal for each time without a stream");
    assert_eq!(task.ending(), None);
}

#[tokio::test(start_paused = true)]
async fn where_streams_do_not_work_renewals_keep_the_task() {
    let (fake, client) = Fake::start();
    fake.state(|s| s.hold_refusals.extend((0..1000).map(|_| Status::unimplemented("no streams here"))));
    let _task = start(&client).await;
    sleep(Duration::from_secs(300)).await;
    let renewed = fake.state(|s| s.renewed);
    assert!((30..=100).contains(&renewed), "often enough for the lease, not more: {renewed}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_hold_of_a_dead_task_ends_the_loop() {
    for (reason, ending) in [
        (Reason::TaskRevoked, Ending::Revoked),
        (Reason::TaskLapsed, Ending::Lapsed),
        (Reason::TaskNotHeld, Ending::Lost),
        (Reason::TaskNotFound, Ending::Lost),
    ] {
        let (fake, client) = Fake::start();
        fake.state(|s| s.hold_refusals.push_back(status(reason, None, "r-1", &[])));
        let task = start(&client).await;
        assert_eq!(task.ended().await, ending);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(fake.state(|s| (s.holders.len(), s.renewed)), (0, 0));
    }
}

#[tokio::test]
async fn a_bad_scope_is_refused_before_anything_is_sent() {
    let (fake, client) = Fake::start();
    for (operation, resource) in
        [("orders", "order/1"), ("orders:refund", "a//b"), ("Orders:refund", "order/1")]
    {
        let refused = client.task("refund-order").scope(operation, [resource]).start().await;
        assert!(matches!(refused, Err(Error::Malformed(_))));
    }
    assert!(matches!(client.task("refund-order").start().await, Err(Error::Malformed(_))), "no scope at all");
    assert_eq!(fake.state(|s| s.started.len()), 0);
}
