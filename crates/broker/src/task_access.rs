//! Who may act on a task: its own workload, showing its holder secret.

use locum_model::limits::HOLDER_SECRET_BYTES;
use locum_model::registry::Workload;
use locum_model::{Reason, Target, TaskId, Timestamp};

use crate::broker::Broker;
use crate::refusal::Refusal;

/// A holder secret as shown by a caller. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Holder([u8; HOLDER_SECRET_BYTES]);

impl Holder {
    /// The secret shown.
    pub fn shown(secret: [u8; HOLDER_SECRET_BYTES]) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Holder(..)")
    }
}

/// SHA-256, as the caller computed it over the secret that it keeps.
pub(crate) fn holder_digest(secret: &[u8]) -> [u8; 32] {
    locum_token::sha256(secret)
}

impl Broker {
    /// Refuses unless the task is `workload`'s own and the secret is its holder's. Alive or not.
    pub(crate) fn shows_holder(
        &self,
        workload: &Workload,
        task: TaskId,
        holder: &Holder,
    ) -> Result<(), Refusal> {
        let state = self.fold.state.read();
        let row = state.tasks.get(task).filter(|row| row.started.workload == workload.number);
        let row = row.ok_or_else(|| not_found(task))?;
        // Both sides are digests: comparing them early-out tells nothing about the secret.
        if holder_digest(&holder.0) == row.started.holder {
            Ok(())
        } else {
            Err(Refusal::new(Reason::TaskNotHeld, "the holder secret is not this task's"))
        }
    }

    /// As [`Broker::shows_holder`], and the task has to be alive.
    pub(crate) fn held_task(
        &self,
        workload: &Workload,
        task: TaskId,
        holder: &Holder,
    ) -> Result<(), Refusal> {
        self.shows_holder(workload, task, holder)?;
        self.live_task(task)
    }

    /// Refuses unless the task and everything that it rests on is alive.
    pub(crate) fn live_task(&self, task: TaskId) -> Result<(), Refusal> {
        match self.fold.table.task(task) {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(Refusal::new(reason, format!("`{task}` is over"))),
            // The row is freed some time after its end.
            None => Err(Refusal::new(Reason::TaskEnded, format!("`{task}` is over"))),
        }
    }

    /// Refuses when a lock covers any of `targets`, which are listed only where there is one.
    pub(crate) fn refuse_locked(
        &self,
        targets: impl FnOnce() -> Vec<Target>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        match self.fold.state.read().locks.covering(targets, now) {
            Some(lock) => {
                let detail = format!("locked until {}: {}", lock.until, lock.reason.escape_debug());
                Err(Refusal::new(Reason::Locked, detail))
            }
            None => Ok(()),
        }
    }
}

pub(crate) fn not_found(task: TaskId) -> Refusal {
    Refusal::new(Reason::TaskNotFound, format!("no task `{task}` of yours"))
}
