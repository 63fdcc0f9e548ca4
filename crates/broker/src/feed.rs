//! What the revocation feed carries: entries in journal order, each for the connectors it concerns.
//!
//! The fold publishes here, before it wakes the caller. What is dead is kept in force until nothing
//! that it covers can live ([`in_force`]), and handed to every partition that is followed
//! ([`partition`]). Encoding, signing and chaining of frames is the server's.
//!
//! Entries of tokens and tasks go to the connectors that the tokens are for ([`reach`]), entries of
//! all other levels to every connector.

mod in_force;
mod partition;
mod reach;
mod times;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use locum_model::limits::{CLOCK_SKEW_MAX, TOKEN_TTL_MAX};
use locum_model::{Committed, ConnectorNo, Event, IssueRecord, Position, Target, TaskId, Timestamp};
use locum_table::{Applied, Table};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::fold::Verdict;
use crate::state::tasks::Tasks;
use in_force::InForce;
use partition::Waiting;
use reach::Reach;
use times::Times;

pub use in_force::Cursor;
pub use partition::{Partition, Taken};

/// Everything at a target that was decided at or below a position is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// What.
    pub target: Target,
    /// The newest decision that is dead.
    pub below: Position,
    /// From when it may be forgotten; never for signing keys.
    pub drop_after: Option<Timestamp>,
}

/// What one event adds to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedDelta {
    /// Where the event stands.
    pub position: Position,
    /// The entries; never empty. Shared between partitions where they are the same.
    pub entries: Arc<[FeedEntry]>,
}

/// The publishing side.
pub(crate) struct Feed {
    ledger: Mutex<Ledger>,
    /// The newest applied sequence; followers of the record wait on it.
    head: watch::Sender<u64>,
    /// Counts batches in which a task may have ended; holders wait on it.
    endings: watch::Sender<u64>,
}

/// What is known of the feed, under one lock. The fold takes it once an event.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Everything up to here is published.
    position: Position,
    reach: Reach,
    in_force: InForce,
    /// When there were entries for every partition, and for each one.
    times: Times,
    times_of: BTreeMap<ConnectorNo, Times>,
    followed: BTreeMap<ConnectorNo, Waiting>,
    followings: u64,
}

/// The entries of one event: for every partition, and for some.
#[derive(Default)]
struct Routed {
    all: Vec<FeedEntry>,
    some: BTreeMap<ConnectorNo, Vec<FeedEntry>>,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new() -> Self {
        Self { ledger: Mutex::default(), head: watch::Sender::new(0), endings: watch::Sender::new(0) }
    }

    /// Tells those who follow the record, and those who hold tasks, of a batch that was taken.
    pub(crate) fn tell(&self, batch: &[Committed<Event>]) {
        let Some(last) = batch.last() else { return };
        self.head.send_replace(last.position().sequence);
        let takes_away = |committed: &Committed<Event>| {
            matches!(
                committed.event(),
                Event::TaskEnded(_) | Event::TaskLapsed(_) | Event::Revoked(_) | Event::RegistryActivated(_)
            )
        };
        if batch.iter().any(takes_away) {
            self.endings.send_modify(|count| *count += 1);
        }
    }

    /// Takes what `committed` means to those who follow the feed. `table` and `tasks` have it applied.
    pub(crate) fn take(&self, committed: &Committed<Event>, verdict: &Verdict, table: &Table, tasks: &Tasks) {
        self.ledger.lock().take(committed, verdict, table, tasks);
    }

    /// Lets the events of a replay be taken one after the other. Nobody follows the record or holds a task
    /// meanwhile: [`Ledger::take`] is all that there is to do for them.
    pub(crate) fn replaying(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// Sets where the journal stands after a replay.
    pub(crate) fn stand_at(&self, head: Position) {
        self.ledger.lock().position = head;
        self.head.send_replace(head.sequence);
    }

    /// The sequence of the newest event with an entry for a partition; 0 before any.
    pub(crate) fn newest(&self, connector: ConnectorNo) -> u64 {
        let ledger = self.ledger.lock();
        ledger.times_of.get(&connector).map_or(0, Times::newest).max(ledger.times.newest())
    }

    /// Since when somebody lacks an entry of a partition who has everything up to `sequence`: never later
    /// than the first entry that is lacked. None for who has all.
    pub(crate) fn lacked_since(&self, connector: ConnectorNo, sequence: u64) -> Option<Timestamp> {
        let ledger = self.ledger.lock();
        let own = ledger.times_of.get(&connector).and_then(|times| times.lacked_since(sequence));
        [own, ledger.times.lacked_since(sequence)].into_iter().flatten().min()
    }

    /// Whether a restart still has to know of a task, because tokens of it may be believed somewhere.
    pub(crate) fn holds_task(&self, task: TaskId) -> bool {
        self.ledger.lock().reach.holds(task)
    }

    /// Whether a restart still has to know of the record that stands at `sequence`.
    pub(crate) fn rests_on(&self, record: &IssueRecord, sequence: u64) -> bool {
        self.ledger.lock().reach.rests_on(record, sequence)
    }

    /// Forgets at most `most` things that are over; how many there were.
    pub(crate) fn free(&self, now: Timestamp, most: usize) -> usize {
        let mut ledger = self.ledger.lock();
        ledger.in_force.free(now, most) + ledger.reach.free(now, most)
    }

    /// Everything up to here is published: no frame tells of anything beyond.
    pub(crate) fn position(&self) -> Position {
        self.ledger.lock().position
    }

    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    pub(crate) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }
}

// === impl Ledger ===

