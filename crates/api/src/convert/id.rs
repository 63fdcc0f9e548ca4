//! Ids, names, positions and byte strings of a fixed length.
//!
//! A refusal never repeats bytes: they may be a secret. It says how many there were.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use locum_model::limits::REQUEST_ID_BYTES_MAX;
use locum_model::{KeyId, Name, Position, TaskId, TokenId};

use crate::violation::Malformed;

/// Largest sequence: 48 bits.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;
/// Characters of 32 bytes in unpadded base64url.
const KEY_ID_BASE64_LEN: usize = 43;

/// `task-<home>-<count>`.
///
/// # Errors
///
/// [`Malformed`] for any other text.
pub fn task_from_wire(text: &str, field: &str) -> Result<TaskId, Malformed> {
    text.parse().map_err(|why| Malformed::of(field, why))
}

/// `task-<home>-<count>`, or none for an empty text.
///
/// # Errors
///
/// [`Malformed`] for any other text.
pub fn optional_task_from_wire(text: &str, field: &str) -> Result<Option<TaskId>, Malformed> {
    if text.is_empty() { Ok(None) } else { task_from_wire(text, field).map(Some) }
}

/// A `jti`: 32 lower-case hexadecimal digits.
///
/// # Errors
///
/// [`Malformed`] for any other text.
pub fn token_from_wire(text: &str, field: &str) -> Result<TokenId, Malformed> {
    text.parse().map_err(|why| Malformed::of(field, why))
}

/// A `kid`: unpadded base64url as in a token's header, or 64 lower-case hexadecimal digits.
///
/// # Errors
///
/// [`Malformed`] for any other text; both spellings are strict, so that a key has just these two.
pub fn key_from_wire(text: &str, field: &str) -> Result<KeyId, Malformed> {
    let base64 = || {
        let mut bytes = [0; 32];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        (length == bytes.len()).then_some(KeyId(bytes))
    };
    let kid = if text.len() == KEY_ID_BASE64_LEN { base64() } else { text.parse().ok() };
    kid.ok_or_else(|| {
        Malformed::of(field, "not a key id: expected 43 characters of base64url or 64 hexadecimal digits")
    })
}

/// The `kid` as tokens and key sets write it: unpadded base64url (RFC 7638 section 3.1).
pub fn key_to_wire(kid: KeyId) -> String {
    URL_SAFE_NO_PAD.encode(kid.0)
}

/// A registered name.
///
/// # Errors
///
/// [`Malformed`] for anything that is not a [`Name`].
pub fn name_from_wire(text: &str, field: &str) -> Result<Name, Malformed> {
    text.parse().map_err(|why| Malformed::of(field, why))
}

/// `home.epoch.sequence`.
///
/// # Errors
///
/// [`Malformed`] for any other text, leading zeros and signs included.
pub fn position_from_wire(text: &str, field: &str) -> Result<Position, Malformed> {
    let number = |part: Option<&str>, max: u64| -> Option<u64> {
        let part = part.filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
        let one_spelling = part == "0" || !part.starts_with('0');
        part.parse().ok().filter(|n| one_spelling && *n <= max)
    };
    let read = || {
        let mut parts = text.split('.');
        let home = number(parts.next(), u16::MAX.into())?;
        let epoch = number(parts.next(), u32::MAX.into())?;
        let sequence = number(parts.next(), SEQUENCE_MAX)?;
        let end = parts.next().is_none();
        Some(Position { home: home.try_into().ok()?, epoch: epoch.try_into().ok()?, sequence })
            .filter(|_| end)
    };
    read().ok_or_else(|| Malformed::of(field, "not a position: expected `home.epoch.sequence`"))
}

/// Bytes of a fixed length: a digest, a thumbprint, a nonce or a holder secret.
///
/// # Errors
///
/// [`Malformed`] for any other length.
pub fn bytes_from_wire<const N: usize>(bytes: &[u8], field: impl fmt::Display) -> Result<[u8; N], Malformed> {
    bytes.first_chunk().filter(|_| bytes.len() == N).copied().ok_or_else(|| wrong_length::<N>(bytes, field))
}

/// Bytes of a fixed length, or none for no bytes.
///
/// # Errors
///
/// [`Malformed`] for any other length.
pub fn optional_bytes_from_wire<const N: usize>(
    bytes: &[u8],
    field: impl fmt::Display,
) -> Result<Option<[u8; N]>, Malformed> {
    if bytes.is_empty() { Ok(None) } else { bytes_from_wire(bytes, field).map(Some) }
}

