//! [`Checks`]: how often a token was checked, in twelve bytes of its row.
//!
//! Times are kept as milliseconds within a window of 2^20 ms (about 17.5 minutes) that ends one
//! minute after the token's expiry. Every check that can come out active falls inside, because no
//! token lives longer than `TOKEN_TTL_MAX`; a check outside is recorded at the window's nearer
//! end. Counts saturate: 2^32 active ones, 2^24 refused ones.

use locum_model::event::ChecksSummed;
use locum_model::{TaskId, Timestamp, TokenId};

use crate::answer::CheckOutcome;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const OFFSET_BITS: u32 = 20;
const OFFSET_MAX: u64 = (1 << OFFSET_BITS) - 1;
const REFUSED_MAX: u64 = (1 << 24) - 1;
/// The window ends this long after expiry.
const WINDOW_AFTER_EXPIRY_MS: i64 = 60_000;

/// The aggregate of one row. Shared: many threads add, under the shard's gate, held shared.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// From the top: refused (24 bits), last (20), first (20). Zero while never checked; offsets
    /// count from 1 so that no check is mistaken for none.
    span: AtomicU64,
}

/// What [`Checks`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summed {
    /// The first check.
    pub(crate) first: Timestamp,
    /// The last check.
    pub(crate) last: Timestamp,
    /// Active ones.
    pub(crate) active: u32,
    /// Refused ones.
    pub(crate) refused: u32,
}

// === impl Summed ===

impl Summed {
    /// The sum of this token, which is for this task.
    pub(crate) fn of(self, jti: TokenId, task: TaskId) -> ChecksSummed {
        let Self { first, last, active, refused } = self;
        ChecksSummed { jti, task, first, last, active, refused }
    }
}

// === impl Checks ===

impl Checks {
    /// Adds one check of a token that expires at `exp` (seconds). `active` lies beside it in the row.
    pub(crate) fn note(&self, active: &AtomicU32, exp: u32, now: Timestamp, outcome: CheckOutcome) {
        let offset = offset(exp, now);
        let refused = u64::from(outcome == CheckOutcome::Refused);
        let merge = |span| Some(merged(span, offset, refused));
        // Relaxed: only sums and extremes, which no other memory depends on.
        let _ = self.span.fetch_update(Ordering::Relaxed, Ordering::Relaxed, merge);
        if outcome == CheckOutcome::Active && active.fetch_add(1, Ordering::Relaxed) == u32::MAX {
            active.store(u32::MAX, Ordering::Relaxed);
        }
    }

    /// Starts again.
    pub(crate) fn clear(&self) {
        self.span.store(0, Ordering::Relaxed);
    }

    /// Goes on where another stands. Nobody adds to either meanwhile.
    pub(crate) fn copy(&self, other: &Self) {
        self.span.store(other.span.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Takes the sum and starts again; none when never checked. Nobody adds meanwhile.
    pub(crate) fn take(&self, active: &AtomicU32, exp: u32) -> Option<Summed> {
        let span = self.span.swap(0, Ordering::Relaxed);
        let active = active.swap(0, Ordering::Relaxed);
        if span == 0 {
            return None;
        }
        let (refused, last, first) = parts(span);
        let at = |offset: u64| {
            let offset = i64::try_from(offset).expect("an offset has 20 bits");
            Timestamp::from_millis(window_start(exp) + offset)
        };
        let refused = u32::try_from(refused).expect("a count of refusals has 24 bits");
        Some(Summed { first: at(first), last: at(last), active, refused })
    }
}

fn parts(span: u64) -> (u64, u64, u64) {
    (span >> (2 * OFFSET_BITS), span >> OFFSET_BITS & OFFSET_MAX, span & OFFSET_MAX)
}

fn merged(span: u64, offset: u64, refused: u64) -> u64 {
    let (before, last, first) = parts(span);
    let first = if span == 0 { offset } else { first.min(offset) };
    let refused = (before + refused).min(REFUSED_MAX);
    refused << (2 * OFFSET_BITS) | last.max(offset) << OFFSET_BITS | first
}

/// The moment of offset 0, in milliseconds.
fn window_start(exp: u32) -> i64 {
    i64::from(exp) * 1000 + WINDOW_AFTER_EXPIRY_MS - (OFFSET_MAX as i64)
}

fn offset(exp: u32, now: Timestamp) -> u64 {
    let since_start = now.as_millis().saturating_sub(window_start(exp));
    u64::try_from(since_start).unwrap_or(0).clamp(1, OFFSET_MAX)
}

#[cfg(test)]
mod tests {
    use locum_model::limits::TOKEN_TTL_MAX;
    use proptest::prelude::*;

    use super::*;

    const EXP: u32 = 1_795_305_279;

    fn summed(checks: &[(i64, CheckOutcome)]) -> Option<Summed> {
        let (cell, active) = (Checks::default(), AtomicU32::new(0));
        for (millis, outcome) in checks {
            cell.note(&active, EXP, Timestamp::from_millis(*millis), *outcome);
        }
        let sum = cell.take(&active, EXP);
        assert_eq!(cell.take(&active, EXP), None, "taking starts again");
        sum
    }

    proptest! {
        #[test]
        fn the_sum_is_what_was_noted(
            noted in prop::collection::vec((0..=960_000_i64, prop::bool::ANY), 0..50),
        ) {
            let start = i64::from(EXP) * 1000 - i64::try_from(TOKEN_TTL_MAX.as_millis()).expect("small");
            let outcome = |active| if active { CheckOutcome::Active } else { CheckOutcome::Refused };
            let checks: Vec<_> = noted.iter().map(|(at, active)| (start + at, outcome(*active))).collect();
            let count = |sought| u32::try_from(checks.iter().filter(|(_, o)| *o == sought).count()).expect("few");
            let expected = checks.iter().map(|(at, _)| *at).min().map(|first| Summed {
                first: Timestamp::from_millis(first),
                last: Timestamp::from_millis(checks.iter().map(|(at, _)| *at).max().expect("not empty")),
                active: count(CheckOutcome::Active),
                refused: count(CheckOutcome::Refused),
            });
            prop_assert_eq!(summed(&checks), expected);
        }
    }

    #[test]
    fn a_check_outside_the_window_is_kept_at_its_nearer_end() {
        let sum =
            summed(&[(i64::MIN, CheckOutcome::Refused), (i64::MAX, CheckOutcome::Active)]).expect("checked");
        assert_eq!(sum.last, Timestamp::from_seconds(i64::from(EXP) + 60));
        assert!(sum.first < Timestamp::from_seconds(i64::from(EXP) - 900));
        assert_eq!((sum.active, sum.refused), (1, 1));
    }

    #[test]
    fn counts_saturate() {
        let full = merged(REFUSED_MAX << (2 * OFFSET_BITS) | 1, 5, 1);
        assert_eq!(parts(full), (REFUSED_MAX, 5, 1));
        let (cell, active) = (Checks::default(), AtomicU32::new(u32::MAX));
        cell.note(&active, EXP, Timestamp::from_seconds(0), CheckOutcome::Active);
        assert_eq!(cell.take(&active, EXP).map(|sum| sum.active), Some(u32::MAX));
    }
}
