//! Recovery: everything that is durable, from the newest snapshot on, in order.
//!
//! Two threads share the work: one reads, checks and decodes, the caller's applies. The order in which
//! events are applied is that of the journal, whichever of the two is ahead; a bounded number of
//! batches lies between them. What was applied goes back to the thread that made it, which writes the next
//! events over it: an allocator is slow where one thread frees what another one goes on allocating.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use locum_model::{Committed, Event};

use crate::damage::Flaw;
use crate::files::FileLayer;
use crate::format::cursor::Cursor;
use crate::format::names::Listing;
use crate::format::snapshot::Given;
use crate::format::tail::{self, Tail};
use crate::open_error::{OpenError, missing};
use crate::options::Options;
use crate::snapshot::newest_usable;
use crate::stored::Decoder;

/// Events that change hands at once: enough that handing over costs nothing, few enough to stay in cache.
const BATCH_EVENTS: usize = 256;
/// Batches that may lie between the threads.
const BATCHES_MAX: usize = 16;

/// Events on their way from the thread that reads to the one that applies.
struct Belt {
    decoder: Decoder,
    batch: Batch,
    to: SyncSender<Batch>,
    /// Batches that were applied.
    back: Receiver<Batch>,
}

type Batch = Vec<Committed<Event>>;

/// Replays everything; returns the end of it, and the numbers that the snapshot has.
///
/// On return no thread is left.
pub(crate) fn recover(
    files: &dyn FileLayer,
    options: &Options,
    listing: &Listing,
    replay: &mut dyn FnMut(&[Committed<Event>]),
) -> Result<(Cursor, Tail, Given), OpenError> {
    thread::scope(|scope| {
        let (to, from) = mpsc::sync_channel(BATCHES_MAX);
        let (returned, back) = mpsc::channel();
        let batch = Vec::with_capacity(BATCH_EVENTS);
        let mut belt = Belt { decoder: Decoder::default(), batch, to, back };
        let reader =
            thread::Builder::new().name("locum-recovery".to_owned()).spawn_scoped(scope, move || {
                let read = read(files, options, listing, &mut belt);
                belt.hand_over();
                read
            });
        let reader = reader.map_err(|source| OpenError::Io { doing: "read by a second thread", source })?;
        for batch in from {
            replay(&batch);
            // Nobody takes it back once everything is read: then it is freed here.
            let _ = returned.send(batch);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Reads everything and puts it on the belt in order.
fn read(
    files: &dyn FileLayer,
    options: &Options,
    listing: &Listing,
    belt: &mut Belt,
) -> Result<(Cursor, Tail, Given), OpenError> {
    let snapshot = newest_usable(files, listing)?;
    let given = snapshot.as_ref().map_or_else(Given::default, |snapshot| snapshot.header().given);
    let first = snapshot.as_ref().map_or(1, |snapshot| snapshot.header().covers.sequence + 1);
    if !listing.segments.contains(&first) {
        return Err(missing(first).into());
    }
    let mut cursor = Cursor::open(files, first)?;
    if cursor.header().home != options.home {
        return Err(OpenError::WrongHome { expected: options.home, found: cursor.header().home });
    }
    if snapshot.is_none() && cursor.header().predecessor != [0; 32] {
        return Err(cursor.damage(Flaw::Chain).into());
    }
    if let Some(mut snapshot) = snapshot {
        while let Some(event) = snapshot.event(&mut belt.decoder)? {
            belt.put(event);
        }
    }
    loop {
        let stepped = cursor.step(u64::MAX);
        if let Ok(true) = stepped {
            while let Some(event) = cursor.event(&mut belt.decoder)? {
                belt.put(event);
            }
            continue;
        }
        let next = listing.segments.range(cursor.header().first_sequence + 1..).next();
        match (stepped, next) {
            (Ok(_at_end), Some(next)) => cursor = cursor.follow(files, *next)?,
            (Ok(_at_end), None) => {
                return tail::judge(&cursor, None).map(|tail| (cursor, tail, given)).map_err(OpenError::from);
            }
            (Err(damage), Some(_)) => return Err(damage.into()),
            (Err(damage), None) => {
                return tail::judge(&cursor, Some(damage))
                    .map(|tail| (cursor, tail, given))
                    .map_err(OpenError::from);
            }
        }
    }
}

// === impl Belt ===

impl Belt {
    fn put(&mut self, event: Committed<Event>) {
        self.batch.push(event);
        if self.batch.len() == BATCH_EVENTS {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut next = self.back.try_recv().unwrap_or_else(|_none| Vec::with_capacity(BATCH_EVENTS));
        next.drain(..).for_each(|applied| self.decoder.take_back(applied.into_event()));
        // Nobody takes it only when the other thread panicked, and then nothing is opened.
        let _ = self.to.send(std::mem::replace(&mut self.batch, next));
    }
}
