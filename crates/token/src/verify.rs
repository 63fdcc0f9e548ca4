//! The other direction: a text is believed, or refused with a reason.
//!
//! From cheap to dear: form, key, the one spelling of the header, signature, the one spelling of
//! the payload, issuer, times. Leeway is zero and `now == exp` is over. Whose audience the reader
//! is, whether the token is live in the table, and whether a proof matches `cnf` is for others to
//! judge.
//!
//! Signatures with a high `s` hold: what a token is, is its `jti`, never its signature's bytes.

use locum_jose::Compact;
use locum_jose::compact::{NotCompact, NotVerified};
use locum_model::event::KeyPurpose;
use locum_model::{KeyId, Reason, Timestamp};

use crate::claims::{ClaimFault, Claims};
use crate::header;
use crate::key_ring::{KeyRing, RingKey};
use crate::verifying_key::VerifyingKey;
use crate::{parse_kid, payload};

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a compact JWS with a header of ours.
    #[error("not a token that Locum signs: {0}")]
    Form(#[from] NotCompact),
    /// The header has another spelling or another algorithm than the key's.
    #[error("not a header that Locum writes for this key")]
    Header,
    /// Well signed, but the claims are not what Locum writes.
    #[error("not claims that Locum writes: claim `{0}`")]
    Claims(&'static str),
    /// Well signed, but for longer than any token may live: a signer is misused.
    #[error("well signed, but it lives longer than any token may")]
    LifeTooLong,
    /// The key is not one of ours, is gone, or is not for tokens.
    #[error("no token key of this `kid`")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// Another issuer.
    #[error("another issuer")]
    Issuer,
    /// Its time has not come.
    #[error("not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("expired")]
    Expired,
}

/// The claims of a token that a key of the ring signed for this issuer, and that is within its times.
///
/// # Errors
///
/// [`Refusal`] by reason: `TOKEN_MALFORMED`, `TOKEN_UNKNOWN_KEY`, `TOKEN_SIGNATURE_INVALID`,
/// `TOKEN_WRONG_ISSUER`, `TOKEN_NOT_YET_VALID`, `TOKEN_EXPIRED`.
pub fn verify(ring: &KeyRing, issuer: &str, compact: &str, now: Timestamp) -> Result<Claims, Refusal> {
    let token_key = |kid: &KeyId| ring.key(kid).filter(|key| key.purpose() == KeyPurpose::Token);
    let claims = verify_by(|kid| token_key(kid).map(RingKey::verifying), issuer, compact)?;
    claims.check_times(now)?;
    Ok(claims)
}

/// The claims of a token that a key which `key_of` knows signed for this issuer. Its times are not
/// judged.
///
/// # Errors
///
/// [`Refusal`] by reason: `TOKEN_MALFORMED`, `TOKEN_UNKNOWN_KEY`, `TOKEN_SIGNATURE_INVALID`,
/// `TOKEN_WRONG_ISSUER`.
pub fn verify_by<'k>(
    key_of: impl FnOnce(&KeyId) -> Option<&'k VerifyingKey>,
    issuer: &str,
    compact: &str,
) -> Result<Claims, Refusal> {
    let token = Compact::parse(compact, &header::PROFILE)?;
    let kid = parse_kid(token.kid()).or(Err(Refusal::UnknownKey))?;
    let key = key_of(&kid).ok_or(Refusal::UnknownKey)?;
    #[cfg(bug_zoo)]
    if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::TokenHeaderLoose) {
        token.verify(key.public())?;
        return Ok(payload::read(token.payload(), *key.kid())?);
    }
    if token.header_text() != key.header_text() {
        return Err(Refusal::Header);
    }
    token.verify(key.public())?;
    let claims = payload::read(token.payload(), *key.kid())?;
    if claims.issuer == issuer { Ok(claims) } else { Err(Refusal::Issuer) }
}

/// The claims of bytes already recognised as ours: form and claims, no signature, issuer or times.
///
/// # Errors
///
/// [`Refusal`] by reason: `TOKEN_MALFORMED`, `TOKEN_UNKNOWN_KEY` (the `kid` is not one of any key).
pub fn read(compact: &str) -> Result<Claims, Refusal> {
    let token = Compact::parse(compact, &header::PROFILE)?;
    let kid = parse_kid(token.kid()).or(Err(Refusal::UnknownKey))?;
    if token.header_text() != header::text(token.algorithm(), &kid) {
        return Err(Refusal::Header);
    }
    Ok(payload::read(token.payload(), kid)?)
}

impl Claims {
    /// Judges the times. Leeway is zero, and `now == exp` is over.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYetValid`] and [`Refusal::Expired`].
    pub fn check_times(&self, now: Timestamp) -> Result<(), Refusal> {
        if now < self.not_before {
            return Err(Refusal::NotYetValid);
        }
        if now >= self.expires_at { Err(Refusal::Expired) } else { Ok(()) }
    }
}

// === impl Refusal ===

impl Refusal {
    /// The code for the record. Callers get one public answer for all of them.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Form(_) | Self::Header | Self::Claims(_) | Self::LifeTooLong => Reason::TokenMalformed,
            Self::UnknownKey => Reason::TokenUnknownKey,
            Self::Signature => Reason::TokenSignatureInvalid,
            Self::Issuer => Reason::TokenWrongIssuer,
            Self::NotYetValid => Reason::TokenNotYetValid,
            Self::Expired => Reason::TokenExpired,
        }
    }
}

impl From<ClaimFault> for Refusal {
    fn from(fault: ClaimFault) -> Self {
        match fault {
            ClaimFault::Malformed(claim) => Self::Claims(claim),
            ClaimFault::LifeTooLong => Self::LifeTooLong,
        }
    }
}

impl From<NotVerified> for Refusal {
    fn from(refusal: NotVerified) -> Self {
        match refusal {
            NotVerified::Algorithm => Self::Header,
            NotVerified::Signature => Self::Signature,
        }
    }
}

#[cfg(test)]
mod tests;
