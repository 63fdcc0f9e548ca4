//! Timestamps and durations, checked (`google/protobuf/timestamp.proto`, `duration.proto`).
//!
//! Seconds and nanoseconds of a message are whatever the peer wrote: arithmetic on them unchecked
//! has overflowed before (RUSTSEC-2021-0073). Nothing outside the documented ranges gets through.

use std::time::Duration;

use locum_model::Timestamp;

use crate::violation::Malformed;

/// 0001-01-01T00:00:00Z, the earliest timestamp of the format.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z, the last second of the format.
const SECONDS_MAX: i64 = 253_402_300_799;
/// About 10,000 years, the longest duration of the format.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;
const NANOS_MAX: i32 = 999_999_999;
const NANOS_PER_MILLI: i32 = 1_000_000;

/// A moment, rounded down to the millisecond.
///
/// # Errors
///
/// [`Malformed`] outside the years 1 to 9999, or with nanoseconds that are negative or a second or
/// more.
pub fn timestamp_from_wire(wire: &prost_types::Timestamp, field: &str) -> Result<Timestamp, Malformed> {
    if !(0..=NANOS_MAX).contains(&wire.nanos) {
        return Err(Malformed::of(format!("{field}.nanos"), "must be 0 to 999999999"));
    }
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&wire.seconds) {
        return Err(Malformed::of(format!("{field}.seconds"), "must be within the years 1 to 9999"));
    }
    Ok(Timestamp::from_millis(wire.seconds * 1000 + i64::from(wire.nanos / NANOS_PER_MILLI)))
}

/// The moment if there is one, as [`timestamp_from_wire`].
///
/// # Errors
///
/// As [`timestamp_from_wire`].
pub fn optional_timestamp_from_wire(
    wire: Option<&prost_types::Timestamp>,
    field: &str,
) -> Result<Option<Timestamp>, Malformed> {
    wire.map(|wire| timestamp_from_wire(wire, field)).transpose()
}

/// The moment as a message; a moment outside the format becomes its first or last.
pub fn timestamp_to_wire(moment: Timestamp) -> prost_types::Timestamp {
    let millis = moment.as_millis().clamp(SECONDS_MIN * 1000, SECONDS_MAX * 1000 + 999);
    let below_second = i32::try_from(millis.rem_euclid(1000)).expect("a remainder of 1000 is small");
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos: below_second * NANOS_PER_MILLI }
}

/// A span of time.
///
/// # Errors
///
/// [`Malformed`] when it is negative or longer than the format's 315,576,000,000 s, or has
/// nanoseconds that are negative or a second or more.
pub fn duration_from_wire(wire: &prost_types::Duration, field: &str) -> Result<Duration, Malformed> {
    let seconds = u64::try_from(wire.seconds).ok().filter(|seconds| *seconds <= DURATION_SECONDS_MAX);
    let nanos = u32::try_from(wire.nanos).ok().filter(|_| wire.nanos <= NANOS_MAX);
    match (seconds, nanos) {
        (Some(DURATION_SECONDS_MAX), Some(1..)) | (None, _) => {
            Err(Malformed::of(format!("{field}.seconds"), "must be 0 to 315576000000"))
        }
        (Some(_), None) => Err(Malformed::of(format!("{field}.nanos"), "must be 0 to 999999999")),
        (Some(seconds), Some(nanos)) => Ok(Duration::new(seconds, nanos)),
    }
}

/// The span if there is one, as [`duration_from_wire`].
///
/// # Errors
///
/// As [`duration_from_wire`].
pub fn optional_duration_from_wire(
    wire: Option<&prost_types::Duration>,
    field: &str,
) -> Result<Option<Duration>, Malformed> {
    wire.map(|wire| duration_from_wire(wire, field)).transpose()
}

