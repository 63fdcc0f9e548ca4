//! The fixed place of `jti`: a token's id without JSON, signature or allocation.

use locum_jose::base64url;
use locum_model::TokenId;

use crate::header;

/// Where the payload begins: after the header and its dot.
const PAYLOAD_AT: usize = header::TEXT_BYTES + 1;
/// `{"jti"`, two whole groups of base64.
const OPENING: &[u8] = b"eyJqdGki";
/// The groups that hold `:"`, the 32 digits and `",`: 36 bytes in 48 characters.
const DIGITS_TEXT_BYTES: usize = 48;

/// The id that a token of ours has in its fixed place.
///
/// A hint: it says where to look, not that the token is genuine, whole, or ours.
pub fn jti_of(compact: &str) -> Option<TokenId> {
    let bytes = compact.as_bytes();
    if *bytes.get(PAYLOAD_AT - 1)? != b'.' {
        return None;
    }
    let digits = bytes.get(PAYLOAD_AT..)?.strip_prefix(OPENING)?.get(..DIGITS_TEXT_BYTES)?;
    let groups: [u8; 36] = base64url::decode_array(digits).ok()?;
    let digits = groups.strip_prefix(b":\"")?.strip_suffix(b"\",")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
