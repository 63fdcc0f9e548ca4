//! [`ClockJudge`]: what time it is, from two clocks and a high-water mark. Pure.
//!
//! The anchor is a pair of readings that was believed. BOOTTIME says how much time passed since
//! then; a wall clock that says otherwise by more than [`STEP_MAX`] is not believed. The anchor
//! moves on at most once per [`ANCHOR_KEPT`], so that many small steps cannot add up to a wild one.

use std::time::Duration;

use locum_model::limits::CLOCK_SKEW_MAX;
use locum_model::{ClockUnsettled, Timestamp};

/// The largest step of the wall clock, forward or back, that is followed.
pub const STEP_MAX: Duration = CLOCK_SKEW_MAX;
/// How long an anchor is kept at least.
const ANCHOR_KEPT: Duration = Duration::from_secs(60 * 60);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub realtime: Timestamp,
    /// The time since the machine started, suspend included.
    pub boottime: Duration,
}

/// What outlives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The latest time that was given out.
    pub high: Timestamp,
    /// A pair of readings that was believed, where it was taken in this boot of the machine.
    pub anchor: Option<Reading>,
}

/// Where the anchor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// From a mark that was kept, or an operator's word.
    Mark,
    /// From this start's first reading: there was no mark.
    FirstReading,
}

/// Judges readings.
#[derive(Clone, Debug)]
pub struct ClockJudge {
    high: Timestamp,
    anchor: Option<Reading>,
}

impl ClockJudge {
    /// Goes on from `mark`.
    ///
    /// Without an anchor the first reading becomes it, unless it lies behind the mark by more
    /// than [`STEP_MAX`].
    pub fn new(mark: Option<Mark>, first: Reading) -> Self {
        let high = mark.map_or(first.realtime, |mark| mark.high);
        let mut judge = Self { high, anchor: mark.and_then(|mark| mark.anchor) };
        judge.find_anchor(first);
        judge
    }

    /// The time at `reading`.
    ///
    /// # Errors
    ///
    /// [`ClockUnsettled`] while the two clocks disagree beyond [`STEP_MAX`].
    pub fn judge(&mut self, reading: Reading) -> Result<Timestamp, ClockUnsettled> {
        self.find_anchor(reading);
        let anchor = self.anchor.ok_or(ClockUnsettled)?;
        let passed = reading.boottime.saturating_sub(anchor.boottime);
        let expected = anchor.realtime.plus(passed);
        if apart(reading.realtime, expected) > STEP_MAX {
            return Err(ClockUnsettled);
        }
        if passed >= ANCHOR_KEPT {
            self.anchor = Some(reading);
        }
        self.high = self.high.max(reading.realtime);
        Ok(self.high)
    }

    /// Time is no earlier than `newest`, the newest moment that something is known to have happened.
    ///
    /// Without an anchor from before, a reading that lies too far behind it is not believed.
    pub fn raise(&mut self, newest: Timestamp, believed: Believed, reading: Reading) {
        self.high = self.high.max(newest);
        if believed == Believed::FirstReading {
            self.anchor = None;
            self.find_anchor(reading);
        }
    }

    /// An operator's word that this reading is right.
    pub fn settle(&mut self, reading: Reading) {
        self.anchor = Some(reading);
    }

    /// What to keep over a restart.
    pub fn mark(&self) -> Mark {
        Mark { high: self.high, anchor: self.anchor }
    }

    fn find_anchor(&mut self, reading: Reading) {
        let behind = self.high.since(reading.realtime);
        if self.anchor.is_none() && behind <= STEP_MAX {
            self.anchor = Some(reading);
        }
    }
}

