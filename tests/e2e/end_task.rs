//! EndTask: exactly once, and everything below dies with it.

use locum_api::admin::v1 as admin;
use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::Daemon;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{Held, begin, begin_part, grant, is_active, issue};

use crate::LOCUMD;

#[tokio::test]
async fn the_whole_tree_dies_and_its_neighbour_lives() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, backend) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let scope = || vec![grant("orders:read", &["order/*"])];
    let root = begin(&daemon, &refunder, scope()).await.expect("allowed");
    let part = begin_part(&daemon, &refunder, &root, scope()).await.expect("allowed");
    let leaf = begin_part(&daemon, &refunder, &part, scope()).await.expect("allowed");
    let side = begin_part(&daemon, &refunder, &root, scope()).await.expect("allowed");
    let mut tokens = Vec::new();
    for task in [&root, &part, &leaf, &side] {
        tokens.push(issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued"));
    }
    let alive = || async {
        let mut alive = Vec::new();
        for token in &tokens {
            alive.push(is_active(&backend, "orders", &token.token).await);
        }
        alive
    };
    assert_eq!(alive().await, [true; 4]);
    let ended =
        refunder.tasks().end_task(part.end()).await.expect("ended").into_inner().task.expect("a task");
    assert_eq!((ended.state(), ended.outcome()), (wire::TaskState::Ended, wire::TaskOutcome::Completed));
    assert_eq!(alive().await, [true, false, false, true]);
    let below = wire::GetTaskRequest { task_id: leaf.task_id.clone() };
    let below = refunder.tasks().get_task(below).await.expect("one's own").into_inner().task;
    assert_eq!(below.expect("a task").state(), wire::TaskState::Ended);
    for dead in [&part, &leaf] {
        let again = issue(&daemon, &refunder, dead.ask("orders:read", &["order/1"])).await;
        assert_eq!(reason(again), Reason::TaskEnded);
    }
    let child = begin_part(&daemon, &refunder, &leaf, scope()).await;
    assert_eq!(reason(child), Reason::TaskEnded);
    refunder.tasks().end_task(root.end()).await.expect("ended");
    assert_eq!(alive().await, [false; 4]);
}

#[tokio::test]
async fn it_ends_exactly_once_however_many_try() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, viewer) = (daemon.at("agents/refunder"), daemon.operator("viewer"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let outcomes = [wire::TaskOutcome::Completed, wire::TaskOutcome::Failed, wire::TaskOutcome::Cancelled];
    let mut trying = Vec::new();
    for turn in 0..24 {
        let (party, mut request) = (refunder.clone(), task.end());
        request.outcome = outcomes[turn % 3].into();
        trying.push(tokio::spawn(async move { party.tasks().end_task(request).await }));
    }
    let mut told = Vec::new();
    for one in trying {
        let answer = one.await.expect("not cancelled").expect("ended, or ended already").into_inner();
        told.push(answer.task.expect("a task").outcome);
    }
    assert!(told.iter().all(|outcome| *outcome == told[0]), "one ending for all: {told:?}");
    let request = admin::GetTaskHistoryRequest { task_id: task.task_id };
    let story = viewer.inspection().get_task_history(request).await.expect("known").into_inner();
    // The record has the losers too, each with the reason why nothing came of it.
    let won = |entry: &&admin::RecordEntry| entry.event == "task-ended" && entry.reason.is_empty();
    let ends = story.entries.iter().filter(won).count();
    assert_eq!(ends, 1, "{:?}", story.entries);
}

#[tokio::test]
async fn only_the_holder_or_an_operator_of_its_tenant_ends_it() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, reader) = (daemon.at("agents/refunder"), daemon.at("agents/reader"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    assert_eq!(reason(reader.tasks().end_task(task.end()).await), Reason::TaskNotFound);
    let guess = Held { secret: vec![1; 32], ..task.clone() };
    assert_eq!(reason(refunder.tasks().end_task(guess.end()).await), Reason::TaskNotHeld);
    let silent = wire::EndTaskRequest { outcome: 0, ..task.end() };
    assert_eq!(fields(refunder.tasks().end_task(silent).await), ["outcome"]);
    let by_operator =
        |reason: &str| admin::EndTaskRequest { task_id: task.task_id.clone(), reason: reason.to_owned() };
    let foreign = daemon.operator("globex-operator").inspection().end_task(by_operator("mine?")).await;
    assert_eq!(reason(foreign), Reason::TaskNotFound);
    let operator = daemon.operator("acme-operator");
    assert_eq!(reason(operator.inspection().end_task(by_operator("")).await), Reason::RequestMalformed);
    let ended = operator.inspection().end_task(by_operator("a drill")).await.expect("ended").into_inner();
    assert_eq!(ended.task.expect("a task").state(), wire::TaskState::Ended);
}
