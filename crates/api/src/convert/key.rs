//! Purposes and algorithms of keys, in the words of key sets and the admin API.

use locum_model::event::KeyPurpose;
use locum_model::registry::Algorithm;

use crate::violation::Malformed;

/// `token`, `feed` or `keyset-root`.
pub fn purpose_to_wire(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Token => "token",
        KeyPurpose::Feed => "feed",
        KeyPurpose::KeysetRoot => "keyset-root",
    }
}

/// The purpose of this word.
///
/// # Errors
///
/// [`Malformed`] for any other word.
pub fn purpose_from_wire(word: &str, field: &str) -> Result<KeyPurpose, Malformed> {
    match word {
        "token" => Ok(KeyPurpose::Token),
        "feed" => Ok(KeyPurpose::Feed),
        "keyset-root" => Ok(KeyPurpose::KeysetRoot),
        _ => Err(Malformed::of(field, "must be token, feed or keyset-root")),
    }
}

/// `ES256` or `EdDSA`, as `alg` writes it (RFC 7518 section 3.1, RFC 8037 section 3.1).
pub fn algorithm_to_wire(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Es256 => "ES256",
        Algorithm::Ed25519 => "EdDSA",
    }
}

/// The algorithm of this word.
///
/// # Errors
///
/// [`Malformed`] for any other word, other spellings of these two included.
pub fn algorithm_from_wire(word: &str, field: &str) -> Result<Algorithm, Malformed> {
    match word {
        "ES256" => Ok(Algorithm::Es256),
        "EdDSA" => Ok(Algorithm::Ed25519),
        _ => Err(Malformed::of(field, "must be ES256 or EdDSA")),
    }
}

/// The algorithm of this word; the default for an empty one.
///
/// # Errors
///
/// As [`algorithm_from_wire`].
pub fn algorithm_or_default_from_wire(word: &str, field: &str) -> Result<Algorithm, Malformed> {
    if word.is_empty() { Ok(Algorithm::default()) } else { algorithm_from_wire(word, field) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_algorithms_survive() {
        for purpose in [KeyPurpose::Token, KeyPurpose::Feed, KeyPurpose::KeysetRoot] {
            assert_eq!(purpose_from_wire(purpose_to_wire(purpose), "purpose"), Ok(purpose));
        }
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
            assert_eq!(algorithm_from_wire(algorithm_to_wire(algorithm), "algorithm"), Ok(algorithm));
        }
        assert_eq!(algorithm_or_default_from_wire("", "algorithm"), Ok(Algorithm::Es256));
    }

    #[test]
    fn other_words_are_refused() {
        for bad in ["none", "es256", "Ed25519", "RS256", "ES256K", "HS256", " ES256"] {
            assert!(algorithm_from_wire(bad, "algorithm").is_err(), "{bad}");
            assert!(algorithm_or_default_from_wire(bad, "algorithm").is_err(), "{bad}");
            assert!(purpose_from_wire(bad, "purpose").is_err(), "{bad}");
        }
        assert!(algorithm_from_wire("", "algorithm").is_err());
    }
}
