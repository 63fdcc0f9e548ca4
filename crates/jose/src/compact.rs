//! [`Compact`]: a compact JWS whose form is beyond doubt (RFC 7515 section 3.1).
//!
//! The guard works from cheap to dear, and nothing dear is done for input that a cheap step
//! refuses: length, alphabet and exactly three non-empty parts before any base64; canonical
//! base64url before any JSON; a strict JSON header whose every member is on the profile's list
//! before the payload is looked at. A token that passes is well formed, not believed:
//! [`Compact::verify`] says whether its signature holds, its claims are the caller's business.
//!
//! `crit`, `b64`, `jku`, `jwk`, `x5u`, `x5c`, `zip`, `enc` are on no list: none of them is ever
//! read, and no key comes from a token.

use crate::algorithm::SignatureAlgorithm;
use crate::base64url;
use crate::json::{self, Object};
use crate::key::PublicKey;
use locum_model::limits::KID_BYTES_MAX;

/// What the header of one kind of token may look like.
///
/// `alg` and `kid` always have to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Longest token, in bytes.
    pub bytes_max: usize,
    /// The members that the header may have, `alg`, `kid` and `typ` among them. Members beyond
    /// these three must be strings and are not looked at.
    pub members: &'static [&'static str],
    /// What `typ` may be, character by character; `None` where it may be absent.
    pub types: &'static [Option<&'static str>],
}

/// A well-formed compact JWS.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact<'a> {
    text: &'a str,
    header_end: usize,
    payload_end: usize,
    algorithm: SignatureAlgorithm,
    kid: String,
    typ: Option<String>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a text is not a compact JWS of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCompact {
    /// Longer than the profile allows.
    #[error("the token is too long")]
    TooLong,
    /// A character that is neither base64url nor a dot.
    #[error("the token has characters beyond base64url and dots")]
    Alphabet,
    /// Not three parts, or an empty one.
    #[error("the token does not have three parts")]
    Parts,
    /// A part is not canonical base64url.
    #[error("a part of the token is not canonical base64url")]
    Encoding,
    /// The header is not a strict JSON object.
    #[error("the header is not a strict JSON object")]
    Header,
    /// The header has a member that is not on the list, or not a string.
    #[error("the header has a member that is not expected")]
    Member,
    /// `alg` is missing or not one that is accepted.
    #[error("the header's `alg` is missing or not accepted")]
    Algorithm,
    /// `kid` is missing, empty or too long.
    #[error("the header's `kid` is missing or out of bounds")]
    KeyId,
    /// `typ` is not what the profile says.
    #[error("the header's `typ` is not the one expected")]
    Type,
}

/// Why a well-formed token does not hold under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// The header names another algorithm than the key's; no arithmetic was done.
    #[error("the header's `alg` is not the key's algorithm")]
    Algorithm,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
}

// === impl Compact ===

impl<'a> Compact<'a> {
    /// Checks the form of `text`.
    ///
    /// # Errors
    ///
    /// [`NotCompact`]; which one depends on the first step that refuses.
    pub fn parse(text: &'a str, profile: &Profile) -> Result<Self, NotCompact> {
        let (header_end, payload_end) = split(text, profile.bytes_max)?;
        let decode = |part: &str| base64url::decode(part).or(Err(NotCompact::Encoding));
        let header = decode(&text[..header_end])?;
        let header = json::parse_object(&header).or(Err(NotCompact::Header))?;
        let (algorithm, kid, typ) = read_header(&header, profile)?;
        let payload = decode(&text[header_end + 1..payload_end])?;
        let signature = decode(&text[payload_end + 1..])?;
        Ok(Self { text, header_end, payload_end, algorithm, kid, typ, payload, signature })
    }

    /// Checks the signature, after the header's algorithm has been found to be the key's.
    ///
    /// # Errors
    ///
    /// [`NotVerified`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), NotVerified> {
        self.check_algorithm(key)?;
        key.verify(self.signing_input().as_bytes(), &self.signature).or(Err(NotVerified::Signature))
    }

    /// Checks that the header names the key's one algorithm.
    ///
    /// # Errors
    ///
    /// [`NotVerified::Algorithm`].
    pub fn check_algorithm(&self, key: &PublicKey) -> Result<(), NotVerified> {
        if self.algorithm == key.algorithm() { Ok(()) } else { Err(NotVerified::Algorithm) }
    }

    /// The whole token.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The header as it stands in the token: base64url.
    pub fn header_text(&self) -> &'a str {
        &self.text[..self.header_end]
    }

    /// What the signature covers: header and payload as they stand in the token.
    pub fn signing_input(&self) -> &'a str {
        &self.text[..self.payload_end]
    }

    /// The header's `alg`.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The header's `kid`: 1 to [`KID_BYTES_MAX`] bytes of any text.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The header's `typ`.
    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The payload's bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Shows no byte of payload or signature: the token may be a secret.
impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

// === the guard's steps ===

/// Where header and payload end: the places of the two dots.
pub(crate) fn split(text: &str, bytes_max: usize) -> Result<(usize, usize), NotCompact> {
    if text.len() > bytes_max {
        return Err(NotCompact::TooLong);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    // All of them, rather than up to the first that is not: so they are looked at many at once.
    if !text.bytes().fold(true, |all, b| all & plain(b)) {
        return Err(NotCompact::Alphabet);
    }
    let dot_from = |from: usize| text[from..].find('.').map(|at| from + at);
    let first = dot_from(0).ok_or(NotCompact::Parts)?;
    let second = dot_from(first + 1).ok_or(NotCompact::Parts)?;
    let whole = first > 0 && second > first + 1 && second + 1 < text.len();
    if whole && dot_from(second + 1).is_none() { Ok((first, second)) } else { Err(NotCompact::Parts) }
}

type HeaderParts = (SignatureAlgorithm, String, Option<String>);

fn read_header(header: &Object, profile: &Profile) -> Result<HeaderParts, NotCompact> {
    let alg = header.text("alg").ok_or(NotCompact::Algorithm)?;
    let algorithm = alg.parse().or(Err(NotCompact::Algorithm))?;
    for (name, value) in header.members() {
        if !profile.members.contains(&name) || value.as_text().is_none() {
            return Err(NotCompact::Member);
        }
    }
    let kid = header.text("kid").filter(|kid| (1..=KID_BYTES_MAX).contains(&kid.len()));
    let kid = kid.ok_or(NotCompact::KeyId)?.to_owned();
    let typ = header.text("typ");
    if !profile.types.contains(&typ) {
        return Err(NotCompact::Type);
    }
    Ok((algorithm, kid, typ.map(str::to_owned)))
}

#[cfg(test)]
mod tests;
