//! [`Homes`]: positions as one running integer, the *order*, so that "at or below" is one compare.
//!
//! Within a home the sequence alone orders events (`locum_model::position`), so the order of a
//! position is its sequence. Should the fold ever meet another home (an accepted restore), that
//! home's sequences count on from the highest order so far: whatever came before stays before.

use locum_model::Position;

/// The largest order: 48 bits, as sequences have.
pub(crate) const ORDER_MAX: u64 = (1 << 48) - 1;

/// The homes met so far, each with what is added to its sequences.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    met: Vec<(u16, u64)>,
    newest: u64,
}

impl Homes {
    /// The order of the event now being folded.
    pub(crate) fn enter(&mut self, position: Position) -> u64 {
        if self.met.last().is_none_or(|(home, _)| *home != position.home) {
            self.met.push((position.home, self.newest));
        }
        let order = self.order(position).unwrap_or(ORDER_MAX);
        self.newest = self.newest.max(order);
        order
    }

    /// The order of a position of a home that was met; none for any other home.
    pub(crate) fn order(&self, position: Position) -> Option<u64> {
        let (_, added) = self.met.iter().rev().find(|(home, _)| *home == position.home)?;
        Some(position.sequence.saturating_add(*added).min(ORDER_MAX))
    }

    /// The order of a decision that the event at `order` carries.
    ///
    /// A decision cannot have read its own event or a later one: such a claim is cut back, or it
    /// would outlive revocations to come. One of an unknown home is the oldest of all.
    pub(crate) fn decision(&self, decided_at: Position, order: u64) -> u64 {
        self.order(decided_at).unwrap_or(0).min(order.saturating_sub(1))
    }

    /// The newest order so far.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(home: u16, epoch: u32, sequence: u64) -> Position {
        Position { home, epoch, sequence }
    }

    #[test]
    fn within_a_home_the_order_is_the_sequence_whatever_the_epoch() {
        let mut homes = Homes::default();
        assert_eq!(homes.enter(at(1, 1, 5)), 5);
        assert_eq!(homes.enter(at(1, 2, 6)), 6);
        assert_eq!(homes.order(at(1, 9, 4)), Some(4));
    }

    #[test]
    fn another_home_comes_after_everything_before_it() {
        let mut homes = Homes::default();
        homes.enter(at(1, 1, 500));
        assert_eq!(homes.enter(at(2, 1, 1)), 501);
        assert_eq!(homes.order(at(1, 1, 500)), Some(500));
        assert_eq!(homes.newest(), 501);
    }

    #[test]
    fn a_decision_is_never_newer_than_what_it_could_have_read() {
        let mut homes = Homes::default();
        let order = homes.enter(at(1, 1, 10));
        for (decided_at, expected) in
            [(at(1, 1, 9), 9), (at(1, 1, 10), 9), (at(1, 1, u64::MAX), 9), (at(1, 1, 0), 0), (at(7, 1, 9), 0)]
        {
            assert_eq!(homes.decision(decided_at, order), expected, "{decided_at}");
        }
    }
}
