//! [`Reader`]: what is durable, and nothing else.
//!
//! Reads all segments, whatever snapshots there are: this is the whole history. Readers never
//! hold the writer up for longer than it takes to copy a head.

use std::sync::Arc;

use locum_model::feed::JournalHead;
use locum_model::{Committed, Event};

use crate::damage::{Damage, Flaw};
use crate::durable::Durable;
use crate::files::FileLayer;
use crate::format::cursor::Cursor;
use crate::format::names::Listing;
use crate::format::snapshot::Given;
use crate::head::Head;
use crate::snapshot::{self, SnapshotError, SnapshotReport};
use crate::stored::Decoder;

/// Reads what is durable. Clones share one view.
#[derive(Clone)]
pub struct Reader {
    durable: Arc<Durable>,
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is read is not what was written, or cannot be read at all.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Events in order, up to the durable head at the time of each call.
///
/// Ends when it has reached the head, and goes on when called again after the head has moved.
/// After an error it has ended for good. Holds one batch in memory.
pub struct Events {
    durable: Arc<Durable>,
    cursor: Option<Cursor>,
    next_sequence: u64,
    failed: bool,
    decoder: Decoder,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(durable: Arc<Durable>) -> Self {
        Self { durable }
    }

    pub(crate) fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// How far the durable journal goes.
    pub fn head(&self) -> Head {
        self.durable.head()
    }

    /// The newest batch: a place that the journal of every later start has too, unless it was put back to before
    /// it. None from a start on a segment without an event until the first one.
    pub fn newest_batch(&self) -> Option<JournalHead> {
        self.durable.extent().batch
    }

    /// The events from `from_sequence` on; 0 and 1 both mean all.
    ///
    /// Nothing is read before the first `next`, which reads the headers of its segment's batches.
    pub fn events(&self, from_sequence: u64) -> Events {
        let next_sequence = from_sequence.max(1);
        Events {
            durable: Arc::clone(&self.durable),
            cursor: None,
            next_sequence,
            failed: false,
            decoder: Decoder::default(),
        }
    }

    /// Writes a snapshot: the events of the last snapshot and of all segments that are no longer
    /// written to, without those that do not matter any more. Later starts read it instead of
    /// them.
    ///
    /// `keep` says whether an event still matters; it must say yes to whatever the state to come
    /// depends on. `given` is told again by [`open`](crate::open). Nothing is deleted. Takes as long as reading those segments; appending goes on
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]; the snapshots that were there before stay.
    pub fn snapshot(
        &self,
        keep: &dyn Fn(&Committed<Event>) -> bool,
        given: Given,
    ) -> Result<SnapshotReport, SnapshotError> {
        snapshot::write(&self.durable, keep, given)
    }

    /// Everything up to this sequence is covered by a snapshot, by its name; 0 where there is none, or nobody can tell.
    pub fn snapshot_covers(&self) -> u64 {
        let listing = Listing::read(&*self.durable.files);
        listing.ok().and_then(|listing| listing.snapshots.last().copied()).unwrap_or(0)
    }
}

// === impl Events ===

impl Iterator for Events {
    type Item = Result<Committed<Event>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.next_sequence > self.durable.head().position.sequence {
            return None;
        }
        let found = self.advance();
        match &found {
            Ok(event) => self.next_sequence = event.position().sequence + 1,
            Err(_) => self.failed = true,
        }
        Some(found.map_err(ReadError::from))
    }
}

impl Events {
    /// The event at `next_sequence`, which is durable.
    fn advance(&mut self) -> Result<Committed<Event>, Damage> {
        let files = Arc::clone(&self.durable.files);
        let mut cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => self.begin(&*files)?,
        };
        loop {
            while let Some(event) = cursor.event(&mut self.decoder)? {
                if event.position().sequence >= self.next_sequence {
                    self.cursor = Some(cursor);
                    return Ok(event);
                }
            }
            let limit = self.durable.extent().limit(&cursor);
            if !cursor.step(limit)? {
                cursor = self.successor(&*files, &cursor)?;
            }
        }
    }

    fn begin(&self, files: &dyn FileLayer) -> Result<Cursor, Damage> {
        let first = self.durable.extent().segment_of(self.next_sequence);
        let mut cursor = Cursor::open(files, first.unwrap_or(1))?;
        cursor.skip_to(self.next_sequence, self.durable.extent().limit(&cursor))?;
        Ok(cursor)
    }

    fn successor(&self, files: &dyn FileLayer, cursor: &Cursor) -> Result<Cursor, Damage> {
        let next = self.durable.extent().successor(cursor.header().first_sequence);
        cursor.follow(files, next.ok_or_else(|| cursor.damage(Flaw::Missing))?)
    }
}
