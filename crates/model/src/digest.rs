//! [`Digest`]: 128 bits that stand for a token's bytes, within the process that drew the [`DigestKey`].
//!
//! Not a cryptographic hash: a strongly universal one, which is enough as long as the key is secret, drawn
//! evenly, and nobody outside ever sees a digest. Then whoever presents other bytes than those that were
//! digested, however they choose them, has the same digest with a chance of 2^-128 at each try.
//! Those bytes cost a fifth of what SHA-256 would take.
//!
//! Both halves are the multilinear hash of the words of 64 bits, which begin with the length and end
//! with noughts: the upper half of `b + a[0] * w[0] + a[1] * w[1] + ...` modulo 2^128, with keys of 128 bits
//! (Lemire and Kaser, "Strongly universal string hashing is fast", The Computer Journal 57(11), 2014, theorem 3.1).

#[cfg(bug_zoo)]
use crate::bug_zoo::{Bug, is_planted};
use crate::entropy::{Entropy, EntropyFailed};
use crate::limits::TOKEN_BYTES_MAX;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();
/// Keys that the longest token takes: the constant, its length, its words.
const KEYS: usize = 2 + TOKEN_BYTES_MAX.div_ceil(WORD);

/// What digests are made with: drawn once, and kept in this process. It has no `Debug` that tells it.
pub struct DigestKey(Box<[Pair]>);

/// What stands for a token's bytes. It never leaves the process: who knows some could find the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u64; 2]);

/// A key for each half.
type Pair = [u128; 2];

// === impl DigestKey ===

impl DigestKey {
    /// Draws a key.
    ///
    /// # Errors
    ///
    /// [`EntropyFailed`] when there is no randomness.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, EntropyFailed> {
        let mut bytes = vec![0; KEYS * size_of::<Pair>()];
        entropy.fill(&mut bytes)?;
        let (words, _) = bytes.as_chunks::<WORD>();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        Ok(Self::of_words(|| words.next().expect("as many bytes as a key takes")))
    }

    /// The key of these words, which have to be random, each by itself: a simulation's dice.
    pub fn of_words(mut next: impl FnMut() -> u64) -> Self {
        let mut half = || u128::from(next()) << u64::BITS | u128::from(next());
        Self((0..KEYS).map(|_| [half(), half()]).collect())
    }

    /// The digest of a token; none for a text that is longer than any token may be.
    ///
    /// The time it takes depends on the length alone.
    pub fn digest(&self, compact: &str) -> Option<Digest> {
        let bytes = compact.as_bytes();
        #[cfg(bug_zoo)]
        let bytes = if is_planted(Bug::DigestHalfCovered) { &bytes[..bytes.len() / 2] } else { bytes };
        let (words, rest) = bytes.as_chunks::<WORD>();
        let [constant, of_length, keys @ ..] = &*self.0 else { return None };
        let (keys, after) = keys.split_at_checked(words.len())?;
        let mut sums = add(*constant, of_length, compact.len() as u64);
        for (key, word) in keys.iter().zip(words) {
            sums = add(sums, key, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; WORD];
            word[..rest.len()].copy_from_slice(rest);
            sums = add(sums, after.first()?, u64::from_le_bytes(word));
        }
        Some(Digest(sums.map(|sum| (sum >> u64::BITS) as u64)))
    }
}

