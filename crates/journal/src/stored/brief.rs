//! Briefs: events of a snapshot that are stored as what differs from an earlier one, their exemplar.
//!
//! A snapshot is made of tokens' records and tasks' beginnings nearly alone, and each of these is like thousands
//! of others but for its ids and times. Where an exemplar is known, a brief takes its place:
//!
//! | bytes | field |
//! |---|---|
//! | 0..1 | 1: a token's record; 2: a task's beginning |
//! | 1.. | varint: the exemplar's place; then what the event has of its own, see [`Brief`] |
//!
//! Anything else begins otherwise, as protobuf has no field 0, and stands whole, as in a segment. A record or a
//! beginning that stands whole, in [`EXEMPLAR_BYTES_MAX`] bytes at most, is an exemplar for what comes after it, in the next of
//! [`EXEMPLARS_MAX`] places of its kind; where all are taken, in that of the oldest. Who writes and who reads
//! count alike, so a place says enough, and both remember a bounded number of events, however long a snapshot is.
//!
//! What is read over something else than its exemplar's fields takes all that it has not of its own from there. So a
//! record that was made of an exemplar, and is over, needs only what is own to be the next one ([`Made`]).

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use locum_model::event::TaskStarted;
use locum_model::{Event, IssueRecord};
use prost::encoding::encode_varint;

use super::DecodeError;
use super::wire::Wire;

/// Places for exemplars of each kind.
const EXEMPLARS_MAX: usize = 1 << 12;
/// Largest stored form of an exemplar, in bytes: what is longer is not remembered.
const EXEMPLAR_BYTES_MAX: usize = 4 << 10;

/// An event of which many are alike.
///
/// INVARIANT: of two with the same likeness, what is own makes one of the other, to the last field. `likeness`
/// and `read_own` name every field, so that a new one does not compile before it is put on one side.
pub(super) trait Brief: Clone {
    /// What a brief of it begins with.
    const KIND: u8;
    /// What is the same in all that are stored against one exemplar.
    type Likeness<'a>: Hash + PartialEq
    where
        Self: 'a;

    fn likeness(&self) -> Self::Likeness<'_>;

    /// Appends what it has of its own.
    fn write_own(&self, exemplar: &Self, buffer: &mut Vec<u8>);

    /// Writes what is own over one of the exemplar's likeness. `None`: these bytes are of no brief.
    fn read_own(&mut self, exemplar: &Self, own: &mut Wire<'_>) -> Option<()>;
}

/// Writes the events of one snapshot, in order.
#[derive(Default)]
pub(crate) struct Briefs {
    records: Known<IssueRecord>,
    beginnings: Known<TaskStarted>,
}

/// The newest exemplars of a kind, and where one of a likeness stands.
struct Known<T> {
    ring: Ring<T>,
    /// By a hash of the likeness. Two of one hash cost space and nothing else.
    places: BTreeMap<u64, usize>,
    /// Where the last one stood that another was like: the next one often is, too.
    last: usize,
}

/// The newest exemplars of a kind, by their places.
pub(super) struct Ring<T> {
    slots: Vec<Slot<T>>,
    /// The number of the first one since the ring was emptied, and that of the next one. None is given twice.
    first: u64,
    next: u64,
    /// In all slots.
    spares: usize,
}

struct Slot<T> {
    exemplar: Arc<T>,
    number: u64,
    /// Of the same likeness, and nobody else has them.
    spares: Vec<Arc<T>>,
}

/// The exemplar that an event was made of, for who gives it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made(Option<u64>);

// === impl Briefs ===

impl Briefs {
    /// Appends the stored form of `event`: a brief where that is possible.
    pub(crate) fn encode(&mut self, event: &Event, buffer: &mut Vec<u8>) {
        match event {
            Event::TokenIssued(record) => self.records.encode(record, event, buffer),
            Event::TaskStarted(started) => self.beginnings.encode(started, event, buffer),
            other => super::encode(other, buffer),
        }
    }
}

// === impl Known ===

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { ring: Ring::default(), places: BTreeMap::new(), last: 0 }
    }
}

