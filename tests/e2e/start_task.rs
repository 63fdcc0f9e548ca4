//! StartTask: a durable, bounded piece of work, or a reason why not.

use locum_api::broker::v1 as wire;
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, begin_part, grant, seconds, secret, start};
use locum_tests::{Daemon, Party};

use crate::LOCUMD;

async fn try_start(party: &Party, request: wire::StartTaskRequest) -> Result<wire::Task, tonic::Status> {
    Ok(party.tasks().start_task(request).await?.into_inner().task.expect("a task"))
}

#[tokio::test]
async fn a_task_says_who_what_and_until_when() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let request = wire::StartTaskRequest {
        deadline_after: seconds(120),
        lease: seconds(60),
        ..start(vec![grant("orders:refund", &["order/17"])], &secret(&daemon))
    };
    let task = try_start(&refunder, request).await.expect("allowed");
    assert_eq!((task.workload.as_str(), task.tenant.as_str()), ("refunder", "acme"));
    assert_eq!(task.workload_identity, "spiffe://acme.test/agents/refunder");
    assert_eq!(task.subject, task.workload_identity);
    assert_eq!(task.state(), wire::TaskState::Active);
    assert_eq!((task.depth, task.lease), (0, seconds(60)));
    assert_eq!(task.intent.expect("an intent").scope, vec![grant("orders:refund", &["order/17"])]);
    let (from, until) = (task.start_time.expect("a start"), task.deadline.expect("an end"));
    assert_eq!(until.seconds - from.seconds, 120);
    let shown = refunder.tasks().get_task(wire::GetTaskRequest { task_id: task.task_id.clone() }).await;
    assert_eq!(shown.expect("one's own").into_inner().task.expect("a task").task_id, task.task_id);
}

#[tokio::test]
async fn the_same_request_again_is_the_same_task_and_another_is_refused() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let request = wire::StartTaskRequest {
        request_id: "once".to_owned(),
        ..start(vec![grant("orders:read", &[])], &secret(&daemon))
    };
    let first = try_start(&refunder, request.clone()).await.expect("allowed");
    let again = try_start(&refunder, request.clone()).await.expect("allowed");
    assert_eq!(first.task_id, again.task_id);
    let other = wire::StartTaskRequest { lease: seconds(7), ..request };
    let refusal = refunder.tasks().start_task(other).await;
    assert_eq!(refusal.as_ref().err().map(tonic::Status::code), Some(tonic::Code::FailedPrecondition));
    assert_eq!(reason(refusal), Reason::RequestIdReused);
}

#[tokio::test]
async fn a_part_shrinks_and_needs_the_parents_secret() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let root = begin(&daemon, &refunder, vec![grant("orders:read", &["order/1", "order/2"])]).await;
    let root = root.expect("allowed");
    let part = begin_part(&daemon, &refunder, &root, vec![grant("orders:read", &["order/1"])]).await;
    let part = wire::GetTaskRequest { task_id: part.expect("allowed").task_id };
    let shown = refunder.tasks().get_task(part).await;
    let shown = shown.expect("one's own").into_inner().task.expect("a task");
    assert_eq!((shown.depth, shown.parent_task_id.as_str()), (1, root.task_id.as_str()));
    let wider = begin_part(&daemon, &refunder, &root, vec![grant("orders:read", &["order/3"])]).await;
    assert_eq!(reason(wider), Reason::ScopeBeyondParent);
    let mut stranger = root.clone();
    stranger.secret = secret(&daemon);
    let unheld = begin_part(&daemon, &refunder, &stranger, vec![grant("orders:read", &["order/1"])]).await;
    assert_eq!(reason(unheld), Reason::TaskNotHeld);
    let reader = daemon.at("agents/reader");
    let foreign = begin_part(&daemon, &reader, &root, vec![grant("orders:read", &[])]).await;
    assert_eq!(reason(foreign), Reason::TaskNotFound);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_its_reason() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let base = || start(vec![grant("orders:read", &["order/1"])], &[7; 32]);
    let purpose = |purpose: &str| {
        let mut request = base();
        request.intent.as_mut().expect("set").purpose = purpose.to_owned();
        request
    };
    let scope = |operation: &str, resource: &str| start(vec![grant(operation, &[resource])], &[7; 32]);
    for (request, expected) in [
        (purpose("mischief"), Reason::IntentNotAllowed),
        (purpose("audit"), Reason::JustificationRequired),
        (scope("nowhere:read", "order/1"), Reason::ConnectorUnknown),
        (scope("vault:open", "box/1"), Reason::ConnectorUnknown),
        (scope("orders:burn", "order/1"), Reason::ScopeUnknown),
        (scope("orders:read", "invoice/1"), Reason::ScopeUnknown),
        (
            wire::StartTaskRequest { deadline_after: seconds(24 * 3600 + 1), ..base() },
            Reason::DeadlineTooLate,
        ),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(reason(refunder.tasks().start_task(request).await), expected, "{shown}");
    }
    let audit = wire::StartTaskRequest { justification: "yearly".to_owned(), ..purpose("audit") };
    try_start(&refunder, audit).await.expect("justified");
    let stranger = daemon.at("agents/stranger");
    assert_eq!(reason(stranger.tasks().start_task(base()).await), Reason::WorkloadUnregistered);
}

#[tokio::test]
async fn what_is_malformed_names_its_fields() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = daemon.at("agents/refunder");
    let base = || start(vec![grant("orders:read", &["order/1"])], &[7; 32]);
    let nanos = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    for (request, field) in [
        (wire::StartTaskRequest { intent: None, ..base() }, "intent"),
        (wire::StartTaskRequest { holder_sha256: vec![7; 31], ..base() }, "holder_sha256"),
        (wire::StartTaskRequest { deadline_after: seconds(-1), ..base() }, "deadline_after"),
        (wire::StartTaskRequest { deadline_after: seconds(i64::MAX), ..base() }, "deadline_after"),
        (wire::StartTaskRequest { lease: nanos(1, -1), ..base() }, "lease"),
        (wire::StartTaskRequest { lease: nanos(1, i32::MAX), ..base() }, "lease"),
        (wire::StartTaskRequest { justification: "x".repeat(1025), ..base() }, "justification"),
        (wire::StartTaskRequest { request_id: "x".repeat(65), ..base() }, "request_id"),
        (wire::StartTaskRequest { request_id: "a\u{7f}".to_owned(), ..base() }, "request_id"),
        (wire::StartTaskRequest { parent_task_id: "task-1".to_owned(), ..base() }, "parent_task_id"),
        (start(vec![grant("orders", &[])], &[7; 32]), "intent.scope"),
        (start(vec![grant("orders:read", &["/"])], &[7; 32]), "intent.scope"),
        (start(vec![grant("orders:read", &[]); 17], &[7; 32]), "intent.scope"),
    ] {
        let shown = format!("{request:?}");
        let refusal = refunder.tasks().start_task(request).await.expect_err(&shown);
        assert_eq!(refusal.code(), tonic::Code::InvalidArgument, "{shown}");
        let named = fields::<()>(Err(refusal));
        assert!(named.iter().any(|name| name.starts_with(field)), "{named:?} for {shown}");
    }
}
