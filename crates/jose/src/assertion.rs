//! Identity assertions of others (JWT-SVID, OpenID tokens), verified by jsonwebtoken on our
//! [`provider`].
//!
//! jsonwebtoken's own judgement is switched off where it is too loose: times, audience and issuer
//! are the caller's to judge, with its own clock. What stays is signature and decoding, behind the
//! guard of [`Compact::parse`] and with one algorithm per key. Claims come as a strict JSON object:
//! a member that stands twice is refused even under a good signature.

use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;

use crate::compact::{Compact, NotVerified, Profile};
use crate::json::Object;
use crate::key::PublicKey;
use crate::provider;

/// The headers of JWT-SVIDs (JWT-SVID section 2).
pub const JWT_SVID: Profile = Profile {
    bytes_max: locum_model::limits::ASSERTION_BYTES_MAX,
    members: &["alg", "kid", "typ"],
    types: &[None, Some("JWT"), Some("JOSE")],
};

/// The headers of OpenID Connect and platform tokens; some issuers add a certificate thumbprint,
/// which is not looked at.
pub const OPENID: Profile = Profile {
    bytes_max: locum_model::limits::ASSERTION_BYTES_MAX,
    members: &["alg", "kid", "typ", "x5t", "x5t#S256"],
    types: &[None, Some("JWT"), Some("jwt"), Some("at+jwt")],
};

/// Why an assertion does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsserted {
    /// The header names another algorithm than the key's; no arithmetic was done.
    #[error("the header's `alg` is not the key's algorithm")]
    Algorithm,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// Well signed, but the payload is not a strict JSON object.
    #[error("the claims are not a strict JSON object")]
    Claims,
    /// This process did not install our provider; nothing was verified.
    #[error("the provider for jsonwebtoken is not installed")]
    Provider,
}

/// The claims of an assertion that `key` signed. Its times, issuer and audience are not judged.
///
/// # Errors
///
/// [`NotAsserted`].
pub fn verify(assertion: &Compact<'_>, key: &PublicKey) -> Result<Object, NotAsserted> {
    if !provider::is_installed() {
        return Err(NotAsserted::Provider);
    }
    assertion.check_algorithm(key)?;
    let mut validation = Validation::new(provider::name_of(key.algorithm()));
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let data = jsonwebtoken::decode::<Object>(assertion.text(), &provider::decoding_key(key), &validation);
    data.map(|data| data.claims).map_err(|error| match error.kind() {
        ErrorKind::Json(_) => NotAsserted::Claims,
        _ => NotAsserted::Signature,
    })
}

impl From<NotVerified> for NotAsserted {
    fn from(refusal: NotVerified) -> Self {
        match refusal {
            NotVerified::Algorithm => Self::Algorithm,
            NotVerified::Signature => Self::Signature,
        }
    }
}

#[cfg(test)]
mod tests;
