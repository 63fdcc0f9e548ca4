//! [`Times`]: when a partition's entries came, to tell since when somebody lacks one.
//!
//! A bounded list of spans. The newest spans are one entry each; the older they are, the more entries are
//! joined in one, which counts from its first. So a lag is never told too short, and soon exactly.

use std::collections::VecDeque;

use locum_model::Timestamp;

/// Spans that are kept: 1 KiB for each partition at most.
const SPANS_MAX: usize = 64;

/// When entries came, oldest first.
#[derive(Debug, Default)]
pub(super) struct Times(VecDeque<Span>);

/// Entries that came one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// When the first of them came.
    since: Timestamp,
    /// The sequence of the last of them.
    until: u64,
}

// === impl Times ===

impl Times {
    /// Notes that an event had an entry.
    pub(super) fn push(&mut self, sequence: u64, at: Timestamp) {
        if self.0.len() == SPANS_MAX {
            self.join_older_half();
        }
        self.0.push_back(Span { since: at, until: sequence });
    }

    /// The sequence of the newest entry; 0 before any.
    pub(super) fn newest(&self) -> u64 {
        self.0.back().map_or(0, |span| span.until)
    }

    /// Since when somebody lacks something who has everything up to `sequence`; none for who has all.
    pub(super) fn lacked_since(&self, sequence: u64) -> Option<Timestamp> {
        let first = self.0.partition_point(|span| span.until <= sequence);
        self.0.get(first).map(|span| span.since)
    }

    /// Joins two and two of the older spans.
    fn join_older_half(&mut self) {
        let newer = self.0.split_off(SPANS_MAX / 2);
        let older = std::mem::take(&mut self.0);
        let pairs = older.iter().step_by(2).zip(older.iter().skip(1).step_by(2));
        self.0 = pairs.map(|(first, second)| Span { since: first.since, until: second.until }).collect();
        self.0.extend(newer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Timestamp {
        Timestamp::from_millis(1_000 + sequence.cast_signed())
    }

    #[test]
    fn a_lag_counts_from_the_first_entry_that_is_lacked() {
        let mut times = Times::default();
        assert_eq!((times.newest(), times.lacked_since(0)), (0, None));
        [3, 5, 9].into_iter().for_each(|sequence| times.push(sequence, at(sequence)));
        assert_eq!(times.newest(), 9);
        for (has, lacks) in [(0, Some(3)), (2, Some(3)), (3, Some(5)), (4, Some(5)), (8, Some(9)), (9, None)]
        {
            assert_eq!(times.lacked_since(has), lacks.map(at), "{has}");
        }
    }

    #[test]
    fn it_is_bounded_and_a_lag_is_never_told_too_short() {
        let mut times = Times::default();
        for newest in 1..5_000_u64 {
            times.push(newest, at(newest));
            assert!(times.0.len() <= SPANS_MAX);
            let some = [0, 1, newest / 3, newest / 2, newest.saturating_sub(40), newest - 1];
            for has in some.into_iter().filter(|has| *has < newest) {
                let since = times.lacked_since(has).expect("something is lacked");
                assert!(since <= at(has + 1), "{has} of {newest}: told since {since}");
                assert!(newest - has > 32 || since == at(has + 1), "{has} of {newest}: not exact");
            }
            assert_eq!(times.lacked_since(newest), None);
        }
    }
}