/// The span as a message; a span beyond the format becomes its longest.
pub fn duration_to_wire(span: Duration) -> prost_types::Duration {
    let span = span.min(Duration::from_secs(DURATION_SECONDS_MAX));
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).expect("bounded above"),
        nanos: i32::try_from(span.subsec_nanos()).expect("below a second"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_outside_the_format_are_refused() {
        for (seconds, nanos, wrong) in [
            (0, -1, "t.nanos"),
            (0, 1_000_000_000, "t.nanos"),
            (0, i32::MIN, "t.nanos"),
            (0, i32::MAX, "t.nanos"),
            (SECONDS_MIN - 1, 0, "t.seconds"),
            (SECONDS_MAX + 1, 0, "t.seconds"),
            (i64::MIN, 0, "t.seconds"),
            (i64::MAX, NANOS_MAX, "t.seconds"),
        ] {
            let refused = timestamp_from_wire(&prost_types::Timestamp { seconds, nanos }, "t");
            assert_eq!(refused.expect_err("outside").violations()[0].field, wrong, "{seconds} {nanos}");
        }
    }

    #[test]
    fn the_bounds_themselves_are_taken() {
        for (seconds, nanos) in [(SECONDS_MIN, 0), (SECONDS_MAX, NANOS_MAX), (-1, 999_000_000)] {
            let moment =
                timestamp_from_wire(&prost_types::Timestamp { seconds, nanos }, "t").expect("inside");
            assert_eq!(moment.as_seconds(), seconds);
        }
        let longest = prost_types::Duration { seconds: 315_576_000_000, nanos: 0 };
        assert_eq!(duration_to_wire(duration_from_wire(&longest, "d").expect("inside")), longest);
    }

    #[test]
    fn durations_outside_the_format_are_refused() {
        for (seconds, nanos, wrong) in [
            (-1, 0, "d.seconds"),
            (0, -1, "d.nanos"),
            (-1, -1, "d.seconds"),
            (1, -1, "d.nanos"),
            (0, 1_000_000_000, "d.nanos"),
            (0, i32::MAX, "d.nanos"),
            (0, i32::MIN, "d.nanos"),
            (315_576_000_000, 1, "d.seconds"),
            (315_576_000_001, 0, "d.seconds"),
            (i64::MAX, 0, "d.seconds"),
            (i64::MIN, i32::MIN, "d.seconds"),
        ] {
            let refused = duration_from_wire(&prost_types::Duration { seconds, nanos }, "d");
            assert_eq!(refused.expect_err("outside").violations()[0].field, wrong, "{seconds} {nanos}");
        }
    }

    #[test]
    fn what_the_format_cannot_say_is_clamped() {
        let wire = timestamp_to_wire(Timestamp::from_millis(i64::MAX));
        assert_eq!((wire.seconds, wire.nanos), (SECONDS_MAX, 999_000_000));
        assert_eq!(timestamp_to_wire(Timestamp::from_millis(i64::MIN)).seconds, SECONDS_MIN);
        assert_eq!(duration_to_wire(Duration::MAX).seconds, 315_576_000_000);
    }

    proptest! {
        #[test]
        fn a_moment_survives(millis in SECONDS_MIN * 1000..=SECONDS_MAX * 1000 + 999) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(timestamp_from_wire(&timestamp_to_wire(moment), "t"), Ok(moment));
        }

        #[test]
        fn a_span_survives(seconds in 0..DURATION_SECONDS_MAX, nanos in 0..1_000_000_000_u32) {
            let span = Duration::new(seconds, nanos);
            prop_assert_eq!(duration_from_wire(&duration_to_wire(span), "d"), Ok(span));
        }

        #[test]
        fn no_input_panics(seconds in any::<i64>(), nanos in any::<i32>()) {
            let moment = timestamp_from_wire(&prost_types::Timestamp { seconds, nanos }, "t");
            let within = (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) && (0..=NANOS_MAX).contains(&nanos);
            prop_assert_eq!(moment.is_ok(), within);
            let span = duration_from_wire(&prost_types::Duration { seconds, nanos }, "d");
            prop_assert!(span.is_err() || (seconds >= 0 && nanos >= 0));
        }
    }
}
