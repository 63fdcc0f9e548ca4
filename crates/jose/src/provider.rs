//! The ring `CryptoProvider` that jsonwebtoken 11 runs on here.
//!
//! jsonwebtoken has no ring backend of its own and panics at the first operation unless a process
//! chose a provider. This one verifies ES256, ES384, RS256 (2048 to 4096 bits) and EdDSA, signs
//! ES256 and EdDSA, and refuses every other algorithm, HMAC among them, so that a public key can
//! never be taken for a shared secret.
//!
//! The setting is process-wide: binaries call [`install`] first thing, a library in somebody
//! else's process never does.
//!
//! The factories are stateless functions that jsonwebtoken calls on each operation. The bytes in
//! a `DecodingKey` are those of a [`PublicKey`], so that nothing is parsed but what ring parses
//! itself; an `EncodingKey` holds PKCS#8 and is parsed each time, which is why our own tokens are
//! signed by [`SigningKey`] instead.

use std::sync::OnceLock;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use locum_model::registry;

use crate::algorithm::SignatureAlgorithm;
use crate::key::{Material, PublicKey};
use crate::sign::SigningKey;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: ec_components,
        // Only ever called for PKCS#8 of version 1, which ring does not read.
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: digest,
    },
};

static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Another provider was chosen for this process before ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another provider for jsonwebtoken is installed in this process")]
pub struct AnotherProvider;

/// Makes this provider the process's one. Again is no harm.
///
/// # Errors
///
/// [`AnotherProvider`] when something else was installed, or used jsonwebtoken, before.
pub fn install() -> Result<(), AnotherProvider> {
    let installed = *INSTALLED.get_or_init(|| PROVIDER.install_default().is_ok());
    if installed { Ok(()) } else { Err(AnotherProvider) }
}

/// Whether [`install`] succeeded in this process.
pub fn is_installed() -> bool {
    INSTALLED.get().copied().unwrap_or(false)
}

/// jsonwebtoken's name of an algorithm.
pub(crate) fn name_of(algorithm: SignatureAlgorithm) -> Algorithm {
    match algorithm {
        SignatureAlgorithm::Es256 => Algorithm::ES256,
        SignatureAlgorithm::Es384 => Algorithm::ES384,
        SignatureAlgorithm::Rs256 => Algorithm::RS256,
        SignatureAlgorithm::Ed25519 => Algorithm::EdDSA,
    }
}

/// jsonwebtoken's form of a key.
pub(crate) fn decoding_key(key: &PublicKey) -> DecodingKey {
    match key.material() {
        Material::P256(point) => DecodingKey::from_ec_der(point),
        Material::P384(point) => DecodingKey::from_ec_der(point),
        Material::Ed25519(point) => DecodingKey::from_ed_der(point),
        Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
    }
}

// === verifying ===

struct RingVerifier {
    key: PublicKey,
    algorithm: Algorithm,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let public = match (algorithm, key.family(), key.kind()) {
        (Algorithm::ES256, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
            PublicKey::p256(point)
        }
        (Algorithm::ES384, AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
            PublicKey::p384(point)
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(point)) => {
            PublicKey::ed25519(point)
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            PublicKey::rsa(n.clone(), e.clone())
        }
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let key = public.or(Err(Error::from(ErrorKind::InvalidKeyFormat)))?;
    Ok(Box::new(RingVerifier { key, algorithm: *algorithm }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.key.verify(message, signature).map_err(signature::Error::from_source)
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

// === signing ===

struct RingSigner {
    key: SigningKey,
    algorithm: Algorithm,
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    let ours = match (algorithm, key.family()) {
        (Algorithm::ES256, AlgorithmFamily::Ec) => registry::Algorithm::Es256,
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => registry::Algorithm::Ed25519,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let key = SigningKey::from_pkcs8(ours, key.as_bytes());
    let key = key.or(Err(Error::from(ErrorKind::InvalidKeyFormat)))?;
    Ok(Box::new(RingSigner { key, algorithm: *algorithm }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        self.key.sign(message).map_err(signature::Error::from_source)
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

// === JWK ===

type EcComponents = (EllipticCurve, Vec<u8>, Vec<u8>);

fn ec_components(pkcs8: &[u8], algorithm: Algorithm) -> Result<EcComponents, Error> {
    if algorithm != Algorithm::ES256 {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    }
    let key = SigningKey::from_pkcs8(registry::Algorithm::Es256, pkcs8);
    let key = key.or(Err(Error::from(ErrorKind::InvalidEcdsaKey)))?;
    let (x, y) = key.public().as_bytes()[1..].split_at(32);
    Ok((EllipticCurve::P256, x.to_vec(), y.to_vec()))
}

fn digest(bytes: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &ring::digest::SHA256,
        ThumbprintHash::SHA384 => &ring::digest::SHA384,
        ThumbprintHash::SHA512 => &ring::digest::SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(ring::digest::digest(algorithm, bytes).as_ref().to_vec())
}

#[cfg(test)]
mod tests;
