//! [`Rows`]: every token's row, found by its id. A check takes no lock here.
//!
//! Shards of open addressing with linear probing. A row fills one cache line and holds its own key, so
//! that finding one is about one access to memory; the bits of the tag below the shard's number are
//! scaled to the shard's length, which need not be a power of two: shards grow and shrink in small
//! steps, each at its own moment, and memory a row is about the same however many rows there are.
//!
//! **Who may do what.** One writer at a time (whoever holds the table's writer) enters, removes and
//! moves rows. Removing and moving also take the shard's *gate*; whoever changes a row in place from
//! another thread (memo, checks) or writes down something about what a row rests on holds the gate
//! shared, and the row stays. [`Rows::peek`] takes nothing: it reads, judges, and then looks whether
//! the row stayed meanwhile.
//!
//! **Why a peek is right.** A row's place goes from empty to one token's tag, to gone, perhaps to another
//! token's. An id is entered once, so whoever finds the same tag and id after judging as before knows
//! that the row was there all along, and what a row rests on is only reused after the row was removed:
//! the writer stores *gone*, then a Release fence, then everything else; the reader loads everything
//! else, then an Acquire fence, then the tag again. When a shard moves, the array before it is retired
//! the same way, before anything else changes; so is a shard whose rows rest on other cells of tasks from
//! then on, though its places stay where they are. Between a token's home and its place no place is ever
//! empty, so a search that meets an empty place has not missed a row.

use std::ops::Range;
use std::sync::Arc;

use crate::hashing::{RowKey, Tag};
use crate::row::{Row, RowCell};
use crate::sync::{AtomicBool, AtomicUsize, Gate, Ordering, Swapped, fence};
#[cfg(shuttle)]
use crate::sync::{Planted, is_planted};
use crate::task::TaskCells;

/// Enough shards that moving one is short, few enough that where they are stays in the nearest cache.
const SHARD_BITS: u32 = if cfg!(shuttle) { 0 } else { 8 };
/// Shards that are held at once to bring places near: as many as `arc-swap` lends without counting.
const HELD_AT_ONCE: usize = 8;
/// Places of the smallest shard that has rows.
const PLACES_MIN: usize = if cfg!(shuttle) { 2 } else { 8 };

/// Room for so many rows is made by two threads: what takes long is that the kernel hands out pages.
const HALVED_FROM: usize = 1 << 18;

/// The rows of all tokens that are not reaped yet.
#[derive(Debug)]
pub(crate) struct Rows {
    shards: Box<[Swapped<Shard>]>,
    gates: Box<[Gate]>,
}

/// The places of one shard, until it is moved or rests on other cells of tasks.
#[derive(Debug)]
struct Shard {
    cells: Arc<[RowCell]>,
    /// What its rows rest on: whoever holds a shard holds these with it.
    tasks: Arc<TaskCells>,
    /// Another took its place; what it shows may be out of date.
    retired: AtomicBool,
    /// Rows, and places that are not empty. The writer's alone.
    live: AtomicUsize,
    used: AtomicUsize,
}

// === impl Rows ===

impl Rows {
    /// None yet; they will rest on these tasks.
    pub(crate) fn new(tasks: Arc<TaskCells>) -> Self {
        let shards = 0..1_usize << SHARD_BITS;
        // One for all until it gets its first row: one place counts as full.
        let none = Arc::new(Shard::with_places(1, tasks));
        Self {
            shards: shards.clone().map(|_| Swapped::new(Arc::clone(&none))).collect(),
            gates: shards.map(|_| Gate::default()).collect(),
        }
    }

    /// What `judge` makes of a row and of what tasks rest in, without a lock; none when there is no such
    /// row.
    ///
    /// `judge` may be called again when the row was moved meanwhile. It must write nothing: what the row
    /// rests on may already be another's while it runs, and then its answer is thrown away.
    pub(crate) fn peek<T>(&self, key: RowKey, mut judge: impl FnMut(&Row, &TaskCells) -> T) -> Option<T> {
        loop {
            let shard = self.shards[shard_of(key.tag())].load();
            let cell = shard.find(key)?;
            let answer = judge(&cell.read(), &shard.tasks);
            if shard.still_has(cell, key) {
                return Some(answer);
            }
        }
    }

    /// What `work` makes of a row that is neither removed nor moved meanwhile.
    pub(crate) fn hold<T>(&self, key: RowKey, work: impl FnOnce(&RowCell, &TaskCells) -> T) -> Option<T> {
        let number = shard_of(key.tag());
        #[cfg(shuttle)]
        if is_planted(Planted::NotedUnheld) {
            let shard = self.shards[number].load();
            return shard.find(key).map(|cell| work(cell, &shard.tasks));
        }
        let _stays = self.gates[number].read();
        let shard = self.shards[number].load();
        shard.find(key).map(|cell| work(cell, &shard.tasks))
    }

