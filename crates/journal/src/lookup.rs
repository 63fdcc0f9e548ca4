//! [`Lookup`]: single events by their sequence, without reading what lies between.
//!
//! A segment is walked from the nearest mark before the event: marks are places whose way there was
//! walked before, shared by all readers, about one in 256 KiB. They are a memo, bounded and lost at
//! a restart. The frame that holds the event is checked as everywhere; frames on the way are passed
//! by their checksums.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use locum_model::limits::JOURNAL_MARKS_MAX;
use locum_model::{Committed, Event};

use crate::damage::Damage;
use crate::durable::Durable;
use crate::format::Hash;
use crate::format::cursor::Cursor;
use crate::reader::{ReadError, Reader};

/// Bytes between two marks.
const MARK_EVERY_BYTES: u64 = 256 << 10;

/// Finds events. Quick when asked in order: it goes on from where it stands.
pub struct Lookup {
    durable: Arc<Durable>,
    cursor: Option<Cursor>,
}

/// Places in segments whose way there was walked before, by the sequence that follows them.
#[derive(Default)]
pub(crate) struct Marks(Mutex<BTreeMap<u64, Mark>>);

/// Where a frame begins, and the chain up to there.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) segment: u64,
    pub(crate) at: u64,
    pub(crate) next_sequence: u64,
    pub(crate) hash: Hash,
}

// === impl Reader ===

impl Reader {
    /// Finds events by their sequence.
    pub fn lookup(&self) -> Lookup {
        Lookup { durable: Arc::clone(self.durable()), cursor: None }
    }
}

// === impl Lookup ===

impl Lookup {
    /// The event at `sequence`; none when nothing durable stands there yet.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when what is read is not what was written. The next call starts afresh.
    pub fn event(&mut self, sequence: u64) -> Result<Option<Committed<Event>>, ReadError> {
        if sequence == 0 || sequence > self.durable.head().position.sequence {
            return Ok(None);
        }
        let mut cursor = self.stand_before(sequence)?;
        let limit = self.limit(&cursor);
        loop {
            while let Some(event) = cursor.event()? {
                if event.position().sequence == sequence {
                    self.cursor = Some(cursor);
                    return Ok(Some(event));
                }
            }
            if !cursor.step(limit)? {
                return Ok(None);
            }
        }
    }

    /// A cursor in the event's segment, right before the event's frame.
    fn stand_before(&mut self, sequence: u64) -> Result<Cursor, Damage> {
        let segment = self.durable.extent().segment_of(sequence).unwrap_or(1);
        let mark = self.durable.marks.before(sequence).filter(|mark| mark.segment == segment);
        let reached = mark.map_or(segment, |mark| mark.next_sequence);
        // A cursor may stand in the middle of a frame: what it took of that one is gone for it.
        let usable = |cursor: &Cursor| {
            cursor.header().first_sequence == segment
                && cursor.untaken() <= sequence
                && cursor.next_sequence() >= reached
        };
        let mut cursor = match (self.cursor.take().filter(usable), mark) {
            (Some(cursor), _) => cursor,
            (None, Some(mark)) => Cursor::open(&*self.durable.files, segment)?.placed(&mark),
            (None, None) => Cursor::open(&*self.durable.files, segment)?,
        };
        if cursor.next_sequence() <= sequence {
            let limit = self.limit(&cursor);
            let marks = &self.durable.marks;
            cursor.skip_marking(sequence, limit, &mut |mark| marks.note(mark))?;
        }
        Ok(cursor)
    }

    /// How far a segment may be read: the newest one to the durable end.
    fn limit(&self, cursor: &Cursor) -> u64 {
        let extent = self.durable.extent();
        match extent.successor(cursor.header().first_sequence) {
            Some(_) => u64::MAX,
            None => extent.end,
        }
    }
}

// === impl Marks ===

impl Marks {
    fn before(&self, sequence: u64) -> Option<Mark> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.range(..=sequence).next_back().map(|(_, mark)| *mark)
    }

    /// Notes a place, unless one close before it is known.
    fn note(&self, mark: Mark) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let close = |known: &Mark| {
            known.segment == mark.segment && mark.at.saturating_sub(known.at) < MARK_EVERY_BYTES
        };
        let known = marks.range(..=mark.next_sequence).next_back().is_some_and(|(_, known)| close(known));
        if known || marks.len() >= JOURNAL_MARKS_MAX {
            return;
        }
        marks.insert(mark.next_sequence, mark);
    }
}
