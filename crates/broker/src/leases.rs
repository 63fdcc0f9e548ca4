//! Soft leases: which tasks somebody still holds, and which run out next.
//!
//! A lease is not durable and bounds no token; when it runs out the reaper commits `TaskLapsed`,
//! and that ends the tree. After a restart every task gets its lease anew, which is its grace to
//! reconnect.

use std::collections::BTreeSet;
use std::time::Duration;

use locum_model::limits::HOLD_GRACE;
use locum_model::{TaskId, Timestamp};
use parking_lot::Mutex;

use crate::state::task_map::TaskMap;

/// The leases of all live tasks.
#[derive(Default)]
pub(crate) struct Leases(Mutex<Inner>);

/// Which hold stream is the current one of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldNumber(u64);

#[derive(Default)]
struct Inner {
    leases: TaskMap<Lease>,
    due: BTreeSet<(Timestamp, TaskId)>,
    holds: u64,
    /// Until the grace is granted nothing is due: the grace says when, of all at once.
    restarting: bool,
}

struct Lease {
    span: Duration,
    deadline: Timestamp,
    due: Timestamp,
    held: Option<HoldNumber>,
    /// It ran out and its end was asked for: nothing extends it any more, and it is not in `due`.
    lapsing: bool,
}

// === impl Leases ===

impl Leases {
    /// Those of a broker that comes up: none runs out before [`Leases::grant_grace`].
    pub(crate) fn of_restart() -> Self {
        Self(Mutex::new(Inner { restarting: true, ..Inner::default() }))
    }

    /// A task began.
    pub(crate) fn enter(&self, task: TaskId, now: Timestamp, span: Duration, deadline: Timestamp) {
        let due = now.plus(span).min(deadline);
        let mut inner = self.0.lock();
        if !inner.restarting {
            inner.due.insert((due, task));
        }
        inner.leases.insert(task, Lease { span, deadline, due, held: None, lapsing: false });
    }

    /// A task is over.
    pub(crate) fn remove(&self, task: TaskId) {
        let mut inner = self.0.lock();
        if let Some(lease) = inner.leases.remove(&task) {
            inner.due.remove(&(lease.due, task));
        }
    }

    /// Extends a task's lease; when it runs out then, or none for a task without one.
    pub(crate) fn renew(&self, task: TaskId, now: Timestamp) -> Option<Timestamp> {
        self.0.lock().set_due(task, |lease| match lease.held {
            Some(_) => lease.deadline,
            #[cfg(bug_zoo)]
            None if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RenewalForgotten) => {
                lease.due
            }
            None => now.plus(lease.span),
        })
    }

    /// A stream holds the task from now on; an older stream is superseded.
    pub(crate) fn hold(&self, task: TaskId) -> Option<HoldNumber> {
        let mut inner = self.0.lock();
        inner.holds += 1;
        let number = HoldNumber(inner.holds);
        inner.leases.get_mut(&task).filter(|lease| !lease.lapsing)?.held = Some(number);
        inner.set_due(task, |lease| lease.deadline)?;
        Some(number)
    }

    /// Whether this stream is still the current one.
    pub(crate) fn is_current(&self, task: TaskId, number: HoldNumber) -> bool {
        self.0.lock().leases.get(&task).is_some_and(|lease| lease.held == Some(number))
    }

    /// The stream is gone. Only the current one's loss starts the grace; without a time it is over at
    /// once, since nobody knows how long it would last.
    pub(crate) fn release(&self, task: TaskId, number: HoldNumber, now: Option<Timestamp>) {
        let mut inner = self.0.lock();
        match inner.leases.get_mut(&task) {
            Some(lease) if lease.held == Some(number) => lease.held = None,
            _ => return,
        }
        inner.set_due(task, |lease| {
            now.map_or(Timestamp::default(), |now| now.plus(lease.span.max(HOLD_GRACE)))
        });
    }

    /// Takes at most `most` tasks whose lease ran out, oldest first, with their deadlines.
    ///
    /// Nothing extends them any more; the fold removes them once they have ended.
    pub(crate) fn take_due(&self, now: Timestamp, most: usize) -> Vec<(TaskId, Timestamp)> {
        let mut inner = self.0.lock();
        let mut taken = Vec::new();
        while taken.len() < most && inner.due.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, task)) = inner.due.pop_first() else { break };
            if let Some(lease) = inner.leases.get_mut(&task) {
                lease.lapsing = true;
                taken.push((task, lease.deadline));
            }
        }
        taken
    }

    /// Puts a task back whose end could not be written down: it is due again at once.
    pub(crate) fn put_back(&self, task: TaskId) {
        let mut inner = self.0.lock();
        if let Some(lease) = inner.leases.get_mut(&task).filter(|lease| lease.lapsing) {
            lease.lapsing = false;
            let due = lease.due;
            inner.due.insert((due, task));
        }
    }

    /// When the next lease runs out.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.0.lock().due.first().map(|(due, _)| *due)
    }

    /// Gives every task its lease anew: the grace after a restart.
    pub(crate) fn grant_grace(&self, now: Timestamp) {
        let mut inner = self.0.lock();
        inner.restarting = false;
        let granted = inner.leases.iter_mut().filter(|(_, lease)| !lease.lapsing).map(|(task, lease)| {
            lease.due = now.plus(lease.span.max(HOLD_GRACE)).min(lease.deadline);
            (lease.due, *task)
        });
        // Sorted at once and not one by one: a million is nothing unusual.
        inner.due = granted.collect();
    }

    /// How many tasks a stream holds.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.0.lock().leases.values().filter(|lease| lease.held.is_some()).count()
    }
}

