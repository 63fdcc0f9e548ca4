//! What the broker answers, as messages.

use locum_api::admin::v1 as admin;
use locum_api::broker::v1 as wire;
use locum_api::convert::time::{duration_to_wire, timestamp_to_wire};
use locum_api::convert::{confirmation, intent, selector, task};
use locum_broker::{ActiveToken, Match, RecordEntry, TaskState, TaskView, TokenView};
use locum_model::event::{By, Locked};

/// A task.
pub(crate) fn task(view: &TaskView) -> wire::Task {
    let started = &view.started;
    wire::Task {
        task_id: started.task.to_string(),
        parent_task_id: started.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        state: state(view.state).into(),
        outcome: view.outcome.map_or(wire::TaskOutcome::Unspecified, task::outcome_to_wire).into(),
        intent: Some(intent::to_wire(&started.intent)),
        workload: view.workload.clone(),
        workload_identity: started.workload_identity.to_string(),
        subject: started.subject.clone(),
        tenant: view.tenant.clone(),
        start_time: Some(timestamp_to_wire(started.at)),
        deadline: Some(timestamp_to_wire(started.deadline)),
        lease: Some(duration_to_wire(started.lease)),
        depth: view.depth,
        end_time: view.ended_at.map(timestamp_to_wire),
    }
}

/// Where a task is in its life.
pub(crate) fn state(state: TaskState) -> wire::TaskState {
    match state {
        TaskState::Active => wire::TaskState::Active,
        TaskState::Ended => wire::TaskState::Ended,
        TaskState::Lapsed => wire::TaskState::Lapsed,
        TaskState::Revoked => wire::TaskState::Revoked,
    }
}

/// The state that a listing is narrowed to.
pub(crate) fn wanted_state(wanted: Option<wire::TaskState>) -> Option<TaskState> {
    match wanted? {
        wire::TaskState::Unspecified => None,
        wire::TaskState::Active => Some(TaskState::Active),
        wire::TaskState::Ended => Some(TaskState::Ended),
        wire::TaskState::Lapsed => Some(TaskState::Lapsed),
        wire::TaskState::Revoked => Some(TaskState::Revoked),
    }
}

/// An active token.
pub(crate) fn active(token: &ActiveToken) -> wire::ActiveToken {
    let says = &token.says;
    let grant = |(operation, resources): (&str, _)| wire::Grant {
        operation: operation.into(),
        resources: texts(resources),
    };
    wire::ActiveToken {
        jti: says.jti().into(),
        subject: says.subject().into(),
        client_id: says.client_id().into(),
        audience: says.audience().into(),
        scope: says.grants().map(grant).collect(),
        issue_time: Some(timestamp_to_wire(says.issued_at())),
        expire_time: Some(timestamp_to_wire(says.expires_at())),
        task_id: says.task().to_string(),
        root_task_id: says.root_task().to_string(),
        confirmation: says.confirmation().map(confirmation::to_wire),
        use_limited: token.uses_left.is_some(),
        uses_left: token.uses_left.unwrap_or(0),
    }
}

fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<String> {
    texts.map(str::to_owned).collect()
}

/// What a selector came to.
pub(crate) fn matches(found: &[Match]) -> Vec<admin::Match> {
    let one = |found: &Match| admin::Match {
        level: found.target.level().to_string(),
        name: found.name.clone(),
        tenant: found.tenant_name.clone(),
    };
    found.iter().map(one).collect()
}

/// Counts by name.
pub(crate) fn counts(counts: &[(String, usize)]) -> Vec<admin::NamedCount> {
    let one =
        |(name, count): &(String, usize)| admin::NamedCount { name: name.clone(), count: *count as u64 };
    counts.iter().map(one).collect()
}

/// A live token: what is known of it, never itself.
pub(crate) fn live_token(token: &TokenView) -> admin::LiveToken {
    admin::LiveToken {
        jti: token.jti.to_string(),
        task_id: token.task.to_string(),
        workload: token.workload.clone(),
        connector: token.connector.clone(),
        tenant: token.tenant.clone(),
        subject: token.subject.clone(),
        purpose: token.purpose.clone(),
        issue_time: Some(timestamp_to_wire(token.issued_at)),
        expire_time: Some(timestamp_to_wire(token.expires_at)),
        use_limited: token.uses_left.is_some(),
        uses_left: token.uses_left.unwrap_or(0),
    }
}

/// A lock in force, and what its selector came to.
pub(crate) fn lock(locked: &Locked, found: &[Match]) -> admin::ActiveLock {
    admin::ActiveLock {
        lock_id: locked.lock,
        selector: Some(selector::to_wire(&locked.selector)),
        matches: matches(found),
        reason: locked.reason.clone(),
        locked_by: who(&locked.by),
        lock_time: Some(timestamp_to_wire(locked.at)),
        end_time: Some(timestamp_to_wire(locked.until)),
    }
}

/// One entry of the record.
pub(crate) fn entry(entry: &RecordEntry) -> admin::RecordEntry {
    admin::RecordEntry {
        position: entry.position.to_string(),
        time: Some(timestamp_to_wire(entry.at)),
        event: entry.event.into(),
        by: entry.by.clone(),
        tenant: entry.tenant_name.clone(),
        task_id: entry.task.map(|task| task.to_string()).unwrap_or_default(),
        jti: entry.jti.map(|jti| jti.to_string()).unwrap_or_default(),
        summary: entry.summary.clone(),
        policy_revision: entry.policy_revision,
        policies: entry.policies.clone(),
        reason: entry.reason.map(|reason| reason.as_str().into()).unwrap_or_default(),
        facts: entry.facts.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
    }
}

fn who(by: &By) -> String {
    match by {
        By::Workload { id, .. } => id.to_string(),
        By::Operator(name) => name.clone(),
        By::Broker => "locum".into(),
    }
}
