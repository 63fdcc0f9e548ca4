//! `EndTask`: the task is over, and with it every token below it.

use locum_model::event::{By, Outcome, TaskEnded};
use locum_model::{Caller, Event, Reason, TaskId};
use locum_table::Applied;

use crate::broker::{Broker, DeniedAt};
use crate::fold::Verdict;
use crate::get_task::TaskView;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::task_access::{Holder, not_found};
use crate::world::Pinned;

impl Broker {
    /// Ends a task and everything below it; durable on return. Ending what is over already answers
    /// how it ended.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND, TASK_NOT_HELD.
    pub async fn end_task(
        &self,
        caller: &Caller,
        task: TaskId,
        holder: &Holder,
        outcome: Outcome,
    ) -> Result<TaskView, Refusal> {
        let pinned = self.fold.pin();
        let ended = self.end_in(&pinned, caller, task, holder, outcome).await;
        let at = DeniedAt { pinned: &pinned, caller, method: "EndTask", task: Some(task) };
        ended.map_err(|refusal| self.denied(at, refusal))
    }

    async fn end_in(
        &self,
        pinned: &Pinned,
        caller: &Caller,
        task: TaskId,
        holder: &Holder,
        outcome: Outcome,
    ) -> Result<TaskView, Refusal> {
        let workload = pinned.workload(caller)?;
        self.shows_holder(workload, task, holder)?;
        let id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?;
        let by = By::Workload { number: workload.number, id: id.clone() };
        self.commit_end(TaskEnded { task, outcome, reason: None, by, at: self.now()? }).await?;
        self.own_task(workload, task)
    }

    /// Ends a task without its holder secret, for an operator; durable on return.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND.
    pub async fn force_end_task(
        &self,
        operator: &Operator,
        task: TaskId,
        reason: &str,
    ) -> Result<TaskView, Refusal> {
        let noted = |refusal| self.denied_operator(&operator.name, "EndTask", refusal);
        self.inspect_task(operator, task).map_err(noted)?;
        let (outcome, reason) = (Outcome::Cancelled, Some(reason.to_owned()));
        self.commit_end(TaskEnded { task, outcome, reason, by: operator.by(), at: self.now()? }).await?;
        // It was the operator's to end, and it has ended: that its tenant may have left the registry in the
        // meantime does not undo it.
        self.view_task(task).ok_or_else(|| not_found(task))
    }

    async fn commit_end(&self, ended: TaskEnded) -> Result<(), Refusal> {
        if self.fold.table.task(ended.task).is_none_or(|alive| alive.is_err()) {
            return Ok(());
        }
        let event = Event::TaskEnded(ended);
        match self.commits.commit(event).await?.verdict {
            Verdict::Applied(Applied::Ended | Applied::TooLate(_)) => Ok(()),
            Verdict::Applied(_) | Verdict::Repeated => Err(Reason::Internal.into()),
        }
    }
}
