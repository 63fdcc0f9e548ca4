//! [`Sharded`]: a hash table of many small ones, so that no step of its growth takes long, and none of its
//! shrinking.

use hashbrown::HashTable;

const SHARDS: usize = 1 << 8;
/// The bits that choose the shard. A table looks at those below for a place, and at the topmost to tell things apart.
const SHARD_SHIFT: u32 = 17;
/// Where few are left of room for many, this many or fewer are no reason to give any back.
const ROOM_MIN: usize = 16;

/// Things by a hash of theirs.
#[derive(Debug)]
pub(super) struct Sharded<T> {
    shards: Box<[HashTable<T>; SHARDS]>,
}

/// What knows its hash, which has to be spread well over all bits.
pub(super) trait Hashed {
    fn hash(&self) -> u64;
}

impl<T> Default for Sharded<T> {
    fn default() -> Self {
        Self { shards: Box::new(std::array::from_fn(|_| HashTable::new())) }
    }
}

impl<T: Hashed> Sharded<T> {
    /// The one of this hash that `is` it.
    pub(super) fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&T> {
        self.shards[shard(hash)].find(hash, is)
    }

    /// The same, to be changed; not in its hash.
    pub(super) fn find_mut(&mut self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.shards[shard(hash)].find_mut(hash, is)
    }

    /// Adds one that is not there.
    pub(super) fn insert(&mut self, it: T) {
        let hash = it.hash();
        self.shards[shard(hash)].insert_unique(hash, it, T::hash);
    }

    /// Takes out the one of this hash that `is` it.
    pub(super) fn remove(&mut self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<T> {
        let shard = &mut self.shards[shard(hash)];
        let (removed, _) = shard.find_entry(hash, is).ok()?.remove();
        let room = shard.capacity();
        if room > ROOM_MIN && shard.len() < room / 8 {
            shard.shrink_to(room / 4, T::hash);
        }
        Some(removed)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shards.iter().all(HashTable::is_empty)
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.shards.iter().map(HashTable::capacity).sum()
    }
}

fn shard(hash: u64) -> usize {
    (hash >> SHARD_SHIFT) as usize % SHARDS
}
