//! [`VerifyingKey`]: the public half of a key of ours, with the one header of its tokens.

use locum_jose::PublicKey;
use locum_model::KeyId;
use locum_model::registry::Algorithm;

use crate::header;

/// A public key whose `kid` has been found to be its thumbprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    kid: KeyId,
    public: PublicKey,
    header_text: Box<str>,
}

/// The bytes are no key of the algorithm, or the `kid` is not their thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the key that its `kid` names")]
pub struct NotItsKey;

impl VerifyingKey {
    /// A key from its raw bytes: an uncompressed P-256 point of 65 bytes, or 32 bytes of Ed25519.
    ///
    /// # Errors
    ///
    /// [`NotItsKey`].
    pub fn new(kid: KeyId, algorithm: Algorithm, public_key: &[u8]) -> Result<Self, NotItsKey> {
        let public = PublicKey::from_bytes(algorithm, public_key).or(Err(NotItsKey))?;
        if public.thumbprint() != kid {
            return Err(NotItsKey);
        }
        Ok(Self { kid, header_text: header::text(public.algorithm(), &kid).into(), public })
    }

    /// Its id: the RFC 7638 thumbprint.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The key itself.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The one header of tokens that this key signs, as base64url.
    pub(crate) fn header_text(&self) -> &str {
        &self.header_text
    }
}

#[cfg(test)]
mod tests {
    use locum_jose::SigningKey;

    use super::*;

    #[test]
    fn a_key_is_what_its_kid_names() {
        for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
            let pkcs8 = SigningKey::generate(algorithm).expect("entropy");
            let key = SigningKey::from_pkcs8(algorithm, &pkcs8).expect("just made");
            let (kid, bytes) = (key.public().thumbprint(), key.public().as_bytes());
            assert_eq!(VerifyingKey::new(kid, algorithm, bytes).expect("it is").public(), key.public());
            assert_eq!(VerifyingKey::new(KeyId([0; 32]), algorithm, bytes), Err(NotItsKey));
            assert_eq!(VerifyingKey::new(kid, algorithm, &bytes[1..]), Err(NotItsKey));
        }
    }
}
