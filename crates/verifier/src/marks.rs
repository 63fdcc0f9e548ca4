//! [`Marks`]: the watermarks, where many readers compare with them and one writer raises them.
//!
//! In shards, each behind its own lock, because a million of them have to be joined without stopping
//! the readers. Readers seldom come here: each token remembers the *generation* (how many times
//! something was raised) at which it was last compared, of the levels that are its own (its id, its
//! tasks) and of those that it shares with others, and comes again only when that has changed.
//!
//! **Why a check that starts after `join` and `publish` returned sees what was joined.** `publish`
//! counts the generation with Release after all shards were written; a reader loads it with Acquire
//! before it compares, and remembers the value that it loaded. So whoever sees the new generation
//! compares with the new values, and who does not see it started before.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use locum_model::feed::Entry;
use locum_model::{Level, Target, Timestamp};
use parking_lot::RwLock;

const SHARDS: usize = 256;
/// Stands for "never" where seconds are kept in 32 bits.
const NEVER: u32 = u32::MAX;

/// A level and an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkKey {
    id: [u8; 16],
    level: u8,
}

/// A watermark in 12 bytes, so that a map's slot has 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Order of the newest decision that is dead: high and low half.
    below: [u32; 2],
    /// Seconds since the epoch, rounded up.
    drop_after: u32,
}

/// Whether a level is a token's own or shared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Own,
    Shared,
}

type Shard = RwLock<HashMap<MarkKey, Mark, Mix>>;

/// Every watermark.
#[derive(Debug)]
pub(crate) struct Marks {
    shards: Box<[Shard]>,
    len: AtomicUsize,
    own: Raised,
    shared: Raised,
}

/// What was raised of one kind.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Raised {
    generation: AtomicU64,
    highest: AtomicU64,
}

/// A hasher for ids that are random, digests, or counters; nobody outside chooses them.
#[derive(Clone, Copy, Debug, Default)]
struct Mix(u64);

// === impl MarkKey, Mark, Kind ===

impl MarkKey {
    pub(crate) fn of(target: Target) -> Self {
        Self { id: target.id_bytes(), level: target.level() as u8 }
    }

    fn level(self) -> Level {
        let level = Level::ALL.into_iter().find(|level| *level as u8 == self.level);
        level.expect("made of a level")
    }

    fn shard(self) -> usize {
        (Mix::default().hash_one(self) >> 24) as usize % SHARDS
    }
}

impl std::hash::Hash for MarkKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let whole = u128::from_be_bytes(self.id);
        state.write_u64((whole >> 64) as u64);
        state.write_u64(whole as u64 ^ u64::from(self.level) << 56);
    }
}

impl Mark {
    fn new(below: u64, drop_after: Option<Timestamp>) -> Self {
        let drop_after = drop_after.map_or(NEVER, |at| {
            // Beyond what 32 bits hold it is kept for good, which is the safe side.
            u32::try_from(at.as_seconds().saturating_add(1).max(0)).unwrap_or(NEVER)
        });
        Self { below: [(below >> 32) as u32, below as u32], drop_after }
    }

    fn below(self) -> u64 {
        u64::from(self.below[0]) << 32 | u64::from(self.below[1])
    }

    /// The higher watermark and the later end of both.
    fn join(self, other: Self) -> Self {
        let higher = if self.below() >= other.below() { self } else { other };
        Self { drop_after: self.drop_after.max(other.drop_after), ..higher }
    }

    fn is_over(self, now: Timestamp) -> bool {
        self.drop_after != NEVER && i64::from(self.drop_after) <= now.as_seconds()
    }
}

impl Kind {
    fn of(level: Level) -> Self {
        match level {
            Level::Token | Level::Task => Self::Own,
            Level::Subject
            | Level::Workload
            | Level::Connector
            | Level::Tenant
            | Level::Owner
            | Level::Model
            | Level::SigningKey
            | Level::PolicyRevision => Self::Shared,
        }
    }
}

// === impl Marks ===

