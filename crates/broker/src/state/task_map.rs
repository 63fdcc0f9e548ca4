//! [`TaskMap`]: what belongs to tasks, found by their ids.
//!
//! The broker counts its tasks itself and nobody else chooses an id, so that no hash has to withstand
//! anybody. Tasks that began together are used together, and lie together here.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use locum_model::TaskId;

/// A map by task.
pub(crate) type TaskMap<V> = HashMap<TaskId, V, ByCount>;

/// An odd constant without pattern (2^64 divided by the golden ratio).
pub(crate) const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// The bits by which a map tells apart what lies in one place.
const TOP_BITS: u64 = 0x7f << 57;

/// Takes an id for its own hash, but for the bits at the top, which hardly differ between ids.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ByCount(u64);

impl Hasher for ByCount {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (n & !TOP_BITS) | (n.wrapping_mul(SPREAD) & TOP_BITS);
    }
}

impl BuildHasher for ByCount {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_count_lie_beside_each_other_and_are_told_apart() {
        let hash = |home, count| ByCount(0).hash_one(TaskId::new(home, count));
        let places: Vec<u64> = (1..=64).map(|count| hash(1, count) & 0xffff).collect();
        assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let tops: std::collections::BTreeSet<u64> = (1..=16).map(|count| hash(1, count) >> 57).collect();
        assert!(tops.len() > 12, "{} of 16", tops.len());
        assert_ne!(hash(1, 1), hash(2, 1));
    }
}
