//! The cryptographic act: a live issue record becomes a token.
//!
//! The record precedes the signature. It names its key, so that signing it again gives the same
//! claims under the same `jti`.

use locum_jose::base64url;
use locum_model::event::KeyPurpose;
use locum_model::limits::ISSUED_TOKEN_BYTES_MAX;
use locum_model::{IssueRecord, Live, Reason, SignedToken};

use crate::claims::{ClaimFault, Claims};
use crate::header;
use crate::key_ring::{KeyRing, KeyRingError, KeyState};
use crate::payload;

/// A dot and 64 bytes of signature as base64url.
const SIGNATURE_TEXT_BYTES: usize = 1 + 86;

/// Why a record did not become a token.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The claims do not fit into a token.
    #[error("the token would have {length} bytes, more than {ISSUED_TOKEN_BYTES_MAX}")]
    TooLarge {
        /// How long it would have been.
        length: usize,
    },
    /// The record says what no token may say.
    #[error("the record cannot be signed")]
    Record(#[from] ClaimFault),
    /// The key that the record names is gone, is for something else, or does not sign yet.
    #[error("the key that the record names does not sign tokens")]
    Key,
    /// The key could not sign.
    #[error("the key could not sign")]
    Signing(#[from] KeyRingError),
}

/// The token of a live record, signed with the key that the record names.
///
/// # Errors
///
/// [`SignError`] by reason: `TOKEN_TOO_LARGE`, `INTERNAL`.
pub fn sign(ring: &KeyRing, issuer: &str, record: &Live<IssueRecord>) -> Result<SignedToken, SignError> {
    let record = record.record();
    let signs = |state| matches!(state, KeyState::Active | KeyState::Superseded);
    let key = ring.key(&record.kid).filter(|key| key.purpose() == KeyPurpose::Token && signs(key.state()));
    let key = key.ok_or(SignError::Key)?;
    let payload = payload_within_bounds(issuer, record)?;
    let mut compact = String::with_capacity(ISSUED_TOKEN_BYTES_MAX);
    compact.push_str(key.header_text());
    compact.push('.');
    base64url::encode_to(payload, &mut compact);
    let signature = key.sign(compact.as_bytes())?;
    compact.push('.');
    base64url::encode_to(signature, &mut compact);
    Ok(SignedToken::assertion(record.jti, compact, record.expires_at))
}

/// Whether a record could be signed, before it is committed: its bounds and its length.
///
/// # Errors
///
/// [`SignError::TooLarge`] and [`SignError::Record`].
pub fn check_record(issuer: &str, record: &IssueRecord) -> Result<(), SignError> {
    payload_within_bounds(issuer, record).map(|_| ())
}

fn payload_within_bounds(issuer: &str, record: &IssueRecord) -> Result<String, SignError> {
    let claims = Claims::of(issuer, record);
    claims.check()?;
    let payload = payload::write(&claims);
    let length = header::TEXT_BYTES + 1 + (payload.len() * 4).div_ceil(3) + SIGNATURE_TEXT_BYTES;
    if length > ISSUED_TOKEN_BYTES_MAX { Err(SignError::TooLarge { length }) } else { Ok(payload) }
}

// === impl SignError ===

impl SignError {
    /// The code that callers see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TokenTooLarge,
            Self::Record(_) | Self::Key | Self::Signing(_) => Reason::Internal,
        }
    }
}

#[cfg(test)]
mod tests;
