//! The reaper: lapses leases, frees what is dead, keeps the keys' schedule. Bounded per tick.
//!
//! It never makes a token invalid: checks judge expiry themselves, and a lapse is an event like
//! any other. A tick submits and does not wait, so that a slow disk cannot hold it up; whoever calls it waits
//! between two of them where so much is due that it is [written in turns](crate::under_way).

use std::time::Duration;

use locum_journal::Given;
use locum_model::event::{By, ChecksSummed, LapseCause, TaskLapsed};
use locum_model::limits::{BATCH_EVENTS_MAX, REAP_ROWS_PER_TICK, REAP_TASKS_PER_TICK};
use locum_model::{Event, TaskId, Timestamp};

use crate::broker::Broker;
use crate::commit::Answer;
use crate::state::tasks::{Ended, HowEnded};
use crate::under_way::UnderWay;

/// For how long an orderly end writes down how tokens were checked.
const SUMS_WITHIN: Duration = Duration::from_secs(5);

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Tasks whose lease ran out or whose deadline passed.
    pub lapsed: usize,
    /// Rows freed.
    pub freed: usize,
    /// When there is more to do.
    pub next: NextTick,
}

/// When the reaper should look again, the sooner the less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum NextTick {
    /// There is more to do at once.
    AtOnce,
    /// Once [what was asked for is written](Broker::reaped_is_written): more is due than is written down together.
    WhenWritten,
    /// Nothing more is due.
    #[default]
    Later,
}

impl Broker {
    /// Does what is due at `now`.
    pub fn tick(&self, now: Timestamp) -> Ticked {
        let (lapsed, next_lapse) = self.lapse_due(now);
        let (rows, next_row) = self.reap_due(now);
        let (tasks, requests, are_due) = {
            let mut state = self.fold.state.write();
            state.locks.free(now);
            let tasks = state.tasks.free(now, REAP_TASKS_PER_TICK);
            (tasks, state.requests.free(now, REAP_ROWS_PER_TICK), state.tasks.are_due(now))
        };
        let told = self.fold.feed.free(now, REAP_ROWS_PER_TICK);
        self.record_denials(Some(now));
        self.keep_keys(now);
        let is_more = are_due || requests.max(told) >= REAP_ROWS_PER_TICK;
        let next = if is_more { NextTick::AtOnce } else { next_lapse.min(next_row) };
        Ticked { lapsed, freed: rows + tasks + requests + told, next }
    }

    /// Returns once all of a kind of which no more may be asked for is written down, or refused.
    pub async fn reaped_is_written(&self) {
        tokio::select! {
            () = self.lapses.answered(), if self.lapses.is_full() => {}
            () = self.sums.answered(), if self.sums.is_full() => {}
            else => {}
        }
    }

    /// Asks for the ends of tasks whose leases ran out, as far as [there is room](crate::under_way); of how many.
    fn lapse_due(&self, now: Timestamp) -> (usize, NextTick) {
        let refused = self.lapses.take_refused();
        refused.iter().for_each(|task| self.fold.leases.put_back(*task));
        self.lapses.set_most(self.fold.leases.next_due().map_or(Duration::ZERO, |due| now.since(due)));
        let due = self.fold.leases.take_due(now, self.lapses.room());
        let ends: Vec<_> = due.into_iter().filter_map(|(task, by)| self.lapse(task, by, now)).collect();
        let tasks: Vec<_> = ends.iter().map(|end| end.task).collect();
        let answers = self.commits.submit_all(ends.into_iter().map(Event::TaskLapsed));
        let asked = answers.len();
        let unasked = &tasks[asked..];
        unasked.iter().for_each(|task| self.fold.leases.put_back(*task));
        self.lapses.wait_for(tasks.iter().copied().zip(answers));
        let is_more_due = self.fold.leases.next_due().is_some_and(|due| due <= now);
        // What there is no room for now there will not be at once.
        let is_full = !refused.is_empty() || !unasked.is_empty();
        (asked, if is_full { NextTick::Later } else { next(is_more_due, &self.lapses) })
    }