impl Ledger {
    /// Takes what `committed` means for those who follow, or will.
    pub(crate) fn take(
        &mut self,
        committed: &Committed<Event>,
        verdict: &Verdict,
        table: &Table,
        tasks: &Tasks,
    ) {
        let position = committed.position();
        self.position = position;
        match (committed.event(), verdict) {
            (_, Verdict::Repeated | Verdict::Applied(Applied::TooLate(_))) | (Event::TaskStarted(_), _) => {}
            (Event::TokenIssued(record), Verdict::Applied(Applied::Issued(_))) => {
                self.reach.issued(record, position.sequence, tasks);
            }
            (event, Verdict::Applied(_)) => {
                let routed = self.route(committed, table);
                self.publish(position, event.at(), &routed);
            }
        }
        if matches!(committed.event(), Event::KeyPublished(_) | Event::KeyActivated(_) | Event::KeyRetired(_))
        {
            self.followed.values().for_each(Waiting::wake);
        }
    }

    fn route(&mut self, committed: &Committed<Event>, table: &Table) -> Routed {
        let at = committed.event().at();
        let mut routed = Routed::default();
        let dead = dead_by(committed).into_iter().chain(self.dead_with(committed, table));
        for (target, below) in dead.collect::<Vec<_>>() {
            let entry = |drop_after| FeedEntry { target, below, drop_after };
            let until = |exp: Timestamp| Some(exp.plus(CLOCK_SKEW_MAX));
            match target {
                Target::Task(task) => {
                    for (connector, exp) in self.reach.of(task) {
                        routed.some.entry(connector).or_default().push(entry(until(exp)));
                    }
                    if below >= committed.position().watermark() {
                        self.reach.tell(task);
                    }
                }
                Target::Token(jti) => match table.connector_of(jti) {
                    Some((connector, exp)) => {
                        routed.some.entry(connector).or_default().push(entry(until(exp)));
                    }
                    // Nobody here knows it, so that nobody can say whom it concerns.
                    None => routed.all.push(entry(until(at.plus(TOKEN_TTL_MAX)))),
                },
                // A key that is gone never comes back.
                Target::SigningKey(_) => routed.all.push(entry(None)),
                _ => routed.all.push(entry(until(at.plus(TOKEN_TTL_MAX)))),
            }
        }
        routed
    }

    /// Tasks that die with an event whose entries their tokens do not stand under.
    ///
    /// They rest on a connector that those tokens are not for, or on its owner. Or the revocation is one of what was
    /// issued before some moment: what they have issued since is younger than that. Only then is every
    /// task with tokens out looked at.
    fn dead_with(&self, committed: &Committed<Event>, table: &Table) -> Vec<(Target, Position)> {
        let position = committed.position();
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedTasksUntold) {
            return Vec::new();
        }
        let targets = match committed.event() {
            Event::Revoked(revoked) => &revoked.targets,
            Event::RegistryActivated(activated) => &activated.removed,
            _ => return Vec::new(),
        };
        let dead = |task: &TaskId| matches!(table.task(*task), Some(Err(_)));
        let tasks: BTreeSet<_> = match committed.event() {
            Event::Revoked(revoked) if revoked.until.is_some_and(|until| until < position.watermark()) => {
                self.reach.untold().filter(dead).collect()
            }
            _ => targets.iter().flat_map(|target| self.reach.hidden_by(*target)).filter(dead).collect(),
        };
        tasks.into_iter().map(|task| (Target::Task(task), position)).collect()
    }

    fn publish(&mut self, position: Position, at: Timestamp, routed: &Routed) {
        for entry in &routed.all {
            self.in_force.raise(None, *entry);
        }
        if !routed.all.is_empty() {
            self.times.push(position.sequence, at);
        }
        for (connector, entries) in &routed.some {
            entries.iter().for_each(|entry| self.in_force.raise(Some(*connector), *entry));
            self.times_of.entry(*connector).or_default().push(position.sequence, at);
        }
        if self.followed.is_empty() {
            return;
        }
        let shared: Arc<[FeedEntry]> = routed.all.as_slice().into();
        for (connector, waiting) in &mut self.followed {
            let entries = match routed.some.get(connector) {
                None => Arc::clone(&shared),
                Some(own) => shared.iter().chain(own).copied().collect(),
            };
            if !entries.is_empty() {
                waiting.push(FeedDelta { position, entries });
            }
        }
    }
}

/// What an event took away, and the newest decisions that it concerns.
fn dead_by(committed: &Committed<Event>) -> Vec<(Target, Position)> {
    let position = committed.position();
    match committed.event() {
        #[cfg(bug_zoo)]
        Event::Revoked(revoked)
            if matches!(revoked.targets[..], [Target::Subject(_), ..])
                && locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedSubjectUntold) =>
        {
            Vec::new()
        }
        // Whatever the task's tokens were decided at, they are dead: no later one can be issued.
        Event::TaskEnded(ended) => vec![(Target::Task(ended.task), position)],
        Event::TaskLapsed(lapsed) => vec![(Target::Task(lapsed.task), position)],
        Event::KeyRetired(key) => vec![(Target::SigningKey(key.kid), position)],
        Event::RegistryActivated(activated) => {
            activated.removed.iter().map(|target| (*target, position.watermark())).collect()
        }
        Event::Revoked(revoked) => {
            let below = revoked.until.unwrap_or(position.watermark()).min(position.watermark());
            revoked.targets.iter().map(|target| (*target, below)).collect()
        }
        Event::KeyPublished(_)
        | Event::KeyActivated(_)
        | Event::PolicyActivated(_)
        | Event::TaskStarted(_)
        | Event::TokenIssued(_)
        | Event::TokenUsed(_)
        | Event::ChecksSummed(_)
        | Event::DenialsSummed(_)
        | Event::Locked(_)
        | Event::Unlocked(_) => Vec::new(),
    }
}
