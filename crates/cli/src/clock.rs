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

/// A number of seconds in its largest unit.
pub(crate) fn largest(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} m", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
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
            (999_000, "16 m ago"),
            (1_007_200, "in 2 h"),
            (100_000, "10 d ago"),
        ] {
            assert_eq!(relative(Timestamp::from_seconds(seconds), now), told);
        }
    }
}
