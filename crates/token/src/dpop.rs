//! DPoP (RFC 9449): a proof, made for one request, that whoever presents a token has the key that it is
//! bound to.
//!
//! [`check`] judges one proof by itself: form, key, signature, `htm`, `htu`, `iat` and `ath`. It needs
//! nothing but the time. [`Proofs`] then lets each proof through once. Of a proof, only the thumbprint of its key is ever
//! compared with a token (`cnf.jkt`): the key says nothing about who it is.
//!
//! What is deliberately not here: nonces of the server (section 8). A proof is good for a minute, for one
//! method of one URI with one token, and once.

mod presented;
mod proofs;
mod prove;
mod target;

use locum_jose::base64url;
use locum_jose::digest::sha256;
use locum_jose::json::Object;
use locum_jose::self_signed::{self, NotSelfSigned};
use locum_model::limits::{
    PROOF_AGE_MAX, PROOF_AHEAD_MAX, PROOF_BYTES_MAX, PROOF_ID_BYTES_MAX, PROOF_URI_BYTES_MAX,
};
use locum_model::{KeyId, Timestamp};

pub use presented::Presented;
pub use proofs::{NotAdmitted, Proofs};
pub use prove::ProofKey;

use target::is_same_target;

/// `typ` of a proof (section 4.2).
const TYPE: &str = "dpop+jwt";
/// The algorithms of proofs, as a challenge names them (section 7.1).
pub const ALGORITHMS: &str = "ES256 ES384 EdDSA RS256";

/// A proof as it was shown, and the request that it came with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The value of the `DPoP` header.
    pub proof: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// The URI of the request as the server knows itself, never as the request names it.
    pub uri: &'a str,
}

/// A proof that holds. It was not seen before only once [`Proofs::admit`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// RFC 7638 thumbprint of the key that was proved (`jkt`).
    pub key: KeyId,
    id: u128,
    issued_at: Timestamp,
}

/// Why the key that a token is bound to was not proved on the request that it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProved {
    /// Nothing was shown that could prove it.
    #[error("nothing was shown that could prove it")]
    NotShown,
    /// Another key or certificate was.
    #[error("another key was proved")]
    OtherKey,
    /// A proof came with a token that is not bound to a key of this kind.
    #[error("the token is not bound to a key, and a proof came with it")]
    NotBound,
    /// The proof was shown before.
    #[error("the proof was shown before")]
    Replayed,
    /// Not a `dpop+jwt` that is signed with the public key that it brings.
    #[error("not a proof that its own key signed")]
    Form,
    /// The key in it is a private or symmetric one: it is in everybody's hands.
    #[error("the proof tells a private or symmetric key")]
    PrivateKey,
    /// A claim is missing or malformed.
    #[error("the proof's `{0}` is missing or malformed")]
    Claim(&'static str),
    /// For another method or URI.
    #[error("the proof's `{0}` is not this request's")]
    Elsewhere(&'static str),
    /// For another token, or for none.
    #[error("the proof's `ath` is not this token's")]
    OtherToken,
    /// Made too long ago.
    #[error("the proof is too old")]
    TooOld,
    /// Made later than now, beyond what clocks may differ.
    #[error("the proof's `iat` lies ahead: the clock of whoever made it is fast")]
    Ahead,
}

/// Judges a proof for the request that it came with; `token` is the access token beside it, where one is.
///
/// # Errors
///
/// [`NotProved`].
pub fn check(shown: &Shown<'_>, token: Option<&str>, now: Timestamp) -> Result<Proof, NotProved> {
    let (key, claims) = self_signed::verify(shown.proof, TYPE, PROOF_BYTES_MAX)?;
    let text = |name: &'static str, bytes_max: usize| {
        let fits = |text: &&str| (1..=bytes_max).contains(&text.len());
        claims.text(name).filter(fits).ok_or(NotProved::Claim(name))
    };
    let id = text("jti", PROOF_ID_BYTES_MAX)?;
    if text("htm", PROOF_ID_BYTES_MAX)? != shown.method {
        return Err(NotProved::Elsewhere("htm"));
    }
    if !is_same_target(text("htu", PROOF_URI_BYTES_MAX)?, shown.uri) {
        return Err(NotProved::Elsewhere("htu"));
    }
    if let Some(token) = token {
        is_for(token, &claims)?;
    }
    let issued_at = claims.integer("iat").ok_or(NotProved::Claim("iat"))?;
    // Beyond any time that a clock shows, and so no time at all.
    let issued_at = (0..=u32::MAX.into()).contains(&issued_at).then(|| Timestamp::from_seconds(issued_at));
    let issued_at = issued_at.ok_or(NotProved::Claim("iat"))?;
    if now > issued_at.plus(PROOF_AGE_MAX) {
        return Err(NotProved::TooOld);
    }
    if issued_at > now.plus(PROOF_AHEAD_MAX) {
        return Err(NotProved::Ahead);
    }
    let key = key.thumbprint();
    // Of one key each `jti` is one proof; another key's are its own.
    let digest = sha256([&key.0[..], id.as_bytes()].concat());
    let id = u128::from_be_bytes(digest[..16].try_into().expect("half of 32 bytes"));
    Ok(Proof { key, id, issued_at })
}

/// `ath`: the hash of the token that the proof is shown with (section 4.2).
fn is_for(token: &str, claims: &Object) -> Result<(), NotProved> {
    let hash = claims.text("ath").ok_or(NotProved::OtherToken)?;
    if hash == base64url::encode(sha256(token)) { Ok(()) } else { Err(NotProved::OtherToken) }
}

/// Shows no proof: until it was let through once, it is worth something.
impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("method", &self.method).field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl From<NotSelfSigned> for NotProved {
    fn from(refusal: NotSelfSigned) -> Self {
        match refusal {
            NotSelfSigned::Key(locum_jose::key::NotAKey::Private) => Self::PrivateKey,
            _ => Self::Form,
        }
    }
}

#[cfg(test)]
mod tests;
