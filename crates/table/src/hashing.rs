//! Keys of the maps, and the two hashers that do as little as their keys allow.
//!
//! A `jti` is 128 random bits that this broker drew itself, so hashing it again buys nothing. The
//! two hashers take one integer and are no use for keys that a caller chooses.

use std::hash::{BuildHasher, Hash, Hasher};

use locum_model::TokenId;

/// An odd constant without pattern (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Set off from zero, so that the tags with a meaning of their own belong to no id that counts.
const OFFSET: u64 = 0xd1b5_4a32_d192_ed03;

/// A `jti` as the key of its row: the tag is its hash, and both halves together give the `jti` back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowKey {
    tag: Tag,
    low: u64,
}

/// Half a [`RowKey`], enough to find a row from the calendar at half the memory.
///
/// Two live tokens share a tag once in about 10^5 tables of ten million rows; the reaper allows
/// for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u64);

/// Takes the integer as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

/// For task ids, which the broker counts and nobody chooses: those that follow each other lie beside each other, as they
/// are used together. A run of them lies in one shard of a `DashMap`, the next one in the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InRuns(u64);

/// Ids that lie in one shard beside each other, as a power of two.
const RUN: u32 = 7;
/// From here on upwards are the bits by which a `DashMap` chooses among [`TASK_SHARDS`]: below the seven by which a
/// shard tells apart what lies in one place.
const SHARD_SHIFT: u32 = 64 - 7 - TASK_SHARDS.ilog2();
/// Shards of a map by task.
pub(crate) const TASK_SHARDS: usize = 64;

// === impl RowKey, Tag ===

impl RowKey {
    /// The key of a token.
    pub(crate) fn of(jti: TokenId) -> Self {
        let whole = u128::from_be_bytes(jti.0);
        let (high, low) = ((whole >> 64) as u64, whole as u64);
        // Both halves go into the tag, so that ids which count (in tests, in other brokers) spread too.
        let tag = high.wrapping_add(low.wrapping_mul(SPREAD)).wrapping_add(OFFSET);
        Self { tag: Tag(tag), low }
    }

    /// The key whose halves were kept in a row.
    pub(crate) fn from_halves(tag: Tag, low: u64) -> Self {
        Self { tag, low }
    }

    /// The half that is not the tag.
    pub(crate) fn low(self) -> u64 {
        self.low
    }

    /// The token again.
    pub(crate) fn jti(self) -> TokenId {
        let high = self.tag.0.wrapping_sub(OFFSET).wrapping_sub(self.low.wrapping_mul(SPREAD));
        TokenId((u128::from(high) << 64 | u128::from(self.low)).to_be_bytes())
    }

    /// The half that the calendar keeps.
    pub(crate) fn tag(self) -> Tag {
        self.tag
    }
}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tag.hash(state);
    }
}

impl Tag {
    /// A place that no row was ever in.
    pub(crate) const EMPTY: Self = Self(0);
    /// A place whose row was removed.
    pub(crate) const GONE: Self = Self(1);

    /// As it stands in a row.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// The tag that stands in a row.
    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Whether a row can have it. Of random ids all but one in 2^63 do.
    pub(crate) fn is_of_a_row(self) -> bool {
        self != Self::EMPTY && self != Self::GONE
    }
}

// === impl AsItIs, InRuns ===

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(SPREAD));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl Hasher for InRuns {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| (hash.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(SPREAD));
    }

    fn write_u64(&mut self, n: u64) {
        let spread = n.wrapping_mul(SPREAD);
        // The home stands at the top: ids that two homes counted are not in each other's way.
        let run = (n >> RUN).wrapping_add((n >> 48).wrapping_mul(SPREAD));
        let shards = TASK_SHARDS as u64;
        let place = (run / shards) << RUN | n & ((1 << RUN) - 1);
        let top = spread >> (64 - 7) << (64 - 7);
        self.0 = top | (run % shards) << SHARD_SHIFT | place & ((1 << SHARD_SHIFT) - 1);
    }
}

impl BuildHasher for AsItIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl BuildHasher for InRuns {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dashmap::DashMap;
    use locum_model::TaskId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_gives_its_token_back(bytes: [u8; 16]) {
            prop_assert_eq!(RowKey::of(TokenId(bytes)).jti(), TokenId(bytes));
        }
    }

    #[test]
    fn tasks_that_count_lie_beside_each_other_in_every_shard() {
        let shards = DashMap::<u64, (), _>::with_hasher_and_shard_amount(InRuns::default(), TASK_SHARDS);
        let place = |home, count| {
            let hash = shards.hash_usize(&TaskId::new(home, count).as_u64());
            (shards.determine_shard(hash), hash as u64 & 0xf_ffff, hash >> 57)
        };
        let run: Vec<_> = (0..1 << RUN).map(|count| place(1, count)).collect();
        assert!(run.windows(2).all(|pair| (pair[1].0, pair[1].1) == (pair[0].0, pair[0].1 + 1)));
        let told_apart: BTreeSet<_> = run[..16].iter().map(|(_, _, tag)| tag).collect();
        assert!(told_apart.len() > 12, "{} of 16", told_apart.len());
        // Every place is taken once, and as many in each shard.
        let all: BTreeSet<_> =
            (0..1 << 16).map(|count| place(1, count)).map(|(shard, at, _)| (shard, at)).collect();
        assert_eq!(all.len(), 1 << 16);
        for shard in 0..TASK_SHARDS {
            assert_eq!(all.iter().filter(|(of, _)| *of == shard).count(), (1 << 16) / TASK_SHARDS);
        }
        assert_ne!(place(1, 5).1, place(2, 5).1, "of another home");
    }

    #[test]
    fn ids_that_count_get_tags_that_spread() {
        let tags = (0..4096_u128).map(|n| RowKey::of(TokenId(n.to_be_bytes())).tag().0 >> 54);
        let distinct: BTreeSet<_> = tags.collect();
        assert!(distinct.len() > 900, "{} of 1024 shards", distinct.len());
    }
}
