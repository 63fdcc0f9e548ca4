//! `GetTaskHistory` and `TailRecord`: what happened, from the journal itself.
//!
//! The archive, where there is one, says where a task's story stands; what it has not indexed yet is
//! read through. Without it the journal is read from the task's beginning. The story is the same.

use locum_model::limits::HISTORY_ENTRIES_MAX;
use std::collections::{BTreeMap, HashMap, HashSet};

use locum_journal::ReadError;
use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{Committed, Event, Reason, Target, TaskId, TokenId};
use tokio::sync::watch;

use crate::broker::Broker;
use crate::get_task::TaskView;
use crate::operator::{Operator, Tenants};
use crate::record::{self, RecordEntry};
use crate::refusal::Refusal;
use crate::rests_on::targets_of_start;
use crate::task_access::not_found;

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

/// A task and everything below it, as the journal is read.
struct Family {
    tasks: HashSet<TaskId>,
    /// What the family rests on and is: a revocation of any of it is a part of the story.
    rests_on: HashSet<Target>,
    /// The task itself is over: what is revoked more widely later is not about it any more.
    over: bool,
    root: TaskId,
    races: Races,
}

/// What can be lost in a race within a family: the journal has the losers too.
#[derive(Default)]
struct Races {
    parents: HashMap<TaskId, TaskId>,
    ended: HashSet<TaskId>,
    uses_left: HashMap<TokenId, u32>,
}

impl Races {
    /// Why an event of the family changed nothing when it was folded; none when it did.
    fn lost(&mut self, event: &Event) -> Option<Reason> {
        match event {
            Event::TaskStarted(started) => {
                self.parents.extend(started.parent.map(|parent| (started.task, parent)));
                self.is_over(started.task).then_some(Reason::TaskEnded)
            }
            Event::TokenIssued(record) => {
                self.uses_left.extend(record.uses_max.map(|uses| (record.jti, uses)));
                self.is_over(record.task()).then_some(Reason::TaskEnded)
            }
            Event::TokenUsed(used) => {
                let left = self.uses_left.get_mut(&used.jti)?;
                let spent = *left == 0;
                *left = left.saturating_sub(1);
                spent.then_some(Reason::TokenSpent)
            }
            Event::TaskEnded(ended) => self.end(ended.task),
            Event::TaskLapsed(lapsed) => self.end(lapsed.task),
            _ => None,
        }
    }

    fn end(&mut self, task: TaskId) -> Option<Reason> {
        let over = self.is_over(task);
        self.ended.insert(task);
        over.then_some(Reason::TaskEnded)
    }

    fn is_over(&self, task: TaskId) -> bool {
        let above = std::iter::successors(Some(task), |task| self.parents.get(task).copied());
        above.take(TASK_DEPTH_MAX).any(|task| self.ended.contains(&task))
    }
}

impl Family {
    fn of(root: TaskId) -> Self {
        let rests_on = HashSet::from([Target::Task(root)]);
        Self { tasks: HashSet::from([root]), rests_on, over: false, root, races: Races::default() }
    }

    /// Whether an event is a part of the story; learns from it who else is.
    fn concerns(&mut self, event: &Event) -> bool {
        match event {
            Event::TaskStarted(started) => {
                let ours = started.task == self.root
                    || started.parent.is_some_and(|parent| self.tasks.contains(&parent));
                if ours {
                    self.tasks.insert(started.task);
                    self.rests_on.insert(Target::Task(started.task));
                    self.rests_on.extend(targets_of_start(started));
                }
                ours
            }
            Event::TokenIssued(record) => {
                let ours = self.tasks.contains(&record.task());
                if ours {
                    self.rests_on.insert(Target::Token(record.jti));
                    self.rests_on.insert(Target::SigningKey(record.kid));
                    self.rests_on.insert(Target::PolicyRevision(record.standing.policy_revision));
                }
                ours
            }
            Event::TaskEnded(ended) => self.ends(ended.task),
            Event::TaskLapsed(lapsed) => self.ends(lapsed.task),
            Event::TokenUsed(used) => self.tasks.contains(&used.task),
            Event::ChecksSummed(sum) => self.tasks.contains(&sum.task),
            Event::DenialsSummed(sum) => sum.task.is_some_and(|task| self.tasks.contains(&task)),
            Event::Revoked(revoked) => self.loses(&revoked.targets),
            Event::RegistryActivated(activated) => self.loses(&activated.removed),
            Event::KeyRetired(key) => self.loses(&[Target::SigningKey(key.kid)]),
            Event::KeyPublished(_)
            | Event::KeyActivated(_)
            | Event::PolicyActivated(_)
            | Event::Locked(_)
            | Event::Unlocked(_) => false,
        }
    }

