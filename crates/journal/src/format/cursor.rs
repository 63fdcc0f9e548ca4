//! Walks the frames of one segment, checking each against the chain.

use std::sync::Arc;

use locum_model::feed::JournalHead;
use locum_model::{Committed, Event, Position};

use super::frame::{END_MARK_BYTES, FRAME_HEADER_BYTES, FrameHeader, Kind, Tag};
use super::record;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::window::Window;
use super::{Hash, is_zero, names};
use crate::damage::{Damage, Flaw};
use crate::files::{FileLayer, OpenFile};
use crate::head::Head;
use crate::marks::Mark;
use crate::stored::Decoder;

/// A place in a segment. What lies before it is checked.
pub(crate) struct Cursor {
    name: String,
    header: SegmentHeader,
    tag: Tag,
    window: Window,
    /// Length of the file when it was opened.
    len: u64,
    /// Where the next frame begins.
    at: u64,
    /// The frame that ends at `at`.
    last_frame: Option<FrameHeader>,
    /// How many of that frame's bytes, and of its records, were taken.
    taken_bytes: usize,
    taken_records: u32,
    hash: Hash,
    /// The hash of the newest batch that was passed; no seal changes it.
    batch: Option<Hash>,
    next_sequence: u64,
}

impl Cursor {
    /// Opens the segment that begins with `first_sequence`, checking its header.
    pub(crate) fn open(files: &dyn FileLayer, first_sequence: u64) -> Result<Self, Damage> {
        let name = names::segment(first_sequence);
        let damaged =
            |flaw| Damage { file: names::segment(first_sequence), offset: 0, sequence: first_sequence, flaw };
        let unreadable = |error| damaged(Flaw::Unreadable(error));
        let file = files.open(&name).map_err(unreadable)?;
        let len = file.len().map_err(unreadable)?;
        let mut window = Window::new(file);
        // No further: what lies behind may be being written.
        let block = window.get(0, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES as u64).map_err(unreadable)?;
        let header = SegmentHeader::read(block).map_err(damaged)?;
        if header.first_sequence != first_sequence {
            return Err(damaged(Flaw::Misplaced));
        }
        Ok(Self {
            name,
            header,
            tag: header.tag(),
            window,
            len,
            at: SEGMENT_HEADER_BYTES as u64,
            last_frame: None,
            taken_bytes: 0,
            taken_records: 0,
            hash: header.opening_hash(),
            batch: None,
            next_sequence: first_sequence,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(crate) fn tag(&self) -> Tag {
        self.tag
    }

    pub(crate) fn file(&self) -> &Arc<dyn OpenFile> {
        self.window.file()
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The chain hash up to here.
    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The frame that was passed last.
    pub(crate) fn last_frame(&self) -> Option<&FrameHeader> {
        self.last_frame.as_ref()
    }

    /// Whether a seal stands right before this.
    pub(crate) fn is_sealed(&self) -> bool {
        self.last_frame.is_some_and(|frame| frame.kind == Kind::Seal)
    }

    /// The head of a journal that goes up to here.
    pub(crate) fn head(&self) -> Head {
        let SegmentHeader { home, epoch, .. } = self.header;
        Head { position: Position { home, epoch, sequence: self.next_sequence - 1 }, hash: self.hash }
    }

    /// The newest batch that was passed; none when none was.
    pub(crate) fn batch(&self) -> Option<JournalHead> {
        self.batch.map(|hash| JournalHead { sequence: self.next_sequence - 1, hash })
    }

    /// What is wrong here.
    pub(crate) fn damage(&self, flaw: Flaw) -> Damage {
        Damage { file: self.name.clone(), offset: self.at, sequence: self.next_sequence, flaw }
    }

    /// Passes one frame, whose events can then be taken; `false` when zeros or `limit` follow.
    ///
    /// After an error the cursor stands where it stood.
    pub(crate) fn step(&mut self, limit: u64) -> Result<bool, Damage> {
        match self.checked_frame(limit) {
            Ok(Some(header)) => {
                self.pass(header);
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(flaw) => Err(self.damage(flaw)),
        }
    }

    /// Opens the segment that follows this one, at whose end this stands.
    pub(crate) fn follow(&self, files: &dyn FileLayer, next: u64) -> Result<Self, Damage> {
        if self.next_sequence != next {
            return Err(self.damage(Flaw::Missing));
        }
        let successor = Self::open(files, next)?;
        let header = successor.header;
        // An epoch may move on from one segment to the next, the home may not.
        let follows = header.predecessor == self.hash
            && header.home == self.header.home
            && header.epoch >= self.header.epoch;
        if follows { Ok(successor) } else { Err(successor.damage(Flaw::Chain)) }
    }

    /// This cursor, freshly opened, at a place that one before it reached.
    pub(crate) fn placed(self, mark: &Mark) -> Self {
        Self { at: mark.at, hash: mark.hash, next_sequence: mark.next_sequence, ..self }
    }

    fn mark(&self) -> Mark {
        let segment = self.header.first_sequence;
        Mark { segment, at: self.at, next_sequence: self.next_sequence, hash: self.hash }
    }

    /// The sequence of the next event that [`Cursor::event`] would give.
    pub(crate) fn untaken(&self) -> u64 {
        let left = self.last_frame.map_or(0, |frame| frame.records.saturating_sub(self.taken_records));
        self.next_sequence - u64::from(left)
    }

    /// Passes all frames that end before `sequence`, trusting their checksums alone.
    pub(crate) fn skip_to(&mut self, sequence: u64, limit: u64) -> Result<(), Damage> {
        self.skip_marking(sequence, limit, &mut |_mark| {})
    }

    /// As [`Cursor::skip_to`]; tells `note` every place between two frames.
    pub(crate) fn skip_marking(
        &mut self,
        sequence: u64,
        limit: u64,
        note: &mut dyn FnMut(Mark),
    ) -> Result<(), Damage> {
        loop {
            note(self.mark());
            match self.frame_header(limit) {
                Ok(Some(header)) if header.next_sequence() <= sequence && header.kind == Kind::Events => {
                    self.pass(header);
                    self.taken_records = header.records;
                }
                Ok(Some(header)) if header.kind == Kind::Seal && header.first_sequence < sequence => {
                    self.pass(header);
                }
                Ok(_) => return Ok(()),
                Err(flaw) => return Err(self.damage(flaw)),
            }
        }
    }

    /// Takes the next event of the frame that was passed last.
    pub(crate) fn event(&mut self, decoder: &mut Decoder) -> Result<Option<Committed<Event>>, Damage> {
        let Some(frame) = self.last_frame.filter(|frame| self.taken_records < frame.records) else {
            return Ok(None);
        };
        match self.take(&frame, decoder) {
            Ok(event) => Ok(Some(event)),
            Err(flaw) => {
                let sequence = frame.first_sequence + u64::from(self.taken_records);
                let offset = self.at - (frame.whole_bytes() - self.taken_bytes) as u64;
                Err(Damage { file: self.name.clone(), offset, sequence, flaw })
            }
        }
    }

    fn take(&mut self, frame: &FrameHeader, decoder: &mut Decoder) -> Result<Committed<Event>, Flaw> {
        let start = self.at - frame.whole_bytes() as u64;
        let bytes = self.window.get(start, frame.whole_bytes(), self.at).map_err(Flaw::Unreadable)?;
        let records_end = bytes.len().saturating_sub(END_MARK_BYTES);
        let (record, whole) = record::split(bytes.get(self.taken_bytes..records_end).ok_or(Flaw::Record)?)?;
        let sequence = frame.first_sequence + u64::from(self.taken_records);
        if record.sequence != sequence || record.epoch != self.header.epoch {
            return Err(Flaw::Record);
        }
        let event = record.committed(self.header.home, decoder)?;
        self.taken_bytes += whole;
        self.taken_records += 1;
        if self.taken_records == frame.records && self.taken_bytes != records_end {
            return Err(Flaw::Record);
        }
        Ok(event)
    }

    fn pass(&mut self, header: FrameHeader) {
        self.at += header.whole_bytes() as u64;
        self.hash = header.hash;
        if header.kind == Kind::Events {
            self.batch = Some(header.hash);
        }
        self.next_sequence = header.next_sequence();
        self.last_frame = Some(header);
        self.taken_bytes = FRAME_HEADER_BYTES;
        self.taken_records = 0;
    }

    /// The header of the next frame; `None` when there is none.
    fn frame_header(&mut self, limit: u64) -> Result<Option<FrameHeader>, Flaw> {
        let bytes = self.window.get(self.at, FRAME_HEADER_BYTES, limit).map_err(Flaw::Unreadable)?;
        if is_zero(bytes) {
            return Ok(None);
        }
        let header = FrameHeader::read(bytes).ok_or(Flaw::Frame)?;
        if header.tag != self.tag || header.first_sequence != self.next_sequence {
            return Err(Flaw::Misplaced);
        }
        if self.at + header.whole_bytes() as u64 > limit {
            return Err(Flaw::Truncated);
        }
        Ok(Some(header))
    }

    /// The header of the next frame, all of which was checked.
    fn checked_frame(&mut self, limit: u64) -> Result<Option<FrameHeader>, Flaw> {
        let Some(header) = self.frame_header(limit)? else { return Ok(None) };
        let frame = self.window.get(self.at, header.whole_bytes(), limit).map_err(Flaw::Unreadable)?;
        if header.holds(&self.hash, frame) { Ok(Some(header)) } else { Err(Flaw::Content) }
    }
}
