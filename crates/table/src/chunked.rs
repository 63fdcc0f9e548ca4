//! [`Chunked`]: an array that grows without ever moving, so that readers need no lock.
//!
//! Chunks of 1,024 items are made on first write and stay; a reader sees a chunk whole or not at
//! all. Items carry their own atomics. It gives no memory back: what is stored here is bounded by
//! the registry and by the highest number of tasks and standings at once, never by tokens.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use locum_model::limits::REGISTRATION_NUMBERS_MAX;
use parking_lot::RwLock;

use crate::sync::{AtomicU64, Ordering};

const CHUNK_BITS: u32 = if cfg!(shuttle) { 2 } else { 10 };
const CHUNK_ITEMS: usize = 1 << CHUNK_BITS;

/// Items by index, in chunks.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    chunks: Box<[OnceLock<Box<[T]>>]>,
}

/// A `u64` per registration number, 0 where none was written.
///
/// Numbers up to [`REGISTRATION_NUMBERS_MAX`] are read without a lock. Larger ones are not given
/// out by any broker; they are kept exactly all the same, in a map, so that a strange record can
/// neither exhaust memory nor slip through.
#[derive(Debug)]
pub(crate) struct Numbered {
    chunks: Chunked<AtomicU64>,
    beyond: RwLock<BTreeMap<u32, u64>>,
}

// === impl Chunked ===

impl<T: Default> Chunked<T> {
    /// Room for at least `items` items; nothing is made yet.
    pub(crate) fn with_room_for(items: u32) -> Self {
        // A model makes a table for every schedule.
        let items = if cfg!(shuttle) { items.min(64) } else { items };
        let chunks = (items as usize).div_ceil(CHUNK_ITEMS);
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// How many items there is room for.
    pub(crate) fn room(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK_ITEMS).unwrap_or(u32::MAX)
    }

    /// The item at `index`; none where nothing near it was ever written.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get((index >> CHUNK_BITS) as usize)?.get()?;
        chunk.get(index as usize % CHUNK_ITEMS)
    }

    /// The item at `index`, made when it is not there; none beyond the room.
    pub(crate) fn make(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get((index >> CHUNK_BITS) as usize)?;
        chunk
            .get_or_init(|| (0..CHUNK_ITEMS).map(|_| T::default()).collect())
            .get(index as usize % CHUNK_ITEMS)
    }
}

// === impl Numbered ===

impl Numbered {
    /// Zero everywhere.
    pub(crate) fn new() -> Self {
        Self { chunks: Chunked::with_room_for(REGISTRATION_NUMBERS_MAX), beyond: RwLock::default() }
    }

    /// The value of `number`.
    pub(crate) fn get(&self, number: u32) -> u64 {
        if number >= self.chunks.room() {
            return self.beyond.read().get(&number).copied().unwrap_or(0);
        }
        self.chunks.get(number).map_or(0, |value| value.load(Ordering::Acquire))
    }

    /// Writes `change` of the value. Only the one writer calls this, so load and store suffice.
    pub(crate) fn update(&self, number: u32, change: impl FnOnce(u64) -> u64) {
        match self.chunks.make(number) {
            Some(value) => value.store(change(value.load(Ordering::Relaxed)), Ordering::Release),
            None => {
                let mut beyond = self.beyond.write();
                let value = beyond.entry(number).or_default();
                *value = change(*value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are_and_none_is_beyond_the_room() {
        let items = Chunked::<AtomicU64>::with_room_for(1_500);
        assert!(items.get(3).is_none());
        let third = items.make(3).expect("in the room");
        third.store(7, Ordering::Relaxed);
        items.make(2_047).expect("rounded up to whole chunks").store(8, Ordering::Relaxed);
        assert!(std::ptr::eq(items.get(3).expect("made"), third));
        assert_eq!(items.get(3).map(|n| n.load(Ordering::Relaxed)), Some(7));
        assert!(items.make(2_048).is_none() && items.make(u32::MAX).is_none());
    }

    #[test]
    fn a_number_beyond_every_registration_is_kept_exactly() {
        let numbers = Numbered::new();
        for number in [0, 1_023, 1_024, REGISTRATION_NUMBERS_MAX - 1, REGISTRATION_NUMBERS_MAX, u32::MAX] {
            assert_eq!(numbers.get(number), 0, "{number}");
            numbers.update(number, |n| n + 5);
            numbers.update(number, |n| n.max(3));
            assert_eq!(numbers.get(number), 5, "{number}");
        }
    }
}
