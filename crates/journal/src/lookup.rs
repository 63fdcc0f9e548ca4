//! [`Lookup`]: single events by their sequence, without reading what lies between.
//!
//! A segment is walked from the nearest mark before the event: marks are places whose way there was
//! walked before, shared by all readers, about one in 256 KiB. They are a memo, bounded and lost at
//! a restart. The frame that holds the event is checked as everywhere; frames on the way are passed
//! by their checksums.

use std::sync::Arc;

use locum_model::feed::JournalHead;
use locum_model::{Committed, Event};

use crate::damage::Damage;
use crate::durable::Durable;
use crate::format::cursor::Cursor;
use crate::reader::{ReadError, Reader};
use crate::stored::Decoder;

/// Finds events. Quick when asked in order: it goes on from where it stands.
pub struct Lookup {
    durable: Arc<Durable>,
    cursor: Option<Cursor>,
    decoder: Decoder,
}

// === impl Reader ===

impl Reader {
    /// Finds events by their sequence.
    pub fn lookup(&self) -> Lookup {
        Lookup { durable: Arc::clone(self.durable()), cursor: None, decoder: Decoder::default() }
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
        let limit = self.durable.extent().limit(&cursor);
        loop {
            while let Some(event) = cursor.event(&mut self.decoder)? {
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

    /// Whether a batch ended with the event at `sequence` and had this hash; none where no event stands.
    ///
    /// # Errors
    ///
    /// As [`Lookup::event`].
    pub fn had(&mut self, batch: &JournalHead) -> Result<Option<bool>, ReadError> {
        let JournalHead { sequence, hash } = *batch;
        if sequence == 0 || sequence > self.durable.head().position.sequence {
            return Ok(None);
        }
        let mut cursor = self.stand_before(sequence)?;
        let limit = self.durable.extent().limit(&cursor);
        while cursor.next_sequence() <= sequence {
            if !cursor.step(limit)? {
                return Ok(None);
            }
        }
        Ok(Some(cursor.batch() == Some(JournalHead { sequence, hash })))
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
            let limit = self.durable.extent().limit(&cursor);
            let marks = &self.durable.marks;
            cursor.skip_marking(sequence, limit, &mut |mark| marks.note(mark))?;
        }
        Ok(cursor)
    }
}