    /// The same, while nobody else holds it.
    pub(crate) fn hold_alone<T>(
        &self,
        key: RowKey,
        work: impl FnOnce(&RowCell, &TaskCells) -> T,
    ) -> Option<T> {
        let number = shard_of(key.tag());
        let _alone = self.gates[number].write();
        let shard = self.shards[number].load();
        shard.find(key).map(|cell| work(cell, &shard.tasks))
    }

    /// Whether there is a row.
    pub(crate) fn contains(&self, key: RowKey) -> bool {
        self.shards[shard_of(key.tag())].load().find(key).is_some()
    }

    /// Brings the places near where rows of these tags are sought first.
    ///
    /// To hold a shard takes a locked instruction, which waits for every load before it. So some shards are
    /// held first and their places are read then: those loads do not wait for each other.
    pub(crate) fn bring_near(&self, tags: impl Iterator<Item = Tag>) {
        let mut tags = tags.fuse();
        loop {
            let hold = |tag: Tag| (tag, self.shards[shard_of(tag)].load());
            let held: [_; HELD_AT_ONCE] = std::array::from_fn(|_| tags.next().map(hold));
            std::hint::black_box(held.iter().flatten().filter(|(tag, shard)| shard.is_home(*tag)).count());
            if held[HELD_AT_ONCE - 1].is_none() {
                return;
            }
        }
    }

    /// Calls `each` for the keys of all rows until it says no. Keys that come or go meanwhile may be
    /// among them or not.
    pub(crate) fn all_keys(&self, mut each: impl FnMut(RowKey) -> bool) {
        for shard in &self.shards {
            if !shard.load().cells.iter().filter_map(RowCell::key).all(&mut each) {
                return;
            }
        }
    }

    /// Enters a row; there is none of this key. The writer.
    pub(crate) fn insert(&self, key: RowKey, row: &Row) {
        let number = shard_of(key.tag());
        let mut shard = self.shards[number].load();
        if shard.is_full() {
            let places = places_for(shard.live.load(Ordering::Relaxed) + 1, number);
            drop(shard);
            self.rebuild(number, places);
            shard = self.shards[number].load();
        }
        shard.insert(key, row);
    }

    /// Removes a row that has this tag and for which `wanted` holds, and gives what `last` makes of
    /// it when nobody else can reach it any more. The writer.
    pub(crate) fn remove<T>(
        &self,
        tag: Tag,
        wanted: impl Fn(&Row) -> bool,
        last: impl FnOnce(RowKey, &RowCell) -> T,
    ) -> Option<T> {
        let number = shard_of(tag);
        let shard = self.shards[number].load();
        let at = shard.position(tag, |cell| wanted(&cell.read()))?;
        let cell = &shard.cells[at];
        let key = cell.key()?;
        let _nobody_notes = self.gates[number].write();
        let made = last(key, cell);
        shard.remove(at);
        Some(made)
    }

    /// The key of some row with this tag.
    pub(crate) fn key_of(&self, tag: Tag) -> Option<RowKey> {
        let shard = self.shards[shard_of(tag)].load();
        let at = shard.position(tag, |_| true)?;
        shard.cells[at].key()
    }

    /// Makes room for `rows` rows in all, so that entering them moves none. The writer.
    pub(crate) fn reserve(&self, rows: usize) {
        let each = rows >> SHARD_BITS;
        // Ids are random: shards differ by a few times the square root.
        let each = each + 4 * each.isqrt() + 1;
        let reserve = |numbers: Range<usize>| {
            for number in numbers {
                let places = places_for(each, number);
                if self.shards[number].load().cells.len() < places {
                    self.rebuild(number, places);
                }
            }
        };
        let all = self.shards.len();
        if rows < HALVED_FROM {
            return reserve(0..all);
        }
        std::thread::scope(|scope| {
            let beside = std::thread::Builder::new().name("locum-rows".to_owned());
            let half = if beside.spawn_scoped(scope, || reserve(0..all / 2)).is_ok() { all / 2 } else { 0 };
            reserve(half..all);
        });
    }

    /// Gives the memory of a few shards back where most of it is unused. The writer.
    pub(crate) fn shrink(&self, first: usize, count: usize) {
        for offset in 0..count.min(self.shards.len()) {
            let number = first.wrapping_add(offset) % self.shards.len();
            let (live, places) = {
                let shard = self.shards[number].load();
                (shard.live.load(Ordering::Relaxed), shard.cells.len())
            };
            if places > PLACES_MIN && live * SHRINK_FACTOR < places {
                self.rebuild(number, places_for(live, number));
            }
        }
    }

    /// Moves the rows of a shard into a new array. Checks go on meanwhile, in the old one.
    fn rebuild(&self, number: usize, places: usize) {
        let _nobody_notes = self.gates[number].write();
        let old = self.shards[number].load_full();
        let new = Shard::with_places(places, Arc::clone(&old.tasks));
        for cell in old.cells.iter() {
            if let Some(key) = cell.key() {
                cell.move_to(&new.cells[new.free_place(key)], key);
            }
        }
        let live = old.live.load(Ordering::Relaxed);
        new.live.store(live, Ordering::Relaxed);
        new.used.store(live, Ordering::Relaxed);
        self.shards[number].store(Arc::new(new));
        #[cfg(shuttle)]
        if is_planted(Planted::MovedUnnoticed) {
            return;
        }
        old.retired.store(true, Ordering::Relaxed);
        // Before whatever the writer changes next: see the module's text.
        fence(Ordering::Release);
    }