fn apart(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000;
    const SECOND: i64 = 1;
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;

    /// Both clocks in seconds: the wall clock relative to [`START`].
    fn at(real: i64, boot: u64) -> Reading {
        Reading { realtime: Timestamp::from_seconds(START + real), boottime: Duration::from_secs(boot) }
    }

    fn time(real: i64) -> Result<Timestamp, ClockUnsettled> {
        Ok(Timestamp::from_seconds(START + real))
    }

    fn started() -> ClockJudge {
        ClockJudge::new(None, at(0, 1000))
    }

    #[test]
    fn steps_of_the_wall_clock() {
        // (step in seconds, what is said ten seconds later)
        let table = [
            (0, time(10)),
            (SECOND, time(11)),
            (-SECOND, time(9)),
            (-9, time(1)),
            // Behind what was said already: time stands still.
            (-30, time(0)),
            (60, time(70)),
            (-60, time(0)),
            (61, Err(ClockUnsettled)),
            (-61, Err(ClockUnsettled)),
            (600, Err(ClockUnsettled)),
            (HOUR, Err(ClockUnsettled)),
            (-HOUR, Err(ClockUnsettled)),
            (DAY, Err(ClockUnsettled)),
            (-DAY, Err(ClockUnsettled)),
            (10 * YEAR, Err(ClockUnsettled)),
            (-10 * YEAR, Err(ClockUnsettled)),
        ];
        for (step, expected) in table {
            let mut judge = started();
            assert_eq!(judge.judge(at(0, 1000)), time(0));
            assert_eq!(judge.judge(at(10 + step, 1010)), expected, "step {step}");
            assert_eq!(judge.judge(at(100, 1100)), time(100), "the clock came back from {step}");
        }
    }

    #[test]
    fn suspend_is_no_step() {
        let mut judge = started();
        assert_eq!(judge.judge(at(8 * HOUR, 1000 + 8 * 3600)), time(8 * HOUR));
    }

    #[test]
    fn many_small_steps_do_not_add_up() {
        let mut judge = started();
        let unsettled = (1..=10).find(|n| judge.judge(at(n * 59, 1000)).is_err());
        assert_eq!(unsettled, Some(2), "the second step is beyond the bound since the anchor");
    }

    #[test]
    fn slow_drift_is_followed() {
        let mut judge = started();
        for hour in 1..=1000 {
            let drift = hour; // one second an hour, 278 ppm
            let boot = 1000 + u64::try_from(hour).expect("positive") * 3600;
            assert_eq!(judge.judge(at(hour * HOUR + drift, boot)), time(hour * HOUR + drift), "hour {hour}");
        }
    }

    #[test]
    fn restarts() {
        let mark = |high, anchor| Some(Mark { high: Timestamp::from_seconds(START + high), anchor });
        let same_boot = Some(at(0, 1000));
        // (what, mark, first reading, what it says)
        let table = [
            ("same boot, all well", mark(5, same_boot), at(50, 1050), time(50)),
            ("same boot, wild step while down", mark(5, same_boot), at(YEAR, 1050), Err(ClockUnsettled)),
            ("same boot, back while down", mark(5, same_boot), at(-HOUR, 1050), Err(ClockUnsettled)),
            ("new boot, off for a month", mark(5, None), at(30 * DAY, 3), time(30 * DAY)),
            ("new boot, slightly behind", mark(40, None), at(0, 3), time(40)),
            ("new boot, battery dead", mark(5, None), at(-10 * YEAR, 3), Err(ClockUnsettled)),
            ("first start", None, at(7, 3), time(7)),
        ];
        for (what, mark, first, expected) in table {
            let mut judge = ClockJudge::new(mark, first);
            assert_eq!(judge.judge(first), expected, "{what}");
        }
    }

    #[test]
    fn a_dead_battery_recovers_when_the_network_sets_the_clock() {
        let mark = Some(Mark { high: Timestamp::from_seconds(START), anchor: None });
        let mut judge = ClockJudge::new(mark, at(-10 * YEAR, 3));
        assert_eq!(judge.judge(at(-10 * YEAR + 5, 8)), Err(ClockUnsettled));
        assert_eq!(judge.judge(at(100, 20)), time(100));
    }

    #[test]
    fn the_journal_counts_as_a_mark() {
        let raised = |newest: i64, believed: Believed| {
            let mut judge = ClockJudge::new(None, at(0, 3));
            judge.raise(Timestamp::from_seconds(START + newest), believed, at(0, 3));
            judge.judge(at(1, 4))
        };
        assert_eq!(raised(30, Believed::FirstReading), time(30));
        assert_eq!(raised(HOUR, Believed::FirstReading), Err(ClockUnsettled));
        assert_eq!(raised(HOUR, Believed::Mark), time(HOUR), "an operator's word stands");
    }

    #[test]
    fn an_operator_settles_it_but_time_does_not_go_back() {
        let mut judge = started();
        assert_eq!(judge.judge(at(50, 1050)), time(50));
        assert_eq!(judge.judge(at(-HOUR, 1060)), Err(ClockUnsettled));
        judge.settle(at(-HOUR, 1061));
        assert_eq!(judge.judge(at(-HOUR + 9, 1070)), time(50));
        assert_eq!(judge.judge(at(60, 1061 + 3660)), time(60));
    }

    proptest! {
        #[test]
        fn never_back_whatever_the_clocks_say(
            readings in prop::collection::vec((-100_000_000_i64..100_000_000, 0_u64..100_000), 1..60),
        ) {
            let mut judge = started();
            let mut last = Timestamp::from_seconds(START);
            for (real, boot) in readings {
                let before = judge.mark();
                match judge.judge(at(real, boot)) {
                    Ok(now) => {
                        prop_assert!(now >= last);
                        last = now;
                    }
                    Err(ClockUnsettled) => prop_assert_eq!(judge.mark(), before, "refusal moves nothing"),
                }
            }
        }
    }
}
