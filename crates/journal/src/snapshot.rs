//! Snapshots: compaction of the journal, so that a start need not read all of it.
//!
//! A snapshot is not a dump of state: it holds the events that still matter, each with its
//! position, and replays through the same fold as the segments do. What it leaves out is what
//! the caller said does not matter; what it covers ends where a segment ends. It is written under
//! a temporary name, synced, and renamed: there is all of it or none of it.

use std::io;
use std::sync::{Arc, TryLockError};

use locum_model::{Committed, Event, Position, Reason};

use crate::damage::{Damage, Flaw};
use crate::durable::Durable;
use crate::files::{FileLayer, OpenFile};
use crate::format::cursor::Cursor;
use crate::format::digest;
use crate::format::names::{self, Listing, SNAPSHOT_PARTIAL};
use crate::format::record::{self, RECORD_HEADER_BYTES};
use crate::format::snapshot::{
    Given, Next, SNAPSHOT_HEADER_BYTES, SNAPSHOT_VERSION, SnapshotCursor, SnapshotHeader,
};
use crate::head::Head;
use crate::stored::{Briefs, Decoder, Made};

/// How much is written, and synced, at once, in bytes. A commit's flush waits for what the disk was given before it:
/// all of a large snapshot at its end took a third of a second.
const WRITE_BYTES: usize = if cfg!(test) { 1 << 10 } else { 256 << 10 };

/// What a snapshot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Everything up to here is covered; sequence 0 when nothing is covered yet.
    pub covers: Position,
    /// Events that were looked at.
    pub read: u64,
    /// Events that were kept.
    pub kept: u64,
    /// Size of the file in bytes; 0 when there was nothing new to cover and none was written.
    pub bytes: u64,
}

/// Why there is no new snapshot. The journal goes on without.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another one is being written.
    #[error("another snapshot is being written")]
    Busy,
    /// The file system refused; the disk may be full.
    #[error("the snapshot cannot be written")]
    Io(#[from] io::Error),
    /// What was to be compacted is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// A snapshot on its way to the disk.
struct Draft {
    file: Arc<dyn OpenFile>,
    context: ring::digest::Context,
    briefs: Briefs,
    buffer: Vec<u8>,
    written: u64,
    read: u64,
    kept: u64,
}

// === impl SnapshotError ===

impl SnapshotError {
    /// What a caller is told.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Busy => Reason::Overloaded,
            Self::Io(error) if crate::files::is_full(error) => Reason::StorageFull,
            Self::Io(_) | Self::Damaged(_) => Reason::Internal,
        }
    }
}

/// Compacts everything up to the newest segment.
pub(crate) fn write(
    durable: &Durable,
    keep: &dyn Fn(&Committed<Event>) -> bool,
    given: Given,
) -> Result<SnapshotReport, SnapshotError> {
    let _one_at_a_time = match durable.snapshot.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(SnapshotError::Busy),
    };
    let files = &*durable.files;
    let listing = Listing::read(files)?;
    let newest = *durable.extent().segments.last().expect("a journal has a segment");
    let target = Cursor::open(files, newest)?;
    if listing.partials.iter().any(|name| name == SNAPSHOT_PARTIAL) {
        files.remove(SNAPSHOT_PARTIAL)?;
    }
    let outcome = begin(files, &listing, keep, newest).and_then(|begun| match begun {
        Begun::Nothing(covers) => {
            let covers = covers.unwrap_or(Position { sequence: 0, ..durable.head().position });
            Ok(SnapshotReport { covers, read: 0, kept: 0, bytes: 0 })
        }
        Begun::Draft(mut draft, covered) => {
            let head = draft.go_on(files, keep, covered, &target)?;
            draft.finish(files, head, given)
        }
    });
    if outcome.is_err() {
        // What is left of it is removed by the next snapshot or start, if not now.
        let _ = files.remove(SNAPSHOT_PARTIAL);
    }
    outcome
}

/// How a new snapshot begins.
enum Begun {
    /// With what matters of the one before it, where there is one, and up to which sequence.
    Draft(Box<Draft>, u64),
    /// Not at all: there is nothing that the one before it does not cover.
    Nothing(Option<Position>),
}

/// Begins a snapshot of what is older than the segment that begins with `newest`.
fn begin(
    files: &dyn FileLayer,
    listing: &Listing,
    keep: &dyn Fn(&Committed<Event>) -> bool,
    newest: u64,
) -> Result<Begun, SnapshotError> {
    let begun = newest_that_holds(files, listing, |mut snapshot| {
        let covers = snapshot.header().covers;
        if covers.sequence + 1 >= newest {
            // One that does not hold is made anew from the one before it, although nothing is new.
            return Ok(snapshot.check().is_ok().then_some(Begun::Nothing(Some(covers))));
        }
        let mut draft = Draft::begin(files)?;
        let mut decoder = Decoder::default();
        loop {
            match snapshot.next(&mut decoder)? {
                Next::Event(event, made) => {
                    draft.take(&event, keep)?;
                    decoder.take_back(event.into_event(), made);
                }
                Next::End => return Ok(Some(Begun::Draft(draft.into(), covers.sequence))),
                Next::Broken => {
                    return files.remove(SNAPSHOT_PARTIAL).map(|()| None).map_err(SnapshotError::Io);
                }
            }
        }
    })?;
    match begun {
        Some(begun) => Ok(begun),
        None if newest == 1 => Ok(Begun::Nothing(None)),
        None => Ok(Begun::Draft(Draft::begin(files)?.into(), 0)),
    }
}

