//! [`open`]: recovery, and the journal that comes of it.

use std::io;
use std::sync::Arc;

use crate::durable::{Durable, Extent};
use crate::files::{FileLayer, SECTOR_BYTES};
use crate::format::cursor::Cursor;
use crate::format::names::{Listing, RESERVE};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::format::snapshot::Given;
use crate::format::tail::Tail;
use crate::open_error::{OpenError, missing};
use crate::options::Options;
use crate::reader::Reader;
use crate::recover::recover;
use crate::replay::Replay;
use crate::space::{self, STEP_BYTES};
use crate::writer::{Segment, State, Writer};

/// An open journal.
pub struct Journal {
    /// The one writer.
    pub writer: Writer,
    /// A reader; clone it freely.
    pub reader: Reader,
    /// What the snapshot said that was read, if one was.
    pub given: Given,
}

/// Opens the journal and replays it: the newest snapshot that holds, then every event after it, in order.
///
/// What holds on return: everything that was ever acknowledged went through `replay`, or was left
/// out of a snapshot as no longer mattering; all of it is durable; a batch torn by a crash is
/// gone. An empty directory becomes epoch 1 of `options.home`. What is damaged is never cut or
/// passed over; what can be told from a crash stands in [`format`](mod@crate::format).
///
/// # Errors
///
/// [`OpenError`]. Events may have gone through `replay` by then: what was made of them is to be dropped.
pub fn open(
    files: Arc<dyn FileLayer>,
    options: Options,
    replay: &mut dyn Replay,
) -> Result<Journal, OpenError> {
    let mut listing = Listing::read(&*files).map_err(trying("listed"))?;
    for partial in &listing.partials {
        files.remove(partial).map_err(trying("cleared of what was not finished"))?;
    }
    if listing.segments.is_empty() {
        begin(&*files, &options, &mut listing)?;
    }
    let (cursor, tail, given) = recover(&*files, &options, &listing, replay)?;
    settle(&*files, &cursor, tail).map_err(trying("made durable"))?;
    let reserve = prepare_reserve(&*files, &options, &listing).map_err(trying("given its reserve"))?;
    Ok(journal(files, options, &listing, (cursor, reserve, given)))
}

/// Makes the first segment.
fn begin(files: &dyn FileLayer, options: &Options, listing: &mut Listing) -> Result<(), OpenError> {
    if let Some(covers) = listing.snapshots.last() {
        // A snapshot never stands without the segment after it.
        return Err(missing(covers + 1).into());
    }
    let header = SegmentHeader { home: options.home, epoch: 1, first_sequence: 1, predecessor: [0; 32] };
    let needed = SEGMENT_HEADER_BYTES as u64 + SECTOR_BYTES;
    let len = space::rounded(needed, options.segment_bytes.min(STEP_BYTES));
    let made = space::create_segment(files, &header, len).map_err(trying("begun"))?;
    made.ok_or_else(|| trying("begun")(io::ErrorKind::StorageFull.into()))?;
    listing.segments.insert(1);
    Ok(())
}

/// Makes durable what was recovered.
///
/// The server before may have died between a write and its sync, and after a failed sync the
/// cache may show what the disk does not have: so the last batch is written once more.
fn settle(files: &dyn FileLayer, cursor: &Cursor, tail: Tail) -> io::Result<()> {
    let (file, end) = (cursor.file(), cursor.at());
    if let Tail::Torn { until } = tail {
        // Whatever a torn batch left must never be taken for something behind a later one.
        file.write_at(&vec![0; usize::try_from(until - end).unwrap_or(0)], end)?;
    }
    if let Some(frame) = cursor.last_frame() {
        let mut bytes = vec![0; frame.whole_bytes()];
        let start = end - bytes.len() as u64;
        if file.read_at(&mut bytes, start)? != bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&bytes, start)?;
    }
    file.sync()?;
    files.sync_dir()
}

/// Makes sure of the reserve; `false` when the disk is full.
fn prepare_reserve(files: &dyn FileLayer, options: &Options, listing: &Listing) -> io::Result<bool> {
    if listing.reserve {
        if files.open(RESERVE)?.len()? >= options.reserve_bytes {
            return Ok(true);
        }
        files.remove(RESERVE)?;
    }
    space::restore_reserve(files, options.reserve_bytes)
}

fn journal(
    files: Arc<dyn FileLayer>,
    options: Options,
    listing: &Listing,
    (cursor, reserve, given): (Cursor, bool, Given),
) -> Journal {
    let header = *cursor.header();
    let segment = Segment {
        file: Arc::clone(cursor.file()),
        epoch: header.epoch,
        tag: cursor.tag(),
        first_sequence: header.first_sequence,
        end: cursor.at(),
        len: cursor.len(),
    };
    let sealed = cursor.last_frame().is_none() || cursor.is_sealed();
    let (head, batch) = (cursor.head(), cursor.batch());
    let extent = Extent { head, batch, segments: listing.segments.clone(), end: cursor.at() };
    let durable = Arc::new(Durable::new(files, extent));
    let reader = Reader::new(Arc::clone(&durable));
    Journal { writer: Writer::new(durable, options, segment, State { sealed, reserve }), reader, given }
}

fn trying(doing: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { doing, source }
}
