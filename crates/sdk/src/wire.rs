//! Values of the contract as plain types: times, spans, tasks.
//!
//! Always checked: what does not follow the contract becomes [`Error::Unexpected`], never a guess.

use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::convert;
use locum_model::{Scope, TaskId, Timestamp};
use prost_types::{Duration as WireDuration, Timestamp as WireTimestamp};

use crate::error::Error;
use crate::untrusted::bounded;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Tokens may be issued.
    Active,
    /// It was ended.
    Ended,
    /// Its lease or deadline ran out.
    Lapsed,
    /// It, or something that it rests on, was revoked.
    Revoked,
}

/// A task as the broker tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its id.
    pub task: TaskId,
    /// The task that it is part of.
    pub parent: Option<TaskId>,
    /// Where it is in its life.
    pub state: TaskState,
    /// How it came out, as its holder said.
    pub outcome: Option<locum_model::event::Outcome>,
    /// Why it exists.
    pub purpose: String,
    /// The most that it will ask for.
    pub scope: Scope,
    /// Who started it.
    pub workload: String,
    /// The SPIFFE ID that was proved.
    pub workload_identity: String,
    /// On whose behalf.
    pub subject: String,
    /// The tenant.
    pub tenant: String,
    /// When it began.
    pub start_time: Timestamp,
    /// The hard end.
    pub deadline: Timestamp,
    /// The soft lease.
    pub lease: Duration,
    /// When it was over.
    pub end_time: Option<Timestamp>,
}

impl TaskState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
        }
    }

    pub(crate) fn from_wire(state: wire::TaskState) -> Option<Self> {
        match state {
            wire::TaskState::Unspecified => None,
            wire::TaskState::Active => Some(Self::Active),
            wire::TaskState::Ended => Some(Self::Ended),
            wire::TaskState::Lapsed => Some(Self::Lapsed),
            wire::TaskState::Revoked => Some(Self::Revoked),
        }
    }

    pub(crate) fn to_wire(self) -> wire::TaskState {
        match self {
            Self::Active => wire::TaskState::Active,
            Self::Ended => wire::TaskState::Ended,
            Self::Lapsed => wire::TaskState::Lapsed,
            Self::Revoked => wire::TaskState::Revoked,
        }
    }
}

impl std::str::FromStr for TaskState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::Active, Self::Ended, Self::Lapsed, Self::Revoked];
        let refused = || Error::Malformed(format!("`{}` is not a task's state", bounded(text)));
        all.into_iter().find(|state| state.as_str() == text).ok_or_else(refused)
    }
}

fn outcome_from_wire(outcome: wire::TaskOutcome) -> Option<locum_model::event::Outcome> {
    use locum_model::event::Outcome;
    match outcome {
        wire::TaskOutcome::Unspecified => None,
        wire::TaskOutcome::Completed => Some(Outcome::Completed),
        wire::TaskOutcome::Failed => Some(Outcome::Failed),
        wire::TaskOutcome::Cancelled => Some(Outcome::Cancelled),
    }
}

/// A task from the wire.
pub(crate) fn task(task: Option<wire::Task>) -> Result<TaskView, Error> {
    let task = task.ok_or(Error::Unexpected("a task is missing"))?;
    let intent = task.intent.clone().ok_or(Error::Unexpected("a task has no intent"))?;
    let Ok(scope) = convert::scope::from_wire(&intent.scope, "scope") else {
        return Err(Error::Unexpected("a task's scope is malformed"));
    };
    let parent = match task.parent_task_id.as_str() {
        "" => None,
        id => Some(task_id(id)?),
    };
    Ok(TaskView {
        task: task_id(&task.task_id)?,
        parent,
        state: TaskState::from_wire(task.state()).ok_or(Error::Unexpected("a task has no state"))?,
        outcome: outcome_from_wire(task.outcome()),
        purpose: bounded(&intent.purpose),
        scope,
        workload: bounded(&task.workload),
        workload_identity: bounded(&task.workload_identity),
        subject: bounded(&task.subject),
        tenant: bounded(&task.tenant),
        start_time: required_time(task.start_time)?,
        deadline: required_time(task.deadline)?,
        lease: span(task.lease)?,
        end_time: time(task.end_time)?,
    })
}

pub(crate) fn task_id(text: &str) -> Result<TaskId, Error> {
    text.parse().ok().ok_or(Error::Unexpected("a task id is malformed"))
}

pub(crate) fn time(time: Option<WireTimestamp>) -> Result<Option<Timestamp>, Error> {
    let moment = convert::time::optional_timestamp_from_wire(time.as_ref(), "time");
    moment.ok().ok_or(Error::Unexpected("a time is out of range"))
}

pub(crate) fn required_time(at: Option<WireTimestamp>) -> Result<Timestamp, Error> {
    time(at)?.ok_or(Error::Unexpected("a time is missing"))
}

pub(crate) fn span(span: Option<WireDuration>) -> Result<Duration, Error> {
    let span = span.ok_or(Error::Unexpected("a span is missing"))?;
    convert::time::duration_from_wire(&span, "span").ok().ok_or(Error::Unexpected("a span is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, 0)] {
            assert!(time(Some(WireTimestamp { seconds, nanos })).is_err(), "{seconds} {nanos}");
        }
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000)] {
            assert!(span(Some(WireDuration { seconds, nanos })).is_err(), "{seconds} {nanos}");
        }
    }
}
