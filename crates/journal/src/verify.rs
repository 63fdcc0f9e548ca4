//! [`verify`]: the offline check of everything.
//!
//! Reads every segment from the first on, whatever snapshots there are, decodes every event, and
//! compares the snapshots with what it read. Changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use locum_model::{Committed, Event};

use crate::damage::{Damage, Flaw};
use crate::files::FileLayer;
use crate::format::cursor::Cursor;
use crate::format::is_zero;
use crate::format::names::Listing;
use crate::format::snapshot::SnapshotCursor;
use crate::format::tail::{self, Tail};
use crate::format::window::Window;
use crate::head::Head;
use crate::open_error::missing;
use crate::stored::{Decoder, Made};

/// Snapshots that are compared event by event: the newest ones, which a start may use. Of older
/// ones the hash and the place in the chain are checked.
const COMPARED_SNAPSHOTS: usize = 16;
/// How much is read at once behind the last frame.
const REMAINDER_BYTES: usize = 256 << 10;

/// How far a check is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file that was found good.
    pub file: String,
    /// The last sequence that was found good.
    pub sequence: u64,
}

/// What a check found: everything holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How far the journal goes. Compare its hash with one that was noted elsewhere: a history that
    /// was rewritten as a whole holds in itself.
    pub head: Head,
    /// Events.
    pub events: u64,
    /// Batches that they stand in.
    pub batches: u64,
    /// Segments.
    pub segments: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Whether the journal was sealed: nothing before its end can have been taken for torn.
    pub sealed: bool,
    /// Bytes after the end that an append left which was never acknowledged; 0 for none.
    pub torn_bytes: u64,
}

/// A snapshot that is compared while the segments go by.
struct Compared {
    snapshot: SnapshotCursor,
    /// The event that has to come by next.
    next: Option<(Committed<Event>, Made)>,
    decoder: Decoder,
}

/// The snapshots that are still to come by.
struct Snapshots {
    compared: Vec<Compared>,
    unplaced: BTreeSet<u64>,
}

/// Checks every file, in time proportional to all that was ever written, and in bounded memory.
///
/// What a check cannot tell stands in [`format`](mod@crate::format); beyond that, which events a snapshot
/// leaves out is for its writer to answer.
///
/// # Errors
///
/// The first [`Damage`].
pub fn verify(files: &dyn FileLayer, progress: &mut dyn FnMut(Progress)) -> Result<Report, Damage> {
    let unreadable =
        |error| Damage { file: String::new(), offset: 0, sequence: 0, flaw: Flaw::Unreadable(error) };
    let listing = Listing::read(files).map_err(unreadable)?;
    let mut snapshots = Snapshots::open(files, &listing)?;
    let mut cursor = first(files, &listing)?;
    let mut decoder = Decoder::default();
    let (mut events, mut batches) = (0, 0);
    let torn_bytes = loop {
        let stepped = cursor.step(u64::MAX);
        if let Ok(true) = stepped {
            batches += u64::from(!cursor.is_sealed());
            while let Some(event) = cursor.event(&mut decoder)? {
                events += 1;
                snapshots.pass(&event)?;
                decoder.take_back(event.into_event(), Made::default());
            }
            continue;
        }
        progress(Progress { file: cursor.name().to_owned(), sequence: cursor.next_sequence() - 1 });
        let next = listing.segments.range(cursor.header().first_sequence + 1..).next();
        let Some(next) = next else {
            break torn_bytes(&cursor, stepped.err())?;
        };
        stepped?;
        check_remainder(&cursor)?;
        snapshots.place(files, &cursor)?;
        cursor = cursor.follow(files, *next)?;
    };
    snapshots.finish()?;
    Ok(Report {
        head: cursor.head(),
        events,
        batches,
        segments: listing.segments.len() as u64,
        snapshots: listing.snapshots.len() as u64,
        sealed: cursor.is_sealed() && torn_bytes == 0,
        torn_bytes,
    })
}

/// The first segment, which nothing stands before.
fn first(files: &dyn FileLayer, listing: &Listing) -> Result<Cursor, Damage> {
    if listing.segments.first() != Some(&1) {
        return Err(missing(1));
    }
    let cursor = Cursor::open(files, 1)?;
    if cursor.header().predecessor == [0; 32] { Ok(cursor) } else { Err(cursor.damage(Flaw::Chain)) }
}

/// How much of the newest segment a batch takes that was never acknowledged.
fn torn_bytes(cursor: &Cursor, broken: Option<Damage>) -> Result<u64, Damage> {
    Ok(match tail::judge(cursor, broken)? {
        Tail::Clean => 0,
        Tail::Torn { until } => until - cursor.at(),
    })
}

/// Behind the last frame of a segment that is no longer written to, there are zeros.
fn check_remainder(cursor: &Cursor) -> Result<(), Damage> {
    let mut window = Window::new(Arc::clone(cursor.file()));
    let mut at = cursor.at();
    while at < cursor.len() {
        let bytes = window.get(at, REMAINDER_BYTES, cursor.len());
        let bytes = bytes.map_err(|error| cursor.damage(Flaw::Unreadable(error)))?;
        if bytes.is_empty() {
            return Err(cursor.damage(Flaw::Truncated));
        }
        if !is_zero(bytes) {
            return Err(cursor.damage(Flaw::Remainder));
        }
        at += bytes.len() as u64;
    }
    Ok(())
}

// === impl Snapshots ===

impl Snapshots {
    /// Checks the hash of every snapshot, and opens those that are compared.
    fn open(files: &dyn FileLayer, listing: &Listing) -> Result<Self, Damage> {
        let mut compared = Vec::new();
        for (at, covers) in listing.snapshots.iter().rev().enumerate() {
            let mut snapshot = SnapshotCursor::open(files, *covers)?;
            snapshot.check()?;
            if at < COMPARED_SNAPSHOTS {
                let mut decoder = Decoder::default();
                let next = snapshot.event(&mut decoder)?;
                compared.push(Compared { snapshot, next, decoder });
            }
        }
        Ok(Self { compared, unplaced: listing.snapshots.clone() })
    }

    /// Compares an event of the journal with the snapshots that hold it.
    fn pass(&mut self, event: &Committed<Event>) -> Result<(), Damage> {
        for Compared { snapshot, next, decoder } in &mut self.compared {
            let sequence = event.position().sequence;
            match next {
                Some((expected, _)) if expected == event => {
                    let following = snapshot.event(decoder)?;
                    if let Some((passed, made)) = std::mem::replace(next, following) {
                        decoder.take_back(passed.into_event(), made);
                    }
                }
                Some((expected, _)) if expected.position().sequence <= sequence => {
                    return Err(snapshot.damage(Flaw::Invented));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Compares the end of a segment with the snapshot that covers everything up to it.
    fn place(&mut self, files: &dyn FileLayer, cursor: &Cursor) -> Result<(), Damage> {
        let covers = cursor.head().position;
        if self.unplaced.remove(&covers.sequence) {
            let snapshot = SnapshotCursor::open(files, covers.sequence)?;
            if snapshot.header().covers != covers || snapshot.header().chain != cursor.hash() {
                return Err(snapshot.damage(Flaw::Chain));
            }
        }
        Ok(())
    }

    /// Every snapshot has come by, whole.
    fn finish(&self) -> Result<(), Damage> {
        if let Some(unfinished) = self.compared.iter().find(|compared| compared.next.is_some()) {
            return Err(unfinished.snapshot.damage(Flaw::Invented));
        }
        match self.unplaced.first() {
            Some(covers) => Err(missing(covers + 1)),
            None => Ok(()),
        }
    }
}
