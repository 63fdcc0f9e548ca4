//! [`TaskCells`]: one word a task, in which ending it is one flip.
//!
//! A token's row holds the slot of its task, a task that of its parent; a chain has at most eight.
//! A slot is reused only when nothing holds it: whoever reads a cell does so while the row or the
//! index entry stays that keeps it in use, or looks afterwards whether the row stayed.

use std::collections::BTreeSet;

use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{Reason, SubjectKey, TaskId};

use crate::chunked::Chunked;
use crate::row::TASK_SLOTS_MAX;
use crate::standing::{load_subject, store_subject};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// The word of a task, from the low end: state (2 bits), flags (2), parent's slot plus one (26), and
/// the generation of revocations at which nothing was found to cover it, plus one (34).
const STATE: u64 = 0b11;
const FREE: u64 = 0;
const OPEN: u64 = 1;
const ENDED: u64 = 2;
const LAPSED: u64 = 3;
/// Its own watermark covers it.
const REVOKED: u64 = 1 << 2;
/// It has a watermark of its own that does not cover it; older decisions have to be compared.
const WATERMARKED: u64 = 1 << 3;
const PARENT_SHIFT: u32 = 4;
const PARENT: u64 = (1 << 26) - 1;
const GENERATION_SHIFT: u32 = 30;
const GENERATION_MAX: u64 = (1 << 34) - 2;

const _: () = assert!((TASK_SLOTS_MAX as u64) < PARENT);

/// Slots of one chunk, as a power of two: 128 KiB of words, so that an allocator which maps blocks of
/// that size gives each back by itself. Few in tests, so that chunks come and go in each; in a model, two.
const CHUNK_BITS: u32 = if cfg!(shuttle) {
    1
} else if cfg!(test) {
    4
} else {
    13
};
/// Slots of one chunk.
pub(crate) const CHUNK_SLOTS: u32 = 1 << CHUNK_BITS;
/// Chunks at most.
pub(crate) const CHUNKS_MAX: u32 = if cfg!(any(shuttle, test)) { 64 } else { TASK_SLOTS_MAX >> CHUNK_BITS };

/// What every check reads of a task: 16 bytes, so that many tasks fit into a cache.
#[derive(Debug, Default)]
#[repr(align(16))]
struct TaskWord {
    id: AtomicU64,
    word: AtomicU64,
}

/// The rest of a task, read where its word does not tell enough.
#[derive(Debug, Default)]
struct TaskCell {
    decided: AtomicU64,
    /// What was decided below this is dead by the task's own watermark.
    below: AtomicU64,
    subject: [AtomicU64; 2],
    standing: AtomicU32,
    /// Rows and children that rest on it; of a free slot, the next free one of its chunk plus one. The
    /// writer's alone.
    held: AtomicU32,
}

/// One task, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    word: &'a TaskWord,
    cell: &'a TaskCell,
}

/// What a cell is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewTask {
    /// Its id.
    pub(crate) id: TaskId,
    /// The slot of the task that it is part of.
    pub(crate) parent: Option<u32>,
    /// The order of its decision.
    pub(crate) decided: u64,
    /// Its own watermark, set before it was known.
    pub(crate) below: u64,
    /// On whose behalf.
    pub(crate) subject: SubjectKey,
    /// Its interned standing.
    pub(crate) standing: u32,
}

/// How a task came to its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// It was ended.
    Ended,
    /// It lapsed.
    Lapsed,
}

/// The words and the cells of all tasks, by slot. Chunks are made in it, and go when other cells that
/// share the rest take its place: [`crate::slots`] says when.
#[derive(Debug, Default)]
pub(crate) struct TaskCells {
    words: Chunked<TaskWord, CHUNK_BITS>,
    cells: Chunked<TaskCell, CHUNK_BITS>,
}

// === impl Task ===