/// What `read` makes of the newest snapshot that holds and that a segment follows on; it says none where one does not hold.
///
/// A damaged one is passed over: it only spares reading, and [`crate::verify`] tells of it.
pub(crate) fn newest_that_holds<T, E: From<Damage>>(
    files: &dyn FileLayer,
    listing: &Listing,
    mut read: impl FnMut(SnapshotCursor) -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    for covers in listing.snapshots.iter().rev() {
        match unchecked(files, listing, *covers) {
            Ok(snapshot) => {
                if let Some(made) = read(snapshot)? {
                    return Ok(Some(made));
                }
            }
            Err(damage) if is_grave(&damage) => return Err(damage.into()),
            Err(_passed_over) => {}
        }
    }
    Ok(None)
}

/// Whether no older snapshot may take the place of one of which this was found.
fn is_grave(damage: &Damage) -> bool {
    matches!(damage.flaw, Flaw::FutureFormat { .. } | Flaw::Missing)
}

/// How many events the newest snapshot says that it has; 0 where none can be read.
///
/// Only its head is looked at: to make room for what [`open`](crate::open) will replay, and for nothing else. It
/// is never more than the file has room for.
pub fn foreseen(files: &dyn FileLayer) -> u64 {
    let newest = Listing::read(files).ok().and_then(|listing| listing.snapshots.last().copied());
    let snapshot = newest.and_then(|covers| SnapshotCursor::open(files, covers).ok());
    snapshot.map_or(0, |snapshot| {
        let header = snapshot.header();
        header.records.min(header.records_bytes / RECORD_HEADER_BYTES as u64)
    })
}

/// The snapshot that covers everything up to `covers`, on which a segment follows. Its hash is still to be
/// checked, but where something else is wrong: what does not hold says nothing.
fn unchecked(files: &dyn FileLayer, listing: &Listing, covers: u64) -> Result<SnapshotCursor, Damage> {
    let mut snapshot = SnapshotCursor::open(files, covers)?;
    match is_followed(files, listing, &snapshot) {
        Ok(()) => Ok(snapshot),
        Err(damage) => Err(snapshot.check().err().unwrap_or(damage)),
    }
}

fn is_followed(files: &dyn FileLayer, listing: &Listing, snapshot: &SnapshotCursor) -> Result<(), Damage> {
    let covers = snapshot.header().covers;
    // A snapshot is written after the segment that follows it: a snapshot alone means that
    // acknowledged events are gone.
    if !listing.segments.contains(&(covers.sequence + 1)) {
        return Err(snapshot.damage(Flaw::Missing));
    }
    let next = Cursor::open(files, covers.sequence + 1)?;
    let follows = next.header().predecessor == snapshot.header().chain && next.header().home == covers.home;
    if follows { Ok(()) } else { Err(snapshot.damage(Flaw::Chain)) }
}

// === impl Draft ===

impl Draft {
    fn begin(files: &dyn FileLayer) -> io::Result<Self> {
        Ok(Self {
            file: files.create(SNAPSHOT_PARTIAL, 0)?,
            context: ring::digest::Context::new(&ring::digest::SHA256),
            briefs: Briefs::default(),
            buffer: Vec::new(),
            written: SNAPSHOT_HEADER_BYTES as u64,
            read: 0,
            kept: 0,
        })
    }

    /// Goes on with what matters of the segments after `covered` and before `target`; where they end.
    fn go_on(
        &mut self,
        files: &dyn FileLayer,
        keep: &dyn Fn(&Committed<Event>) -> bool,
        covered: u64,
        target: &Cursor,
    ) -> Result<Head, SnapshotError> {
        let mut decoder = Decoder::default();
        let mut cursor = Cursor::open(files, covered + 1)?;
        loop {
            while let Some(event) = cursor.event(&mut decoder)? {
                self.take(&event, keep)?;
                decoder.take_back(event.into_event(), Made::default());
            }
            if cursor.step(u64::MAX)? {
                continue;
            }
            let successor = cursor.follow(files, cursor.next_sequence())?;
            if successor.header() == target.header() {
                return Ok(cursor.head());
            }
            cursor = successor;
        }
    }

    fn take(&mut self, event: &Committed<Event>, keep: &dyn Fn(&Committed<Event>) -> bool) -> io::Result<()> {
        self.read += 1;
        if !keep(event) {
            return Ok(());
        }
        self.kept += 1;
        record::append_brief(&mut self.buffer, &mut self.briefs, event);
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.context.update(&self.buffer);
        self.file.write_at(&self.buffer, self.written)?;
        self.file.sync()?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(
        mut self,
        files: &dyn FileLayer,
        head: Head,
        given: Given,
    ) -> Result<SnapshotReport, SnapshotError> {
        self.flush()?;
        let covers = head.position;
        let records_bytes = self.written - SNAPSHOT_HEADER_BYTES as u64;
        let header = SnapshotHeader {
            version: SNAPSHOT_VERSION,
            covers,
            chain: head.hash,
            records: self.kept,
            records_bytes,
            given,
        };
        self.context.update(&header.hashed());
        self.file.write_at(&header.write(digest(self.context)), 0)?;
        self.file.sync()?;
        files.rename(SNAPSHOT_PARTIAL, &names::snapshot(covers.sequence))?;
        files.sync_dir()?;
        Ok(SnapshotReport { covers, read: self.read, kept: self.kept, bytes: self.written })
    }
}