    /// Frees rows that expired, as many as there is room to write down how they were checked; how many.
    fn reap_due(&self, now: Timestamp) -> (usize, NextTick) {
        tell_lost(self.sums.take_refused().len());
        self.sums.set_most(self.fold.table.overdue(now));
        let reaped = self.fold.table.reap(now, REAP_ROWS_PER_TICK.min(self.sums.room()));
        let answers = self.record_checks(reaped.checks);
        self.sums.wait_for(answers.into_iter().map(|answer| ((), answer)));
        (reaped.rows, next(reaped.more, &self.sums))
    }

    /// The event that ends a task whose lease ran out.
    fn lapse(&self, task: TaskId, deadline: Timestamp, now: Timestamp) -> Option<TaskLapsed> {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::LapseForgotten) {
            return None;
        }
        if self.fold.table.task(task).is_none_or(|alive| alive.is_err()) {
            // Dead already by what it rests on: that event stands in the record, this one need not.
            let ended = Ended { how: HowEnded::Dead, at: now, by: By::Broker };
            self.fold.state.write().tasks.end(task, ended);
            self.fold.leases.remove(task);
            return None;
        }
        let cause = if now >= deadline { LapseCause::DeadlinePassed } else { LapseCause::LeaseExpired };
        Some(TaskLapsed { task, cause, at: now })
    }

    /// Writes down coalesced denials whose span is over, or all of them.
    fn record_denials(&self, now: Option<Timestamp>) {
        for sum in self.denials.take(now) {
            // A full queue costs a line of the record about refusals, never a refusal.
            if self.commits.submit(Event::DenialsSummed(sum)).is_err() {
                tracing::warn!("the queue is full: a record of denials was dropped");
            }
        }
    }

    /// Asks for how tokens were checked to be written down.
    fn record_checks(&self, sums: Vec<ChecksSummed>) -> Vec<Answer> {
        let count = sums.len();
        let answers = self.commits.submit_all(sums.into_iter().map(Event::ChecksSummed));
        tell_lost(count - answers.len());
        answers
    }

    /// Writes down what was summed up about denials and checks, before nothing more is taken.
    pub(crate) async fn write_all_sums(&self) {
        self.record_denials(None);
        let begun = self.clock.elapsed();
        loop {
            let sums = self.fold.table.drain_checks(BATCH_EVENTS_MAX);
            let (count, is_last) = (sums.len(), sums.len() < BATCH_EVENTS_MAX);
            // They are answered together, and whoever stops the server waits for them.
            if let Some(answer) = self.record_checks(sums).pop()
                && !matches!(answer.await, Ok(Ok(_)))
            {
                tell_lost(count);
            }
            if is_last {
                return;
            }
            if self.clock.elapsed().saturating_sub(begun) >= SUMS_WITHIN {
                return tracing::warn!(
                    "too many tokens were checked: how some of them were was not written down"
                );
            }
        }
    }

    /// Everything up to this sequence is covered by a snapshot; 0 where there is none.
    pub fn snapshot_covers(&self) -> u64 {
        self.journal.snapshot_covers()
    }

    /// Writes a snapshot, so that the next start reads less. It calls `breathe` before each event, which may take its
    /// time: whoever wants the core meanwhile can have it.
    ///
    /// # Errors
    ///
    /// [`locum_journal::SnapshotError`]; the journal is as before.
    pub fn compact(
        &self,
        now: Timestamp,
        breathe: &dyn Fn(),
    ) -> Result<locum_journal::SnapshotReport, locum_journal::SnapshotError> {
        let given = {
            let mut state = self.fold.state.write();
            // What is over holds no beginning back: what ended it may be old enough to go.
            state.requests.free(now, usize::MAX);
            Given { tasks: state.tasks.count_max(), locks: state.locks.number_max() }
        };
        let keep = |committed: &_| {
            breathe();
            self.fold.still_matters(committed, now)
        };
        self.journal.snapshot(&keep, given)
    }
}

// === free functions ===

/// When to look again after something of which there may be more.
fn next<T: Copy>(is_more: bool, under_way: &UnderWay<T>) -> NextTick {
    match under_way.room() {
        _ if !is_more => NextTick::Later,
        0 => NextTick::WhenWritten,
        _ => NextTick::AtOnce,
    }
}

/// A line of the record about checks is lost, never a check.
fn tell_lost(sums: usize) {
    if sums > 0 {
        tracing::warn!(tokens = sums, "there is no room: how these tokens were checked was not written down");
    }
}
