//! The one place where the command line looks at the clock: to say how long ago something was.

use locum_model::Timestamp;

/// The machine's time.
#[expect(clippy::disallowed_methods, reason = "relative times for people need the machine's clock")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A clock that only goes forwards: to measure how long something took.
#[expect(clippy::disallowed_methods, reason = "rates need the machine's clock")]
pub(crate) fn steady() -> std::time::Instant {
    std::time::Instant::now()
}

/// `3 m ago`, `in 2 h`, `now`: how far `at` is from `now`, in its largest unit.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now).as_secs(), now.since(at).as_secs());
    match (ahead, behind) {
        (0, 0) => "now".to_owned(),
        (0, behind) => format!("{} ago", largest(behind)),
        (ahead, _) => format!("in {}", largest(ahead)),
    }
}

/// A number of seconds in its largest unit, to the nearest: an hour less a moment is an hour.
pub(crate) fn largest(seconds: u64) -> String {
    let of = |unit: u64| seconds.saturating_add(unit / 2) / unit;
    match (of(60), of(3_600)) {
        _ if seconds < 60 => format!("{seconds} s"),
        (minutes, _) if minutes < 60 => format!("{minutes} m"),
        (_, hours) if hours < 24 => format!("{hours} h"),
        _ => format!("{} d", of(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now = Timestamp::from_seconds(1_000_000);
        for (seconds, told) in [
            (1_000_000, "now"),
            (999_970, "30 s ago"),
            (999_000, "17 m ago"),
            (1_000_059, "in 59 s"),
            (1_000_060, "in 1 m"),
            (1_003_599, "in 1 h"),
            (1_086_399, "in 1 d"),
            (1_007_200, "in 2 h"),
            (100_000, "10 d ago"),
        ] {
            assert_eq!(relative(Timestamp::from_seconds(seconds), now), told);
        }
    }
}
