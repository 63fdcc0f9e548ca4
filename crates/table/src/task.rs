//! [`Tasks`]: one cell a task, on which ending it is one store.
//!
//! A token's row holds the slot of its task, a task that of its parent; a chain has at most eight.
//! A slot is reused only when nothing holds it: whoever reads a cell does so under the map guard of
//! a row or of the index entry that keeps it in use.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dashmap::DashMap;
use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{Reason, SubjectKey, TaskId};

use crate::chunked::Chunked;
use crate::hashing::Spread;
use crate::row::TASK_SLOTS_MAX;
use crate::standing::{load_subject, store_subject};

const NO_PARENT: u32 = u32::MAX;
const FREE: u32 = 0;
const OPEN: u32 = 1;
const ENDED: u32 = 2;
const LAPSED: u32 = 3;

/// One task, in one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct TaskCell {
    id: AtomicU64,
    decided: AtomicU64,
    /// What was decided below this is dead by the task's own watermark.
    below: AtomicU64,
    subject: [AtomicU64; 2],
    parent: AtomicU32,
    standing: AtomicU32,
    state: AtomicU32,
    /// Rows and children that rest on it. The writer's alone.
    held: AtomicU32,
}

const _: () = assert!(size_of::<TaskCell>() == 64);

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

/// The readers' side.
#[derive(Debug)]
pub(crate) struct Tasks {
    cells: Chunked<TaskCell>,
    index: DashMap<u64, u32, Spread>,
}

/// The writer's side: which slots are free, and who is below whom.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    free: Vec<u32>,
    used: u32,
    children: BTreeSet<(u32, u32)>,
}

// === impl TaskCell ===

impl TaskCell {
    /// Its id.
    pub(crate) fn id(&self) -> TaskId {
        TaskId::from_u64(self.id.load(Ordering::Relaxed))
    }

    /// The order of its decision.
    pub(crate) fn decided(&self) -> u64 {
        self.decided.load(Ordering::Relaxed)
    }

    /// What was decided below this is dead by the task's own watermark.
    pub(crate) fn below(&self) -> u64 {
        self.below.load(Ordering::Acquire)
    }

    /// On whose behalf.
    pub(crate) fn subject(&self) -> SubjectKey {
        load_subject(&self.subject)
    }

    /// Its interned standing.
    pub(crate) fn standing(&self) -> u32 {
        self.standing.load(Ordering::Relaxed)
    }

    /// The slot of the task that it is part of.
    pub(crate) fn parent(&self) -> Option<u32> {
        let parent = self.parent.load(Ordering::Relaxed);
        (parent != NO_PARENT).then_some(parent)
    }

    /// Why it is closed by itself; none while it is open.
    pub(crate) fn closed(&self) -> Option<Reason> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            LAPSED => Some(Reason::TaskLapsed),
            ENDED => Some(Reason::TaskEnded),
            // A free cell is never read; if one were, it would not be alive.
            _ => Some(Reason::TaskNotFound),
        }
    }

    /// Whether a task is in this cell.
    pub(crate) fn is_used(&self) -> bool {
        self.state.load(Ordering::Relaxed) != FREE
    }

    /// Whether rows or children rest on it.
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed) != 0
    }

    /// One more row or child rests on it. Only the writer.
    pub(crate) fn hold(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// One row or child less rests on it. Only the writer.
    pub(crate) fn release(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Closes it and everything below it: the one flag that a lookup consults.
    pub(crate) fn close(&self, close: Close) {
        let state = match close {
            Close::Ended => ENDED,
            Close::Lapsed => LAPSED,
        };
        self.state.store(state, Ordering::Release);
    }

    /// Raises its own watermark.
    pub(crate) fn revoke(&self, below: u64) {
        self.below.fetch_max(below, Ordering::Release);
    }

    // Relaxed: readers come here through the index or a row, which are published after this.
    fn write(&self, new: NewTask) {
        self.id.store(new.id.as_u64(), Ordering::Relaxed);
        self.decided.store(new.decided, Ordering::Relaxed);
        self.below.store(new.below, Ordering::Relaxed);
        store_subject(&self.subject, new.subject);
        self.parent.store(new.parent.unwrap_or(NO_PARENT), Ordering::Relaxed);
        self.standing.store(new.standing, Ordering::Relaxed);
        self.held.store(0, Ordering::Relaxed);
        self.state.store(OPEN, Ordering::Release);
    }
}

// === impl Tasks ===

impl Tasks {
    /// None yet.
    pub(crate) fn new() -> Self {
        let index = DashMap::with_hasher_and_shard_amount(Spread::default(), 64);
        Self { cells: Chunked::with_room_for(TASK_SLOTS_MAX), index }
    }

    /// The cell at `slot`, which something holds.
    pub(crate) fn at(&self, slot: u32) -> &TaskCell {
        self.cells.get(slot).expect("a slot in use was made")
    }

    /// The index from task to slot. Whoever reads a cell found here keeps the guard meanwhile.
    pub(crate) fn index(&self) -> &DashMap<u64, u32, Spread> {
        &self.index
    }

    /// The slot of a task. For the writer, who alone frees slots.
    pub(crate) fn slot(&self, task: TaskId) -> Option<u32> {
        self.index.get(&task.as_u64()).map(|slot| *slot)
    }

    /// The task at `slot` and those above it, from leaf to root; at most eight.
    pub(crate) fn chain(&self, slot: u32) -> impl Iterator<Item = &TaskCell> {
        let up = |cell: &&TaskCell| cell.parent().map(|parent| self.at(parent));
        std::iter::successors(Some(self.at(slot)), up).take(TASK_DEPTH_MAX)
    }
}

// === impl Slots ===

impl Slots {
    /// Enters a task; none when there are too many.
    pub(crate) fn enter(&mut self, tasks: &Tasks, new: NewTask) -> Option<u32> {
        let slot = self.free.pop().unwrap_or(self.used);
        let cell = tasks.cells.make(slot)?;
        self.used = self.used.max(slot + 1);
        cell.write(new);
        if let Some(parent) = new.parent {
            tasks.at(parent).hold();
            self.children.insert((parent, slot));
        }
        tasks.index.insert(new.id.as_u64(), slot);
        Some(slot)
    }

    /// Frees the cell of a task that nothing rests on, and gives its standing and its parent.
    pub(crate) fn free(&mut self, tasks: &Tasks, slot: u32) -> (u32, Option<u32>) {
        let cell = tasks.at(slot);
        // Out of the index first: this waits for every reader that came through it.
        tasks.index.remove(&cell.id().as_u64());
        let (standing, parent) = (cell.standing(), cell.parent());
        cell.state.store(FREE, Ordering::Release);
        if let Some(parent) = parent {
            self.children.remove(&(parent, slot));
            tasks.at(parent).release();
        }
        self.free.push(slot);
        (standing, parent)
    }

    /// Slots ever used; those below may hold a task.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// The slots of a task's children.
    pub(crate) fn children(&self, slot: u32) -> impl Iterator<Item = u32> {
        self.children.range((slot, 0)..=(slot, u32::MAX)).map(|(_, child)| *child)
    }
}
