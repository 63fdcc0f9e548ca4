//! [`BySecond`]: what is forgotten in one second lies together.
//!
//! Things go in order of their seconds, and their memory with them, a page at a time. A place stays where it is
//! until it is taken, so that an index can lead to it.

use std::collections::BTreeMap;

use locum_model::Timestamp;

/// Things of one page. A full one of answers has more than the 128 KiB from which on the allocator maps a block by itself, as
/// packages start the server, so that it goes back at once.
const PAGE: usize = if cfg!(test) { 4 } else { 1 << 11 };

/// Things in buckets of one second.
#[derive(Debug)]
pub(super) struct BySecond<T> {
    seconds: BTreeMap<u32, Pages<T>>,
}

/// Where a thing lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    second: u32,
    at: u32,
}

/// All pages but the last are full.
#[derive(Debug)]
struct Pages<T>(Vec<Vec<T>>);

// === impl BySecond ===

impl<T> Default for BySecond<T> {
    fn default() -> Self {
        Self { seconds: BTreeMap::new() }
    }
}

impl<T> BySecond<T> {
    /// Files a thing under the second by which it is due.
    pub(super) fn put(&mut self, due: Timestamp, it: T) -> Place {
        let second = second(due);
        let at = self.seconds.entry(second).or_insert_with(|| Pages(Vec::new())).push(it);
        Place { second, at }
    }

    /// What lies at `place`.
    pub(super) fn get(&self, place: Place) -> Option<&T> {
        self.seconds.get(&place.second)?.0.get(place.page())?.get(place.in_page())
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.seconds.get_mut(&place.second)?.0.get_mut(place.page())?.get_mut(place.in_page())
    }

    /// Takes one of the earliest second, where it `is_due`. One that is not may keep others waiting, until its second
    /// is over.
    pub(super) fn take_first(&mut self, is_due: impl FnOnce(&T) -> bool) -> Option<(T, Place)> {
        let mut first = self.seconds.first_entry()?;
        let second = *first.key();
        let pages = first.get_mut();
        let taken = pages.pop(is_due)?;
        let place = Place { second, at: pages.len() };
        if pages.0.is_empty() {
            first.remove();
        }
        Some((taken, place))
    }
}

#[cfg(test)]
impl<T> BySecond<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }
}

/// The second by the end of which all of it is due. What is before 1970 or after 2106 lies with the nearest.
fn second(due: Timestamp) -> u32 {
    let up = due.as_seconds().saturating_add(i64::from(due.floor_to_second() < due));
    u32::try_from(up.max(0)).unwrap_or(u32::MAX)
}

// === impl Place, Pages ===

impl Place {
    fn page(self) -> usize {
        self.at as usize / PAGE
    }

    fn in_page(self) -> usize {
        self.at as usize % PAGE
    }
}

impl<T> Pages<T> {
    /// Adds a thing; says which it is of all.
    fn push(&mut self, it: T) -> u32 {
        let at = self.len();
        if self.0.last().is_none_or(|last| last.len() == PAGE) {
            self.0.push(Vec::new());
        }
        let last = self.0.last_mut().expect("one was there or was added");
        // A lone thing has room for one: most seconds of a long life have no more.
        if last.len() == last.capacity() {
            last.reserve_exact(last.len().max(1));
        }
        last.push(it);
        at
    }

    fn pop(&mut self, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
        let last = self.0.last_mut()?;
        let taken = last.pop_if(|it| is_due(it))?;
        if last.is_empty() {
            self.0.pop();
        }
        Some(taken)
    }

    fn len(&self) -> u32 {
        let full = self.0.len().saturating_sub(1) * PAGE;
        let len = full + self.0.last().map_or(0, Vec::len);
        u32::try_from(len).expect("memory ends before 2^32 of one second")
    }
}
