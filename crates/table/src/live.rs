//! Evidence for a record that was applied before: what a retry of the same request signs again.

use std::sync::Arc;

use locum_model::{IssueRecord, Live, Reason, TaskId, Timestamp, TokenId};

use crate::answer::Lookup;
use crate::hashing::RowKey;
use crate::table::Table;

impl Table {
    /// Evidence that `record` was applied and is alive at `now`, for signing it once more.
    ///
    /// # Errors
    ///
    /// Why it is dead; TOKEN_EXPIRED when its row is gone.
    pub fn live(&self, record: &Arc<IssueRecord>, now: Timestamp) -> Result<Live<IssueRecord>, Reason> {
        match self.lookup_verified(record.jti, now) {
            Lookup::Live(_) => Ok(Live::assertion(Arc::clone(record))),
            Lookup::Dead(dead) => Err(dead.reason),
            Lookup::Unrecognised => Err(Reason::TokenExpired),
        }
    }

    /// The task that a token in the table is for.
    pub fn task_of(&self, jti: TokenId) -> Option<TaskId> {
        self.rows.peek(RowKey::of(jti), |row, tasks| Some(tasks.get(row.task())?.id()))?
    }
}