/// A caller's request id: 1 to 64 printable ASCII characters, or none for an empty text.
///
/// # Errors
///
/// [`Malformed`] for any other text.
pub fn request_id_from_wire(text: &str, field: &str) -> Result<Option<String>, Malformed> {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    match text.len() {
        0 => Ok(None),
        1..=REQUEST_ID_BYTES_MAX if printable => Ok(Some(text.to_owned())),
        _ => Err(Malformed::of(field, "must be 1 to 64 printable ascii characters")),
    }
}

fn wrong_length<const N: usize>(bytes: &[u8], field: impl fmt::Display) -> Malformed {
    Malformed::of(field.to_string(), format_args!("must be {N} bytes, not {}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_id_has_two_spellings() {
        let kid = KeyId([0xfb; 32]);
        assert_eq!(key_from_wire(&key_to_wire(kid), "k"), Ok(kid));
        assert_eq!(key_from_wire(&kid.to_string(), "k"), Ok(kid));
        let written = key_to_wire(kid);
        let trailing_bits = format!("{}t", &written[..42]);
        let standard_alphabet = written.replace('-', "+");
        let padded = format!("{written}=");
        let upper = kid.to_string().to_uppercase();
        let other_alphabet = "é".repeat(21) + "a";
        for bad in [
            "",
            "x",
            &written[..42],
            &padded,
            &trailing_bits,
            &standard_alphabet,
            &upper,
            &other_alphabet,
            "../../etc/passwd",
            &"a".repeat(64 * 1024),
        ] {
            assert!(key_from_wire(bad, "k").is_err(), "{bad:.80?}");
        }
    }

    #[test]
    fn malformed_ids_are_refused_and_named() {
        let refused = [
            task_from_wire("task-1", "task_id").map(drop),
            optional_task_from_wire("task-0-00", "task_id").map(drop),
            token_from_wire("AB", "task_id").map(drop),
            name_from_wire("Orders", "task_id").map(drop),
            name_from_wire("о", "task_id").map(drop),
            bytes_from_wire::<32>(&[0; 31], "task_id").map(drop),
            bytes_from_wire::<32>(&[], "task_id").map(drop),
            optional_bytes_from_wire::<32>(&[0; 33], "task_id").map(drop),
            request_id_from_wire("a\n", "task_id").map(drop),
            request_id_from_wire("é", "task_id").map(drop),
            request_id_from_wire(&"a".repeat(65), "task_id").map(drop),
        ];
        for (at, refused) in refused.into_iter().enumerate() {
            assert_eq!(refused.expect_err("malformed").violations()[0].field, "task_id", "case {at}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_a_secret() {
        let refused = bytes_from_wire::<32>(b"hunter2", "holder_secret").expect_err("too short");
        assert_eq!(refused.violations()[0].message, "must be 32 bytes, not 7");
    }

    #[test]
    fn positions_have_one_spelling() {
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.",
            "01.2.3",
            "+1.2.3",
            "65536.0.0",
            "0.4294967296.0",
            "0.0.281474976710656",
            "a.b.c",
        ] {
            assert!(position_from_wire(bad, "p").is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ids_survive(home in any::<u16>(), count in 0..=TaskId::COUNT_MAX, jti in any::<[u8; 16]>(), kid in any::<[u8; 32]>()) {
            let task = TaskId::new(home, count);
            prop_assert_eq!(task_from_wire(&task.to_string(), "f"), Ok(task));
            prop_assert_eq!(token_from_wire(&TokenId(jti).to_string(), "f"), Ok(TokenId(jti)));
            prop_assert_eq!(key_from_wire(&key_to_wire(KeyId(kid)), "f"), Ok(KeyId(kid)));
            prop_assert_eq!(bytes_from_wire::<32>(&kid, "f"), Ok(kid));
        }

        #[test]
        fn a_position_survives(home in any::<u16>(), epoch in any::<u32>(), sequence in 0..=SEQUENCE_MAX) {
            let position = Position { home, epoch, sequence };
            prop_assert_eq!(position_from_wire(&position.to_string(), "f"), Ok(position));
        }

        #[test]
        fn a_request_id_survives(id in "[ -~]{1,64}") {
            prop_assert_eq!(request_id_from_wire(&id, "f"), Ok(Some(id)));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (task_from_wire(&text, "f"), token_from_wire(&text, "f"), position_from_wire(&text, "f"));
            if let Ok(kid) = key_from_wire(&text, "f") {
                prop_assert!(text == key_to_wire(kid) || text == kid.to_string());
            }
        }
    }
}
