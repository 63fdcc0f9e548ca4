//! [`Once`]: what many have is kept once, for as long as any of them has it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use super::sharded::{Hashed, Sharded};

/// Things of which no two are equal.
#[derive(Debug)]
pub(super) struct Once<T> {
    things: Sharded<Known<T>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Known<T> {
    hash: u64,
    thing: Arc<T>,
}

// === impl Once ===

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self { things: Sharded::default(), hasher: RandomState::new() }
    }
}

impl<T> Hashed for Known<T> {
    fn hash(&self) -> u64 {
        self.hash
    }
}

impl<T: Hash + Eq> Once<T> {
    /// The one that is equal to this.
    pub(super) fn get(&self, thing: &T) -> Option<Arc<T>> {
        self.find(self.hasher.hash_one(thing), thing)
    }

    fn find(&self, hash: u64, thing: &T) -> Option<Arc<T>> {
        self.things.find(hash, |known| *known.thing == *thing).map(|known| Arc::clone(&known.thing))
    }

    /// The one that is equal to this, or this.
    pub(super) fn get_or_put(&mut self, thing: T) -> Arc<T> {
        let hash = self.hasher.hash_one(&thing);
        if let Some(known) = self.find(hash, &thing) {
            return known;
        }
        let thing = Arc::new(thing);
        self.things.insert(Known { hash, thing: Arc::clone(&thing) });
        thing
    }

    /// Forgets a thing, where nobody has it but those `own` of whoever asks; whether that is so.
    pub(super) fn forget_if_last(&mut self, thing: &Arc<T>, own: usize) -> bool {
        let is_last = Arc::strong_count(thing) == own + 1;
        if is_last {
            let hash = self.hasher.hash_one(&**thing);
            self.things.remove(hash, |known| Arc::ptr_eq(&known.thing, thing));
        }
        is_last
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}
