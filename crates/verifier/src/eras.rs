//! [`Eras`]: the homes and epochs that were followed, one after another, so that "at or below" is one
//! compare over all of them.
//!
//! The order of a position is the rank of its era, then its sequence. An entry of a newer era kills
//! whatever was decided in an older one; an entry of an older era kills nothing of a newer one. An
//! era that was left is never entered again.

use locum_model::Position;
use locum_model::limits::VERIFIER_ERAS_MAX;

/// Sequences have 48 bits; ranks stand above them.
const SEQUENCE_BITS: u32 = 48;
const SEQUENCE_MAX: u64 = (1 << SEQUENCE_BITS) - 1;
const _: () = assert!(VERIFIER_ERAS_MAX < 1 << 16);

/// A home and an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era {
    pub(crate) home: u16,
    pub(crate) epoch: u32,
}

/// The eras in the order in which they were entered; the last is the one followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Eras(Vec<Era>);

impl Eras {
    /// Whether an era may be entered: not when it was left, when a newer epoch of its home was entered,
    /// or when there were too many.
    pub(crate) fn may_enter(&self, era: Era) -> bool {
        let Some(last) = self.current() else { return true };
        let was_met = self.0.iter().any(|met| met.home == era.home);
        let onward = if last.home == era.home { era.epoch > last.epoch } else { !was_met };
        #[cfg(bug_zoo)]
        let onward =
            onward || locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedEpochEnteredAgain);
        era == last || (onward && self.0.len() < VERIFIER_ERAS_MAX)
    }

    /// Enters an era that may be entered.
    pub(crate) fn enter(&mut self, era: Era) {
        assert!(self.may_enter(era), "an era is asked for before it is entered");
        if self.current() != Some(era) {
            self.0.push(era);
        }
    }

    /// The era that is followed.
    pub(crate) fn current(&self) -> Option<Era> {
        self.0.last().copied()
    }

    /// The order of a sequence in the era that is followed.
    pub(crate) fn order_now(&self, sequence: u64) -> u64 {
        order(self.0.len(), sequence)
    }

    /// The order of a decision; none when it was made where nobody here has followed.
    ///
    /// A decision of an epoch that was passed by is older than everything of the epoch after it.
    pub(crate) fn place(&self, decided_at: Position) -> Option<u64> {
        let Position { home, epoch, sequence } = decided_at;
        let at = self.0.iter().position(|met| met.home == home && met.epoch >= epoch)?;
        Some(order(at + 1, if self.0[at].epoch == epoch { sequence } else { 0 }))
    }
}

fn order(rank: usize, sequence: u64) -> u64 {
    (rank as u64) << SEQUENCE_BITS | sequence.min(SEQUENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eras(entered: &[(u16, u32)]) -> Eras {
        let mut eras = Eras::default();
        entered.iter().for_each(|&(home, epoch)| eras.enter(Era { home, epoch }));
        eras
    }

    fn at(home: u16, epoch: u32, sequence: u64) -> Position {
        Position { home, epoch, sequence }
    }

    #[test]
    fn an_era_that_was_left_is_not_entered_again() {
        for (entered, home, epoch, may) in [
            (&[][..], 1, 0, true),
            (&[(1, 2)], 1, 2, true),
            (&[(1, 2)], 1, 3, true),
            (&[(1, 2)], 2, 1, true),
            (&[(1, 2)], 1, 1, false),
            (&[(1, 2), (1, 5)], 1, 3, false),
            (&[(1, 2), (1, 5)], 1, 2, false),
            (&[(1, 2), (2, 1)], 1, 2, false),
            (&[(1, 2), (2, 1)], 1, 3, false),
        ] {
            assert_eq!(eras(entered).may_enter(Era { home, epoch }), may, "{entered:?} {home}.{epoch}");
        }
        let many: Vec<_> = (0..VERIFIER_ERAS_MAX as u32).map(|epoch| (1, epoch)).collect();
        assert!(!eras(&many).may_enter(Era { home: 1, epoch: u32::MAX }));
    }

    #[test]
    fn newer_eras_kill_older_decisions_and_never_the_reverse() {
        let first = eras(&[(1, 2)]);
        let below = first.order_now(100);
        assert!(first.place(at(1, 2, 100)).is_some_and(|order| order <= below));
        assert!(first.place(at(1, 2, 101)).is_some_and(|order| order > below));
        assert_eq!(first.place(at(1, 1, 999)), Some(first.order_now(0)), "an epoch that was passed by");
        assert_eq!(first.place(at(1, 3, 1)), None, "an epoch to come");
        assert_eq!(first.place(at(2, 1, 1)), None, "another home");
        let then = eras(&[(1, 2), (1, 5), (7, 1)]);
        assert!(then.place(at(1, 2, 1 << 40)) < then.place(at(1, 5, 0)));
        assert_eq!(then.place(at(1, 4, 1 << 40)), then.place(at(1, 5, 0)));
        assert!(then.place(at(1, 4, 0)) > Some(below), "an older era's entries do not reach it");
        assert!(then.place(at(7, 1, 9)) > then.place(at(1, 5, SEQUENCE_MAX)));
        assert_eq!(then.order_now(u64::MAX), then.order_now(SEQUENCE_MAX));
    }
}
