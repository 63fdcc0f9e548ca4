//! [`PublicKey`]: a public key that was parsed once, has one algorithm, and verifies with it alone.
//!
//! Keys come as raw bytes (our own) or as JWK (RFC 7517; ours and those of identity issuers). A
//! JWK with private members is refused, and so is one that contradicts itself. Points are not
//! checked to lie on their curve here: ring does so on each verification, and a point off the
//! curve verifies nothing.

use locum_model::KeyId;
use locum_model::limits::{RSA_EXPONENT_BYTES_MAX, RSA_MODULUS_BYTES_MAX, RSA_MODULUS_BYTES_MIN};
use locum_model::registry::Algorithm;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

use crate::algorithm::SignatureAlgorithm;
use crate::base64url;
use crate::digest::sha256;
use crate::json::{self, Object};

/// Members that only a private or symmetric JWK has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// What `use` may say: signing, or signing of JWT-SVIDs (SPIFFE Trust Domain and Bundle, 6.1).
const USES: [&str; 2] = ["sig", "jwt-svid"];

/// A public key of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Material);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Material {
    /// An uncompressed point: 4, x, y.
    P256([u8; 65]),
    /// An uncompressed point: 4, x, y.
    P384([u8; 97]),
    /// A compressed Edwards point.
    Ed25519([u8; 32]),
    /// Modulus and exponent, big-endian, no leading zero.
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why something is not a public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Not 65 bytes beginning with 4, or not 32 bytes.
    #[error("a public key is an uncompressed P-256 point of 65 bytes or 32 bytes of Ed25519")]
    Bytes,
    /// Not a strict JSON object.
    #[error("a JWK is one JSON object without repeated members")]
    Json,
    /// It has private or symmetric parts, which should never have been sent.
    #[error("a JWK with private or symmetric members is refused")]
    Private,
    /// A kind, use or algorithm that is not for us.
    #[error("a JWK of this `{0}` is not supported")]
    Unsupported(&'static str),
    /// A member is missing, has another type or another length.
    #[error("the JWK's member `{0}` is missing or malformed")]
    Member(&'static str),
}

/// The signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureInvalid;

// === impl PublicKey ===

impl PublicKey {
    /// A key of ours from its raw bytes: an uncompressed P-256 point, or 32 bytes of Ed25519.
    ///
    /// # Errors
    ///
    /// [`NotAKey::Bytes`] for any other length or form.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, NotAKey> {
        match algorithm {
            Algorithm::Es256 => Self::p256(bytes),
            Algorithm::Ed25519 => Self::ed25519(bytes),
        }
    }

    /// A key from its JWK.
    ///
    /// # Errors
    ///
    /// [`NotAKey`], saying which member is at fault.
    pub fn from_jwk(text: &[u8]) -> Result<Self, NotAKey> {
        Self::from_jwk_object(&json::parse_object(text).or(Err(NotAKey::Json))?)
    }

    /// A key from its JWK, already parsed.
    ///
    /// # Errors
    ///
    /// [`NotAKey`], saying which member is at fault.
    pub fn from_jwk_object(jwk: &Object) -> Result<Self, NotAKey> {
        if PRIVATE_MEMBERS.iter().any(|name| jwk.get(name).is_some()) || jwk.text("kty") == Some("oct") {
            return Err(NotAKey::Private);
        }
        check_use(jwk)?;
        let key = match jwk.text("kty") {
            Some("EC") => elliptic(jwk)?,
            Some("OKP") if jwk.text("crv") == Some("Ed25519") => Self(Material::Ed25519(array(jwk, "x")?)),
            Some("OKP") => return Err(NotAKey::Unsupported("crv")),
            Some("RSA") => rsa(jwk)?,
            Some(_) => return Err(NotAKey::Unsupported("kty")),
            None => return Err(NotAKey::Member("kty")),
        };
        match jwk.get("alg") {
            None => Ok(key),
            Some(alg) if alg.as_text() == Some(key.algorithm().name()) => Ok(key),
            Some(_) => Err(NotAKey::Unsupported("alg")),
        }
    }

    /// The key's one algorithm.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            Material::P256(_) => SignatureAlgorithm::Es256,
            Material::P384(_) => SignatureAlgorithm::Es384,
            Material::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Material::Rsa { .. } => SignatureAlgorithm::Rs256,
        }
    }

    /// The raw bytes: a point (65 or 97 bytes), 32 bytes of Ed25519, or an RSA modulus.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Material::P256(point) => point,
            Material::P384(point) => point,
            Material::Ed25519(point) => point,
            Material::Rsa { n, .. } => n,
        }
    }

    /// Checks `signature` over `message`: P1363 form for ECDSA (RFC 7518 section 3.4), high `s` allowed.
    ///
    /// # Errors
    ///
    /// [`SignatureInvalid`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureInvalid> {
        let verified = match &self.0 {
            Material::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            Material::P384(key) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.or(Err(SignatureInvalid))
    }

    /// The SHA-256 thumbprint (RFC 7638 section 3): what our `kid`s are, and the `jkt` of DPoP.
    pub fn thumbprint(&self) -> KeyId {
        KeyId(sha256(self.to_jwk()))
    }

    /// The JWK with the required members alone, in the order of RFC 7638 section 3.2.
    pub fn to_jwk(&self) -> String {
        match &self.0 {
            Material::P256(point) => elliptic_jwk("P-256", &point[1..]),
            Material::P384(point) => elliptic_jwk("P-384", &point[1..]),
            Material::Ed25519(x) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url::encode(x))
            }
            Material::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url::encode(e), base64url::encode(n))
            }
        }
    }

    pub(crate) fn p256(point: &[u8]) -> Result<Self, NotAKey> {
        let point = point.try_into().or(Err(NotAKey::Bytes))?;
        uncompressed(Material::P256(point))
    }

    pub(crate) fn p384(point: &[u8]) -> Result<Self, NotAKey> {
        let point = point.try_into().or(Err(NotAKey::Bytes))?;
        uncompressed(Material::P384(point))
    }

    pub(crate) fn ed25519(point: &[u8]) -> Result<Self, NotAKey> {
        point.try_into().map(|point| Self(Material::Ed25519(point))).or(Err(NotAKey::Bytes))
    }

    /// Modulus and exponent, big-endian, within the bounds above.
    pub(crate) fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, NotAKey> {
        // "MUST utilize the minimum number of octets" (RFC 7518 section 2).
        let minimal = |bytes: &[u8]| bytes.first().is_some_and(|first| *first != 0);
        // 256 bytes are 2048 bits only with the top bit set.
        let n_fits = (RSA_MODULUS_BYTES_MIN..=RSA_MODULUS_BYTES_MAX).contains(&n.len())
            && minimal(&n)
            && (n.len() > RSA_MODULUS_BYTES_MIN || n[0] >= 0x80);
        // An exponent is odd, and 1 would let any message be its own signature.
        let odd = e.last().is_some_and(|last| last % 2 == 1);
        let e_fits = e.len() <= RSA_EXPONENT_BYTES_MAX && minimal(&e) && odd && e != [1];
        match (n_fits, e_fits) {
            (true, true) => Ok(Self(Material::Rsa { n, e })),
            (false, _) => Err(NotAKey::Member("n")),
            (true, false) => Err(NotAKey::Member("e")),
        }
    }

    pub(crate) fn material(&self) -> &Material {
        &self.0
    }
}

