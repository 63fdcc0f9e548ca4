//! Free text for people. It is data: it never grants anything, and whoever shows it escapes it.

use locum_model::limits::{JUSTIFICATION_BYTES_MAX, REASON_TEXT_BYTES_MAX};

use crate::violation::Malformed;

/// A caller's justification, at most 1024 bytes, or none for an empty text.
///
/// # Errors
///
/// [`Malformed`] when it is longer.
pub fn justification_from_wire(text: &str, field: &str) -> Result<Option<String>, Malformed> {
    match text.len() {
        0 => Ok(None),
        1..=JUSTIFICATION_BYTES_MAX => Ok(Some(text.to_owned())),
        _ => Err(Malformed::of(field, format_args!("longer than {JUSTIFICATION_BYTES_MAX} bytes"))),
    }
}

/// An operator's reason, 1 to 512 bytes that are not all white space.
///
/// # Errors
///
/// [`Malformed`] when it is blank or longer.
pub fn reason_from_wire(text: &str, field: &str) -> Result<String, Malformed> {
    if text.trim().is_empty() {
        Err(Malformed::of(field, "is required"))
    } else if text.len() > REASON_TEXT_BYTES_MAX {
        Err(Malformed::of(field, format_args!("longer than {REASON_TEXT_BYTES_MAX} bytes")))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_in_bytes() {
        let text = |bytes: usize| "é".repeat(bytes / 2);
        assert_eq!(justification_from_wire("", "justification"), Ok(None));
        assert_eq!(justification_from_wire(&text(1024), "justification"), Ok(Some(text(1024))));
        assert!(justification_from_wire(&text(1026), "justification").is_err());
        assert_eq!(reason_from_wire(&text(512), "reason"), Ok(text(512)));
        for bad in [String::new(), " \n\u{a0}".into(), text(514), "a".repeat(1 << 20)] {
            assert!(reason_from_wire(&bad, "reason").is_err());
        }
    }
}
