//! [`Writer`]: the one place where something becomes durable.
//!
//! A batch is framed in memory, written with one write, synced once, and only then told of. The
//! first failure of a write or sync ends the writer: what a failed sync leaves on the disk nobody
//! knows, so nothing is tried again (the lesson of PostgreSQL's fsync failures of 2018). A disk
//! that is full is no failure: it is found before anything is written.

use locum_model::limits::BATCH_BYTES_MAX;
use std::io;
use std::sync::Arc;

use locum_model::feed::JournalHead;
use locum_model::limits::{BATCH_EVENTS_MAX, EVENT_BYTES_MAX};
use locum_model::{Committed, Event, Position, Reason};

use crate::durable::{Durable, Extent};
use crate::files::{OpenFile, SECTOR_BYTES, is_full};
use crate::format::SEQUENCE_MAX;
use crate::format::frame::{self, Tag};
use crate::format::record;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::head::Head;
use crate::options::Options;
use crate::space::{self, STEP_BYTES};

/// Which events may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Everything that may be refused when the disk is full.
    Ordinary,
    /// Revocations, ends and locks: they may use the reserve.
    Urgent,
}

/// A frame's buffer that grew beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// Appends events. There is one per journal.
pub struct Writer {
    durable: Arc<Durable>,
    options: Options,
    segment: Segment,
    head: Head,
    /// Whether nothing was appended since the last seal.
    sealed: bool,
    /// Whether the reserve stands.
    reserve: bool,
    frame: Vec<u8>,
    failure: Option<io::Error>,
}

/// What recovery found.
pub(crate) struct State {
    /// Whether nothing was appended since the last seal.
    pub(crate) sealed: bool,
    /// Whether the reserve stands.
    pub(crate) reserve: bool,
}

/// The segment that is written to.
pub(crate) struct Segment {
    pub(crate) file: Arc<dyn OpenFile>,
    pub(crate) epoch: u32,
    pub(crate) tag: Tag,
    pub(crate) first_sequence: u64,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// The length of the file, whose space is taken.
    pub(crate) len: u64,
}

/// Why events were not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Nothing was written and nothing changed; a later append may succeed.
    #[error("the disk is full")]
    Full,
    /// A write or sync failed. The writer is done for; every later call says the same.
    #[error("the journal cannot be written")]
    Fatal,
    /// The batch, or an event in it, is beyond its bound. Nothing was written.
    #[error("the batch is too large")]
    TooLarge,
}

/// Why a later epoch was not begun. The journal is as before, unless the writer is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Epochs only grow.
    #[error("epoch {asked} is not later than epoch {current}")]
    NotLater {
        /// What was asked for.
        asked: u32,
        /// The one that is written in.
        current: u32,
    },
    /// The newest segment has no event: no other can follow it.
    #[error("nothing was written since the newest segment was begun")]
    NothingBefore,
    /// It could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

// === impl Writer ===

impl Writer {
    pub(crate) fn new(durable: Arc<Durable>, options: Options, segment: Segment, state: State) -> Self {
        let State { sealed, reserve } = state;
        let head = durable.head();
        Self { durable, options, segment, head, sealed, reserve, frame: Vec::new(), failure: None }
    }

