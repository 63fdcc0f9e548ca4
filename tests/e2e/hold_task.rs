//! HoldTask: a task lives as long as its holder's stream, and the holder hears what becomes of it.

use locum_api::admin::v1 as admin;
use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::wait::{eventually, within};
use locum_tests::work::{Held, begin, grant, issue, seconds, secret, start};
use locum_tests::{Daemon, Party};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::LOCUMD;

/// An open hold: dropping the sender closes the holder's side.
struct Hold {
    _ours: mpsc::Sender<wire::HoldTaskRequest>,
    theirs: Streaming<wire::HoldTaskResponse>,
}

async fn hold(party: &Party, task: &Held) -> Result<Hold, Status> {
    let (ours, messages) = mpsc::channel(4);
    let first = wire::HoldTaskRequest { task_id: task.task_id.clone(), holder_secret: task.secret.clone() };
    ours.send(first).await.expect("room");
    let theirs = party.tasks().hold_task(ReceiverStream::new(messages)).await?.into_inner();
    Ok(Hold { _ours: ours, theirs })
}

impl Hold {
    async fn next(&mut self) -> Option<wire::HoldTaskResponse> {
        within("a word to the holder", self.theirs.message()).await.expect("no failure")
    }

    /// The next word but for signs of life.
    async fn news(&mut self) -> Option<wire::TaskState> {
        loop {
            let state = self.next().await?.state();
            if state != wire::TaskState::Active {
                return Some(state);
            }
        }
    }
}

async fn state_of(party: &Party, task: &Held) -> wire::TaskState {
    let request = wire::GetTaskRequest { task_id: task.task_id.clone() };
    let answer = party.tasks().get_task(request).await.expect("one's own task");
    answer.into_inner().task.expect("a task").state()
}

#[tokio::test]
async fn a_task_lapses_some_time_after_its_stream_is_lost() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let secret = secret(&daemon);
    let request =
        wire::StartTaskRequest { lease: seconds(1), ..start(vec![grant("orders:read", &[])], &secret) };
    let task = refunder.tasks().start_task(request).await.expect("allowed").into_inner().task;
    let task = Held { task_id: task.expect("a task").task_id, secret };
    let mut held = hold(&refunder, &task).await.expect("held");
    assert_eq!(held.next().await.expect("a first word").state(), wire::TaskState::Active);
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    // Longer than the lease alone, yet the stream is there.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(state_of(&refunder, &task).await, wire::TaskState::Active);
    drop(held);
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(state_of(&refunder, &task).await, wire::TaskState::Active, "there is a grace");
    eventually("the lapse", || async {
        (state_of(&refunder, &task).await == wire::TaskState::Lapsed).then_some(())
    })
    .await;
    assert!(!locum_tests::work::is_active(&backend, "orders", &token).await);
    assert_eq!(reason(hold(&refunder, &task).await.map(drop)), Reason::TaskLapsed);
    assert_eq!(reason(issue(&daemon, &refunder, task.ask("orders:read", &[])).await), Reason::TaskLapsed);
}

#[tokio::test]
async fn a_newer_hold_supersedes_the_older() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let mut older = hold(&refunder, &task).await.expect("held");
    older.next().await.expect("a first word");
    let mut newer = hold(&refunder, &task).await.expect("held");
    newer.next().await.expect("a first word");
    assert!(older.news().await.is_none(), "the older stream ends without a word");
    assert_eq!(state_of(&refunder, &task).await, wire::TaskState::Active);
    refunder.tasks().end_task(task.end()).await.expect("ended");
    assert_eq!(newer.news().await, Some(wire::TaskState::Ended));
    assert!(newer.next().await.is_none());
}

#[tokio::test]
async fn the_holder_is_told_of_a_revocation() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, operator) = (daemon.at("agents/refunder"), daemon.operator("operator"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let other = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let (mut held, mut spared) =
        (hold(&refunder, &task).await.expect("held"), hold(&refunder, &other).await.expect("held"));
    held.next().await.expect("a first word");
    spared.next().await.expect("a first word");
    let target = admin::selector::Target::Task(task.task_id.clone());
    let request = admin::RevokeRequest {
        selector: Some(admin::Selector { target: Some(target) }),
        reason: "a drill".to_owned(),
        ..Default::default()
    };
    operator.revocation().revoke(request).await.expect("revoked");
    assert_eq!(held.news().await, Some(wire::TaskState::Revoked));
    assert!(held.next().await.is_none());
    assert_eq!(state_of(&refunder, &other).await, wire::TaskState::Active);
}

#[tokio::test]
async fn only_the_holder_holds() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, reader) = (daemon.at("agents/refunder"), daemon.at("agents/reader"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    assert_eq!(reason(hold(&reader, &task).await.map(drop)), Reason::TaskNotFound);
    let guess = Held { secret: secret(&daemon), ..task.clone() };
    assert_eq!(reason(hold(&refunder, &guess).await.map(drop)), Reason::TaskNotHeld);
    let none = Held { task_id: "task-1-281474976710655".to_owned(), ..task };
    assert_eq!(reason(hold(&refunder, &none).await.map(drop)), Reason::TaskNotFound);
}

#[tokio::test]
async fn the_sdk_holds_and_ends_by_itself() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, operator) = (daemon.at("agents/refunder"), daemon.operator("operator"));
    let client = refunder.sdk();
    let task = client.task("refund-order").scope("orders:read", ["order/*"]).start().await.expect("allowed");
    let id = task.id().to_string();
    let orders = task.token("orders").scope("orders:read", ["order/1"]).source().expect("a scope");
    orders.get().await.expect("issued");
    drop(task);
    eventually("the end that a dropped guard brings", || async {
        let request = admin::GetTaskRequest { task_id: id.clone() };
        let task = operator.inspection().get_task(request).await.expect("known").into_inner().task;
        (task.expect("a task").state() == wire::TaskState::Ended).then_some(())
    })
    .await;
}
