//! [`Timestamp`] and the [`Clock`] that is passed in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, SecondsFormat, Timelike};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Where the time comes from.
///
/// `now` never goes backwards, over restarts too. Between a wild step of the machine's clock and
/// its resolution there is no time at all: every caller has to treat that as *no*.
pub trait Clock: Send + Sync {
    /// The time.
    ///
    /// # Errors
    ///
    /// [`ClockUnsettled`] while the two clocks of the machine disagree beyond their bound.
    fn now(&self) -> Result<Timestamp, ClockUnsettled>;

    /// Time since some fixed point, suspend included (BOOTTIME). For leases and durations.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks disagree beyond their bound; nobody knows what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine's clock stepped beyond its bound and is not settled yet")]
pub struct ClockUnsettled;

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The same moment rounded down to a whole second.
    #[must_use]
    pub const fn floor_to_second(self) -> Self {
        Self::from_seconds(self.as_seconds())
    }

    /// Later by `span`; the end of time when it does not fit.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// Earlier by `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The day of the week in UTC: 1 is Monday, 7 is Sunday. Monday at the end of time.
    pub fn weekday(self) -> u32 {
        DateTime::from_timestamp_millis(self.0).map_or(1, |moment| moment.weekday().number_from_monday())
    }

    /// Whole minutes since midnight in UTC, 0 to 1439.
    pub fn minute_of_day(self) -> u32 {
        DateTime::from_timestamp_millis(self.0).map_or(0, |moment| moment.hour() * 60 + moment.minute())
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// RFC 3339 in UTC with milliseconds, `2026-11-21T23:54:39.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0) {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as `2026-11-21T23:54:39Z`")]
pub struct NotATime;

/// RFC 3339 with any offset; what is finer than milliseconds is cut off.
impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let moment = DateTime::parse_from_rfc3339(text).map_err(|_not_one| NotATime)?;
        Ok(Self(moment.timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for millis in [0, 1_767_614_400_123, -1] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse(), Ok(at));
        }
        assert_eq!("2026-03-04T09:30:00+02:00".parse(), "2026-03-04T07:30:00Z".parse::<Timestamp>());
        for bad in ["", "2026-03-04", "2026-03-04T09:30:00", "2026-13-04T09:30:00Z", "now"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(NotATime), "{bad}");
        }
    }

    #[test]
    fn days_and_minutes_are_those_of_utc() {
        for (text, weekday, minute) in [
            ("1970-01-01T00:00:00Z", 4, 0),
            ("2026-01-05T12:00:00Z", 1, 720),
            ("2026-01-11T23:59:59.999Z", 7, 1_439),
            ("1969-12-31T23:59:00Z", 3, 1_439),
        ] {
            let at: Timestamp = text.parse().expect("good");
            assert_eq!((at.weekday(), at.minute_of_day()), (weekday, minute), "{text}");
        }
    }

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_millis(1_999).as_seconds(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
        assert_eq!(Timestamp::from_millis(1_999).floor_to_second().as_millis(), 1_000);
    }

    #[test]
    fn a_time_survives_its_text() {
        for millis in [0, 1_795_305_279_123, -1] {
            let at = Timestamp::from_millis(millis);
            assert_eq!(at.to_string().parse(), Ok(at));
        }
        assert_eq!("2026-11-22T01:54:39+02:00".parse(), Ok(Timestamp::from_seconds(1_795_305_279)));
        for bad in ["", "2026-11-22", "2026-11-22T01:54:39", "yesterday", "2026-13-22T01:54:39Z"] {
            assert_eq!(bad.parse::<Timestamp>(), Err(NotATime), "{bad}");
        }
    }

    #[test]
    fn a_time_is_written_as_rfc_3339() {
        assert_eq!(Timestamp::from_seconds(1_795_305_279).to_string(), "2026-11-21T23:54:39.000Z");
        assert_eq!("2026-11-21T23:54:39.000Z".parse(), Ok(Timestamp::from_seconds(1_795_305_279)));
        assert_eq!("2026-11-21".parse::<Timestamp>(), Err(NotATime));
    }
}