    /// Has all rows rest on these cells, which lack no chunk that any of them needs. The writer.
    pub(crate) fn rest_on(&self, tasks: &Arc<TaskCells>) {
        for (shard, gate) in self.shards.iter().zip(&self.gates) {
            #[cfg(shuttle)]
            let gate = if is_planted(Planted::RestedUnheld) { &Gate::default() } else { gate };
            // Or who holds a row that comes later would seek its task in the older cells.
            let _nobody_holds = gate.write();
            let old = shard.load_full();
            shard.store(Arc::new(old.resting_on(Arc::clone(tasks))));
            #[cfg(shuttle)]
            if is_planted(Planted::RestedUnnoticed) {
                continue;
            }
            old.retired.store(true, Ordering::Relaxed);
        }
        // Before whatever the writer changes next: see the module's text.
        fence(Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().cells.len()).sum()
    }
}

/// A shard shrinks when less than one place in this many is in use.
const SHRINK_FACTOR: usize = 4;

// The top bits, so that the bits below tell the place.
fn shard_of(tag: Tag) -> usize {
    (u128::from(tag.number()) << SHARD_BITS >> 64) as usize
}

/// Places for `rows` rows: between 1.5 and 1.72 times as many, different for each shard so that they
/// do not all grow at once.
fn places_for(rows: usize, shard: usize) -> usize {
    PLACES_MIN + rows * (48 + shard % 8) / 32
}

// === impl Shard ===

impl Shard {
    fn with_places(places: usize, tasks: Arc<TaskCells>) -> Self {
        Self {
            cells: (0..places).map(|_| RowCell::default()).collect(),
            tasks,
            retired: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
        }
    }

    /// The same rows in the same places, resting on these.
    fn resting_on(&self, tasks: Arc<TaskCells>) -> Self {
        Self {
            cells: Arc::clone(&self.cells),
            tasks,
            retired: AtomicBool::new(false),
            live: AtomicUsize::new(self.live.load(Ordering::Relaxed)),
            used: AtomicUsize::new(self.used.load(Ordering::Relaxed)),
        }
    }

    /// Where the search for a tag begins.
    fn home(&self, tag: Tag) -> usize {
        let below_shard = u128::from(tag.number() << SHARD_BITS);
        ((below_shard * self.cells.len() as u128) >> 64) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    /// Whether a row of this tag is in one of the two places where it is sought first. Reads both, whatever the
    /// first one says: a search that goes on waits for memory again.
    fn is_home(&self, tag: Tag) -> bool {
        let home = self.home(tag);
        (self.cells[home].tag() == tag) | (self.cells[self.after(home)].tag() == tag)
    }

    // A quarter stays empty, so that searches are short and end.
    fn is_full(&self) -> bool {
        (self.used.load(Ordering::Relaxed) + 1) * 4 > self.cells.len() * 3
    }

    fn find(&self, key: RowKey) -> Option<&RowCell> {
        self.position(key.tag(), |cell| cell.is(key)).map(|at| &self.cells[at])
    }

    /// The place of a row with this tag for which `wanted` holds.
    fn position(&self, tag: Tag, wanted: impl Fn(&RowCell) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        loop {
            let found = self.cells[at].tag();
            if found == tag && wanted(&self.cells[at]) {
                return Some(at);
            }
            if found == Tag::EMPTY {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Whether the row that was found here is here, and was all along.
    fn still_has(&self, cell: &RowCell, key: RowKey) -> bool {
        #[cfg(shuttle)]
        if is_planted(Planted::PeekUnchecked) {
            return true;
        }
        fence(Ordering::Acquire);
        cell.has(key) && !self.retired.load(Ordering::Relaxed)
    }

    fn free_place(&self, key: RowKey) -> usize {
        let mut at = self.home(key.tag());
        while self.cells[at].key().is_some() {
            at = self.after(at);
        }
        at
    }

    fn insert(&self, key: RowKey, row: &Row) {
        let at = self.free_place(key);
        if self.cells[at].tag() == Tag::EMPTY {
            self.used.fetch_add(1, Ordering::Relaxed);
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        self.cells[at].publish(key, row);
    }

    fn remove(&self, at: usize) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        self.cells[at].clear(Tag::GONE);
        // Before whatever the writer changes next: see the module's text.
        fence(Ordering::Release);
        // Nothing lies behind these: whoever searches may stop here again.
        let mut last = at;
        while self.cells[self.after(last)].tag() == Tag::EMPTY && self.cells[last].tag() == Tag::GONE {
            self.cells[last].clear(Tag::EMPTY);
            self.used.fetch_sub(1, Ordering::Relaxed);
            last = if last == 0 { self.cells.len() - 1 } else { last - 1 };
        }
    }
}
