//! [`Chunked`]: an array that grows without ever moving, so that readers need no lock.
//!
//! Chunks are made on first write and stay; a reader sees a chunk whole or not at all. Items carry
//! their own atomics. An array gives no memory back, but another can take its place that shares all
//! chunks with it but some ([`Chunked::without`]): these go with the last who holds the older one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use locum_model::limits::REGISTRATION_NUMBERS_MAX;
use parking_lot::RwLock;

use crate::sync::{AtomicU64, Ordering};

const CHUNK_BITS: u32 = if cfg!(shuttle) { 2 } else { 10 };

/// Items by index, in chunks of `1 << BITS`.
#[derive(Debug)]
pub(crate) struct Chunked<T, const BITS: u32 = CHUNK_BITS> {
    chunks: Box<[OnceLock<Arc<[T]>>]>,
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

/// No room at all.
impl<T, const BITS: u32> Default for Chunked<T, BITS> {
    fn default() -> Self {
        Self { chunks: Box::default() }
    }
}

impl<T: Default, const BITS: u32> Chunked<T, BITS> {
    const CHUNK_ITEMS: usize = 1 << BITS;

    /// Room for at least `items` items; nothing is made yet.
    pub(crate) fn with_room_for(items: u32) -> Self {
        // A model makes a table for every schedule.
        let items = if cfg!(shuttle) { items.min(64) } else { items };
        let chunks = (items as usize).div_ceil(Self::CHUNK_ITEMS);
        Self { chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// How many items there is room for.
    pub(crate) fn room(&self) -> u32 {
        u32::try_from(self.chunks.len() * Self::CHUNK_ITEMS).unwrap_or(u32::MAX)
    }

    /// The item at `index`; none where nothing near it was ever written.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get((index >> BITS) as usize)?.get()?;
        chunk.get(index as usize % Self::CHUNK_ITEMS)
    }

    /// The item at `index`, made when it is not there; none beyond the room.
    pub(crate) fn make(&self, index: u32) -> Option<&T> {
        let chunk = self.chunks.get((index >> BITS) as usize)?;
        chunk
            .get_or_init(|| (0..Self::CHUNK_ITEMS).map(|_| T::default()).collect())
            .get(index as usize % Self::CHUNK_ITEMS)
    }

    /// The same items, but for those of some chunks, which were never made here.
    pub(crate) fn without(&self, gone: &BTreeSet<u32>) -> Self {
        let kept = |(number, chunk): (u32, &OnceLock<_>)| match gone.contains(&number) {
            true => OnceLock::new(),
            false => chunk.clone(),
        };
        Self { chunks: (0..).zip(&self.chunks).map(kept).collect() }
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
    fn an_array_without_a_chunk_shares_the_others() {
        let items = Chunked::<AtomicU64>::with_room_for(4_096);
        for index in [5, 1_500, 3_000] {
            items.make(index).expect("in the room").store(u64::from(index), Ordering::Relaxed);
        }
        let fewer = items.without(&BTreeSet::from([1]));
        assert!(fewer.get(1_500).is_none(), "gone");
        for index in [5, 3_000] {
            let (here, there) = (items.get(index), fewer.get(index));
            assert!(std::ptr::eq(here.expect("made"), there.expect("shared")), "{index}");
        }
        assert_eq!(
            items.get(1_500).map(|n| n.load(Ordering::Relaxed)),
            Some(1_500),
            "who holds it may read on"
        );
        assert_eq!(fewer.make(1_500).map(|n| n.load(Ordering::Relaxed)), Some(0), "made anew");
        assert_eq!(fewer.room(), items.room());
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