fn add(sums: Pair, key: &Pair, word: u64) -> Pair {
    let sum = |half: usize| sums[half].wrapping_add(key[half].wrapping_mul(word.into()));
    [sum(0), sum(1)]
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

// === impl Digest ===

impl Digest {
    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn is(self, other: Self) -> bool {
        #[cfg(bug_zoo)]
        if is_planted(Bug::DigestHalfCompared) {
            return self.0[0] == other.0[0];
        }
        (self.0[0] ^ other.0[0]) | (self.0[1] ^ other.0[1]) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Failing;

    impl Entropy for Failing {
        fn fill(&self, _bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            Err(EntropyFailed)
        }
    }

    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
            bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at % 251) as u8);
            Ok(())
        }
    }

    /// Words that depend on the seed (SplitMix64).
    fn key(seed: u64) -> DigestKey {
        let mut state = seed;
        DigestKey::of_words(|| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        })
    }

    /// The formula as it is written, with the arithmetic of schools.
    fn by_hand(key: &DigestKey, text: &str, half: usize) -> u64 {
        let mut words = vec![text.len() as u64];
        for chunk in text.as_bytes().chunks(8) {
            let value = chunk.iter().enumerate().map(|(at, byte)| u64::from(*byte) << (8 * at)).sum();
            words.push(value);
        }
        let mut sum = key.0[0][half];
        for (at, word) in words.iter().enumerate() {
            for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                sum = sum.wrapping_add(key.0[at + 1][half] << bit);
            }
        }
        (sum >> 64) as u64
    }

    proptest! {
        #[test]
        fn it_is_the_formula(seed in any::<u64>(), text in "[a-zA-Z0-9_.-]{0,90}") {
            let key = key(seed);
            let halves = [by_hand(&key, &text, 0), by_hand(&key, &text, 1)];
            prop_assert_eq!(key.digest(&text), Some(Digest(halves)));
        }

        #[test]
        fn other_bytes_have_another_digest(seed in any::<u64>(), one in ".{0,60}", other in ".{0,60}") {
            let key = key(seed);
            let (one_digest, other_digest) = (key.digest(&one).expect("short"), key.digest(&other).expect("short"));
            prop_assert_eq!(one_digest.is(other_digest), one == other);
            prop_assert_eq!(one_digest.0[0] == other_digest.0[0], one == other, "each half alone too");
            prop_assert_eq!(one_digest.0[1] == other_digest.0[1], one == other);
        }

        #[test]
        fn another_key_gives_another_digest(seed in any::<u64>(), text in ".{0,60}") {
            let (one, other) = (key(seed), key(seed ^ 1));
            prop_assert_ne!(one.digest(&text), other.digest(&text));
        }
    }

    #[test]
    fn neither_half_decides_alone() {
        let digest = Digest([1, 2]);
        assert!(digest.is(digest));
        for other in [[1, 3], [3, 2], [2, 1], [1, 2 | 1 << 63]] {
            assert!(!digest.is(Digest(other)), "{other:?}");
        }
    }

    #[test]
    fn noughts_at_the_end_count() {
        let key = key(7);
        let texts = ["", "\0", "\0\0", "\0\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0\0\0"];
        let digests: Vec<_> = texts.iter().map(|text| key.digest(text).expect("short")).collect();
        for (at, digest) in digests.iter().enumerate() {
            assert!(digests[..at].iter().all(|other| !digest.is(*other)), "{:?}", texts[at]);
        }
    }

    #[test]
    fn every_place_of_the_longest_token_counts() {
        let key = key(8);
        let longest = "a".repeat(TOKEN_BYTES_MAX);
        let digest = key.digest(&longest).expect("not too long");
        for at in (0..TOKEN_BYTES_MAX).step_by(61).chain([TOKEN_BYTES_MAX - 1]) {
            let mut other = longest.clone().into_bytes();
            other[at] ^= 1;
            let other = String::from_utf8(other).expect("ASCII");
            assert!(!key.digest(&other).expect("not too long").is(digest), "{at}");
        }
        assert_eq!(key.digest(&"a".repeat(TOKEN_BYTES_MAX + 1)), None);
        assert_eq!(key.digest(&"a".repeat(TOKEN_BYTES_MAX + 8)), None);
    }

    #[test]
    fn every_byte_that_is_drawn_is_in_the_key() {
        let drawn = DigestKey::draw(&Counting).expect("randomness");
        assert_eq!(drawn.0.len(), KEYS);
        let bytes = drawn.0.iter().flatten().flat_map(|half| {
            let word = |half: u64| half.to_ne_bytes();
            [word((half >> 64) as u64), word(*half as u64)].concat()
        });
        assert!(bytes.enumerate().all(|(at, byte)| byte == (at % 251) as u8));
    }

    #[test]
    fn without_randomness_there_is_no_key() {
        assert!(DigestKey::draw(&Failing).is_err());
        assert_eq!(format!("{:?}", key(1)), "DigestKey(…)");
    }
}
