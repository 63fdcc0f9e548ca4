//! What is searched for in the record.

use locum_model::Reason;
use locum_model::limits::{
    ARCHIVE_CRITERIA_MAX, ARCHIVE_TEXT_BYTES_MAX, REQUEST_ID_BYTES_MAX, SPIFFE_ID_BYTES_MAX,
};

use crate::admin::v1 as wire;
use crate::violation::Malformed;

/// A decision that is searched for; none for `AUDIT_DECISION_UNSPECIFIED`.
///
/// # Errors
///
/// [`Malformed`] for numbers that the contract does not have.
pub fn decision_from_wire(decision: i32, field: &str) -> Result<Option<wire::AuditDecision>, Malformed> {
    match wire::AuditDecision::try_from(decision) {
        Ok(wire::AuditDecision::Unspecified) => Ok(None),
        Ok(decision) => Ok(Some(decision)),
        Err(_) => Err(Malformed::of(field, "must be permit or denial")),
    }
}

/// Whether the newest come first.
///
/// # Errors
///
/// [`Malformed`] for numbers that the contract does not have.
pub fn order_from_wire(order: i32, field: &str) -> Result<wire::AuditOrder, Malformed> {
    match wire::AuditOrder::try_from(order) {
        Ok(wire::AuditOrder::Unspecified) => Ok(wire::AuditOrder::NewestFirst),
        Ok(order) => Ok(order),
        Err(_) => Err(Malformed::of(field, "must be newest first or oldest first")),
    }
}

/// A place in the record, as a page before named it; none for an empty text.
///
/// # Errors
///
/// [`Malformed`] for anything that no page names.
pub fn place_from_wire(text: &str, field: &str) -> Result<Option<u64>, Malformed> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match text {
        "" => Ok(None),
        text if digits => text.parse().map(Some).map_err(|_overflow| Malformed::of(field, "is no page's")),
        _ => Err(Malformed::of(field, "is no page's")),
    }
}

/// A name or SPIFFE ID that is searched for; none for an empty text. One that nothing has is no
/// mistake: nothing is found.
///
/// # Errors
///
/// [`Malformed`] when it is longer than any, or not printable ASCII.
pub fn wanted_from_wire(text: &str, field: &str) -> Result<Option<String>, Malformed> {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match text.len() {
        0 => Ok(None),
        1..=SPIFFE_ID_BYTES_MAX if printable => Ok(Some(text.to_owned())),
        _ => Err(Malformed::of(field, "must be printable ASCII of at most 2048 bytes")),
    }
}

/// A request id that is searched for; none for an empty text.
///
/// # Errors
///
/// [`Malformed`] when no request can have it.
pub fn request_id_from_wire(text: &str, field: &str) -> Result<Option<String>, Malformed> {
    match text.len() {
        0..=REQUEST_ID_BYTES_MAX => wanted_from_wire(text, field),
        _ => Err(Malformed::of(field, format_args!("longer than {REQUEST_ID_BYTES_MAX} bytes"))),
    }
}

/// A reason that is searched for; none for an empty text.
///
/// # Errors
///
/// [`Malformed`] for what is no reason.
pub fn reason_from_wire(text: &str, field: &str) -> Result<Option<Reason>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|why| Malformed::of(field, why))
}

/// Names of events that are searched for.
///
/// # Errors
///
/// [`Malformed`] for more than 16, and for what is no name of an event.
pub fn events_from_wire(events: &[String], field: &str) -> Result<Vec<String>, Malformed> {
    if events.len() > ARCHIVE_CRITERIA_MAX {
        return Err(Malformed::of(field, format_args!("more than {ARCHIVE_CRITERIA_MAX}")));
    }
    let plain = |name: &String| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    };
    match events.iter().position(|name| !plain(name)) {
        Some(at) => Err(Malformed::of(format!("{field}[{at}]"), "is no name of an event")),
        None => Ok(events.to_vec()),
    }
}

/// Words that are searched for; none for an empty text.
///
/// # Errors
///
/// [`Malformed`] when there are no words in it, or it is longer than 256 bytes.
pub fn words_from_wire(text: &str, field: &str) -> Result<Option<String>, Malformed> {
    match text.len() {
        0 => Ok(None),
        1..=ARCHIVE_TEXT_BYTES_MAX if text.chars().any(char::is_alphanumeric) && !text.contains('\0') => {
            Ok(Some(text.to_owned()))
        }
        _ => {
            Err(Malformed::of(field, format_args!("must hold words, at most {ARCHIVE_TEXT_BYTES_MAX} bytes")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_criteria_are_refused_and_odd_ones_find_nothing() {
        assert_eq!(place_from_wire("", "f"), Ok(None));
        assert_eq!(place_from_wire("18446744073709551615", "f"), Ok(Some(u64::MAX)));
        for bad in ["-1", "+1", "1 ", "18446744073709551616", "x", "999999999999999999999"] {
            assert!(place_from_wire(bad, "f").is_err(), "{bad}");
        }
        assert_eq!(wanted_from_wire("' OR 1=1 --", "f"), Ok(Some("' OR 1=1 --".into())));
        for bad in ["a\0b", "a\nb", "é", &"a".repeat(2049)] {
            assert!(wanted_from_wire(bad, "f").is_err());
        }
        assert!(request_id_from_wire(&"a".repeat(65), "f").is_err());
        assert_eq!(reason_from_wire("POLICY_DENIED", "f"), Ok(Some(Reason::PolicyDenied)));
        assert!(reason_from_wire("policy_denied", "f").is_err());
        for bad in [vec!["a".to_owned(); 17], vec!["A".into()], vec![String::new()], vec!["a'".into()]] {
            assert!(events_from_wire(&bad, "f").is_err(), "{bad:?}");
        }
        for bad in ["\"", " ", "*", "a\0b", &"a".repeat(257)] {
            assert!(words_from_wire(bad, "f").is_err(), "{bad}");
        }
        assert_eq!(words_from_wire("laptop*", "f"), Ok(Some("laptop*".into())));
        assert!(decision_from_wire(3, "f").is_err() && order_from_wire(-1, "f").is_err());
        assert_eq!(order_from_wire(0, "f"), Ok(wire::AuditOrder::NewestFirst));
    }
}
