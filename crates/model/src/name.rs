//! [`Name`]: what people call a tenant, owner, model, workload, connector, action or purpose.

use std::fmt;
use std::str::FromStr;

use crate::limits::NAME_BYTES_MAX;

/// A name of 1 to 63 bytes: lower-case ASCII letters, digits, `-`, `_` and `.`, beginning and
/// ending with a letter or digit.
///
/// The alphabet is the whole defence against look-alike, invisible and right-to-left characters:
/// nothing that could be confused with something else can be a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a name: 1 to 63 of `a-z 0-9 - _ .`, beginning and ending with a letter or digit",
    .0.escape_debug()
)]
pub struct NotAName(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let fits = (1..=NAME_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(|&b| edge(b) || matches!(b, b'-' | b'_' | b'.'))
            && bytes.first().is_some_and(|&b| edge(b))
            && bytes.last().is_some_and(|&b| edge(b));
        if fits { Ok(Self(text.into())) } else { Err(NotAName(text.chars().take(NAME_BYTES_MAX).collect())) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_alphabet_is_a_name() {
        for good in ["a", "orders", "orders-eu.v2", "a_b", "9"] {
            assert_eq!(good.parse::<Name>().map(|n| n.to_string()).as_deref(), Ok(good));
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", ".a", "A", "ord ers", "оrders", "a\u{202e}b", "a\n", &long] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
