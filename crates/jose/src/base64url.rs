//! Base64url without padding, in its one canonical spelling (RFC 4648 section 5, RFC 7515
//! appendix C).
//!
//! Padding, white space, the other alphabet and left-over bits that are not zero are refused: two
//! texts never stand for the same bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use locum_model::KeyId;

/// Characters that are decoded together, and the bytes that they stand for.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = BLOCK / 4 * 3;

/// A text that is not canonical base64url, or not of the length asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical unpadded base64url")]
pub struct NotBase64Url;

/// The text of `bytes`.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the text of `bytes` to `text`.
pub fn encode_to(bytes: impl AsRef<[u8]>, text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// The bytes of `text`.
///
/// # Errors
///
/// [`NotBase64Url`] for anything but the one canonical spelling.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64Url> {
    let (blocks, tail) = text.as_ref().as_chunks::<BLOCK>();
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK_BYTES + tail.len());
    for block in blocks {
        bytes.extend_from_slice(&decode_block(block).ok_or(NotBase64Url)?);
    }
    // A block is whole groups of four characters, so only the tail can have bits left over.
    URL_SAFE_NO_PAD.decode_vec(tail, &mut bytes).or(Err(NotBase64Url))?;
    Ok(bytes)
}

/// The bytes of whole groups; none when one character is of no sextet.
///
/// Every check decodes a payload: compilers make vector code of the first loop, and of this no table.
fn decode_block(block: &[u8; BLOCK]) -> Option<[u8; BLOCK_BYTES]> {
    let mask = |is: bool| 0_u8.wrapping_sub(u8::from(is));
    let (mut sextets, mut plain) = ([0; BLOCK], u8::MAX);
    for (sextet, char) in sextets.iter_mut().zip(block) {
        let from = |first: u8, count: u8| mask(char.wrapping_sub(first) < count);
        let (upper, lower, digit) = (from(b'A', 26), from(b'a', 26), from(b'0', 10));
        let (minus, line) = (mask(*char == b'-'), mask(*char == b'_'));
        plain &= upper | lower | digit | minus | line;
        *sextet = upper & char.wrapping_sub(b'A')
            | lower & char.wrapping_sub(b'a' - 26)
            | digit & char.wrapping_add(52 - b'0')
            | minus & 62
            | line & 63;
    }
    if plain != u8::MAX {
        return None;
    }
    let mut bytes = [0; BLOCK_BYTES];
    let (eights, _none) = sextets.as_chunks::<8>();
    for (six, eight) in bytes.as_chunks_mut::<6>().0.iter_mut().zip(eights) {
        // Sextets move together in pairs, then pairs of pairs, then halves: 8 times 6 bits become 48.
        let apart = u64::from_be_bytes(*eight);
        let pairs = apart >> 2 & 0x0fc0_0fc0_0fc0_0fc0 | apart & 0x003f_003f_003f_003f;
        let fours = pairs >> 4 & 0x00ff_f000_00ff_f000 | pairs & 0x0000_0fff_0000_0fff;
        let whole = fours >> 8 & 0x0000_ffff_ff00_0000 | fours & 0x00ff_ffff;
        six.copy_from_slice(&whole.to_be_bytes()[2..]);
    }
    Some(bytes)
}

/// The `N` bytes of `text`, without allocating.
///
/// # Errors
///
/// [`NotBase64Url`] for anything but the one canonical spelling of exactly `N` bytes.
pub fn decode_array<const N: usize>(text: impl AsRef<[u8]>) -> Result<[u8; N], NotBase64Url> {
    let mut bytes = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
        Ok(length) if length == N => Ok(bytes),
        _ => Err(NotBase64Url),
    }
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
    fn every_character_is_one_sextet_or_none_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut text = *b"abcdefghijklmnopqrstuvwxyz012345";
                text[at] = byte;
                assert_eq!(
                    decode(text),
                    URL_SAFE_NO_PAD.decode(text).or(Err(NotBase64Url)),
                    "{byte} at {at}"
                );
            }
        }
    }

    #[test]
    fn an_array_has_its_length() {
        assert_eq!(decode_array::<5>("A-z_4ME"), Ok([3, 236, 255, 224, 193]));
        assert_eq!(decode_array::<4>("A-z_4ME"), Err(NotBase64Url));
        assert_eq!(decode_array::<6>("A-z_4ME"), Err(NotBase64Url));
        assert_eq!(decode_array::<0>(""), Ok([]));
    }

    proptest! {
        #[test]
        fn bytes_survive_their_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn long_texts_are_read_as_the_library_reads_them(
            mut text in "[A-Za-z0-9_-]{0,200}",
            at in any::<prop::sample::Index>(),
            other in any::<char>(),
        ) {
            let theirs = |text: &str| URL_SAFE_NO_PAD.decode(text).or(Err(NotBase64Url));
            prop_assert_eq!(decode(&text), theirs(&text));
            text.insert(at.index(text.len() + 1), other);
            prop_assert_eq!(decode(&text), theirs(&text));
        }

        #[test]
        fn no_two_texts_mean_the_same_bytes(text in "[A-Za-z0-9_-]{0,20}") {
            if let Ok(bytes) = decode(&text) {
                prop_assert_eq!(encode(bytes), text);
            }
        }

        #[test]
        fn a_kid_survives_its_text(bytes in any::<[u8; 32]>()) {
            let kid = KeyId(bytes);
            prop_assert_eq!(kid_text(&kid).len(), 43);
            prop_assert_eq!(parse_kid(&kid_text(&kid)), Ok(kid));
        }
    }
}
