//! Base64url without padding, in its one canonical spelling (RFC 4648 section 5, RFC 7515
//! appendix C).
//!
//! Padding, white space, the other alphabet and left-over bits that are not zero are refused: two
//! texts never stand for the same bytes. Every check decodes a token, so it is done many characters at once.

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use locum_model::KeyId;

/// A text that is not canonical base64url, or not of the length asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical unpadded base64url")]
pub struct NotBase64Url;

/// The text of `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

/// Appends the text of `bytes` to `text`.
pub fn encode_to(bytes: impl AsRef<[u8]>, text: &mut String) {
    URL_SAFE_NO_PAD.encode_append(bytes, text);
}

/// The bytes of `text`.
///
/// # Errors
///
/// [`NotBase64Url`] for anything but the one canonical spelling.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64Url> {
    URL_SAFE_NO_PAD.decode_to_vec(text).or(Err(NotBase64Url))
}

/// The `N` bytes of `text`, without allocating.
///
/// # Errors
///
/// [`NotBase64Url`] for anything but the one canonical spelling of exactly `N` bytes.
pub fn decode_array<const N: usize>(text: impl AsRef<[u8]>) -> Result<[u8; N], NotBase64Url> {
    let mut bytes = [0; N];
    if decode_into(text, &mut bytes)? == N { Ok(bytes) } else { Err(NotBase64Url) }
}

/// Decodes `text` into the beginning of `bytes`, without allocating; gives how many they are.
///
/// # Errors
///
/// [`NotBase64Url`] for anything but the one canonical spelling of bytes that fit.
pub fn decode_into(text: impl AsRef<[u8]>, bytes: &mut [u8]) -> Result<usize, NotBase64Url> {
    let text = text.as_ref();
    // Where the bytes do not fit, decoding would panic.
    let length = URL_SAFE_NO_PAD.decoded_length(text).or(Err(NotBase64Url))?;
    let bytes = bytes.get_mut(..length).ok_or(NotBase64Url)?;
    URL_SAFE_NO_PAD.decode(text, bytes.as_out()).map(|bytes| bytes.len()).or(Err(NotBase64Url))
}

/// A `kid` as it stands in headers and key sets: 43 characters.
pub fn kid_text(kid: &KeyId) -> String {
    encode(kid.0)
}

/// The reverse of [`kid_text`].
///
/// # Errors
///
/// [`NotBase64Url`] for anything but 43 characters of canonical base64url.
pub fn parse_kid(text: &str) -> Result<KeyId, NotBase64Url> {
    decode_array(text).map(KeyId)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_read() {
        // RFC 7515 appendix C.
        assert_eq!(encode([3, 236, 255, 224, 193]), "A-z_4ME");
        for bad in ["A-z_4ME=", "A+z/4ME", "A-z_4MF", "A-z_4M\n", " A-z_4ME", "A", "A-z_4", "Ä"] {
            assert_eq!(decode(bad), Err(NotBase64Url), "{bad:?}");
        }
    }

    #[test]
    fn an_array_has_its_length() {
        assert_eq!(decode_array::<5>("A-z_4ME"), Ok([3, 236, 255, 224, 193]));
        assert_eq!(decode_array::<4>("A-z_4ME"), Err(NotBase64Url));
        assert_eq!(decode_array::<6>("A-z_4ME"), Err(NotBase64Url));
        assert_eq!(decode_array::<0>(""), Ok([]));
    }

    #[test]
    fn what_does_not_fit_is_not_decoded() {
        let mut bytes = [0; 8];
        assert_eq!(decode_into("A-z_4ME", &mut bytes), Ok(5));
        assert_eq!(bytes, [3, 236, 255, 224, 193, 0, 0, 0]);
        assert_eq!(decode_into("A-z_4MF", &mut bytes), Err(NotBase64Url));
        assert_eq!(decode_into("A-z_4ME", &mut bytes[..4]), Err(NotBase64Url));
    }

    /// Long texts are decoded many characters at once: one wrong character is seen wherever it stands.
    #[test]
    fn no_character_of_another_alphabet_is_read_at_any_place() {
        let good = encode([0xa7; 150]);
        let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        for at in 0..good.len() {
            for byte in (0..=u8::MAX).filter(|byte| !is_ours(*byte)) {
                let mut bad = good.clone().into_bytes();
                bad[at] = byte;
                assert_eq!(decode(&bad), Err(NotBase64Url), "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn bytes_survive_their_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn no_two_texts_mean_the_same_bytes(text in "[A-Za-z0-9_-]{0,200}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(bytes), text);
            }
        }

        #[test]
        fn the_plain_decoder_agrees(text in "[A-Za-z0-9_=+/ -]{0,12}|[A-Za-z0-9_-]{0,300}=?") {
            let plain = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&text);
            prop_assert_eq!(decode(&text).ok(), plain.clone().ok());
            let mut bytes = [0; 300];
            let length = decode_into(&text, &mut bytes).ok();
            prop_assert_eq!(length.map(|length| bytes[..length].to_vec()), plain.ok());
        }

        #[test]
        fn a_kid_survives_its_text(bytes in any::<[u8; 32]>()) {
            let kid = KeyId(bytes);
            prop_assert_eq!(kid_text(&kid).len(), 43);
            prop_assert_eq!(parse_kid(&kid_text(&kid)), Ok(kid));
        }
    }
}
