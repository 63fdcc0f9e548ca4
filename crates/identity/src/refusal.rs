//! [`Refusal`]: why a caller is not believed.

use std::fmt;

use locum_model::Reason;

use crate::bounds::{DETAIL_BYTES_MAX, SHOWN_CHARS_MAX};

/// Why a caller is not believed: the reason for them, the detail for the log.
///
/// The detail is bounded, printable ASCII, and never holds an assertion or a part of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    reason: Reason,
    detail: String,
}

/// A foreign text as a log may show it: escaped and cut.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

// === impl Refusal ===

impl Refusal {
    /// The reason that the caller is told.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What exactly was wrong, for the log alone.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let mut detail: String = detail.to_string().chars().flat_map(printable).collect();
        // Only ASCII is left, so that every byte is a boundary.
        detail.truncate(DETAIL_BYTES_MAX);
        Self { reason, detail }
    }

    pub(crate) fn invalid(detail: impl fmt::Display) -> Self {
        Self::new(Reason::IdentityInvalid, detail)
    }
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let plain = c == ' ' || c.is_ascii_graphic();
    let escaped = if plain { None } else { Some(c.escape_default()) };
    plain.then_some(c).into_iter().chain(escaped.into_iter().flatten())
}

// === impl Shown ===

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for c in self.0.chars().take(SHOWN_CHARS_MAX) {
            write!(f, "{}", c.escape_default())?;
        }
        f.write_str(if self.0.chars().nth(SHOWN_CHARS_MAX).is_some() { "...`" } else { "`" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_short_and_printable_whatever_stands_in_it() {
        let hostile = "\u{1b}[31m\r\n\0\u{202e}é`".repeat(10_000);
        for text in [Shown(&hostile).to_string(), hostile] {
            let refusal = Refusal::invalid(text);
            assert!(refusal.detail().len() <= DETAIL_BYTES_MAX);
            assert!(refusal.detail().bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{refusal}");
        }
    }

    #[test]
    fn a_shown_text_is_cut() {
        assert_eq!(Shown("a\nb").to_string(), "`a\\nb`");
        assert!(Shown(&"x".repeat(1_000)).to_string().chars().count() <= SHOWN_CHARS_MAX + 5);
    }
}
