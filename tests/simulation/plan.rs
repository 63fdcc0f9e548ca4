//! What a request will do if its event is committed, said before the broker is asked.

use std::time::Duration;

use locum_broker::{Authorized, Issued, Refusal, RevokeDone, TaskView};
use locum_model::event::Outcome;
use locum_model::{Scope, Timestamp};

use crate::model::Dead;
use crate::universe::{Setup, Who};

/// What the model does when it reads the event in the journal.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Start(Box<Start>),
    Issue(Box<Issue>),
    End {
        task: usize,
        outcome: Outcome,
    },
    Use {
        token: usize,
        at: Timestamp,
    },
    Revoke {
        marks: Vec<String>,
        before: Option<Timestamp>,
    },
    Lock {
        what: String,
        marks: Vec<String>,
        until: Timestamp,
    },
    Unlock {
        locks: Vec<usize>,
    },
    /// With the number of the registry or policy set that it would replace.
    Registry(Setup, u32),
    Policy(usize, u32),
    Rotate,
}

#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) who: Who,
    pub(crate) parent: Option<usize>,
    pub(crate) workload: String,
    pub(crate) marks: Vec<String>,
    /// What a lock could refuse it by.
    pub(crate) lockable: Vec<String>,
    pub(crate) actor: Vec<String>,
    pub(crate) subject: String,
    pub(crate) secret: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) deadline: Timestamp,
    pub(crate) span: Duration,
    pub(crate) at: Timestamp,
    pub(crate) decided: u64,
    pub(crate) request: Option<(String, [u8; 32])>,
}

#[derive(Clone, Debug)]
pub(crate) struct Issue {
    pub(crate) task: usize,
    pub(crate) connector: String,
    pub(crate) connector_mark: String,
    pub(crate) scope: Scope,
    pub(crate) marks: Vec<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) uses: Option<u32>,
    pub(crate) at: Timestamp,
    pub(crate) decided: u64,
    pub(crate) request: Option<(String, [u8; 32])>,
}

/// What the model makes of a request before the broker is asked.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Whether it has to be refused.
    pub(crate) refused: Dead,
    pub(crate) why: &'static str,
    /// The event that it commits otherwise; none when it is answered from what there is.
    pub(crate) plan: Option<Plan>,
    /// The task or token that a retry has to be answered with.
    pub(crate) again: Option<usize>,
}

impl Expected {
    pub(crate) fn refused(why: &'static str) -> Self {
        Self { refused: Dead::Yes, why, plan: None, again: None }
    }

    pub(crate) fn answered() -> Self {
        Self { refused: Dead::No, why: "", plan: None, again: None }
    }

    pub(crate) fn again(refused: Dead, what: usize) -> Self {
        Self { refused, why: "what it stands for is dead", plan: None, again: Some(what) }
    }

    pub(crate) fn event(refused: Dead, why: &'static str, plan: Plan) -> Self {
        Self { refused, why, plan: Some(plan), again: None }
    }
}

/// What the fold has to make of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did what it says; for a task or token, which one it made.
    Took(usize),
    /// Too late: what it rests on was dead, or locked.
    Late,
    /// Its request had been answered before, with this.
    Repeated(usize),
    /// A use was spent, and so many are left.
    Used(u32),
}

/// What the broker answers.
pub(crate) enum Answer {
    Task(Result<TaskView, Refusal>),
    Token(Result<Issued, Refusal>),
    Authorized(Result<Authorized, Refusal>),
    Revoked(Result<RevokeDone, Refusal>),
    Done(Result<(), Refusal>),
}

impl Answer {
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Task(answer) => answer.as_ref().err(),
            Self::Token(answer) => answer.as_ref().err(),
            Self::Authorized(answer) => answer.as_ref().err(),
            Self::Revoked(answer) => answer.as_ref().err(),
            Self::Done(answer) => answer.as_ref().err(),
        }
    }
}
