//! The story told once, in this process.

use super::*;

/// The steps that every reader of the story may rely on, in this order.
const PROMISED: [&str; 7] = [
    "start_task",
    "issue_token",
    "call_accepted",
    "end_task",
    "call_refused",
    "revoke",
    "revoked_call_refused",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_comes_out_as_promised_and_leaves_nothing() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    let dir = stage.dir().to_owned();
    let mut heard = 0;
    let steps = tell(&stage, &WallClock, &mut |_| heard += 1).await;
    for step in &steps {
        assert!(step.outcome.is_ok(), "{}: {:?}", step.name, step.outcome);
    }
    assert_eq!(heard, steps.len(), "each step is told once");
    let promised: Vec<_> = steps.iter().map(|s| s.name).filter(|name| PROMISED.contains(name)).collect();
    assert_eq!(promised, PROMISED);
    stage.close(async {}).await.expect("closed in order");
    assert!(!dir.exists(), "the directory is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_trust_every_step_fails_and_is_told() {
    let stage = Stage::open(&WallClock).await.expect("opened");
    // The CA file decides whom clients trust: without it nobody connects.
    std::fs::remove_file(stage.options(Character::Operator).ca_file).expect("removed");
    let steps = tell(&stage, &WallClock, &mut |_| {}).await;
    assert!(steps.iter().all(|step| step.outcome.is_err()), "{steps:?}");
    let promised: Vec<_> = steps.iter().map(|s| s.name).filter(|name| PROMISED.contains(name)).collect();
    assert_eq!(promised, PROMISED, "all are told all the same");
    stage.close(async {}).await.expect("closed in order");
}
