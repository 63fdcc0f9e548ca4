//! [`Row`]: what the table keeps of one token, 64 bytes with its key.
//!
//! Everything that the token's own claims tell, or that its standing and its task tell, is left
//! out. Nothing here is state but `decided`, `exp`, the standing, the task and the two flags: the
//! memo and the checks start empty after a restart.

use locum_model::{Digest, Timestamp};

use crate::answer::CheckOutcome;
use crate::checks::{Checks, Summed};
use crate::hashing::{RowKey, Tag};
use crate::order::ORDER_MAX;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Task slots use the bits below the two flags.
pub(crate) const TASK_SLOTS_MAX: u32 = 1 << 25;
const REVOKED: u32 = 1 << 31;
const LIMITED: u32 = 1 << 30;
const SLOT: u32 = LIMITED - 1;
const LIFE_BITS: u32 = 16;

// A row and its key fill one cache line.
#[cfg(not(shuttle))]
const _: () = assert!(size_of::<RowCell>() == 64);

/// The memo of an empty cell; no token is recognised by it.
const EMPTY: Digest = Digest([0; 2]);

/// What a check reads of one token, copied out of its [`RowCell`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// All zero while empty.
    memo: Digest,
    /// The decision's order (48 bits), then its life in seconds (16 bits, saturating).
    decided_and_life: u64,
    exp: u32,
    /// Slot of the task, and the flags.
    task: u32,
    standing: u32,
}

/// One token where it is kept. [`crate::rows`] says who may touch what.
#[derive(Debug, Default)]
#[cfg_attr(not(shuttle), repr(C, align(64)))]
pub(crate) struct RowCell {
    tag: AtomicU64,
    low: AtomicU64,
    memo: [AtomicU64; 2],
    decided_and_life: AtomicU64,
    exp: AtomicU32,
    task: AtomicU32,
    standing: AtomicU32,
    active: AtomicU32,
    checks: Checks,
}

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow {
    /// The order of its decision.
    pub(crate) decided: u64,
    /// Until when, exclusive.
    pub(crate) expires_at: Timestamp,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
    /// Its interned standing.
    pub(crate) standing: u32,
    /// The slot of its task.
    pub(crate) task: u32,
    /// Whether its uses are counted.
    pub(crate) limited: bool,
}

// === impl Row ===

impl Row {
    /// A row without memo or checks.
    pub(crate) fn new(new: NewRow) -> Self {
        debug_assert!(new.decided <= ORDER_MAX && new.task < TASK_SLOTS_MAX, "both fit their bits");
        let exp = exp_seconds(new.expires_at);
        let life = i64::from(exp).saturating_sub(new.issued_at.as_seconds());
        let life = u16::try_from(life.max(0)).unwrap_or(u16::MAX);
        Self {
            memo: EMPTY,
            decided_and_life: new.decided << LIFE_BITS | u64::from(life),
            exp,
            standing: new.standing,
            task: new.task | if new.limited { LIMITED } else { 0 },
        }
    }

    /// Whether `digest` is that of this token, byte for byte.
    pub(crate) fn recognises(&self, digest: Digest) -> bool {
        self.memo.is(digest) & !self.memo.is(EMPTY)
    }

    /// The order of its decision.
    pub(crate) fn decided(&self) -> u64 {
        self.decided_and_life >> LIFE_BITS
    }

    /// The second from which it is dead.
    pub(crate) fn exp(&self) -> u32 {
        self.exp
    }

    /// The moment from which it is dead.
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.exp))
    }

    /// When it was issued, in whole seconds.
    pub(crate) fn issued_at(&self) -> Timestamp {
        let life = self.decided_and_life & u64::from(u16::MAX);
        Timestamp::from_seconds(i64::from(self.exp) - i64::try_from(life).expect("a life has 16 bits"))
    }

    /// Its interned standing.
    pub(crate) fn standing(&self) -> u32 {
        self.standing
    }

    /// The slot of its task.
    pub(crate) fn task(&self) -> u32 {
        self.task & SLOT
    }

    /// Whether it was revoked by its own id.
    pub(crate) fn is_revoked(&self) -> bool {
        self.task & REVOKED != 0
    }

    /// Whether its uses are counted.
    pub(crate) fn is_limited(&self) -> bool {
        self.task & LIMITED != 0
    }

    /// Whether it has any flag: revoked by its own id, or limited.
    pub(crate) fn is_marked(&self) -> bool {
        self.task & (REVOKED | LIMITED) != 0
    }
}

// === impl RowCell ===

impl RowCell {
    /// What stands at the front: a row's tag, or that there is none.
    pub(crate) fn tag(&self) -> Tag {
        Tag::from_number(self.tag.load(Ordering::Acquire))
    }

    /// The key of the row in this place; none where there is none.
    pub(crate) fn key(&self) -> Option<RowKey> {
        let tag = self.tag();
        tag.is_of_a_row().then(|| RowKey::from_halves(tag, self.low.load(Ordering::Relaxed)))
    }

    /// Whether the row here, of which the tag is known to be the key's, is this key's.
    pub(crate) fn is(&self, key: RowKey) -> bool {
        self.low.load(Ordering::Relaxed) == key.low()
    }

    /// Whether the row here is this key's.
    pub(crate) fn has(&self, key: RowKey) -> bool {
        self.tag() == key.tag() && self.is(key)
    }

