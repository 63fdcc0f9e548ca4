//! `HoldTask` and `RenewTask`: the soft lease that keeps a task open.

use std::time::Duration;

use locum_model::{Caller, Reason, TaskId, Timestamp};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::get_task::{TaskState, TaskView};
use crate::leases::HoldNumber;
use crate::refusal::Refusal;
use crate::task_access::Holder;

/// An open hold. Giving it back, or dropping it, starts the grace unless a newer one exists.
pub struct Hold {
    task: TaskId,
    number: HoldNumber,
    endings: watch::Receiver<u64>,
    proof_ends_at: Timestamp,
}

impl Broker {
    /// Holds a task: its lease does not run out while the hold is open and alive.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND, TASK_NOT_HELD, TASK_ENDED, TASK_LAPSED, TASK_REVOKED.
    pub fn hold_task(
        &self,
        caller: &Caller,
        task: TaskId,
        holder: &Holder,
    ) -> Result<(Hold, TaskView), Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        // Subscribed before the state is read, so that no ending falls between.
        let endings = self.fold.feed.endings();
        self.held_task(workload, task, holder)?;
        let number = self.fold.leases.hold(task).ok_or(Reason::TaskLapsed)?;
        let view = self.own_task(workload, task)?;
        Ok((Hold { task, number, endings, proof_ends_at: caller.expires_at() }, view))
    }

    /// Where a held task is now; `None` for a hold that a newer one superseded, or whose holder's proof
    /// has ended.
    pub fn held_state(&self, hold: &Hold) -> Option<TaskState> {
        let state = self.view_task(hold.task).map_or(TaskState::Ended, |view| view.state);
        let proved = self.clock.now().is_ok_and(|now| now < hold.proof_ends_at);
        let current = proved && self.fold.leases.is_current(hold.task, hold.number);
        (current || state != TaskState::Active).then_some(state)
    }

    /// Whether `deadline` comes within `span`; true as well while there is no time.
    pub fn ends_within(&self, deadline: Timestamp, span: Duration) -> bool {
        self.clock.now().map_or(true, |now| deadline <= now.plus(span))
    }

    /// Gives a hold back: its stream is gone.
    pub fn release_task(&self, hold: &Hold) {
        self.fold.leases.release(hold.task, hold.number, self.clock.now().ok());
    }

    /// Extends the soft lease once; when it runs out unless renewed again.
    ///
    /// # Errors
    ///
    /// As [`Broker::hold_task`].
    pub fn renew_task(&self, caller: &Caller, task: TaskId, holder: &Holder) -> Result<Timestamp, Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        self.held_task(workload, task, holder)?;
        Ok(self.fold.leases.renew(task, self.now()?).ok_or(Reason::TaskLapsed)?)
    }
}

impl Hold {
    /// Returns when something ended somewhere; ask [`Broker::held_state`] whether it was this task.
    pub async fn something_ended(&mut self) {
        // The sender lives as long as the broker.
        let _ = self.endings.changed().await;
    }
}
