//! [`SigningKey`]: a private key of ours, parsed once.
//!
//! Never printed, never compared, never turned back into bytes. The PKCS#8 text exists only
//! between its generation and the key store, in memory that is wiped.

use std::fmt;

use locum_model::registry::Algorithm;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::entropy;
use crate::key::PublicKey;

/// A private key of one algorithm, with its public half.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why there is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningFailed {
    /// The operating system gave no randomness.
    #[error("the source of randomness failed")]
    Entropy,
    /// The bytes are not a PKCS#8 key of this algorithm (version 2 for Ed25519).
    #[error("not a PKCS#8 private key of this algorithm")]
    NotAKey,
}

// === impl SigningKey ===

impl SigningKey {
    /// A new key as PKCS#8, for the key store.
    ///
    /// # Errors
    ///
    /// [`SigningFailed::Entropy`].
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, SigningFailed> {
        let random = entropy::system();
        let document = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let document = document.or(Err(SigningFailed::Entropy))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key that `pkcs8` holds.
    ///
    /// # Errors
    ///
    /// [`SigningFailed::NotAKey`] for other bytes or a key of another algorithm.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SigningFailed> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &entropy::system())
                    .map(Pair::Es256)
            }
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(pkcs8).map(Pair::Ed25519),
        };
        let pair = pair.or(Err(SigningFailed::NotAKey))?;
        let bytes = match &pair {
            Pair::Es256(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        let public = PublicKey::from_bytes(algorithm, bytes).or(Err(SigningFailed::NotAKey))?;
        Ok(Self { pair, public })
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature over `message`: 64 bytes, P1363 form for ECDSA (RFC 7518 section 3.4).
    ///
    /// # Errors
    ///
    /// [`SigningFailed::Entropy`]; Ed25519 needs none.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        match &self.pair {
            Pair::Es256(pair) => {
                let signature = pair.sign(&entropy::system(), message).or(Err(SigningFailed::Entropy))?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signs_its_public_half_verifies() {
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
            let pkcs8 = SigningKey::generate(algorithm).expect("entropy");
            let key = SigningKey::from_pkcs8(algorithm, &pkcs8).expect("our own key");
            let signature = key.sign(b"message").expect("entropy");
            assert_eq!(signature.len(), 64);
            assert!(key.public().verify(b"message", &signature).is_ok());
            assert!(key.public().verify(b"massage", &signature).is_err());
            let another = SigningKey::generate(algorithm).expect("entropy");
            let another = SigningKey::from_pkcs8(algorithm, &another).expect("our own key");
            assert!(another.public().verify(b"message", &signature).is_err());
        }
    }

    #[test]
    fn a_key_has_one_algorithm() {
        let es256 = SigningKey::generate(Algorithm::Es256).expect("entropy");
        let ed25519 = SigningKey::generate(Algorithm::Ed25519).expect("entropy");
        for (algorithm, pkcs8) in [
            (Algorithm::Ed25519, &es256[..]),
            (Algorithm::Es256, &ed25519[..]),
            (Algorithm::Es256, &es256[..es256.len() - 1]),
            (Algorithm::Es256, b""),
        ] {
            let refused = SigningKey::from_pkcs8(algorithm, pkcs8).map(|_| ());
            assert_eq!(refused, Err(SigningFailed::NotAKey));
        }
    }

    #[test]
    fn its_debug_text_has_no_private_bytes() {
        let pkcs8 = SigningKey::generate(Algorithm::Ed25519).expect("entropy");
        let key = SigningKey::from_pkcs8(Algorithm::Ed25519, &pkcs8).expect("our own key");
        let seed = format!("{:?}", &pkcs8[16..48]);
        let seed = seed.trim_matches(['[', ']']);
        assert!(format!("{:?}", &pkcs8[..]).contains(seed));
        assert!(!format!("{key:?}").contains(seed));
    }
}
