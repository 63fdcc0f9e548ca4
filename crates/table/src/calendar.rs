//! [`Calendar`]: the rows by the second in which they expire.
//!
//! Eight bytes a row, and the reaper never looks at a row that is not due. A second's memory is
//! given back as the second is emptied.

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;

use crate::hashing::Tag;

/// Tags of rows in buckets of one second.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    seconds: BTreeMap<u32, Vec<Tag>>,
}

/// A place in the calendar, to go on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    second: u32,
    index: usize,
}

impl Calendar {
    /// Files a row under the second in which it expires.
    pub(crate) fn add(&mut self, exp: u32, tag: Tag) {
        self.seconds.entry(exp).or_default().push(tag);
    }

    /// The earliest second that has rows.
    pub(crate) fn first(&self) -> Option<u32> {
        self.seconds.first_key_value().map(|(second, _)| *second)
    }

    /// Takes out at most `max` rows of the earliest second, when that is at or before `now`.
    pub(crate) fn take_due(&mut self, now: u32, max: usize) -> Vec<Tag> {
        match self.seconds.first_entry() {
            Some(bucket) if *bucket.key() <= now => take_from(bucket, max),
            _ => Vec::new(),
        }
    }

    /// At most `max` rows from `place` on, in order of expiry, and where to go on; no place at the end.
    pub(crate) fn read(&self, place: Place, max: usize) -> (Vec<Tag>, Option<Place>) {
        let Some((second, bucket)) = self.seconds.range(place.second..).next() else {
            return (Vec::new(), None);
        };
        let from = if *second == place.second { place.index.min(bucket.len()) } else { 0 };
        let until = from.saturating_add(max).min(bucket.len());
        let next = if until < bucket.len() {
            Some(Place { second: *second, index: until })
        } else {
            second.checked_add(1).map(|second| Place { second, index: 0 })
        };
        (bucket[from..until].to_vec(), next)
    }
}

fn take_from(mut bucket: OccupiedEntry<'_, u32, Vec<Tag>>, max: usize) -> Vec<Tag> {
    let tags = bucket.get_mut();
    if tags.len() <= max {
        return bucket.remove();
    }
    tags.split_off(tags.len() - max)
}
