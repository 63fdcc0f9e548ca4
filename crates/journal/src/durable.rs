//! What the writer and all readers share: how far the journal is durable, and in which segments.
//!
//! The writer alone moves it, after the sync; a reader that looks at it never sees what a crash
//! could take back.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use locum_model::feed::JournalHead;

use crate::files::FileLayer;
use crate::format::cursor::Cursor;
use crate::head::Head;
use crate::marks::Marks;

/// The durable journal.
pub(crate) struct Durable {
    pub(crate) files: Arc<dyn FileLayer>,
    extent: RwLock<Extent>,
    /// Held while a snapshot is written: they share a temporary name.
    pub(crate) snapshot: Mutex<()>,
    /// Places that were walked to before.
    pub(crate) marks: Marks,
}

/// How far it goes.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) head: Head,
    /// The newest batch; none while it is not known which it is.
    pub(crate) batch: Option<JournalHead>,
    /// First sequences of all segments; never empty.
    pub(crate) segments: BTreeSet<u64>,
    /// Where the last frame of the newest segment ends.
    pub(crate) end: u64,
}

impl Durable {
    pub(crate) fn new(files: Arc<dyn FileLayer>, extent: Extent) -> Self {
        Self { files, extent: RwLock::new(extent), snapshot: Mutex::new(()), marks: Marks::default() }
    }

    pub(crate) fn head(&self) -> Head {
        self.extent().head
    }

    /// Moves the end on.
    pub(crate) fn advance(&self, change: impl FnOnce(&mut Extent)) {
        change(&mut self.extent.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn extent(&self) -> RwLockReadGuard<'_, Extent> {
        self.extent.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Extent {
    /// The segment that a sequence stands in, or would.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<u64> {
        self.segments.range(..=sequence).next_back().copied()
    }

    /// The segment after one.
    pub(crate) fn successor(&self, first_sequence: u64) -> Option<u64> {
        self.segments.range((Bound::Excluded(first_sequence), Bound::Unbounded)).next().copied()
    }

    /// How far the segment of `cursor` may be read: the newest one to the durable end.
    pub(crate) fn limit(&self, cursor: &Cursor) -> u64 {
        match self.successor(cursor.header().first_sequence) {
            Some(_) => u64::MAX,
            None => self.end,
        }
    }
}
