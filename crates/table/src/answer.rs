//! What the table answers: small values, copied out, never a guard.

use locum_model::event::ChecksSummed;
use locum_model::{ConnectorNo, IssueRecord, Live, Reason, TaskId, Timestamp, TokenId, WorkloadNo};

/// What applying an event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The task is entered and alive.
    Started,
    /// The task ended here and now; this is the one event that ended it.
    Ended,
    /// The token is entered and alive; only this can be signed.
    Issued(Live<IssueRecord>),
    /// One use was spent.
    Used {
        /// Uses that are left; `u32::MAX` for a token without a limit.
        left: u32,
    },
    /// What the event is about was dead already, and why; nothing was entered.
    TooLate(Reason),
    /// Folded; there is nothing to tell.
    Done,
}

/// What the table knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Alive at the time given.
    Live(LiveToken),
    /// Known and dead.
    Dead(Dead),
    /// Not recognised. From `lookup` it means: verify it fully, then ask `lookup_verified`. From
    /// `lookup_verified` it means: not in the table.
    Unrecognised,
}

/// A live token, as far as its own claims do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveToken {
    /// Its id.
    pub jti: TokenId,
    /// Its task, the leaf of the chain.
    pub task: TaskId,
    /// Until when, exclusive; whole seconds.
    pub expires_at: Timestamp,
    /// Uses that are left; unlimited when absent. Never `Some(0)`.
    pub uses_left: Option<u32>,
}

/// A dead token that is still in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// Its id.
    pub jti: TokenId,
    /// Its task, the leaf of the chain.
    pub task: TaskId,
    /// Why. Where several hold: expired, then revoked, then the task's reason, then spent.
    pub reason: Reason,
}

/// How a check came out, for the aggregate in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The presenter was let through.
    Active,
    /// It was refused, for whatever reason.
    Refused,
}

/// What one call of the reaper freed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Rows freed.
    pub rows: usize,
    /// The checks of freed rows, for the record; rows that were never checked give none.
    pub checks: Vec<ChecksSummed>,
    /// Whether expired rows are left.
    pub more: bool,
}

/// What a revocation would kill if it were committed now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// Tokens that would die.
    pub tokens: usize,
    /// Tasks that would die.
    pub tasks: usize,
    /// Tokens per workload that asked for them, most first.
    pub by_workload: Vec<(WorkloadNo, usize)>,
    /// Tokens per connector, most first.
    pub by_connector: Vec<(ConnectorNo, usize)>,
    /// When the oldest of these tokens was issued; whole seconds.
    pub oldest_issued_at: Option<Timestamp>,
    /// When the newest of these tokens was issued; whole seconds.
    pub newest_issued_at: Option<Timestamp>,
    /// Whether everything was looked at.
    pub complete: bool,
}

/// Rows of the table by what they rest on, most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsBy {
    /// By the workload that asked for the token.
    pub workload: Vec<(WorkloadNo, usize)>,
    /// By connector.
    pub connector: Vec<(ConnectorNo, usize)>,
}

/// One live token, as a listing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedToken {
    /// Where it stands in a listing; a page goes on after it.
    pub place: Place,
    /// Its task.
    pub task: TaskId,
    /// The workload that asked for it.
    pub workload: Option<WorkloadNo>,
    /// Its connector.
    pub connector: Option<ConnectorNo>,
    /// When it was issued; whole seconds.
    pub issued_at: Timestamp,
    /// From when it is dead.
    pub expires_at: Timestamp,
    /// Uses left; none without a limit.
    pub uses_left: Option<u32>,
}

/// The order of listings: oldest decision first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The order of its decision.
    pub decided: u64,
    /// Its id.
    pub jti: TokenId,
}

/// A page of live tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Oldest first.
    pub tokens: Vec<ListedToken>,
    /// Whether there is a page after this one.
    pub more: bool,
    /// Whether every row was looked at.
    pub complete: bool,
}

/// How much the table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of tokens, expired ones included until they are reaped.
    pub tokens: usize,
    /// Tasks, dead ones included while something rests on them.
    pub tasks: usize,
    /// Interned standings.
    pub standings: usize,
    /// Watermarks.
    pub watermarks: usize,
}
