//! [`SignatureAlgorithm`]: the closed list of what can be verified, by name (RFC 7518 section 3.1,
//! RFC 8037 section 3.1).

use std::fmt;
use std::str::FromStr;

use locum_model::registry::Algorithm;

/// A signature algorithm. A key has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384; only in what others sign: assertions and proofs.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256; only in what others sign: assertions and proofs.
    Rs256,
    /// Ed25519, written `EdDSA`.
    Ed25519,
}

/// A name that is not one of those known, `none` and every HMAC among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an algorithm that is accepted")]
pub struct UnknownAlgorithm;

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ed25519];

    /// Its name in the `alg` of headers and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ed25519 => "EdDSA",
        }
    }
}

impl From<Algorithm> for SignatureAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256,
            Algorithm::Ed25519 => Self::Ed25519,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_names_are_known_and_exactly_so() {
        for algorithm in SignatureAlgorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        for bad in [
            "", "none", "None", "NONE", "nOnE", "HS256", "PS256", "ES256K", "ES512", "es256", "Ed25519",
            "EdDSA ",
        ] {
            assert_eq!(bad.parse::<SignatureAlgorithm>(), Err(UnknownAlgorithm), "{bad:?}");
        }
    }
}
