//! [`Options`]: what a verifier is pinned to, and how much it keeps.

use locum_model::KeyId;
use locum_model::limits::{PROOFS_REMEMBERED_MAX, VERIFIER_MEMO_TOKENS, VERIFIER_WATERMARKS_MAX};

/// What a verifier is pinned to. Nothing that is sent to it changes any of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The issuer's URL, character by character.
    pub issuer: String,
    /// The thumbprint of the root under which key sets are believed.
    pub root: KeyId,
    /// The audience of the connector whose tokens are checked; tokens for any other are inactive.
    pub audience: String,
    /// The one home that may be followed; none for whichever broker of the issuer answers.
    pub home: Option<u16>,
    /// Tokens that are remembered, rounded up to a power of two; the others cost a signature again.
    pub memo_tokens: usize,
    /// Proofs of keys that are remembered in each half of what is; beyond them bound tokens are *unknown*.
    pub proofs_max: usize,
    /// Watermarks that are kept; beyond them the verifier knows nothing.
    pub watermarks_max: usize,
}

/// A thumbprint as `locum key list` shows it (unpadded base64url), or as 64 hexadecimal digits.
pub fn thumbprint(text: &str) -> Option<KeyId> {
    locum_token::parse_kid(text).ok().or_else(|| text.parse().ok())
}

impl Options {
    /// Options with the usual bounds, for any home of the issuer.
    pub fn new(issuer: impl Into<String>, root: KeyId, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            root,
            audience: audience.into(),
            home: None,
            memo_tokens: VERIFIER_MEMO_TOKENS,
            proofs_max: PROOFS_REMEMBERED_MAX,
            watermarks_max: VERIFIER_WATERMARKS_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_written_in_one_of_two_ways() {
        let kid = KeyId([0xa7; 32]);
        for good in [locum_token::kid_text(&kid), kid.to_string()] {
            assert_eq!(thumbprint(&good), Some(kid));
        }
        for bad in ["", "abc", "é", &format!("{kid}="), &kid.to_string()[1..], &format!(" {kid}")] {
            assert_eq!(thumbprint(bad), None, "{bad}");
        }
    }
}
