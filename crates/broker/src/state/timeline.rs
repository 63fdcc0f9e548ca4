//! Which position had been reached when: turns "issued before T" into a position.

use std::collections::VecDeque;
use std::time::Duration;

use locum_model::limits::{CLOCK_SKEW_MAX, TASK_DEADLINE_MAX, TOKEN_TTL_MAX};
use locum_model::{Position, Timestamp};

/// One mark per second in which something happened, for as long as anything may live.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The second, and the watermark of what was decided before it.
    marks: VecDeque<(i64, Position)>,
}

impl Timeline {
    /// Notes that the event at `position` happened at `at`.
    pub(crate) fn note(&mut self, at: Timestamp, position: Position) {
        let second = at.as_seconds();
        if self.marks.back().is_none_or(|(last, _)| *last < second) {
            // What was written down before this event had read at most the position before its own.
            // What this event's second decides may have read all up to this event, and is spared.
            self.marks.push_back((second, position.watermark().watermark()));
        }
        // Decided in an earlier second, written down in a later one: it counts as earlier.
        for (_, mark) in self.marks.iter_mut().rev().take_while(|(later, _)| *later > second) {
            *mark = position.watermark().max(*mark);
        }
        let oldest = second - kept().as_secs() as i64;
        while self.marks.front().is_some_and(|(first, _)| *first < oldest) {
            self.marks.pop_front();
        }
    }

    /// The second of the newest event.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.marks.back().map(|(second, _)| Timestamp::from_seconds(*second))
    }

    /// The watermark of everything decided before the second of `moment`; none when that is
    /// everything there is.
    pub(crate) fn before(&self, moment: Timestamp) -> Option<Position> {
        let at = self.marks.partition_point(|(second, _)| *second < moment.as_seconds());
        self.marks.get(at).map(|(_, position)| *position)
    }
}

fn kept() -> Duration {
    TASK_DEADLINE_MAX + TOKEN_TTL_MAX + CLOCK_SKEW_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Position {
        Position { home: 1, epoch: 1, sequence }
    }

    #[test]
    fn before_a_moment_means_before_its_second() {
        let mut timeline = Timeline::default();
        for (second, sequence) in [(10, 1), (10, 2), (12, 3), (15, 4)] {
            timeline.note(Timestamp::from_seconds(second), at(sequence));
        }
        let before = |second| timeline.before(Timestamp::from_seconds(second));
        assert_eq!(before(10), Some(at(0)));
        assert_eq!(before(11), Some(at(1)));
        assert_eq!(before(12), Some(at(1)));
        assert_eq!(before(13), Some(at(2)));
        assert_eq!(before(16), None);
    }

    #[test]
    fn a_decision_in_quiet_times_is_not_older_than_it_is() {
        let mut timeline = Timeline::default();
        timeline.note(Timestamp::from_seconds(10), at(7));
        // Decided at second 99, when 7 was the newest position; written down as 8.
        timeline.note(Timestamp::from_seconds(99), at(8));
        let before = timeline.before(Timestamp::from_seconds(50)).expect("not everything");
        assert!(before >= at(6), "what was written down as 7 had read 6");
        assert!(before < at(7), "what was decided at second 99 had read 7");
    }

    #[test]
    fn a_decision_that_is_written_down_late_is_not_younger_than_it_is() {
        let mut timeline = Timeline::default();
        for (second, sequence) in [(10, 7), (11, 8), (10, 9)] {
            timeline.note(Timestamp::from_seconds(second), at(sequence));
        }
        assert_eq!(timeline.before(Timestamp::from_seconds(11)), Some(at(8)));
    }

    #[test]
    fn it_is_bounded_by_the_longest_life() {
        let mut timeline = Timeline::default();
        for second in 0..200_000_i64 {
            timeline.note(Timestamp::from_seconds(second), at(second as u64 + 1));
        }
        assert!(timeline.marks.len() as u64 <= kept().as_secs() + 1);
    }
}
