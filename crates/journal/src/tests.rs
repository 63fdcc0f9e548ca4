//! The journal as a whole, over files in memory and on disk.

use std::sync::Arc;

use locum_model::event::{By, Unlocked};
use locum_model::{Committed, Event, Timestamp};

use crate::{Damage, FileLayer, Flaw, Given, Journal, Lane, MemoryFiles, OpenError, Options, open};

mod crash;
mod damage;
mod disk;
mod failure;
mod formats;
mod history;
mod snapshot;
mod space;

/// Small segments, so that there are many.
fn options() -> Options {
    Options { segment_bytes: 8 << 10, reserve_bytes: 16 << 10, home: 1 }
}

/// An event that says its number, of a length that varies from 30 to 1,000 bytes.
pub(crate) fn event(number: u64) -> Event {
    let reason = format!("{number} ").repeat((number * 37 % 240) as usize);
    Event::Unlocked(Unlocked { locks: vec![number], reason, by: By::Broker, at: Timestamp::from_seconds(1) })
}

/// Events `from` to `to`, inclusive.
fn events(from: u64, to: u64) -> Vec<Event> {
    (from..=to).map(event).collect()
}

/// Opens, and says what was replayed.
fn opened(files: &MemoryFiles) -> Result<(Journal, Vec<Committed<Event>>), OpenError> {
    let mut replayed = Vec::new();
    let journal = open(Arc::new(files.clone()), options(), &mut replayed)?;
    Ok((journal, replayed))
}

/// Everything a reader sees.
fn history(journal: &Journal) -> Vec<Committed<Event>> {
    journal.reader.events(0).map(|event| event.expect("the history can be read")).collect()
}

/// A journal of batches of one to four events, `events(1, last)` in all.
fn filled(files: &MemoryFiles, last: u64) -> Journal {
    let (mut journal, _) = opened(files).expect("opens");
    let mut next = 1;
    while next <= last {
        let to = (next + next % 4).min(last);
        journal.writer.append(Lane::Ordinary, events(next, to)).expect("appends");
        next = to + 1;
    }
    journal
}

/// The names of all files that begin so, in order.
fn names(files: &MemoryFiles, prefix: &str) -> Vec<String> {
    let mut names = files.list().expect("lists");
    names.retain(|name| name.starts_with(prefix));
    names.sort();
    names
}

fn flaw(error: OpenError) -> Flaw {
    match error {
        OpenError::Damaged(Damage { flaw, .. }) => flaw,
        other => panic!("not damaged: {other}"),
    }
}
