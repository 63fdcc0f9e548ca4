//! [`Slots`]: which slots of [`TaskCells`] are free, who is below whom, and which chunks go.
//!
//! A task takes a free slot of the lowest chunk that has one, so that the chunks above empty. A chunk
//! in which no task is left goes like this. The writer makes cells that share every other chunk, puts them where the
//! index leads to ([`Tasks`]) and where rows lead to (`Rows::rest_on`), and lays the older ones aside;
//! they and the chunk are dropped when nobody else holds them, which the reaper looks after, so that no check
//! ever frees one. Nothing is ever written into a chunk that went: whoever still reads it finds free slots,
//! which are not alive. Its number, and so its slots, can be another chunk's later.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashmap::DashMap;
use locum_model::TaskId;

use crate::hashing::{InRuns, TASK_SHARDS};
use crate::sync::Swapped;
use crate::task::{CHUNK_SLOTS, CHUNKS_MAX, NewTask, Task, TaskCells};

/// Chunks given back in one call of the reaper.
const CHUNKS_PER_CALL: usize = if cfg!(shuttle) { 1 } else { 8 };
/// Empty chunks that stay, and one more for each eight in use: who starts and ends few tasks around a
/// boundary shall not make and drop a chunk each time.
const SPARE_CHUNKS: usize = if cfg!(shuttle) { 0 } else { 1 };
const CHUNKS_PER_SPARE: usize = 8;

/// The readers' side: which task is in which slot.
#[derive(Debug)]
pub(crate) struct Tasks {
    index: DashMap<u64, u32, InRuns>,
    cells: Swapped<TaskCells>,
}

/// The writer's side.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    cells: Arc<TaskCells>,
    chunks: Vec<Chunk>,
    /// Chunks that were made and have a free slot.
    roomy: BTreeSet<u32>,
    /// Chunks that are not there, below some that are.
    absent: BTreeSet<u32>,
    /// How many of the roomy ones are empty.
    empty: usize,
    children: BTreeSet<(u32, u32)>,
    /// What the cells took the place of, until nobody else holds it.
    laid_aside: Option<Arc<TaskCells>>,
}

/// Whether the reaper has more to do at once. To take any chunk out of use costs about the same as to take out a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Calm,
    Busy,
}

/// What is free in one chunk.
#[derive(Debug, Default)]
struct Chunk {
    tasks: u32,
    /// Slots from here on were never used.
    fresh: u32,
    /// The slot that was freed last; each leads to the one before.
    freed: Option<u32>,
}

// === impl Tasks ===

impl Tasks {
    /// None yet.
    pub(crate) fn new(cells: Arc<TaskCells>) -> Self {
        let index = DashMap::with_hasher_and_shard_amount(InRuns::default(), TASK_SHARDS);
        Self { index, cells: Swapped::new(cells) }
    }

    /// The index from task to slot. Whoever reads a cell found here keeps the guard meanwhile.
    pub(crate) fn index(&self) -> &DashMap<u64, u32, InRuns> {
        &self.index
    }

    /// The slot of a task. For the writer, who alone frees slots.
    pub(crate) fn slot(&self, task: TaskId) -> Option<u32> {
        self.index.get(&task.as_u64()).map(|slot| *slot)
    }

    /// What `judge` makes of a task while it stays in its slot; none when it is not here.
    pub(crate) fn hold<T>(&self, task: TaskId, judge: impl FnOnce(&TaskCells, u32) -> T) -> Option<T> {
        #[cfg(shuttle)]
        let early = crate::sync::is_planted(crate::sync::Planted::CellsBeforeEntry).then(|| {
            let cells = self.cells.load();
            // The index is no part of the model: nobody else would get a turn in between.
            shuttle::thread::yield_now();
            cells
        });
        let slot = self.index.get(&task.as_u64())?;
        #[cfg(shuttle)]
        if let Some(cells) = early {
            return Some(judge(&cells, *slot));
        }
        // After the entry: cells from before may lack its chunk.
        Some(judge(&self.cells.load(), *slot))
    }

    /// The cells at this moment: they have the slots of all entries that were seen before.
    pub(crate) fn cells(&self) -> Arc<TaskCells> {
        self.cells.load_full()
    }

    /// Has whoever comes through the index find these cells. The writer.
    pub(crate) fn replace(&self, cells: Arc<TaskCells>) {
        self.cells.store(cells);
    }
}

// === impl Slots ===

impl Slots {
    /// All free.
    pub(crate) fn of(cells: Arc<TaskCells>) -> Self {
        Self { cells, ..Self::default() }
    }

    /// The cells.
    pub(crate) fn cells(&self) -> &TaskCells {
        &self.cells
    }

