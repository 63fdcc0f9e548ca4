//! Durations as people write them: one whole number and one unit, `250ms`, `30s`, `5m`, `24h`, `7d`.
//!
//! No sign, no fraction, no exponent, no sum: everything that could be read in two ways is refused.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADuration {
    /// Not a whole number and a unit.
    #[error("not a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`, for instance `30s`")]
    Shape,
    /// Larger than can be counted.
    #[error("too long to be counted")]
    TooLong,
}

/// Reads a duration.
///
/// # Errors
///
/// [`NotADuration`] for anything but digits and one unit.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotADuration::Shape)?;
    let (digits, unit) = text.split_at(unit_at);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return Err(NotADuration::Shape);
    }
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NotADuration::Shape),
    };
    let count: u64 = digits.parse().map_err(|_overflow: std::num::ParseIntError| NotADuration::TooLong)?;
    count.checked_mul(millis).map(Duration::from_millis).ok_or(NotADuration::TooLong)
}

/// The shortest way to write a duration.
pub fn written(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.iter().find(|(_, size)| millis >= *size && millis.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_refuses() {
        let table = [
            ("0s", Ok(0)),
            ("250ms", Ok(250)),
            ("30s", Ok(30_000)),
            ("5m", Ok(300_000)),
            ("24h", Ok(86_400_000)),
            ("7d", Ok(604_800_000)),
            ("", Err(NotADuration::Shape)),
            ("30", Err(NotADuration::Shape)),
            ("s", Err(NotADuration::Shape)),
            ("-1s", Err(NotADuration::Shape)),
            ("+1s", Err(NotADuration::Shape)),
            ("1e9d", Err(NotADuration::Shape)),
            ("1.5h", Err(NotADuration::Shape)),
            ("1h30m", Err(NotADuration::Shape)),
            (" 1s", Err(NotADuration::Shape)),
            ("1 s", Err(NotADuration::Shape)),
            ("1S", Err(NotADuration::Shape)),
            ("007s", Err(NotADuration::Shape)),
            ("٣s", Err(NotADuration::Shape)),
            ("99999999999999999999s", Err(NotADuration::TooLong)),
            ("18446744073709551615d", Err(NotADuration::TooLong)),
        ];
        for (text, expected) in table {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(millis in 0_u64..1_000_000_000_000) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&written(span)), Ok(span));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