impl Marks {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            len: AtomicUsize::new(0),
            own: Raised::default(),
            shared: Raised::default(),
        }
    }

    /// Raises watermarks. Readers may not see it before [`Marks::publish`].
    pub(crate) fn join(&self, entries: &[Entry], order: impl Fn(u64) -> u64) {
        for entry in entries {
            let key = MarkKey { id: entry.id, level: entry.level as u8 };
            let below = order(entry.below_sequence);
            let mark = Mark::new(below, entry.drop_after);
            let mut shard = self.shards[key.shard()].write();
            match shard.get_mut(&key) {
                Some(known) => *known = known.join(mark),
                None => {
                    shard.insert(key, mark);
                    self.len.fetch_add(1, Ordering::Relaxed);
                }
            }
            drop(shard);
            self.raised(Kind::of(entry.level)).highest.fetch_max(below, Ordering::Release);
        }
    }

    /// Makes what was joined count for every check that starts from now on.
    pub(crate) fn publish(&self, entries: &[Entry]) {
        for kind in [Kind::Own, Kind::Shared] {
            if entries.iter().any(|entry| Kind::of(entry.level) == kind) {
                self.raised(kind).generation.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// How many of these have no watermark yet.
    pub(crate) fn missing(&self, entries: &[Entry]) -> usize {
        let key = |entry: &Entry| MarkKey { id: entry.id, level: entry.level as u8 };
        let is_known = |key: MarkKey| self.shards[key.shard()].read().contains_key(&key);
        entries.iter().filter(|entry| !is_known(key(entry))).count()
    }

    /// How many times something of this kind was raised.
    pub(crate) fn generation(&self, kind: Kind) -> u64 {
        self.raised(kind).generation.load(Ordering::Acquire)
    }

    /// The first of these levels by which a decision of this order is dead.
    pub(crate) fn covering(&self, kind: Kind, keys: &[MarkKey], order: u64) -> Option<Level> {
        if order > self.raised(kind).highest.load(Ordering::Acquire) {
            return None;
        }
        keys.iter().find(|key| self.covers(**key, order)).map(|key| key.level())
    }

    fn covers(&self, key: MarkKey, order: u64) -> bool {
        self.shards[key.shard()].read().get(&key).is_some_and(|mark| order <= mark.below())
    }

    fn raised(&self, kind: Kind) -> &Raised {
        match kind {
            Kind::Own => &self.own,
            Kind::Shared => &self.shared,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Forgets what is over in the `turn`-th shard, counted round and round. The caller has made sure
    /// that no check ever takes the time to be before `now` again.
    pub(crate) fn forget(&self, turn: usize, now: Timestamp) {
        let mut shard = self.shards[turn % SHARDS].write();
        let before = shard.len();
        shard.retain(|_, mark| !mark.is_over(now));
        self.len.fetch_sub(before - shard.len(), Ordering::Relaxed);
        if shard.capacity() > 4 * shard.len().max(64) {
            shard.shrink_to_fit();
        }
    }

    /// The same of every shard.
    pub(crate) fn forget_everywhere(&self, now: Timestamp) {
        (0..SHARDS).for_each(|turn| self.forget(turn, now));
    }
}

// === impl Mix ===

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    /// Folds the 128-bit product, so that every bit of what came in reaches every bit that goes out.
    fn write_u64(&mut self, n: u64) {
        let product = u128::from(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15) * 0xda94_2042_e4dd_58b5_u128;
        self.0 = (product >> 64) as u64 ^ (product as u64).rotate_left(29);
    }
}

impl BuildHasher for Mix {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

#[cfg(test)]
mod tests {
    use locum_model::{TaskId, WorkloadNo};

    use super::*;

    fn entry(target: Target, below_sequence: u64, drop_after: i64) -> Entry {
        Entry {
            level: target.level(),
            id: target.id_bytes(),
            below_sequence,
            drop_after: Some(Timestamp::from_seconds(drop_after)),
        }
    }

    fn covers(marks: &Marks, target: Target, order: u64) -> bool {
        let key = MarkKey::of(target);
        marks.covering(Kind::of(target.level()), &[key], order) == Some(target.level())
    }

    #[test]
    fn marks_only_rise() {
        let (marks, target) = (Marks::new(), Target::Workload(WorkloadNo(7)));
        for (below, highest) in [(5, 5), (3, 5), (9, 9), (0, 9)] {
            marks.join(&[entry(target, below, 100)], |sequence| sequence);
            assert!(covers(&marks, target, highest) && !covers(&marks, target, highest + 1), "{below}");
        }
        assert_eq!(marks.len(), 1);
        assert!(!covers(&marks, Target::Workload(WorkloadNo(8)), 1));
        assert!(!covers(&marks, Target::Task(TaskId::from_u64(7)), 1), "the level is part of the key");
    }

    #[test]
    fn an_end_is_kept_at_its_latest_and_never_rounded_down() {
        let (marks, target) = (Marks::new(), Target::Task(TaskId::new(1, 1)));
        marks.join(&[entry(target, 5, 100), entry(target, 4, 50)], |sequence| sequence);
        for (now, kept) in [(99_999, true), (100_000, true), (100_999, true), (101_000, false)] {
            marks.forget_everywhere(Timestamp::from_millis(now));
            assert_eq!(covers(&marks, target, 5), kept, "{now}");
        }
        assert_eq!(marks.len(), 0);
        let never = Entry { drop_after: None, level: Level::SigningKey, ..entry(target, 5, 0) };
        let far = entry(target, 5, i64::MAX / 2000);
        marks.join(&[never, far], |sequence| sequence);
        marks.forget_everywhere(Timestamp::from_millis(i64::MAX));
        assert_eq!(marks.len(), 2);
    }

    #[test]
    fn only_the_kind_that_was_raised_is_counted() {
        let marks = Marks::new();
        let counted = || (marks.generation(Kind::Own), marks.generation(Kind::Shared));
        let own = [entry(Target::Task(TaskId::new(1, 1)), 5, 100)];
        marks.join(&own, |sequence| sequence);
        assert_eq!(counted(), (0, 0));
        marks.publish(&own);
        assert_eq!(counted(), (1, 0));
        marks.publish(&[entry(Target::Workload(WorkloadNo(7)), 5, 100)]);
        assert_eq!(counted(), (1, 1));
    }

    #[test]
    fn ids_that_count_spread_over_the_shards() {
        let shards = (0..4096).map(|n| MarkKey::of(Target::Task(TaskId::new(1, n))).shard());
        let mut filled = [0_usize; SHARDS];
        shards.for_each(|shard| filled[shard] += 1);
        assert!(filled.iter().all(|count| (1..=48).contains(count)), "{filled:?}");
    }

    #[test]
    fn a_slot_has_32_bytes() {
        assert_eq!(size_of::<(MarkKey, Mark)>(), 32);
    }
}
