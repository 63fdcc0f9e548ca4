//! RenewTask: the lease for those who cannot hold a stream.

use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::Daemon;
use locum_tests::refused::reason;
use locum_tests::wait::eventually;
use locum_tests::work::{Held, grant, now, seconds, secret, start};

use crate::LOCUMD;

fn renew(task: &Held) -> wire::RenewTaskRequest {
    wire::RenewTaskRequest { task_id: task.task_id.clone(), holder_secret: task.secret.clone() }
}

#[tokio::test]
async fn a_lease_is_extended_and_runs_out_when_it_is_not() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let secret = secret(&daemon);
    let request =
        wire::StartTaskRequest { lease: seconds(1), ..start(vec![grant("orders:read", &[])], &secret) };
    let task = refunder.tasks().start_task(request).await.expect("allowed").into_inner().task;
    let task = Held { task_id: task.expect("a task").task_id, secret };
    let begun = tokio::time::Instant::now();
    // For longer than the lease itself.
    while begun.elapsed() < std::time::Duration::from_millis(2_200) {
        let until =
            refunder.tasks().renew_task(renew(&task)).await.expect("renewed").into_inner().lease_until;
        let ahead = until.expect("a time").seconds - now();
        assert!((0..=2).contains(&ahead), "{ahead}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let lapsed = eventually("the lapse", || async {
        let request = wire::GetTaskRequest { task_id: task.task_id.clone() };
        let shown = refunder.tasks().get_task(request).await.expect("one's own").into_inner().task;
        shown.filter(|shown| shown.state() != wire::TaskState::Active)
    });
    let lapsed = lapsed.await;
    assert_eq!(lapsed.state(), wire::TaskState::Lapsed);
    assert!(lapsed.end_time.is_some());
    assert_eq!(reason(refunder.tasks().renew_task(renew(&task)).await), Reason::TaskLapsed);
}

#[tokio::test]
async fn no_renewal_passes_the_deadline() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let secret = secret(&daemon);
    let request = wire::StartTaskRequest {
        lease: seconds(600),
        deadline_after: seconds(20),
        ..start(vec![grant("orders:read", &[])], &secret)
    };
    let begun = refunder.tasks().start_task(request).await.expect("allowed").into_inner().task;
    let begun = begun.expect("a task");
    let task = Held { task_id: begun.task_id, secret };
    let until = refunder.tasks().renew_task(renew(&task)).await.expect("renewed").into_inner().lease_until;
    assert_eq!(until, begun.deadline);
    let stranger = daemon.at("agents/reader");
    assert_eq!(reason(stranger.tasks().renew_task(renew(&task)).await), Reason::TaskNotFound);
    let guess = Held { secret: vec![0; 32], ..task };
    assert_eq!(reason(refunder.tasks().renew_task(renew(&guess)).await), Reason::TaskNotHeld);
}