    /// The task at `slot`, which something holds.
    pub(crate) fn at(&self, slot: u32) -> Task<'_> {
        self.cells.at(slot)
    }

    /// Enters a task; none when there are too many.
    pub(crate) fn enter(&mut self, tasks: &Tasks, new: NewTask) -> Option<u32> {
        let slot = self.take()?;
        self.cells.write(slot, new);
        if let Some(parent) = new.parent {
            self.cells.at(parent).hold();
            self.children.insert((parent, slot));
        }
        tasks.index.insert(new.id.as_u64(), slot);
        Some(slot)
    }

    /// Frees the slot of a task that nothing rests on, and gives its standing and its parent.
    pub(crate) fn free(&mut self, tasks: &Tasks, slot: u32) -> (u32, Option<u32>) {
        let task = self.cells.at(slot);
        // Out of the index first: this waits for every reader that came through it.
        tasks.index.remove(&task.id().as_u64());
        let (standing, parent) = (task.standing(), task.parent());
        if let Some(parent) = parent {
            self.children.remove(&(parent, slot));
            self.cells.at(parent).release();
        }
        self.put_back(slot);
        (standing, parent)
    }

    /// Slots ever used; those below may hold a task.
    pub(crate) fn used(&self) -> u32 {
        let fresh = self.chunks.last().map_or(0, |chunk| chunk.fresh);
        self.chunk_count().saturating_sub(1) * CHUNK_SLOTS + fresh
    }

    /// The slots of a task's children.
    pub(crate) fn children(&self, slot: u32) -> impl Iterator<Item = u32> {
        self.children.range((slot, 0)..=(slot, u32::MAX)).map(|(_, child)| *child)
    }

    /// The first slot from `slot` on that is in a chunk which is there; none behind the last.
    pub(crate) fn next_made(&self, slot: u32) -> Option<u32> {
        let made = |number: &u32| !self.absent.contains(number);
        let number = (slot / CHUNK_SLOTS..self.chunk_count()).find(made)?;
        Some(slot.max(number * CHUNK_SLOTS))
    }

    /// Chunks up to the last that is there.
    fn chunk_count(&self) -> u32 {
        u32::try_from(self.chunks.len()).expect("at most CHUNKS_MAX")
    }

    /// A free slot, of the lowest chunk that has one.
    fn take(&mut self) -> Option<u32> {
        let number = match self.roomy.first() {
            Some(number) => *number,
            None => self.make()?,
        };
        let chunk = &mut self.chunks[number as usize];
        let slot = match chunk.freed {
            Some(slot) => {
                chunk.freed = self.cells.freed_before(slot);
                slot
            }
            None => {
                chunk.fresh += 1;
                number * CHUNK_SLOTS + chunk.fresh - 1
            }
        };
        self.empty -= usize::from(chunk.tasks == 0);
        chunk.tasks += 1;
        if chunk.tasks == CHUNK_SLOTS {
            self.roomy.remove(&number);
        }
        Some(slot)
    }

    /// Makes a chunk of the lowest number that is none's.
    fn make(&mut self) -> Option<u32> {
        let number = match self.absent.pop_first() {
            Some(number) => number,
            None => {
                let next = Some(self.chunk_count()).filter(|next| *next < CHUNKS_MAX)?;
                self.chunks.push(Chunk::default());
                next
            }
        };
        self.cells.make(number * CHUNK_SLOTS)?;
        self.roomy.insert(number);
        self.empty += 1;
        Some(number)
    }

    fn put_back(&mut self, slot: u32) {
        let number = slot / CHUNK_SLOTS;
        let chunk = &mut self.chunks[number as usize];
        self.cells.clear(slot, chunk.freed);
        chunk.freed = Some(slot);
        chunk.tasks -= 1;
        self.empty += usize::from(chunk.tasks == 0);
        self.roomy.insert(number);
    }

    /// Lays the cells aside when more chunks are empty than shall stay, and gives those that take their
    /// place, without a few of them. The caller lets everybody find these before anything else changes.
    pub(crate) fn shrink(&mut self, pace: Pace) -> Option<Arc<TaskCells>> {
        let made = self.chunks.len() - self.absent.len();
        let spare = SPARE_CHUNKS + (made - self.empty) / CHUNKS_PER_SPARE;
        let count = self.empty.saturating_sub(spare).min(CHUNKS_PER_CALL);
        let least = match pace {
            Pace::Calm => 1,
            Pace::Busy => CHUNKS_PER_CALL,
        };
        if count < least || self.laid_aside.is_some() {
            return None;
        }
        let empty = |number: &u32| self.chunks[*number as usize].tasks == 0;
        let gone: BTreeSet<u32> = self.roomy.iter().rev().copied().filter(empty).take(count).collect();
        let fewer = Arc::new(self.cells.without(&gone));
        self.laid_aside = Some(std::mem::replace(&mut self.cells, Arc::clone(&fewer)));
        self.empty -= gone.len();
        for number in gone {
            self.roomy.remove(&number);
            self.chunks[number as usize] = Chunk::default();
            self.absent.insert(number);
        }
        // Numbers behind the last that is there are none's anyway.
        while self.absent.last().is_some_and(|last| *last as usize + 1 == self.chunks.len()) {
            self.absent.pop_last();
            self.chunks.pop();
        }
        Some(fewer)
    }

    /// What was laid aside, once nobody else holds it: to be dropped without the writer's lock.
    pub(crate) fn take_unheld(&mut self) -> Option<Arc<TaskCells>> {
        // Nothing leads to it any more, so nobody can come to hold it again.
        self.laid_aside.take_if(|cells| Arc::strong_count(cells) == 1)
    }

    #[cfg(test)]
    pub(crate) fn chunks(&self) -> usize {
        self.chunks.len() - self.absent.len()
    }
}
