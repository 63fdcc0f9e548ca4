//! The table.
#![allow(unused_variables, clippy::todo, reason = "the bodies follow in the next change")]

use std::time::Duration;

use locum_model::event::ChecksSummed;
use locum_model::{Committed, Event, Position, Reason, Target, TaskId, Timestamp, TokenId, WorkloadNo};

use crate::answer::{Applied, CheckOutcome, Counts, Lookup, Preview, Reaped};

/// The table: every live token and task, and every watermark.
#[derive(Debug, Default)]
pub struct Table {}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }
    /// Folds one event in. Called by one writer, in order.
    pub fn apply(&self, event: &Committed<Event>) -> Applied {
        todo!()
    }
    /// The fast path.
    pub fn lookup(&self, jti: TokenId, compact: &str, now: Timestamp) -> Lookup {
        todo!()
    }
    /// After full verification.
    pub fn lookup_verified(&self, jti: TokenId, now: Timestamp) -> Lookup {
        todo!()
    }
    /// Fills the memo: by the signer, or after full verification.
    pub fn remember(&self, jti: TokenId, compact: &str) {
        todo!()
    }
    /// Whether the task is alive, and why not; none when it is not in the table.
    pub fn task(&self, task: TaskId) -> Option<Result<(), Reason>> {
        todo!()
    }
    /// Adds a check to the row's aggregate.
    pub fn note_check(&self, jti: TokenId, now: Timestamp, outcome: CheckOutcome) {
        todo!()
    }
    /// Frees at most `rows_max` expired rows, in the order of their expiry.
    pub fn reap(&self, now: Timestamp, rows_max: usize) -> Reaped {
        todo!()
    }
    /// Takes the checks of at most `rows_max` rows; empty when none are left.
    pub fn drain_checks(&self, rows_max: usize) -> Vec<ChecksSummed> {
        todo!()
    }
    /// Whether the token has a row.
    pub fn holds(&self, jti: TokenId) -> bool {
        todo!()
    }
    /// Whether the task is in the table.
    pub fn holds_task(&self, task: TaskId) -> bool {
        todo!()
    }
    /// The watermark of a target.
    pub fn watermark(&self, target: Target) -> Option<Position> {
        todo!()
    }
    /// Every watermark, ordered by target.
    pub fn watermarks(&self) -> Vec<(Target, Position)> {
        todo!()
    }
    /// What revoking `targets` would kill now.
    pub fn preview(&self, targets: &[Target], until: Option<Position>, scan_max: usize) -> Preview {
        todo!()
    }
    /// How much there is.
    pub fn counts(&self) -> Counts {
        todo!()
    }
    /// Rows of the tokens that this workload asked for, not yet reaped.
    pub fn tokens_of(&self, workload: WorkloadNo) -> usize {
        todo!()
    }
    /// Age of the oldest row past its expiry: how late the reaper is.
    pub fn overdue(&self, now: Timestamp) -> Duration {
        todo!()
    }
    /// The tasks below `task`, nearest first, at most `max`.
    pub fn tasks_under(&self, task: TaskId, max: usize) -> Vec<TaskId> {
        todo!()
    }
}
