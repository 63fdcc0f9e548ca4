//! The keys of one trust domain or issuer, narrowed to those that may sign assertions.
//!
//! Always: ES256, ES384 or RS256, as the key itself says (JWT-SVID section 3 names no EdDSA); a
//! `use` that is the owner's kind or absent; found by `kid` alone.

use locum_jose::json::{self, Value};
use locum_jose::jwks::NotAKeySet;
use locum_jose::{JwkSet, PublicKey, SignatureAlgorithm};
use std::collections::{BTreeMap, BTreeSet};

/// The `use` of JWT-SVID keys (SPIFFE Trust Domain and Bundle section 4.2.2).
const USE_OF_DOMAIN: &str = "jwt-svid";
/// The `use` of an issuer's signing keys (RFC 7517 section 4.2).
const USE_OF_ISSUER: &str = "sig";

/// Public keys by `kid`.
#[derive(Clone, Debug)]
pub(crate) struct Keys(BTreeMap<String, PublicKey>);

/// Why a key set is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysProblem {
    /// The set itself.
    #[error("{0}")]
    Set(#[from] NotAKeySet),
    /// Nothing in it can verify an assertion.
    #[error("no key with a `kid`, of ES256, ES384 or RS256 and for signing, stands in the set")]
    Empty,
}

// === impl Keys ===

impl Keys {
    /// The JWT-SVID keys of a trust domain.
    pub(crate) fn of_domain(set: &[u8]) -> Result<Self, KeysProblem> {
        Self::of(set, USE_OF_DOMAIN)
    }

    /// The signing keys of an OpenID issuer.
    pub(crate) fn of_issuer(set: &[u8]) -> Result<Self, KeysProblem> {
        Self::of(set, USE_OF_ISSUER)
    }

    /// The key of exactly this `kid`.
    pub(crate) fn key(&self, kid: &str) -> Option<&PublicKey> {
        self.0.get(kid)
    }

    /// Whether both hold the same key, under whatever `kid`.
    pub(crate) fn shares_key(&self, other: &Self) -> bool {
        let ours: BTreeSet<_> = self.0.values().map(PublicKey::thumbprint).collect();
        other.0.values().any(|key| ours.contains(&key.thumbprint()))
    }

    fn of(set: &[u8], usage: &str) -> Result<Self, KeysProblem> {
        let parsed = JwkSet::parse(set)?;
        let others = of_another_use(set, usage)?;
        let fits = |kid: &str, key: &PublicKey| {
            key.algorithm() != SignatureAlgorithm::Ed25519 && !others.contains(kid)
        };
        let keys = parsed.keys().filter(|(kid, key)| fits(kid, key));
        let keys: BTreeMap<_, _> = keys.map(|(kid, key)| (kid.to_owned(), key.clone())).collect();
        if keys.is_empty() { Err(KeysProblem::Empty) } else { Ok(Self(keys)) }
    }
}

/// The `kid`s of keys that say they are for something else than `usage`.
fn of_another_use(set: &[u8], usage: &str) -> Result<BTreeSet<String>, NotAKeySet> {
    let set = json::parse_object(set).or(Err(NotAKeySet::Malformed))?;
    let jwks = set.get("keys").and_then(Value::as_list).ok_or(NotAKeySet::Malformed)?;
    let jwks = jwks.iter().filter_map(Value::as_object);
    let others = jwks.filter(|jwk| jwk.get("use").is_some_and(|value| value.as_text() != Some(usage)));
    Ok(others.filter_map(|jwk| jwk.text("kid")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
