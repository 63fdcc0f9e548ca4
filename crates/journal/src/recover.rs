//! Recovery: everything that is durable, from the newest snapshot on, in order.
//!
//! Two threads share the work: one reads, checks and decodes, the caller's applies. The order in which
//! events are applied is that of the journal, whichever of the two is ahead. What was applied goes back to the
//! thread that made it, which writes the next events over it: an allocator is slow where one thread frees what
//! another one goes on allocating. A bounded number of batches is under way, from the one to the other or back.
//!
//! A snapshot's events are applied while its hash is computed, so that it is read once and nobody waits for the
//! other. Should it not hold in the end, the caller drops what it made of them and starts over (decision 35).

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use locum_model::{Committed, Event};

use crate::damage::Flaw;
use crate::files::FileLayer;
use crate::format::cursor::Cursor;
use crate::format::names::Listing;
use crate::format::snapshot::{Given, Next, SnapshotHeader};
use crate::format::tail::{self, Tail};
use crate::open_error::{OpenError, missing};
use crate::options::Options;
use crate::replay::Replay;
use crate::snapshot::newest_that_holds;
use crate::stored::{Decoder, Made};

/// Events that change hands at once: enough that handing over costs nothing, few enough to stay in cache.
const BATCH_EVENTS: usize = 256;
/// Batches that may be under way.
const BATCHES_MAX: usize = 16;
/// Applied batches that go back at once. Who waits for one sleeps, and to wake him takes as long as to apply
/// some dozens of events: so he is woken for several.
const BACK_AT_ONCE: usize = 8;

/// Events on their way from the thread that reads to the one that applies.
struct Belt {
    decoder: Decoder,
    batch: Batch,
    to: Sender<Handed>,
    /// Batches that were applied.
    back: Receiver<Vec<Batch>>,
    /// Those of them that came and were not written over yet.
    spare: Vec<Batch>,
    /// Batches that did not come back yet.
    away: usize,
}

/// Events, and what each was made of.
#[derive(Default)]
struct Batch {
    events: Vec<Committed<Event>>,
    made: Vec<Made>,
}

/// The thread that applies panicked: nothing is opened, and nothing more needs to be read.
#[derive(Debug)]
struct Gone;

/// What the thread that applies is handed.
enum Handed {
    Events(Batch),
    /// All of it was of a snapshot that does not hold.
    StartOver,
}

/// Replays everything; returns the end of it, and the numbers that the snapshot has.
///
/// On return no thread is left.
pub(crate) fn recover(
    files: &dyn FileLayer,
    options: &Options,
    listing: &Listing,
    replay: &mut dyn Replay,
) -> Result<(Cursor, Tail, Given), OpenError> {
    thread::scope(|scope| {
        let (to, from) = mpsc::channel();
        let (returned, back) = mpsc::channel();
        let mut belt = Belt::between(to, back);
        let reader =
            thread::Builder::new().name("locum-recovery".to_owned()).spawn_scoped(scope, move || {
                let end = read(files, options, listing, &mut belt)?;
                belt.hand_over()?;
                Ok(end)
            });
        let reader = reader.map_err(|source| OpenError::Io { doing: "read by a second thread", source })?;
        let mut applied = Vec::with_capacity(BACK_AT_ONCE);
        for handed in from {
            match handed {
                Handed::Events(batch) => {
                    replay.take(&batch.events);
                    applied.push(batch);
                    if applied.len() == BACK_AT_ONCE {
                        // Nobody takes them back once everything is read: then they are freed here.
                        let _ =
                            returned.send(std::mem::replace(&mut applied, Vec::with_capacity(BACK_AT_ONCE)));
                    }
                }
                Handed::StartOver => replay.start_over(),
            }
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
    let snapshot = read_snapshot(files, listing, belt)?;
    let given = snapshot.map_or_else(Given::default, |header| header.given);
    let first = snapshot.map_or(1, |header| header.covers.sequence + 1);
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
    loop {
        let stepped = cursor.step(u64::MAX);
        if let Ok(true) = stepped {
            while let Some(event) = cursor.event(&mut belt.decoder)? {
                belt.put(event, Made::default())?;
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

/// Puts the newest snapshot that holds and that a segment follows on on the belt.
fn read_snapshot(
    files: &dyn FileLayer,
    listing: &Listing,
    belt: &mut Belt,
) -> Result<Option<SnapshotHeader>, OpenError> {
    newest_that_holds(files, listing, |mut snapshot| {
        loop {
            match snapshot.next(&mut belt.decoder)? {
                Next::Event(event, made) => belt.put(event, made)?,
                Next::End => return Ok(Some(*snapshot.header())),
                Next::Broken => return belt.start_over().map(|()| None).map_err(OpenError::from),
            }
        }
    })
}

// === impl Belt ===

impl Belt {
    fn between(to: Sender<Handed>, back: Receiver<Vec<Batch>>) -> Self {
        Self { decoder: Decoder::default(), batch: Batch::default(), to, back, spare: Vec::new(), away: 0 }
    }

    fn put(&mut self, event: Committed<Event>, made: Made) -> Result<(), Gone> {
        self.batch.events.push(event);
        self.batch.made.push(made);
        if self.batch.events.len() == BATCH_EVENTS { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), Gone> {
        if self.batch.events.is_empty() {
            return Ok(());
        }
        if self.spare.is_empty() && self.away >= BATCHES_MAX {
            self.spare = self.back.recv().map_err(|_gone| Gone)?;
            self.away -= self.spare.len();
        }
        let mut next = self.spare.pop().unwrap_or_default();
        for (applied, made) in next.events.drain(..).zip(next.made.drain(..)) {
            self.decoder.take_back(applied.into_event(), made);
        }
        self.to.send(Handed::Events(std::mem::replace(&mut self.batch, next))).map_err(|_gone| Gone)?;
        self.away += 1;
        Ok(())
    }

    /// Everything so far was nothing.
    fn start_over(&mut self) -> Result<(), Gone> {
        self.batch.events.clear();
        self.batch.made.clear();
        self.to.send(Handed::StartOver).map_err(|_gone| Gone)
    }
}

// === impl Gone ===

impl From<Gone> for OpenError {
    /// Nobody sees it: the panic goes on once the thread that reads has ended.
    fn from(_gone: Gone) -> Self {
        Self::Io { doing: "applied", source: io::ErrorKind::BrokenPipe.into() }
    }
}

#[cfg(test)]
mod tests {
    use locum_model::Position;

    use super::*;

    /// A journal may have gigabytes more.
    #[test]
    fn nothing_more_is_read_when_nobody_applies_it() {
        let (to, from) = mpsc::channel();
        let (returned, back) = mpsc::channel();
        let mut belt = Belt::between(to, back);
        let event = || {
            let position = Position { home: 1, epoch: 1, sequence: 1 };
            Committed::assertion(crate::tests::event(1), position)
        };
        for _ in 0..BATCH_EVENTS {
            belt.put(event(), Made::default()).expect("somebody applies");
        }
        assert!(matches!(from.recv(), Ok(Handed::Events(batch)) if batch.events.len() == BATCH_EVENTS));
        drop((from, returned));
        let read = (0..).position(|_| belt.put(event(), Made::default()).is_err());
        assert_eq!(read, Some(BATCH_EVENTS - 1), "it is known with the next batch");
        assert!(belt.start_over().is_err());
    }
}
