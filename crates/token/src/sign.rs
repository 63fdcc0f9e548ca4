//! The cryptographic act: a live issue record becomes a token.
//!
//! The record precedes the signature. It names its key, so that signing it again gives the same
//! claims under the same `jti`.

use std::sync::Arc;

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
    /// The draft is of another record than the one that is live.
    #[error("the draft is of another record")]
    OtherRecord,
    /// The key that the record names is gone, is for something else, or does not sign yet.
    #[error("the key that the record names does not sign tokens")]
    Key,
    /// The key could not sign.
    #[error("the key could not sign")]
    Signing(#[from] KeyRingError),
}

/// What a record's token will say, written before the record is committed and signed after it: bounds
/// are judged while a refusal is still possible, and nothing is written twice.
#[derive(Clone, Debug)]
pub struct Draft {
    record: Arc<IssueRecord>,
    payload: String,
}

/// The token of a live record, signed with the key that the record names.
///
/// # Errors
///
/// [`SignError`] by reason: `TOKEN_TOO_LARGE`, `INTERNAL`.
pub fn sign(ring: &KeyRing, issuer: &str, record: &Live<IssueRecord>) -> Result<SignedToken, SignError> {
    Draft::of(issuer, record.shared())?.sign(ring, record)
}

// === impl Draft ===

impl Draft {
    /// What the token of this record will say.
    ///
    /// # Errors
    ///
    /// [`SignError::TooLarge`] and [`SignError::Record`].
    pub fn of(issuer: &str, record: &Arc<IssueRecord>) -> Result<Self, SignError> {
        let claims = Claims::of(issuer, record);
        claims.check()?;
        let payload = payload::write(&claims);
        let length = text_bytes(&payload);
        if length > ISSUED_TOKEN_BYTES_MAX {
            return Err(SignError::TooLarge { length });
        }
        Ok(Self { record: Arc::clone(record), payload })
    }

    /// The token, once its record is live. Signed with the key that the record names.
    ///
    /// # Errors
    ///
    /// [`SignError::OtherRecord`], [`SignError::Key`] and [`SignError::Signing`].
    pub fn sign(&self, ring: &KeyRing, live: &Live<IssueRecord>) -> Result<SignedToken, SignError> {
        // The record is shared, so that this compares two pointers and no claims.
        if self.record != *live.shared() {
            return Err(SignError::OtherRecord);
        }
        let record = live.record();
        let signs = |state| matches!(state, KeyState::Active | KeyState::Superseded);
        let key =
            ring.key(&record.kid).filter(|key| key.purpose() == KeyPurpose::Token && signs(key.state()));
        let key = key.ok_or(SignError::Key)?;
        let mut compact = String::with_capacity(text_bytes(&self.payload));
        compact.push_str(key.header_text());
        compact.push('.');
        base64url::encode_to(&self.payload, &mut compact);
        let signature = key.sign(compact.as_bytes())?;
        compact.push('.');
        base64url::encode_to(signature, &mut compact);
        Ok(SignedToken::assertion(record.jti, compact, record.expires_at))
    }
}

/// How long the token of this payload is.
fn text_bytes(payload: &str) -> usize {
    header::TEXT_BYTES + 1 + (payload.len() * 4).div_ceil(3) + SIGNATURE_TEXT_BYTES
}

// === impl SignError ===

impl SignError {
    /// The code that callers see.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TokenTooLarge,
            Self::Record(_) | Self::OtherRecord | Self::Key | Self::Signing(_) => Reason::Internal,
        }
    }
}

#[cfg(test)]
mod tests;