impl Task<'_> {
    /// Its id.
    pub(crate) fn id(self) -> TaskId {
        TaskId::from_u64(self.word.id.load(Ordering::Relaxed))
    }

    /// The order of its decision.
    pub(crate) fn decided(self) -> u64 {
        self.cell.decided.load(Ordering::Relaxed)
    }

    /// What was decided below this is dead by the task's own watermark.
    pub(crate) fn below(self) -> u64 {
        self.cell.below.load(Ordering::Acquire)
    }

    /// On whose behalf.
    pub(crate) fn subject(self) -> SubjectKey {
        load_subject(&self.cell.subject)
    }

    /// Its interned standing.
    pub(crate) fn standing(self) -> u32 {
        self.cell.standing.load(Ordering::Relaxed)
    }

    /// The slot of the task that it is part of.
    pub(crate) fn parent(self) -> Option<u32> {
        parent_of(self.word.word.load(Ordering::Relaxed))
    }

    /// Why it is closed by itself; none while it is open.
    pub(crate) fn closed(self) -> Option<Reason> {
        match self.word.word.load(Ordering::Acquire) & STATE {
            OPEN => None,
            LAPSED => Some(Reason::TaskLapsed),
            ENDED => Some(Reason::TaskEnded),
            // A free cell is never read; if one were, it would not be alive.
            _ => Some(Reason::TaskNotFound),
        }
    }

    /// Whether nothing was found to cover it at this generation of revocations.
    pub(crate) fn is_verified(self, generation: u64) -> bool {
        let word = self.word.word.load(Ordering::Acquire);
        stamp(generation).is_some_and(|stamp| word >> GENERATION_SHIFT == stamp)
    }

    /// Notes that nothing was found to cover it at this generation.
    ///
    /// A memo and nothing more: when the writer changes the word meanwhile, it is not noted.
    pub(crate) fn verify(self, generation: u64) {
        let Some(stamp) = stamp(generation) else { return };
        let before = self.word.word.load(Ordering::Acquire);
        let after = before & ((1 << GENERATION_SHIFT) - 1) | stamp << GENERATION_SHIFT;
        #[cfg(shuttle)]
        if crate::sync::is_planted(crate::sync::Planted::StampedOver) {
            self.word.word.store(after, Ordering::Release);
            return;
        }
        let _ = self.word.word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether a task is in this slot.
    pub(crate) fn is_used(self) -> bool {
        self.word.word.load(Ordering::Relaxed) & STATE != FREE
    }

    /// Whether rows or children rest on it.
    pub(crate) fn is_held(self) -> bool {
        self.cell.held.load(Ordering::Relaxed) != 0
    }

    /// One more row or child rests on it. Only the writer.
    pub(crate) fn hold(self) {
        self.cell.held.fetch_add(1, Ordering::Relaxed);
    }

    /// One row or child less rests on it. Only the writer.
    pub(crate) fn release(self) {
        self.cell.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Closes an open task and everything below it: the one flag that a lookup consults.
    pub(crate) fn close(self, close: Close) {
        // From OPEN both are one flip of bits, which leaves the rest of the word to the readers.
        let flip = match close {
            Close::Ended => OPEN ^ ENDED,
            Close::Lapsed => OPEN ^ LAPSED,
        };
        self.word.word.fetch_xor(flip, Ordering::AcqRel);
    }

    /// Raises its own watermark.
    pub(crate) fn revoke(self, below: u64) {
        self.cell.below.fetch_max(below, Ordering::Release);
        let flag = if self.decided() < below { REVOKED } else { WATERMARKED };
        self.word.word.fetch_or(flag, Ordering::AcqRel);
    }
}

fn parent_of(word: u64) -> Option<u32> {
    u32::try_from(word >> PARENT_SHIFT & PARENT).ok()?.checked_sub(1)
}

/// A generation as it stands in a word; none for one that no longer fits, which is never verified.
fn stamp(generation: u64) -> Option<u64> {
    (generation <= GENERATION_MAX).then_some(generation + 1)
}

// === impl TaskCells ===

impl TaskCells {
    /// None yet.
    pub(crate) fn new() -> Self {
        let room = CHUNKS_MAX * CHUNK_SLOTS;
        Self { words: Chunked::with_room_for(room), cells: Chunked::with_room_for(room) }
    }

    /// The same cells, but for those of chunks in which no task is.
    pub(crate) fn without(&self, chunks: &BTreeSet<u32>) -> Self {
        Self { words: self.words.without(chunks), cells: self.cells.without(chunks) }
    }

    /// What is in a slot, whether or not it is a task; none where its chunk is not here.
    pub(crate) fn get(&self, slot: u32) -> Option<Task<'_>> {
        Some(Task { word: self.words.get(slot)?, cell: self.cells.get(slot)? })
    }

    /// The task at `slot`, which something holds.
    pub(crate) fn at(&self, slot: u32) -> Task<'_> {
        self.get(slot).expect("the chunk of a slot in use stays")
    }

    /// The id of the task at `slot`, when its whole chain is open, has no watermark of its own, and
    /// was verified at this generation of revocations. Reads one word a task.
    pub(crate) fn untouched(&self, slot: u32, generation: u64) -> Option<TaskId> {
        let leaf = self.words.get(slot)?;
        let wanted = stamp(generation)? << GENERATION_SHIFT | OPEN;
        let mut next = leaf;
        for _ in 0..TASK_DEPTH_MAX {
            let word = next.word.load(Ordering::Acquire);
            if word & !(PARENT << PARENT_SHIFT) != wanted {
                return None;
            }
            match parent_of(word) {
                Some(parent) => next = self.words.get(parent)?,
                None => return Some(TaskId::from_u64(leaf.id.load(Ordering::Relaxed))),
            }
        }
        None
    }

    /// The task at `slot` and those above it, from leaf to root; at most eight.
    pub(crate) fn chain(&self, slot: u32) -> impl Iterator<Item = Task<'_>> {
        let up = |task: &Task<'_>| task.parent().map(|parent| self.at(parent));
        std::iter::successors(Some(self.at(slot)), up).take(TASK_DEPTH_MAX)
    }

    /// Makes the chunk of a slot that is beyond none of them. The writer.
    pub(crate) fn make(&self, slot: u32) -> Option<()> {
        self.words.make(slot)?;
        self.cells.make(slot).map(|_| ())
    }

    // Relaxed: readers come here through the index or a row, which are published after this.
    /// Writes a task into a free slot of a chunk that was made. The writer.
    pub(crate) fn write(&self, slot: u32, new: NewTask) {
        let Task { word, cell } = self.at(slot);
        word.id.store(new.id.as_u64(), Ordering::Relaxed);
        cell.decided.store(new.decided, Ordering::Relaxed);
        cell.below.store(new.below, Ordering::Relaxed);
        store_subject(&cell.subject, new.subject);
        cell.standing.store(new.standing, Ordering::Relaxed);
        cell.held.store(0, Ordering::Relaxed);
        let parent = new.parent.map_or(0, |parent| u64::from(parent) + 1) << PARENT_SHIFT;
        // No flag for `below`: rows that it covers are refused by the fold, and the task is not covered.
        word.word.store(OPEN | parent, Ordering::Release);
    }

    /// Frees the slot of a task that nothing holds, and keeps in it which one of its chunk was freed
    /// before. The writer.
    pub(crate) fn clear(&self, slot: u32, freed_before: Option<u32>) {
        let Task { word, cell } = self.at(slot);
        word.word.store(FREE, Ordering::Release);
        cell.held.store(freed_before.map_or(0, |slot| slot + 1), Ordering::Relaxed);
    }

    /// Which slot of its chunk was freed before this free one.
    pub(crate) fn freed_before(&self, slot: u32) -> Option<u32> {
        self.at(slot).cell.held.load(Ordering::Relaxed).checked_sub(1)
    }
}
