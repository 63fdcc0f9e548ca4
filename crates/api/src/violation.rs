//! [`Violation`] and [`Malformed`]: what is wrong with a message, field by field.
//!
//! What always holds: texts are bounded and escaped where they are made, so that neither a log line
//! nor a response header carries what a caller typed unseen; a [`Malformed`] is never empty.

use locum_model::limits::{VIOLATION_MESSAGE_BYTES_MAX, VIOLATIONS_MAX};
use std::fmt;

use locum_model::Reason;

/// One field that is not as the contract says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the message, for instance `scope[1].operation`.
    pub field: String,
    /// What is wrong: a lower-case fragment.
    pub message: String,
}

/// A message that is not as the contract says: 1 to [`VIOLATIONS_MAX`] violations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(Vec<Violation>);

// === impl Violation ===

impl Violation {
    /// Says that `field` is wrong; `message` is escaped and cut.
    pub fn new(field: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { field: field.into(), message: bounded(&message.to_string(), VIOLATION_MESSAGE_BYTES_MAX) }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

// === impl Malformed ===

impl Malformed {
    /// One violation.
    pub fn of(field: impl Into<String>, message: impl fmt::Display) -> Self {
        Self(vec![Violation::new(field, message)])
    }

    /// Nothing, or all of these as one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when there is any violation.
    pub fn none_of(violations: impl IntoIterator<Item = Violation>) -> Result<(), Self> {
        let violations: Vec<_> = violations.into_iter().take(VIOLATIONS_MAX).collect();
        if violations.is_empty() { Ok(()) } else { Err(Self(violations)) }
    }

    /// Both values, or the violations of both: for checking all fields before answering.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when either is an error.
    pub fn both<A, B>(a: Result<A, Self>, b: Result<B, Self>) -> Result<(A, B), Self> {
        match (a, b) {
            (Ok(a), Ok(b)) => Ok((a, b)),
            (Err(one), Ok(_)) | (Ok(_), Err(one)) => Err(one),
            (Err(a), Err(b)) => Err(Self(a.0.into_iter().chain(b.0).take(VIOLATIONS_MAX).collect())),
        }
    }

    /// What is wrong, in the order of the fields checked.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }

    /// The reason that callers see.
    pub fn reason(&self) -> Reason {
        Reason::RequestMalformed
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field is not as the contract says")?;
        self.0.iter().try_for_each(|violation| write!(f, "; {violation}"))
    }
}

impl std::error::Error for Malformed {}

/// `text` with everything unprintable escaped, cut to `bytes_max` with an ellipsis.
///
/// Quotes and backslashes stay: what the vocabulary crate escaped already is not escaped again.
pub(crate) fn bounded(text: &str, bytes_max: usize) -> String {
    const ELLIPSIS: char = '…';
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        let plain = matches!(c, '"' | '\'' | '\\') || c.escape_debug().count() == 1;
        let piece = if plain { c.to_string() } else { c.escape_debug().to_string() };
        if out.len() + piece.len() + ELLIPSIS.len_utf8() > bytes_max {
            out.push(ELLIPSIS);
            return out;
        }
        out.push_str(&piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_caller_typed_is_escaped_and_cut() {
        for (text, shown) in [
            ("plain `text` with \"quotes\" and \\u{202e}", "plain `text` with \"quotes\" and \\u{202e}"),
            ("a\nb\r\0", "a\\nb\\r\\0"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
            ("grüße", "grüße"),
        ] {
            assert_eq!(Violation::new("f", text).message, shown);
        }
        assert_eq!(Violation::new("f", "x".repeat(500)).message.len(), VIOLATION_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn both_reports_both() {
        let (a, b) = (Malformed::of("a", "wrong"), Malformed::of("b", "wrong too"));
        let both = Malformed::both::<(), ()>(Err(a), Err(b)).expect_err("both are wrong");
        let fields: Vec<_> = both.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["a", "b"]);
        assert_eq!(Malformed::both(Ok(1), Ok("x")), Ok((1, "x")));
        assert_eq!(Malformed::none_of([]), Ok(()));
        assert_eq!(both.reason(), Reason::RequestMalformed);
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let many = || (0..100).map(|n| Violation::new(format!("f[{n}]"), "wrong"));
        let malformed = Malformed::none_of(many()).expect_err("wrong");
        assert_eq!(malformed.violations().len(), VIOLATIONS_MAX);
        let both = Malformed::both::<(), ()>(Err(malformed.clone()), Err(malformed)).expect_err("wrong");
        assert_eq!(both.violations().len(), VIOLATIONS_MAX);
    }

    proptest! {
        #[test]
        fn a_bounded_text_is_bounded_and_without_controls(text in any::<String>(), max in 3..300_usize) {
            let shown = bounded(&text, max);
            prop_assert!(shown.len() <= max);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