// === impl Inner ===

impl Inner {
    fn set_due(&mut self, task: TaskId, due: impl FnOnce(&Lease) -> Timestamp) -> Option<Timestamp> {
        let lease = self.leases.get_mut(&task).filter(|lease| !lease.lapsing)?;
        let new = due(lease).min(lease.deadline);
        self.due.remove(&(lease.due, task));
        self.due.insert((new, task));
        lease.due = new;
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn one_task() -> (Leases, TaskId) {
        let (leases, task) = (Leases::default(), TaskId::new(1, 1));
        leases.enter(task, at(0), LEASE, at(1_000));
        (leases, task)
    }

    #[test]
    fn a_lease_runs_out_unless_renewed() {
        let (leases, task) = one_task();
        assert_eq!(leases.take_due(at(29), 10), []);
        assert_eq!(leases.renew(task, at(29)), Some(at(59)));
        assert_eq!(leases.take_due(at(58), 10), []);
        assert_eq!(leases.take_due(at(59), 10), [(task, at(1_000))]);
        assert_eq!((leases.renew(task, at(59)), leases.hold(task)), (None, None));
        assert_eq!(leases.take_due(at(60), 10), [], "once");
        leases.put_back(task);
        assert_eq!(
            leases.take_due(at(60), 10),
            [(task, at(1_000))],
            "and again when it could not be written"
        );
        leases.remove(task);
        leases.put_back(task);
        assert_eq!(leases.take_due(at(99), 10), []);
    }

    #[test]
    fn nothing_runs_out_before_the_grace_after_a_restart() {
        let leases = Leases::of_restart();
        let [first, second, ended] = [1, 2, 3].map(|count| TaskId::new(1, count));
        leases.enter(second, at(0), LEASE, at(1_000));
        leases.enter(first, at(1), LEASE, at(1_000));
        leases.enter(ended, at(2), LEASE, at(1_000));
        leases.remove(ended);
        assert_eq!((leases.next_due(), leases.take_due(at(5_000), 10)), (None, vec![]));
        leases.grant_grace(at(500));
        assert_eq!(leases.take_due(at(529), 10), []);
        assert_eq!(leases.take_due(at(530), 10), [(first, at(1_000)), (second, at(1_000))]);
        leases.enter(ended, at(600), LEASE, at(1_000));
        assert_eq!(leases.next_due(), Some(at(630)), "and from then on as ever");
    }

    #[test]
    fn a_held_task_runs_to_its_deadline() {
        let (leases, task) = one_task();
        leases.hold(task).expect("a live task");
        assert_eq!(leases.take_due(at(999), 10), []);
        assert_eq!(leases.take_due(at(1_000), 10).len(), 1);
    }

    #[test]
    fn only_the_current_streams_loss_starts_the_grace() {
        let (leases, task) = one_task();
        let older = leases.hold(task).expect("a live task");
        let newer = leases.hold(task).expect("a live task");
        leases.release(task, older, Some(at(5)));
        assert_eq!((leases.held(), leases.is_current(task, newer)), (1, true));
        leases.release(task, newer, Some(at(5)));
        assert_eq!(leases.next_due(), Some(at(35)));
    }

    #[test]
    fn no_lease_outlives_the_deadline() {
        let (leases, task) = one_task();
        assert_eq!(leases.renew(task, at(990)), Some(at(1_000)));
    }
}