    /// Appends one batch, in order, and returns its events as committed.
    ///
    /// Durable on return: one write and one sync, whatever the batch holds; beginning a segment, every
    /// 64 MiB as a rule, takes a few more. An empty batch is nothing.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; then none of the events is in the journal for anybody here. After
    /// [`AppendError::Fatal`] a restart may still find the batch, whole.
    pub fn append(&mut self, lane: Lane, events: Vec<Event>) -> Result<Vec<Committed<Event>>, AppendError> {
        if self.failure.is_some() {
            return Err(AppendError::Fatal);
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.head.position.sequence + 1;
        self.encode(first, &events)?;
        self.make_room(lane)?;
        let records = u32::try_from(events.len()).expect("a batch has at most BATCH_EVENTS_MAX events");
        self.write(records)?;
        self.sealed = false;
        let Position { home, epoch, .. } = self.head.position;
        let committed = |(event, sequence)| Committed::assertion(event, Position { home, epoch, sequence });
        Ok(events.into_iter().zip(first..).map(committed).collect())
    }

    /// Marks the end, so that damage to what stands before it can never pass for a batch torn by a
    /// crash. Does nothing when the end is marked.
    ///
    /// # Errors
    ///
    /// [`AppendError::Full`] when there is no space for it, which harms nothing, or
    /// [`AppendError::Fatal`].
    pub fn seal(&mut self) -> Result<(), AppendError> {
        if self.failure.is_some() {
            return Err(AppendError::Fatal);
        }
        if self.sealed {
            return Ok(());
        }
        frame::begin(&mut self.frame);
        frame::end(&mut self.frame);
        // A seal belongs to what stands before it: it never begins a segment.
        if !self.fits() && !self.grow()? {
            return Err(AppendError::Full);
        }
        self.write(0)?;
        self.sealed = true;
        Ok(())
    }

    /// Goes on in a segment of a later epoch: what is committed from now on comes after everything
    /// that was ever decided in an earlier one, even where this journal has forgotten it.
    ///
    /// Durable on return. Sequences go on.
    ///
    /// # Errors
    ///
    /// [`EpochError`].
    pub fn begin_epoch(&mut self, epoch: u32) -> Result<(), EpochError> {
        if self.failure.is_some() {
            return Err(AppendError::Fatal.into());
        }
        let current = self.segment.epoch;
        if epoch <= current {
            return Err(EpochError::NotLater { asked: epoch, current });
        }
        if self.is_empty() {
            return Err(EpochError::NothingBefore);
        }
        self.segment.epoch = epoch;
        self.frame.clear();
        let begun = self.begin_segment();
        if !matches!(begun, Ok(true)) {
            self.segment.epoch = current;
        }
        if begun? { Ok(()) } else { Err(AppendError::Full.into()) }
    }

    /// How far the journal goes.
    pub fn head(&self) -> Head {
        self.head
    }

    /// What made every call since [`AppendError::Fatal`].
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    fn fail(&mut self, error: io::Error) -> AppendError {
        self.failure = Some(error);
        AppendError::Fatal
    }

    /// Frames the events in memory; the header comes once the segment is known.
    fn encode(&mut self, first: u64, events: &[Event]) -> Result<(), AppendError> {
        if events.len() > BATCH_EVENTS_MAX || first + events.len() as u64 > SEQUENCE_MAX {
            return Err(AppendError::TooLarge);
        }
        frame::begin(&mut self.frame);
        for (event, sequence) in events.iter().zip(first..) {
            let length = record::append(&mut self.frame, self.segment.epoch, sequence, event);
            if length > EVENT_BYTES_MAX || self.frame.len() > BATCH_BYTES_MAX - frame::END_MARK_BYTES {
                self.frame = Vec::new();
                return Err(AppendError::TooLarge);
            }
        }
        frame::end(&mut self.frame);
        Ok(())
    }

    /// Writes the frame, syncs it, and tells the readers.
    fn write(&mut self, records: u32) -> Result<(), AppendError> {
        let position = self.head.position;
        let first = position.sequence + 1;
        let hash = frame::finish(&mut self.frame, &self.head.hash, self.segment.tag, first, records);
        let written = self.segment.file.write_at(&self.frame, self.segment.end);
        #[cfg(bug_zoo)]
        let synced = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::AckBeforeDurable) {
            written
        } else {
            written.and_then(|()| self.segment.file.sync())
        };
        #[cfg(not(bug_zoo))]
        let synced = written.and_then(|()| self.segment.file.sync());
        if let Err(error) = synced {
            return Err(self.fail(error));
        }
        self.segment.end += self.frame.len() as u64;
        let sequence = position.sequence + u64::from(records);
        let epoch = self.segment.epoch;
        self.head = Head { position: Position { epoch, sequence, ..position }, hash };
        self.tell(|extent| {
            if records > 0 {
                extent.batch = Some(JournalHead { sequence, hash });
            }
        });
        if self.frame.capacity() > BUFFER_BYTES_KEPT {
            self.frame = Vec::new();
        }
        Ok(())
    }

    /// Shows the readers what is durable now.
    fn tell(&self, change: impl FnOnce(&mut Extent)) {
        let (head, end) = (self.head, self.segment.end);
        self.durable.advance(|extent| {
            extent.head = head;
            extent.end = end;
            change(extent);
        });
    }

    // === space ===

    /// Where the frame would end, with the sector of zeros that always follows.
    fn end_after_frame(&self) -> u64 {
        self.segment.end + self.frame.len() as u64 + SECTOR_BYTES
    }

