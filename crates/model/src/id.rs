//! Ids of tasks, tokens, keys and subjects, and how they are written.

use std::fmt;
use std::str::FromStr;

/// A task: the home broker that started it and that broker's running count.
///
/// Written `task-<home>-<count>`. Knowing it gives nothing: acting on a task takes its holder
/// secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// The `jti` of a token: 128 random bits, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

/// The `kid` of a key: its RFC 7638 SHA-256 thumbprint, written as unpadded base64url by `jose`
/// and as hexadecimal here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

/// The first 128 bits of SHA-256 over tenant number and subject: a subject as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(pub [u8; 16]);

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnId {
    /// Not `task-<home>-<count>`.
    #[error("not a task id: expected `task-<home>-<count>`, for instance `task-1-42`")]
    Task,
    /// Not 32 hexadecimal digits.
    #[error("not a token id: expected 32 lower-case hexadecimal digits")]
    Token,
    /// Not 64 hexadecimal digits.
    #[error("not a key id: expected 64 lower-case hexadecimal digits")]
    Key,
}

// === impl TaskId ===

impl TaskId {
    /// Largest count: 48 bits.
    pub const COUNT_MAX: u64 = (1 << 48) - 1;

    /// The id of the `count`-th task of `home`.
    ///
    /// # Panics
    ///
    /// When `count` needs more than 48 bits; no broker starts that many tasks.
    pub fn new(home: u16, count: u64) -> Self {
        assert!(count <= Self::COUNT_MAX, "a task count has 48 bits");
        Self(u64::from(home) << 48 | count)
    }

    /// The broker that started the task.
    pub fn home(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// The home's running count.
    pub fn count(self) -> u64 {
        self.0 & Self::COUNT_MAX
    }

    /// Home and count in one integer, home first.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The reverse of [`TaskId::as_u64`].
    pub fn from_u64(packed: u64) -> Self {
        Self(packed)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task-{}-{}", self.home(), self.count())
    }
}

impl FromStr for TaskId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = |s: &str| {
            let plain = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            (plain && (s == "0" || !s.starts_with('0'))).then(|| s.parse::<u64>().ok())?
        };
        let (home, count) =
            text.strip_prefix("task-").and_then(|rest| rest.split_once('-')).ok_or(NotAnId::Task)?;
        let home = digits(home).and_then(|n| u16::try_from(n).ok()).ok_or(NotAnId::Task)?;
        let count = digits(count).filter(|n| *n <= Self::COUNT_MAX).ok_or(NotAnId::Task)?;
        Ok(Self::new(home, count))
    }
}

// === impl TokenId, KeyId, SubjectKey ===

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for TokenId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        read_hex(text).map(Self).ok_or(NotAnId::Token)
    }
}

impl KeyId {
    /// The first 128 bits: how a key stands in watermarks and feed entries.
    pub fn short(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0[..16]);
        short
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for KeyId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        read_hex(text).map(Self).ok_or(NotAnId::Key)
    }
}

impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

// === hexadecimal ===

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Ids stand in every token, answer and line of a log: written at once, not byte by byte.
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let mut digits = [0; 64];
    let pairs = digits.chunks_exact_mut(2).zip(bytes);
    pairs.for_each(|(pair, byte)| pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]));
    f.write_str(std::str::from_utf8(&digits[..2 * bytes.len()]).expect("digits are ASCII"))
}

fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let bytes = pairs.map(|[high, low]| (NIBBLES[usize::from(high)], NIBBLES[usize::from(low)]));
    // Told once for all: ids are read on every check.
    let all = bytes.iter().fold(0, |all, (high, low)| all | high | low);
    (all < NO_NIBBLE).then(|| bytes.map(|(high, low)| high << 4 | low))
}

/// More than any digit's value.
const NO_NIBBLE: u8 = 16;
/// The value of each lower-case hexadecimal digit.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_NIBBLE; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < digits.len() {
        values[digits[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_survives_its_text() {
        for id in [TaskId::new(0, 0), TaskId::new(1, 42), TaskId::new(u16::MAX, TaskId::COUNT_MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(TaskId::from_u64(id.as_u64()), id);
        }
    }

    #[test]
    fn only_the_one_spelling_is_a_task_id() {
        for bad in
            ["", "task-1", "task-01-2", "task-1-+2", "task-65536-1", "task-1-281474976710656", "Task-1-1"]
        {
            assert_eq!(bad.parse::<TaskId>(), Err(NotAnId::Task), "{bad}");
        }
    }

    #[test]
    fn a_token_id_is_32_lower_case_digits() {
        let id = TokenId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("AB".repeat(16).parse::<TokenId>().is_err());
        assert!("ab".repeat(15).parse::<TokenId>().is_err());
    }
}
