//! `RequestId`: the id that a request has in logs and answers.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use locum_model::Entropy;

const BYTES: usize = 12;
/// Odd, so that 2^64 steps come by every value; large, so that neighbours do not look alike.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// 24 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 2 * BYTES]);

/// Makes ids: none twice in a process, and none like another process's but by chance.
///
/// They are for finding a line in a log and open nothing, so randomness is asked for once, not per request.
#[derive(Debug)]
pub struct RequestIds {
    process: [u8; BYTES - 8],
    next: AtomicU64,
}

impl RequestIds {
    /// Ids that begin anywhere. Without randomness they begin at nought: a request is judged all the same.
    pub fn new(entropy: &dyn Entropy) -> Self {
        let (mut process, mut first) = ([0; BYTES - 8], [0; 8]);
        let _ = entropy.fill(&mut process).and_then(|()| entropy.fill(&mut first));
        Self { process, next: AtomicU64::new(u64::from_be_bytes(first)) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut bytes = [0; BYTES];
        bytes[..BYTES - 8].copy_from_slice(&self.process);
        bytes[BYTES - 8..].copy_from_slice(&self.next.fetch_add(STEP, Ordering::Relaxed).to_be_bytes());
        RequestId::of(bytes)
    }
}

impl RequestId {
    fn of(bytes: [u8; BYTES]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 2 * BYTES];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn an_id_is_hexadecimal() {
        let id = RequestId::of([0x00, 0x0f, 0xa5, 0xff, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(id.to_string(), "000fa5ff0102030405060708");
    }

    #[test]
    fn none_comes_twice() {
        let (one, other) = (RequestIds::new(&OsEntropy::new()), RequestIds::new(&OsEntropy::new()));
        let ids: BTreeSet<String> =
            (0..1_000).flat_map(|_| [one.next().to_string(), other.next().to_string()]).collect();
        assert_eq!(ids.len(), 2_000);
    }
}
