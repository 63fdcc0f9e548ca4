//! [`Watermarks`]: what was revoked, where lookups can read it without a lock.
//!
//! Kept as *below*: what was decided below it is dead, 0 kills nothing; that is the watermark's
//! order plus one. Values only ever rise.
//!
//! A lookup first asks [`Watermarks::reach`]: was anything revoked since this token's decision? For
//! most the answer is no, at the cost of one compare. Where it is yes, standings and tasks remember
//! the *generation* (how many times a watermark was raised here) at which they were last compared in
//! full, so that each is compared once a revocation, not once a lookup.
//!
//! **Why a lookup that starts after a revocation was applied sees it.** The writer stores the value
//! first, then raises `highest`, then counts the generation, each with Release; a lookup loads the
//! generation and `highest` with Acquire before it loads values. So whoever sees the new generation
//! or the new `highest` sees the value behind it, and what is remembered at a generation was compared
//! with every value up to it. And whoever knows that `apply` returned knows it through something that
//! synchronised with the writer (a channel, a lock, a join), so that the stores happen before its
//! loads, and an atomic load never returns a value older than a store that happens before it.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, VecDeque};

use dashmap::DashMap;
use locum_model::{Level, Position, SubjectKey, Target, Timestamp};

use crate::chunked::Numbered;
use crate::standing::{Mark, Standing, StandingCell};
use crate::sync::{AtomicU64, Ordering};

/// Levels whose ids are registration numbers (a signing key's is the table's own).
const FIRST_NUMBERED: usize = Level::Workload as usize;
const NUMBERED: usize = Level::PolicyRevision as usize - FIRST_NUMBERED + 1;

/// The readers' side: registrations and subjects. Those of tasks stand in their cells, those of
/// tokens in their rows.
#[derive(Debug)]
pub(crate) struct Watermarks {
    generation: AtomicU64,
    highest: AtomicU64,
    levels: [Numbered; NUMBERED],
    subjects_highest: AtomicU64,
    subjects: DashMap<SubjectKey, u64>,
}

/// The writer's side: every watermark as a position, and the order in which some may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<Target, Entry>,
    /// Watermarks of tokens and tasks, and those of subjects, by when they were last raised.
    ids: VecDeque<(Timestamp, Target)>,
    subjects: VecDeque<(Timestamp, Target)>,
    forgotten_below: u64,
}

/// One watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it was committed.
    pub(crate) position: Position,
    /// What was decided below this is dead.
    pub(crate) below: u64,
    /// When it was last raised.
    pub(crate) at: Timestamp,
}

// === impl Watermarks ===

impl Watermarks {
    /// Nothing is revoked.
    pub(crate) fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            levels: std::array::from_fn(|_| Numbered::new()),
            subjects_highest: AtomicU64::new(0),
            subjects: DashMap::with_shard_amount(64),
        }
    }

    /// Raises the watermark of a registration.
    pub(crate) fn raise(&self, mark: Mark, below: u64) {
        #[cfg(shuttle)]
        if crate::sync::is_planted(crate::sync::Planted::CountedTooSoon) {
            self.publish(below);
            self.level(mark).update(mark.number(), |before| before.max(below));
            return;
        }
        self.level(mark).update(mark.number(), |before| before.max(below));
        self.publish(below);
    }

    /// Raises the watermark of a subject.
    pub(crate) fn raise_subject(&self, subject: SubjectKey, below: u64) {
        self.subjects.entry(subject).and_modify(|before| *before = below.max(*before)).or_insert(below);
        self.subjects_highest.fetch_max(below, Ordering::Release);
        self.publish(below);
    }

    fn publish(&self, below: u64) {
        self.highest.fetch_max(below, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn level(&self, mark: Mark) -> &Numbered {
        &self.levels[mark.level() - FIRST_NUMBERED]
    }

    /// How many times a watermark of a registration or a subject was raised.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Forgets a subject's watermark; the ledger says when that is safe.
    pub(crate) fn forget_subject(&self, subject: SubjectKey) {
        self.subjects.remove(&subject);
    }

    /// Whether anything at all that was decided at `decided` can have been revoked.
    ///
    /// This is the fast path: one load, one compare, and for most tokens the answer is no.
    pub(crate) fn reach(&self, decided: u64) -> bool {
        decided < self.highest.load(Ordering::Acquire)
    }

    /// Whether any subject at all was revoked since `decided`.
    pub(crate) fn reach_subjects(&self, decided: u64) -> bool {
        decided < self.subjects_highest.load(Ordering::Acquire)
    }

    /// Whether a standing is known not to be revoked since `decided`, its subject apart. Only reads:
    /// it is not known before [`Watermarks::cover`] compared it at this generation.
    pub(crate) fn spare(&self, cell: &StandingCell, decided: u64) -> bool {
        cell.below_at(self.generation()).is_some_and(|below| below <= decided)
    }

    /// Whether a standing was revoked since `decided`, its subject apart.
    pub(crate) fn cover(&self, cell: &StandingCell, decided: u64) -> bool {
        let generation = self.generation();
        let below = cell.below_at(generation).unwrap_or_else(|| {
            let below = cell.marks().map(|mark| self.below(mark)).max().unwrap_or(0);
            cell.raise_below(below, generation)
        });
        decided < below
    }

    /// The same of a standing that is not interned yet.
    pub(crate) fn cover_value(&self, standing: &Standing, decided: u64) -> bool {
        standing.marks().any(|mark| decided < self.below(mark))
    }

    fn below(&self, mark: Mark) -> u64 {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::ConnectorForgotten)
            && mark.level() == Level::Connector as usize
        {
            return 0;
        }
        self.level(mark).get(mark.number())
    }

    /// Whether a subject was revoked since `decided`.
    pub(crate) fn cover_subject(&self, subject: SubjectKey, decided: u64) -> bool {
        #[cfg(bug_zoo)]
        let decided = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::SubjectForgotten) {
            u64::MAX
        } else {
            decided
        };
        self.reach_subjects(decided) && self.subjects.get(&subject).is_some_and(|below| decided < *below)
    }
}

