//! `GetTaskHistory` and `TailRecord`: what happened, from the journal itself.

use std::collections::HashSet;

use locum_model::{Event, Reason, TaskId};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::get_task::TaskView;
use crate::operator::{Operator, Tenants};
use crate::record::{self, RecordEntry};
use crate::refusal::Refusal;
use crate::task_access::not_found;

/// Entries that one history holds at most.
const HISTORY_MAX: usize = 5_000;

/// A task's story.
#[derive(Debug)]
pub struct History {
    /// The task as it is now, while it is in memory.
    pub task: Option<TaskView>,
    /// What happened to it and below it, in order.
    pub entries: Vec<RecordEntry>,
    /// There is more than is shown.
    pub partial: bool,
}

impl Broker {
    /// The whole story of a task and everything below it. Reads the journal from the task's
    /// beginning, so it blocks on the disk: call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND outside the operator's tenants too.
    pub fn task_history(&self, operator: &Operator, task: TaskId) -> Result<History, Refusal> {
        let registry = self.registry();
        let view = self.view_task(task);
        let from = self.fold.state.read().tasks.get(task).map_or(1, |row| row.position.sequence);
        let mut family = HashSet::from([task]);
        let mut history = History { task: view, entries: Vec::new(), partial: false };
        let mut reached = None;
        for committed in self.journal.events(from) {
            let committed = committed.map_err(|cause| {
                tracing::error!(%cause, "the journal could not be read");
                Refusal::from(Reason::Internal)
            })?;
            if let Event::TaskStarted(started) = committed.event() {
                if started.task == task {
                    reached = Some(operator.reaches(&registry, started.tenant));
                } else if started.parent.is_some_and(|parent| family.contains(&parent)) {
                    family.insert(started.task);
                }
            }
            let entry = record::entry(&committed, &registry, |_| None);
            if !entry.task.is_some_and(|task| family.contains(&task)) {
                continue;
            }
            if history.entries.len() == HISTORY_MAX {
                history.partial = true;
                break;
            }
            history.entries.push(entry);
        }
        match reached {
            Some(true) => Ok(history),
            Some(false) | None => Err(not_found(task)),
        }
    }

    /// The record from just before its end: the last `last` events, and where to go on.
    pub fn tail_from(&self, last: usize) -> (u64, watch::Receiver<u64>) {
        let head = self.fold.feed.head();
        let newest = self.fold.position().sequence;
        (newest.saturating_sub(last as u64) + 1, head)
    }

    /// The entries from `sequence` on that the operator may see, at most `most`, and where to go on.
    /// Blocks on the disk.
    ///
    /// # Errors
    ///
    /// INTERNAL when the journal cannot be read.
    pub fn read_record(
        &self,
        operator: &Operator,
        sequence: u64,
        most: usize,
    ) -> Result<(Vec<RecordEntry>, u64), Refusal> {
        let registry = self.registry();
        let mut next = sequence;
        let mut entries = Vec::new();
        for committed in self.journal.events(sequence).take(most) {
            let committed = committed.map_err(|cause| {
                tracing::error!(%cause, "the journal could not be read");
                Refusal::from(Reason::Internal)
            })?;
            next = committed.position().sequence + 1;
            let tenant_of = |task| self.fold.state.read().tasks.get(task).map(|row| row.started.tenant);
            let entry = record::entry(&committed, &registry, tenant_of);
            let seen = match entry.tenant {
                Some(tenant) => operator.reaches(&registry, tenant),
                None => operator.tenants == Tenants::All,
            };
            if seen {
                entries.push(entry);
            }
        }
        Ok((entries, next))
    }
}
