//! The reaper: lapses leases, frees what is dead, keeps the keys' schedule. Bounded per tick.
//!
//! It never makes a token invalid: checks judge expiry themselves, and a lapse is an event like
//! any other. A tick submits and does not wait, so that a slow disk cannot hold it up.

use locum_journal::Given;
use locum_model::event::{By, LapseCause, TaskLapsed};
use locum_model::limits::{REAP_LAPSES_PER_TICK, REAP_ROWS_PER_TICK, REAP_TASKS_PER_TICK};
use locum_model::{Event, TaskId, Timestamp};

use tokio::sync::oneshot::error::TryRecvError;

use crate::broker::Broker;
use crate::state::tasks::{Ended, HowEnded};

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Tasks whose lease ran out or whose deadline passed.
    pub lapsed: usize,
    /// Rows freed.
    pub freed: usize,
    /// There is more to do at once.
    pub more: bool,
}

impl Broker {
    /// Does what is due at `now`.
    pub fn tick(&self, now: Timestamp) -> Ticked {
        self.settle_lapses();
        let due = self.fold.leases.take_due(now, REAP_LAPSES_PER_TICK);
        let mut lapsed = 0;
        for (task, deadline) in &due {
            lapsed += usize::from(self.lapse(*task, *deadline, now));
        }
        let reaped = self.fold.table.reap(now, REAP_ROWS_PER_TICK);
        for sum in reaped.checks {
            self.record_checks(sum);
        }
        let (tasks, requests, more_tasks) = {
            let mut state = self.fold.state.write();
            state.locks.free(now);
            let tasks = state.tasks.free(now, REAP_TASKS_PER_TICK);
            (tasks, state.requests.free(now, REAP_ROWS_PER_TICK), state.tasks.are_due(now))
        };
        let told = self.fold.feed.free(now, REAP_ROWS_PER_TICK);
        self.flush_records(Some(now));
        self.keep_keys(now);
        let more = reaped.more
            || due.len() == REAP_LAPSES_PER_TICK
            || more_tasks
            || requests.max(told) >= REAP_ROWS_PER_TICK;
        Ticked { lapsed, freed: reaped.rows + tasks + requests + told, more }
    }

    fn lapse(&self, task: TaskId, deadline: Timestamp, now: Timestamp) -> bool {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::LapseForgotten) {
            return false;
        }
        if self.fold.table.task(task).is_none_or(|alive| alive.is_err()) {
            // Dead already by what it rests on: that event stands in the record, this one need not.
            let ended = Ended { how: HowEnded::Dead, at: now, by: By::Broker };
            self.fold.state.write().tasks.end(task, ended);
            self.fold.leases.remove(task);
            return false;
        }
        let cause = if now >= deadline { LapseCause::DeadlinePassed } else { LapseCause::LeaseExpired };
        let event = Event::TaskLapsed(TaskLapsed { task, cause, at: now });
        match self.commits.submit(event) {
            Ok(answer) => {
                self.lapses.lock().push_back((task, answer));
                true
            }
            Err(_full) => {
                self.fold.leases.put_back(task);
                false
            }
        }
    }

    /// Puts back what could not be written down; the fold has removed what could. They are answered in their order.
    fn settle_lapses(&self) {
        let mut lapses = self.lapses.lock();
        while let Some((task, answer)) = lapses.front_mut() {
            match answer.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(_settled)) => {}
                Ok(Err(_)) | Err(TryRecvError::Closed) => self.fold.leases.put_back(*task),
            }
            lapses.pop_front();
        }
    }

    /// Writes down coalesced denials whose span is over, or all of them and every check at the end.
    pub(crate) fn flush_records(&self, now: Option<Timestamp>) {
        for sum in self.denials.take(now) {
            // A full queue costs a line of the record about refusals, never a refusal.
            if self.commits.submit(Event::DenialsSummed(sum)).is_err() {
                tracing::warn!("the queue is full: a record of denials was dropped");
            }
        }
        if now.is_none() {
            for sum in self.fold.table.drain_checks(usize::MAX) {
                self.record_checks(sum);
            }
        }
    }

    fn record_checks(&self, sum: locum_model::event::ChecksSummed) {
        if self.commits.submit(Event::ChecksSummed(sum)).is_err() {
            tracing::warn!("the queue is full: a record of checks was dropped");
        }
    }

    /// Writes a snapshot, so that the next start reads less.
    ///
    /// # Errors
    ///
    /// [`locum_journal::SnapshotError`]; the journal is as before.
    pub fn compact(
        &self,
        now: Timestamp,
    ) -> Result<locum_journal::SnapshotReport, locum_journal::SnapshotError> {
        let given = {
            let mut state = self.fold.state.write();
            // What is over holds no beginning back: what ended it may be old enough to go.
            state.requests.free(now, usize::MAX);
            Given { tasks: state.tasks.count_max(), locks: state.locks.number_max() }
        };
        self.journal.snapshot(&|committed| self.fold.still_matters(committed, now), given)
    }
}