    fn ends(&mut self, task: TaskId) -> bool {
        self.over |= task == self.root;
        self.tasks.contains(&task)
    }

    fn loses(&mut self, targets: &[Target]) -> bool {
        let ours = !self.over && targets.iter().any(|target| self.rests_on.contains(target));
        // A token alone can be lost and the task go on; anything wider that covers the task ends it.
        let tokens_alone = |target: &Target| {
            matches!(target, Target::Token(_) | Target::SigningKey(_) | Target::PolicyRevision(_))
        };
        self.over |= ours && !targets.iter().filter(|t| self.rests_on.contains(*t)).all(tokens_alone);
        ours
    }
}

impl Broker {
    /// The whole story of a task and everything below it. Blocks on the disk: call it where blocking
    /// is allowed.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND outside the operator's tenants too.
    pub fn task_history(&self, operator: &Operator, task: TaskId) -> Result<History, Refusal> {
        let registry = self.registry();
        let view = self.view_task(task);
        let from = self.fold.state.read().tasks.get(task).map_or(1, |row| row.position.sequence);
        let mut family = Family::of(task);
        let mut history = History { task: view, entries: Vec::new(), partial: false };
        let mut reached = None;
        for committed in self.events_of(task, from) {
            let committed = committed.map_err(|cause| {
                tracing::error!(%cause, "the journal could not be read");
                Refusal::from(Reason::Internal)
            })?;
            if let Event::TaskStarted(started) = committed.event()
                && started.task == task
            {
                reached = Some(operator.reaches(&registry, started.tenant));
                if reached == Some(false) {
                    return Err(not_found(task));
                }
            }
            if !family.concerns(committed.event()) {
                continue;
            }
            let mut entry = record::entry(&committed, &registry, |_| None);
            entry.reason = entry.reason.or(family.races.lost(committed.event()));
            if history.entries.len() == HISTORY_ENTRIES_MAX {
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

    /// Every event that can be a part of the task's story, and others, in order.
    fn events_of(
        &self,
        task: TaskId,
        from: u64,
    ) -> Box<dyn Iterator<Item = Result<Committed<Event>, ReadError>>> {
        match self.indexed_events_of(task) {
            Some((events, reached)) => {
                Box::new(events.into_values().map(Ok).chain(self.journal.events(reached + 1)))
            }
            None => Box::new(self.journal.events(from)),
        }
    }

    /// The same from the archive, and how far it goes; none where that does not hold all of it.
    fn indexed_events_of(&self, task: TaskId) -> Option<(BTreeMap<u64, Committed<Event>>, u64)> {
        let archive = self.shelf.get()?;
        let most = HISTORY_ENTRIES_MAX + 1;
        let (tree, reached) = archive.tree(task, most).ok()?;
        let mut lookup = self.journal.lookup();
        let mut events = BTreeMap::new();
        let mut family = Family::of(task);
        for sequence in &tree {
            let committed = lookup.event(*sequence).ok()??;
            family.concerns(committed.event());
            events.insert(*sequence, committed);
        }
        // What was forgotten, or is not indexed yet, has no beginning here.
        let begins = |event: &Event| matches!(event, Event::TaskStarted(started) if started.task == task);
        let (first, _) = events.first_key_value().filter(|(_, found)| begins(found.event()))?;
        let rests_on: Vec<_> = family.rests_on.into_iter().collect();
        for sequence in archive.takers(&rests_on, *first, most).ok()? {
            events.insert(sequence, lookup.event(sequence).ok()??);
        }
        Some((events, reached?.position.sequence))
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
            let of_locks = match committed.event() {
                Event::Unlocked(unlocked) => self.fold.state.read().locks.tenant_of_lifted(&unlocked.locks),
                _ => None,
            };
            let entry = record::entry(&committed, &registry, tenant_of).or_of(of_locks, &registry);
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
