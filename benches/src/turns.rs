//! [`in_turn`]: contenders that take turns in many short rounds, so that whatever else the machine is
//! doing slows them alike.

use std::time::Instant;

/// What each contender took in each round, in nanoseconds a call.
#[derive(Clone, Debug)]
pub struct Turns {
    spans: Vec<Vec<f64>>,
}

/// What goes over the cases of a turn.
pub type Contender<'a, C> = &'a mut dyn FnMut(&[C]);

/// Runs `rounds` rounds, a different contender first in each. `prepare` makes the cases of one
/// contender's turn, fresh ones so that none finds what another has brought near; it is not measured.
///
/// # Panics
///
/// When there are no rounds or no cases.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn in_turn<C>(
    rounds: usize,
    mut prepare: impl FnMut(usize) -> Vec<C>,
    contenders: &mut [Contender<'_, C>],
) -> Turns {
    let mut spans = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let cases = prepare(round);
            assert!(!cases.is_empty(), "a round has cases");
            let at = (round + turn) % contenders.len();
            let begun = Instant::now();
            contenders[at](&cases);
            spans[at].push(begun.elapsed().as_nanos() as f64 / cases.len() as f64);
        }
    }
    Turns { spans }
}

// === impl Turns ===

impl Turns {
    /// What one contender took: the median of its rounds, in nanoseconds a call.
    pub fn median(&self, contender: usize) -> f64 {
        middle(self.spans[contender].clone())
    }

    /// What is left of one contender's time after another's of the same round: the median.
    pub fn beyond(&self, contender: usize, part: usize) -> f64 {
        let rounds = self.spans[contender].iter().zip(&self.spans[part]);
        middle(rounds.map(|(whole, part)| whole - part).collect())
    }
}

/// The middle of some figures.
///
/// # Panics
///
/// When there is none.
pub fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The figure that `share` of the figures are at or below, such as 0.99.
///
/// # Panics
///
/// When there is none.
pub fn quantile(figures: &mut [u64], share: f64) -> u64 {
    figures.sort_unstable();
    let at = (figures.len() as f64 * share) as usize;
    figures[at.min(figures.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_goes_over_every_case_of_every_round() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let turns = in_turn(
            3,
            |round| vec![round, round],
            &mut [&mut |cases| first.extend_from_slice(cases), &mut |cases| second.extend_from_slice(cases)],
        );
        assert_eq!((first, second), (vec![0, 0, 1, 1, 2, 2], vec![0, 0, 1, 1, 2, 2]));
        assert!(turns.median(0) > 0.0 && turns.median(1) > 0.0);
    }

    #[test]
    fn figures_are_picked_by_rank() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&mut (1..=1000).rev().collect::<Vec<_>>(), 0.99), 991);
        assert_eq!(quantile(&mut [5], 0.999), 5);
    }
}