impl<T: Brief> Known<T> {
    fn encode(&mut self, it: &Arc<T>, event: &Event, buffer: &mut Vec<u8>) {
        match self.place_of_like(it) {
            Ok(place) => {
                self.last = place;
                buffer.push(T::KIND);
                encode_varint(place as u64, buffer);
                it.write_own(&self.ring.slots[place].exemplar, buffer);
            }
            Err(hash) => self.encode_whole(it, hash, event, buffer),
        }
    }

    /// Where an exemplar stands that `it` is like; the hash of its likeness where none is known.
    fn place_of_like(&self, it: &T) -> Result<usize, u64> {
        let likeness = it.likeness();
        let is_like = |place: usize| {
            self.ring.slots.get(place).is_some_and(|slot| slot.exemplar.likeness() == likeness)
        };
        if is_like(self.last) {
            return Ok(self.last);
        }
        let hash = hash(&likeness);
        self.places.get(&hash).copied().filter(|place| is_like(*place)).ok_or(hash)
    }

    fn encode_whole(&mut self, it: &Arc<T>, likeness: u64, event: &Event, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        super::encode(event, buffer);
        if buffer.len() - start > EXEMPLAR_BYTES_MAX {
            return;
        }
        let (place, before) = self.ring.put(it);
        if let Some(before) = before {
            let before = hash(&before.likeness());
            if self.places.get(&before) == Some(&place) {
                self.places.remove(&before);
            }
        }
        self.places.insert(likeness, place);
        self.last = place;
    }
}

/// The same in every process: what is written does not depend on it, but where two are alike by chance.
fn hash(likeness: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    likeness.hash(&mut hasher);
    hasher.finish()
}

// === impl Ring ===

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), first: 0, next: 0, spares: 0 }
    }
}

impl<T> Ring<T> {
    /// Forgets all exemplars: another snapshot begins.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.first = self.next;
        self.spares = 0;
    }

    /// Gives an exemplar its place; says which, and which exemplar stood there before.
    fn put(&mut self, exemplar: &Arc<T>) -> (usize, Option<Arc<T>>) {
        let place = self.place(self.next);
        let slot = Slot { exemplar: Arc::clone(exemplar), number: self.next, spares: Vec::new() };
        self.next += 1;
        let Some(before) = self.slots.get_mut(place) else {
            self.slots.push(slot);
            return (place, None);
        };
        let before = std::mem::replace(before, slot);
        self.spares -= before.spares.len();
        (place, Some(before.exemplar))
    }

    /// As [`Ring::put`], where `stored` says that it is an exemplar.
    pub(super) fn see(&mut self, whole: &Arc<T>, stored: &[u8]) {
        if stored.len() <= EXEMPLAR_BYTES_MAX {
            self.put(whole);
        }
    }

    /// Keeps an event that is over, and that nobody else has, where its exemplar is; gives it back where that has
    /// left its place, or where there are `spares_max` of them.
    pub(super) fn keep(&mut self, it: Arc<T>, made: Made, spares_max: usize) -> Result<(), Arc<T>> {
        let Some(number) = made.0.filter(|number| *number >= self.first && self.spares < spares_max) else {
            return Err(it);
        };
        let place = self.place(number);
        match self.slots.get_mut(place) {
            Some(slot) if slot.number == number => {
                slot.spares.push(it);
                self.spares += 1;
                Ok(())
            }
            _ => Err(it),
        }
    }

    fn place(&self, number: u64) -> usize {
        ((number - self.first) % EXEMPLARS_MAX as u64) as usize
    }
}

impl<T: Brief> Ring<T> {
    /// The event of a brief, without its first byte; over a spare where there is one.
    pub(super) fn read(&mut self, mut brief: Wire<'_>) -> Result<(Arc<T>, Made), DecodeError> {
        let place = brief.varint().and_then(|place| usize::try_from(place).ok());
        let slot = place.and_then(|place| self.slots.get_mut(place));
        let slot = slot.ok_or(DecodeError::Invalid("brief.exemplar"))?;
        let mut it = match slot.spares.pop() {
            Some(spare) => {
                self.spares -= 1;
                spare
            }
            None => Arc::new(T::clone(&slot.exemplar)),
        };
        Arc::get_mut(&mut it)
            .and_then(|it| it.read_own(&slot.exemplar, &mut brief))
            .and_then(|()| brief.end())
            .ok_or(DecodeError::Invalid("brief"))?;
        Ok((it, Made(Some(slot.number))))
    }
}

#[cfg(test)]
mod tests;