// === JWK ===

fn elliptic_jwk(curve: &str, coordinates: &[u8]) -> String {
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
}

/// A key says that it is for signatures, or nothing at all (RFC 7517 sections 4.2 and 4.3).
fn check_use(jwk: &Object) -> Result<(), NotAKey> {
    let wrong_use = |value: &json::Value| !value.as_text().is_some_and(|text| USES.contains(&text));
    if jwk.get("use").is_some_and(wrong_use) {
        return Err(NotAKey::Unsupported("use"));
    }
    let verifies = |value: &json::Value| {
        value.as_list().is_some_and(|list| list.iter().any(|item| item.as_text() == Some("verify")))
    };
    if jwk.get("key_ops").is_some_and(|value| !verifies(value)) {
        return Err(NotAKey::Unsupported("key_ops"));
    }
    Ok(())
}

fn elliptic(jwk: &Object) -> Result<PublicKey, NotAKey> {
    match jwk.text("crv") {
        Some("P-256") => {
            let mut point = [4; 65];
            point[1..33].copy_from_slice(&array::<32>(jwk, "x")?);
            point[33..].copy_from_slice(&array::<32>(jwk, "y")?);
            Ok(PublicKey(Material::P256(point)))
        }
        Some("P-384") => {
            let mut point = [4; 97];
            point[1..49].copy_from_slice(&array::<48>(jwk, "x")?);
            point[49..].copy_from_slice(&array::<48>(jwk, "y")?);
            Ok(PublicKey(Material::P384(point)))
        }
        _ => Err(NotAKey::Unsupported("crv")),
    }
}

fn rsa(jwk: &Object) -> Result<PublicKey, NotAKey> {
    let integer = |name: &'static str| {
        jwk.text(name).and_then(|text| base64url::decode(text).ok()).ok_or(NotAKey::Member(name))
    };
    PublicKey::rsa(integer("n")?, integer("e")?)
}

/// Only the uncompressed form of a point begins with 4 (SEC 1 section 2.3.3).
fn uncompressed(point: Material) -> Result<PublicKey, NotAKey> {
    let key = PublicKey(point);
    if key.as_bytes()[0] == 4 { Ok(key) } else { Err(NotAKey::Bytes) }
}

fn array<const N: usize>(jwk: &Object, name: &'static str) -> Result<[u8; N], NotAKey> {
    jwk.text(name).and_then(|text| base64url::decode_array(text).ok()).ok_or(NotAKey::Member(name))
}

#[cfg(test)]
pub(crate) mod tests;