    /// Whether the newest segment has no event yet.
    fn is_empty(&self) -> bool {
        self.segment.first_sequence > self.head.position.sequence
    }

    fn fits(&self) -> bool {
        self.end_after_frame() <= self.segment.len
    }

    /// Makes sure that the frame fits, or that nothing has changed.
    fn make_room(&mut self, lane: Lane) -> Result<(), AppendError> {
        if lane == Lane::Ordinary {
            self.restore_reserve()?;
        }
        if self.fits() {
            return Ok(());
        }
        // A segment without an event cannot be followed by one of another first sequence.
        let is_empty = self.is_empty();
        let stays = is_empty || self.end_after_frame() <= self.options.segment_bytes;
        let has_room = if stays { self.grow()? } else { self.begin_segment()? };
        if has_room || (lane == Lane::Urgent && !is_empty && self.begin_segment_in_reserve()?) {
            Ok(())
        } else {
            Err(AppendError::Full)
        }
    }

    /// Takes more space for this segment; `false` when the disk is full.
    fn grow(&mut self) -> Result<bool, AppendError> {
        let len = space::rounded(self.end_after_frame(), self.options.segment_bytes);
        match self.segment.file.grow(len) {
            Ok(()) => {}
            Err(full) if is_full(&full) => return Ok(false),
            Err(error) => return Err(self.fail(error)),
        }
        // INVARIANT: the space is durable before a frame is written into it, so that a file that
        // ends within a frame was cut short.
        self.segment.file.sync().map_err(|error| self.fail(error))?;
        self.segment.len = len;
        Ok(true)
    }

    /// Goes on in a new segment; `false` when the disk is full.
    fn begin_segment(&mut self) -> Result<bool, AppendError> {
        let header = self.next_header();
        let needed = SEGMENT_HEADER_BYTES as u64 + self.frame.len() as u64 + SECTOR_BYTES;
        let len = space::rounded(needed, self.options.segment_bytes.min(STEP_BYTES));
        let made = space::create_segment(&*self.durable.files, &header, len);
        let made = made.map_err(|error| self.fail(error))?;
        let begun = made.is_some();
        if let Some(file) = made {
            self.enter(file, &header, len);
        }
        Ok(begun)
    }

    /// Makes the reserve the new segment; `false` when there is none that is large enough.
    fn begin_segment_in_reserve(&mut self) -> Result<bool, AppendError> {
        let needed = SEGMENT_HEADER_BYTES as u64 + self.frame.len() as u64 + SECTOR_BYTES;
        if !self.reserve || needed > self.options.reserve_bytes {
            return Ok(false);
        }
        let header = self.next_header();
        let file = space::promote_reserve(&*self.durable.files, &header).map_err(|error| self.fail(error))?;
        let len = file.len().map_err(|error| self.fail(error))?;
        self.reserve = false;
        self.enter(file, &header, len);
        Ok(true)
    }

    fn next_header(&self) -> SegmentHeader {
        SegmentHeader {
            home: self.head.position.home,
            epoch: self.segment.epoch,
            first_sequence: self.head.position.sequence + 1,
            predecessor: self.head.hash,
        }
    }

    fn enter(&mut self, file: Arc<dyn OpenFile>, header: &SegmentHeader, len: u64) {
        let end = SEGMENT_HEADER_BYTES as u64;
        let (epoch, first_sequence) = (header.epoch, header.first_sequence);
        self.segment = Segment { file, epoch, tag: header.tag(), first_sequence, end, len };
        self.head.position.epoch = epoch;
        self.head.hash = header.opening_hash();
        self.tell(|extent| _ = extent.segments.insert(first_sequence));
    }

    /// Ordinary events are taken only while the reserve stands: otherwise they would use up what
    /// it became.
    fn restore_reserve(&mut self) -> Result<(), AppendError> {
        if self.reserve {
            return Ok(());
        }
        let restored = space::restore_reserve(&*self.durable.files, self.options.reserve_bytes);
        self.reserve = restored.map_err(|error| self.fail(error))?;
        if self.reserve { Ok(()) } else { Err(AppendError::Full) }
    }
}

// === impl AppendError ===

impl AppendError {
    /// What a caller is told.
    pub fn reason(self) -> Reason {
        match self {
            Self::Full => Reason::StorageFull,
            Self::Fatal => Reason::JournalUnavailable,
            Self::TooLarge => Reason::Internal,
        }
    }
}