// === impl Ledger ===

impl Ledger {
    /// Raises a target's watermark; false when it was as high already.
    pub(crate) fn raise(&mut self, target: Target, entry: Entry) -> bool {
        match self.entries.entry(target) {
            Slot::Occupied(before) if before.get().below >= entry.below => return false,
            slot => _ = slot.insert_entry(entry),
        }
        self.keep(target, entry);
        true
    }

    /// A target's watermark.
    pub(crate) fn get(&self, target: Target) -> Option<Entry> {
        self.entries.get(&target).copied()
    }

    /// What was decided below this is dead by the target's watermark; 0 when it has none.
    pub(crate) fn below(&self, target: Target) -> u64 {
        self.entries.get(&target).map_or(0, |entry| entry.below)
    }

    /// Every watermark, ordered by target.
    pub(crate) fn all(&self) -> Vec<(Target, Position)> {
        self.entries.iter().map(|(target, entry)| (*target, entry.position)).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next token or task whose watermark was last raised at or before `horizon`.
    ///
    /// The caller forgets it, or puts it back with [`Ledger::keep`].
    pub(crate) fn next_old_id(&mut self, horizon: Timestamp) -> Option<(Target, Entry)> {
        next_old(&mut self.ids, &self.entries, horizon)
    }

    /// The same of subjects.
    pub(crate) fn next_old_subject(&mut self, horizon: Timestamp) -> Option<(Target, Entry)> {
        next_old(&mut self.subjects, &self.entries, horizon)
    }

    /// Has a watermark looked at later, if it is of a kind that is ever forgotten.
    pub(crate) fn keep(&mut self, target: Target, entry: Entry) {
        match target {
            Target::Token(_) | Target::Task(_) => self.ids.push_back((entry.at, target)),
            Target::Subject(_) => self.subjects.push_back((entry.at, target)),
            Target::Workload(_)
            | Target::Connector(_)
            | Target::Tenant(_)
            | Target::Owner(_)
            | Target::Model(_)
            | Target::SigningKey(_)
            | Target::PolicyRevision(_) => {}
        }
    }

    /// Forgets a watermark.
    pub(crate) fn forget(&mut self, target: Target) {
        if let Some(entry) = self.entries.remove(&target) {
            self.forgotten_below = self.forgotten_below.max(entry.below);
        }
    }

    /// A decision below this may have been revoked by a watermark that is forgotten. None comes that
    /// late; should one, it is refused.
    pub(crate) fn forgotten_below(&self) -> u64 {
        self.forgotten_below
    }
}

fn next_old(
    queue: &mut VecDeque<(Timestamp, Target)>,
    entries: &BTreeMap<Target, Entry>,
    horizon: Timestamp,
) -> Option<(Target, Entry)> {
    loop {
        let (at, target) = queue.pop_front_if(|(at, _)| *at <= horizon)?;
        // A later raise has its own place in the queue.
        if let Some(entry) = entries.get(&target).filter(|entry| entry.at == at) {
            return Some((target, *entry));
        }
    }
}
