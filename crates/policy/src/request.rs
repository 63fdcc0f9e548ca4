//! [`Request`]: everything that a decision looks at, besides the policies and the registry.

use locum_model::evidence::WorldPin;
use locum_model::registry::Workload;
use locum_model::{Name, Scope, Timestamp};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// May a task with this intent exist?
    StartTask,
    /// May a token of this scope be issued?
    IssueToken,
    /// May a token of this scope be used now?
    Authorize,
}

/// Whether the task was started with a justification. What it says is no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Justification {
    /// There is one.
    Given,
    /// There is none.
    Missing,
}

/// Whether the caller proved a key on this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proof {
    /// A certificate or a DPoP key.
    Proved,
    /// None.
    Unproved,
}

/// On whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The workload's own.
    Workload,
    /// A verified other party's.
    Other,
}

/// A request for a decision.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub ask: Ask,
    /// The name of the tenant that the workload is registered in.
    pub tenant: &'a Name,
    /// The registration of the workload that asks; of the registry that is decided with.
    pub workload: &'a Workload,
    /// The name of the workload's owner.
    pub owner: &'a Name,
    /// The name of the model behind the workload.
    pub model: Option<&'a Name>,
    /// The purpose code of the task's intent.
    pub purpose: &'a Name,
    /// What is asked for, whole: all of it is permitted or nothing.
    pub scope: &'a Scope,
    /// Tasks above this one; 0 for a root task.
    pub depth: u32,
    /// Whether the task has a justification.
    pub justification: Justification,
    /// Whether the caller proved a key.
    pub proof: Proof,
    /// On whose behalf.
    pub subject: Subject,
    /// When it is asked.
    pub now: Timestamp,
    /// The world that the decision is made in.
    pub world: WorldPin,
}

// === impl Ask ===

impl Ask {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::StartTask, Self::IssueToken, Self::Authorize];

    /// The name of the action in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTask => "start_task",
            Self::IssueToken => "issue_token",
            Self::Authorize => "authorize",
        }
    }
}
