//! [`Ring`]: the newest frames of a partition, for those who read slowly or come back.
//!
//! Bounded by frames and by bytes. Frames have an index that only grows; whoever asks for one that is
//! gone is told so, and nobody else notices.

use std::collections::VecDeque;
use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_model::limits::FEED_RING_FRAMES;

/// A place in a partition's chain: a sequence, and the hash that the next link names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub sequence: u64,
    pub head: [u8; 32],
}

/// One frame, and where it brings a follower.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub frame: WatchRevocationsResponse,
    /// The chain's place once this is applied.
    pub place: Place,
    /// The number of the set of keys that counts from here on.
    pub key_set: u64,
    pub is_link: bool,
    /// When it was made, on the clock of spans.
    pub made_at: Duration,
}

/// What stands at an index.
pub(super) enum At<'a> {
    Item(&'a Item),
    /// It is gone.
    Gone,
    /// It is not there yet.
    End,
}

#[derive(Default)]
pub(super) struct Ring {
    items: VecDeque<Item>,
    first: u64,
    bytes: usize,
}

// === impl Ring ===

impl Ring {
    /// Adds a frame, and lets the oldest go until at most `bytes_max` are left; the newest stays.
    pub(super) fn push(&mut self, item: Item, bytes_max: usize) {
        self.bytes += size(&item);
        self.items.push_back(item);
        while self.items.len() > FEED_RING_FRAMES || (self.bytes > bytes_max && self.items.len() > 1) {
            let Some(oldest) = self.items.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.first += 1;
        }
    }

    pub(super) fn at(&self, index: u64) -> At<'_> {
        let Some(offset) = index.checked_sub(self.first) else { return At::Gone };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.items.get(offset).map_or(At::End, At::Item)
    }

    /// The index of the oldest frame that is here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index of the next frame.
    pub(super) fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    /// The oldest link that is here, at the earliest the one at `from`.
    pub(super) fn oldest_link(&self, from: u64) -> Option<&Item> {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.items.iter().skip(skipped).find(|item| item.is_link)
    }

    /// The link that brings a follower to `sequence`, and its index. Sequences grow along the ring.
    pub(super) fn link_at(&self, sequence: u64) -> Option<(u64, &Item)> {
        let from = self.items.partition_point(|item| item.place.sequence < sequence);
        let found = (from..self.items.len()).map(|offset| (self.first + offset as u64, &self.items[offset]));
        found.take_while(|(_, item)| item.place.sequence == sequence).find(|(_, item)| item.is_link)
    }

    /// Forgets every frame; indexes go on.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.items.clear();
        self.bytes = 0;
    }
}

fn size(item: &Item) -> usize {
    item.frame.payload.len() + item.frame.signature.len() + item.frame.kid.len() + size_of::<Item>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sequence: u64, bytes: usize) -> Item {
        let frame = WatchRevocationsResponse { payload: vec![0; bytes].into(), ..Default::default() };
        let place = Place { sequence, head: [0; 32] };
        Item { frame, place, key_set: 1, is_link: true, made_at: Duration::ZERO }
    }

    #[test]
    fn it_keeps_the_newest_frames_and_tells_what_is_gone() {
        let mut ring = Ring::default();
        for sequence in 0..FEED_RING_FRAMES as u64 + 10 {
            ring.push(item(sequence, 1), usize::MAX);
        }
        assert_eq!((ring.first(), ring.end()), (10, FEED_RING_FRAMES as u64 + 10));
        assert!(matches!(ring.at(9), At::Gone));
        assert!(matches!(ring.at(10), At::Item(item) if item.place.sequence == 10));
        assert!(matches!(ring.at(ring.end()), At::End));
        assert!(matches!(ring.at(u64::MAX), At::End));
        ring.clear();
        assert_eq!((ring.first(), ring.end(), ring.bytes), (1034, 1034, 0));
    }

    #[test]
    fn bytes_bound_it_too_but_the_newest_frame_stays() {
        let mut ring = Ring::default();
        (0..10).for_each(|sequence| ring.push(item(sequence, 1_000), 4_000));
        assert!(ring.bytes <= 4_000 && ring.items.len() >= 2, "{} bytes", ring.bytes);
        ring.push(item(10, 100_000), 4_000);
        assert_eq!(ring.items.len(), 1);
        assert_eq!(ring.link_at(10).map(|(index, _)| index), Some(10));
    }

    #[test]
    fn a_link_is_found_beside_other_frames_of_its_sequence() {
        let mut ring = Ring::default();
        for (sequence, is_link) in [(5, true), (5, false), (9, true), (9, false), (12, true)] {
            ring.push(Item { is_link, ..item(sequence, 1) }, usize::MAX);
        }
        let index = |sequence| ring.link_at(sequence).map(|(index, _)| index);
        assert_eq!([5, 9, 12, 4, 7, 13].map(index), [Some(0), Some(2), Some(4), None, None, None]);
        assert_eq!(ring.oldest_link(1).map(|item| item.place.sequence), Some(9));
    }
}