    /// What a check reads. Whole only while the row stays.
    pub(crate) fn read(&self) -> Row {
        Row {
            memo: Digest(self.memo.each_ref().map(|half| half.load(Ordering::Relaxed))),
            decided_and_life: self.decided_and_life.load(Ordering::Relaxed),
            exp: self.exp.load(Ordering::Relaxed),
            task: self.task.load(Ordering::Acquire),
            standing: self.standing.load(Ordering::Relaxed),
        }
    }

    /// Puts a row into this free place, its tag last. The writer.
    pub(crate) fn publish(&self, key: RowKey, row: &Row) {
        self.active.store(0, Ordering::Relaxed);
        self.checks.clear();
        self.write(key, row);
    }

    /// Copies the row of this place, checks included, into another that nobody sees yet.
    pub(crate) fn move_to(&self, other: &Self, key: RowKey) {
        other.active.store(self.active.load(Ordering::Relaxed), Ordering::Relaxed);
        other.checks.copy(&self.checks);
        other.write(key, &self.read());
    }

    fn write(&self, key: RowKey, row: &Row) {
        self.low.store(key.low(), Ordering::Relaxed);
        self.store_memo(row.memo);
        self.decided_and_life.store(row.decided_and_life, Ordering::Relaxed);
        self.exp.store(row.exp, Ordering::Relaxed);
        self.task.store(row.task, Ordering::Relaxed);
        self.standing.store(row.standing, Ordering::Relaxed);
        self.tag.store(key.tag().number(), Ordering::Release);
    }

    /// Leaves `mark` in the place of a row. The writer, with the gate.
    pub(crate) fn clear(&self, mark: Tag) {
        self.tag.store(mark.number(), Ordering::Relaxed);
    }

    /// Revokes it by its own id. The writer.
    pub(crate) fn revoke(&self) {
        self.task.fetch_or(REVOKED, Ordering::AcqRel);
    }

    /// Fills the memo. With the gate held shared.
    ///
    /// Of two that fill it at once one half of each may stay: that recognises neither token.
    pub(crate) fn remember(&self, digest: Digest) {
        self.store_memo(digest);
    }

    fn store_memo(&self, digest: Digest) {
        for (cell, half) in self.memo.iter().zip(digest.0) {
            cell.store(half, Ordering::Relaxed);
        }
    }

    /// Adds a check. With the gate held shared.
    pub(crate) fn note(&self, now: Timestamp, outcome: CheckOutcome) {
        self.checks.note(&self.active, self.exp.load(Ordering::Relaxed), now, outcome);
    }

    /// Takes the checks noted so far. With the gate held alone, so that none is lost.
    pub(crate) fn take_checks(&self) -> Option<Summed> {
        self.checks.take(&self.active, self.exp.load(Ordering::Relaxed))
    }
}

/// The second from which a token is dead. Part of a second is cut off, and a time outside 1970 to
/// 2106 becomes the nearer end: never later than what was decided, but for times before 1970, which
/// are past in any case.
pub(crate) fn exp_seconds(expires_at: Timestamp) -> u32 {
    u32::try_from(expires_at.as_seconds().max(0)).unwrap_or(u32::MAX)
}

/// The last second that has wholly begun at `now`; rows of it and of earlier ones are due.
pub(crate) fn due_second(now: Timestamp) -> u32 {
    exp_seconds(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(exp: i64) -> Row {
        Row::new(NewRow {
            decided: ORDER_MAX,
            expires_at: Timestamp::from_seconds(exp),
            issued_at: Timestamp::from_seconds(exp - 120),
            standing: u32::MAX,
            task: TASK_SLOTS_MAX - 1,
            limited: true,
        })
    }

    fn cell_of(row: &Row) -> RowCell {
        let cell = RowCell::default();
        assert_eq!(cell.key(), None);
        let key = RowKey::of(locum_model::TokenId([7; 16]));
        cell.publish(key, row);
        assert_eq!(cell.key(), Some(key));
        cell
    }

    #[test]
    fn a_row_gives_back_what_went_in_at_the_ends_of_its_bits() {
        let row = row(1_795_305_279);
        assert_eq!((row.decided(), row.standing(), row.task()), (ORDER_MAX, u32::MAX, TASK_SLOTS_MAX - 1));
        assert_eq!(row.issued_at(), Timestamp::from_seconds(1_795_305_159));
        assert!(row.is_limited() && !row.is_revoked());
        let cell = cell_of(&row);
        cell.revoke();
        let row = cell.read();
        assert!(row.is_limited() && row.is_revoked());
        assert_eq!(row.task(), TASK_SLOTS_MAX - 1);
    }

    #[test]
    fn an_empty_memo_recognises_nothing_not_even_itself() {
        let row = row(100);
        assert!(!row.recognises(Digest([1, 2])));
        assert!(!row.recognises(EMPTY));
        let cell = cell_of(&row);
        cell.remember(Digest([1, 2]));
        let row = cell.read();
        assert!(row.recognises(Digest([1, 2])));
        for other in [Digest([2, 1]), Digest([1, 0]), Digest([0, 2]), Digest([1, 3]), EMPTY] {
            assert!(!row.recognises(other), "{other:?}");
        }
    }

    #[test]
    fn part_of_a_second_is_never_granted() {
        for (millis, seconds) in [(1_999, 1), (1_000, 1), (-1, 0), (i64::MAX, u32::MAX)] {
            assert_eq!(exp_seconds(Timestamp::from_millis(millis)), seconds, "{millis}");
        }
    }
}
