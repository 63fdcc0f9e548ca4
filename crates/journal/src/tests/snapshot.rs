//! J5: snapshot and tail give the same as everything, for what is kept.

use std::collections::BTreeMap;

use locum_model::Position;
use proptest::prelude::*;

use super::*;
use crate::format::record::{self, RECORD_HEADER_BYTES};
use crate::format::snapshot::{HASHED_BYTES, SNAPSHOT_HEADER_BYTES};
use crate::{Replay, SnapshotError, foreseen, verify};

fn sequence(event: &Committed<Event>) -> u64 {
    event.position().sequence
}

#[test]
fn a_start_reads_the_snapshot_and_what_comes_after() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 100);
    let report = journal
        .reader
        .snapshot(&|event| sequence(event).is_multiple_of(3), Given::default())
        .expect("a snapshot");
    let newest = names(&files, "segment-").pop().expect("segments");
    let covers = newest.strip_prefix("segment-").and_then(|n| n.parse::<u64>().ok()).expect("a number") - 1;
    assert_eq!(report.covers, Position { home: 1, epoch: 1, sequence: covers });
    assert_eq!((report.read, report.kept), (covers, covers / 3));
    let (journal, replayed) = opened(&files).expect("opens");
    let expected: Vec<u64> = (1..=100).filter(|n| *n > covers || n % 3 == 0).collect();
    assert_eq!(replayed.iter().map(sequence).collect::<Vec<_>>(), expected);
    for found in &replayed {
        assert_eq!(found.event(), &event(sequence(found)));
    }
    // The history is whole, and says so.
    assert_eq!(history(&journal).len(), 100);
    assert_eq!(verify(&files, &mut |_| {}).expect("holds").events, 100);
}

/// Or a commit that comes while it is written would wait for all of it.
#[test]
fn a_snapshot_is_synced_as_it_is_written() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 300);
    let report = journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    let name = names(&files, "snapshot-").pop().expect("a snapshot");
    let most = files.most_unsynced(&name).expect("a file");
    assert!(report.bytes > 4 << 10, "large enough to tell");
    assert!(most < 2 << 10, "{most} of {} bytes were given to the disk at once", report.bytes);
}

#[test]
fn how_much_a_start_will_read_is_foreseen_by_the_newest_head() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 100);
    assert_eq!(foreseen(&files), 0, "no snapshot yet");
    let report = journal
        .reader
        .snapshot(&|event| sequence(event).is_multiple_of(3), Given::default())
        .expect("a snapshot");
    assert_eq!(foreseen(&files), report.kept);
    let name = names(&files, "snapshot-").pop().expect("a snapshot");
    let whole = files.contents(&name).expect("its bytes");
    for (at, len) in [(56, whole.len()), (127, whole.len()), (0, 100), (0, whole.len() - 1)] {
        let mut bytes = whole[..len].to_vec();
        bytes[at] ^= 0x80;
        files.replace(&name, bytes);
        assert_eq!(foreseen(&files), 0, "{at} {len}");
    }
}

#[test]
fn old_segments_are_not_read_by_a_start() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 100);
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    for name in names(&files, "segment-").iter().rev().skip(1) {
        files.remove(name).expect("removes");
    }
    assert_eq!(opened(&files).expect("opens").1.len(), 100);
    assert!(matches!(verify(&files, &mut |_| {}).expect_err("found").flaw, Flaw::Missing));
}

#[test]
fn nothing_new_is_no_new_snapshot() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 3);
    let nothing = journal.reader.snapshot(&|_| true, Given::default()).expect("nothing to do");
    assert_eq!((nothing.covers.sequence, nothing.bytes), (0, 0));
    let journal = {
        drop(journal);
        filled_on(&files, 4, 60)
    };
    let first = journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    assert!(first.bytes > 0);
    let second = journal.reader.snapshot(&|_| false, Given::default()).expect("nothing to do");
    assert_eq!((second.covers, second.bytes), (first.covers, 0));
    assert_eq!(names(&files, "snapshot-").len(), 1);
}

fn filled_on(files: &MemoryFiles, from: u64, to: u64) -> Journal {
    let (mut journal, _) = opened(files).expect("opens");
    for number in from..=to {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
    }
    journal
}

#[test]
fn one_snapshot_at_a_time() {
    let journal = filled(&MemoryFiles::new(), 60);
    let reader = journal.reader.clone();
    let refused = std::cell::Cell::new(false);
    let outcome = journal.reader.snapshot(
        &|_| {
            refused.set(matches!(reader.snapshot(&|_| true, Given::default()), Err(SnapshotError::Busy)));
            true
        },
        Given::default(),
    );
    assert!(outcome.is_ok() && refused.get());
}

#[test]
fn numbers_are_told_again_whatever_was_left_out() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 100);
    assert_eq!(journal.given, Given::default());
    let given = Given { tasks: 7, locks: u64::MAX };
    journal.reader.snapshot(&|_| false, given).expect("a snapshot");
    drop(journal);
    let (journal, _) = opened(&files).expect("it opens");
    assert_eq!(journal.given, given);
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 60);
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    drop(journal);
    let journal = filled_on(&files, 61, 120);
    journal.reader.snapshot(&|_| true, Given::default()).expect("another");
    let snapshots = names(&files, "snapshot-");
    assert_eq!(snapshots.len(), 2);
    for name in snapshots.iter().rev() {
        let mut bytes = files.contents(name).expect("its bytes");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        files.replace(name, bytes);
        assert_eq!(opened(&files).expect("opens").1.len(), 120);
    }
    assert!(matches!(verify(&files, &mut |_| {}).expect_err("found").flaw, Flaw::Snapshot));
}

/// What was taken, and how much of it was dropped again.
#[derive(Default)]
struct Restart {
    taken: Vec<Committed<Event>>,
    dropped: Vec<usize>,
}

impl Replay for Restart {
    fn take(&mut self, events: &[Committed<Event>]) {
        self.taken.take(events);
    }

    fn start_over(&mut self) {
        self.dropped.push(self.taken.len());
        self.taken.start_over();
    }
}

fn restarted(files: &MemoryFiles) -> Result<Restart, OpenError> {
    let mut restart = Restart::default();
    open(Arc::new(files.clone()), options(), &mut restart)?;
    Ok(restart)
}

/// Where the records of a snapshot begin.
pub(super) fn records(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![SNAPSHOT_HEADER_BYTES];
    while let Some(at) = starts.last().copied().filter(|at| *at < bytes.len()) {
        starts.push(at + record::whole_bytes(&bytes[at..]).expect("a record"));
    }
    starts.pop();
    starts
}

/// A record that says something else, and whose checksum fits.
fn forge(bytes: &mut [u8], at: usize) {
    let whole = record::whole_bytes(&bytes[at..]).expect("a record");
    bytes[at + whole - 1] ^= 1;
    fit_record(bytes, at);
}

/// Makes the checksum of a record fit what it says.
pub(super) fn fit_record(bytes: &mut [u8], at: usize) {
    let whole = record::whole_bytes(&bytes[at..]).expect("a record");
    let record = &mut bytes[at..at + whole];
    let checksum = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// Makes the hash of a snapshot, and its header's checksum, fit what it says.
pub(super) fn fit_hash(bytes: &mut [u8]) {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&bytes[SNAPSHOT_HEADER_BYTES..]);
    context.update(&bytes[..HASHED_BYTES]);
    bytes[72..104].copy_from_slice(context.finish().as_ref());
    let checksum = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn nothing_stays_of_a_snapshot_that_does_not_hold_wherever_it_is_damaged() {
    const LAST: u64 = 2_400;
    let files = MemoryFiles::new();
    let journal = filled(&files, LAST / 2);
    let even = |event: &Committed<Event>| sequence(event).is_multiple_of(2);
    let older = journal.reader.snapshot(&even, Given::default()).expect("the older one").covers.sequence;
    drop(journal);
    let journal = filled_on(&files, LAST / 2 + 1, LAST);
    let newer = journal.reader.snapshot(&|_| true, Given::default()).expect("the newer one");
    drop(journal);
    let whole = restarted(&files).expect("opens");
    assert_eq!(
        (whole.taken.len() as u64, whole.dropped.len()),
        (newer.kept + LAST - newer.covers.sequence, 0)
    );
    let name = names(&files, "snapshot-").pop().expect("two snapshots");
    let good = files.contents(&name).expect("its bytes");
    let starts = records(&good);
    assert_eq!(starts.len() as u64, newer.kept);
    let expected: Vec<u64> = (1..=LAST).filter(|n| *n > older || n % 2 == 0).collect();
    let fell_back = |damage: &dyn Fn(&mut Vec<u8>), what: &str| {
        let damaged = files.fork();
        let mut bytes = good.clone();
        damage(&mut bytes);
        damaged.replace(&name, bytes);
        let restart = restarted(&damaged).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(restart.taken.iter().map(sequence).collect::<Vec<_>>(), expected, "{what}");
        assert!(restart.taken.iter().all(|found| *found.event() == event(sequence(found))), "{what}");
        restart.dropped
    };
    for at in [0, 1, 255, 256, 257, starts.len() / 2, starts.len() - 2, starts.len() - 1] {
        // What the checksum shows is not taken; everything before it was.
        let dropped =
            fell_back(&|bytes| bytes[starts[at] + 20] ^= 1, &format!("a flipped bit of record {at}"));
        assert_eq!(dropped, [at / 256 * 256]);
        // What only the hash shows was taken, and is dropped in the end.
        let dropped = fell_back(&|bytes| forge(bytes, starts[at]), &format!("a forged record {at}"));
        assert_eq!(dropped, [starts.len() / 256 * 256]);
        // A file that is too short is never begun.
        let dropped = fell_back(&|bytes| bytes.truncate(starts[at]), &format!("cut before record {at}"));
        assert_eq!(dropped, [0; 0]);
    }
    let hash = fell_back(
        &|bytes| {
            bytes[72] ^= 1;
            let checksum = crc32c::crc32c(&bytes[..124]);
            bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
        },
        "another hash",
    );
    assert_eq!(hash, [starts.len() / 256 * 256]);
    assert_eq!(fell_back(&|bytes| bytes[100] ^= 1, "another header"), [0; 0]);
}

#[test]
fn both_snapshots_damaged_are_dropped_one_after_the_other() {
    let files = MemoryFiles::new();
    filled(&files, 900).reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    filled_on(&files, 901, 1_800).reader.snapshot(&|_| true, Given::default()).expect("another");
    for name in names(&files, "snapshot-") {
        let mut bytes = files.contents(&name).expect("its bytes");
        let last = *records(&bytes).last().expect("records");
        forge(&mut bytes, last);
        files.replace(&name, bytes);
    }
    let restart = restarted(&files).expect("opens from the segments");
    assert_eq!(restart.taken.iter().map(sequence).collect::<Vec<_>>(), (1..=1_800).collect::<Vec<_>>());
    assert!(restart.dropped.len() == 2 && restart.dropped.iter().all(|dropped| *dropped > 0));
}

/// It is read once, and found out only after all of it went into the new one.
#[test]
fn nothing_of_a_snapshot_that_does_not_hold_is_in_the_next_one() {
    let files = MemoryFiles::new();
    let even = |event: &Committed<Event>| sequence(event).is_multiple_of(2);
    let older = filled(&files, 900).reader.snapshot(&even, Given::default()).expect("a snapshot");
    filled_on(&files, 901, 1_800).reader.snapshot(&|_| true, Given::default()).expect("another");
    drop(filled_on(&files, 1_801, 2_700));
    let snapshots = names(&files, "snapshot-");
    let even_up_to = |last| (1..=2_700).filter(move |n| *n > last || n % 2 == 0).collect::<Vec<u64>>();
    for (damaged, expected) in [(1, even_up_to(older.covers.sequence)), (0, (1..=2_700).collect())] {
        for half in 0..3 {
            let files = files.fork();
            for name in &snapshots[damaged..] {
                let mut bytes = files.contents(name).expect("its bytes");
                let records = records(&bytes);
                forge(&mut bytes, records[(records.len() - 1) * half / 2]);
                files.replace(name, bytes);
            }
            let (journal, _) = opened(&files).expect("opens");
            journal.reader.snapshot(&|_| true, Given::default()).expect("a third");
            let restart = restarted(&files).expect("opens");
            assert_eq!(restart.dropped, [0; 0], "the newest one holds");
            assert_eq!(restart.taken.iter().map(sequence).collect::<Vec<_>>(), expected);
            assert!(restart.taken.iter().all(|found| *found.event() == event(sequence(found))));
        }
    }
}

#[test]
fn a_whole_snapshot_with_an_event_from_the_future_is_refused_and_not_passed_over() {
    let files = MemoryFiles::new();
    filled(&files, 900).reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    let name = names(&files, "snapshot-").pop().expect("a snapshot");
    let mut bytes = files.contents(&name).expect("its bytes");
    let at = records(&bytes)[300];
    // A field that this version does not know, of the same length.
    bytes[at + RECORD_HEADER_BYTES] = 0xfa;
    fit_record(&mut bytes, at);
    fit_hash(&mut bytes);
    files.replace(&name, bytes);
    assert!(matches!(flaw(restarted(&files).err().expect("refused")), Flaw::Undecodable(_)));
}

#[test]
fn a_snapshot_of_another_journal_is_not_used() {
    let files = MemoryFiles::new();
    let history = history(&filled(&files, 60));
    // Same lengths, so same boundaries, but other content: one letter differs.
    let other = MemoryFiles::new();
    let (mut journal, _) = opened(&other).expect("opens");
    let mut next = 1;
    while next <= 60 {
        let to = (next + next % 4).min(60);
        let forged = events(next, to).into_iter().map(|one| match one {
            Event::Unlocked(unlocked) => {
                Event::Unlocked(Unlocked { at: Timestamp::from_seconds(2), ..unlocked })
            }
            other => other,
        });
        journal.writer.append(Lane::Ordinary, forged.collect()).expect("appends");
        next = to + 1;
    }
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    let name = names(&other, "snapshot-").pop().expect("a snapshot");
    files.replace(&name, other.contents(&name).expect("its bytes"));
    assert_eq!(opened(&files).expect("opens").1, history);
    assert!(verify(&files, &mut |_| {}).is_err());
}

/// A small fold: the last sequence that named a lock, until it is named again by an even one.
fn fold(state: &mut BTreeMap<u64, u64>, event: &Committed<Event>) {
    let Event::Unlocked(unlocked) = event.event() else { return };
    for lock in &unlocked.locks {
        if sequence(event).is_multiple_of(5) {
            state.remove(lock)
        } else {
            state.insert(*lock, sequence(event))
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn snapshot_and_tail_fold_to_the_same(
        locks in prop::collection::vec(0..9_u64, 20..160),
        snapshots in prop::collection::btree_set(0..160_usize, 0..5),
    ) {
        let files = MemoryFiles::new();
        let (mut journal, _) = opened(&files).expect("opens");
        let mut state = BTreeMap::new();
        for (at, lock) in locks.iter().enumerate() {
            let Event::Unlocked(unlocked) = event(at as u64) else { unreachable!("an unlock") };
            let one = Event::Unlocked(Unlocked { locks: vec![*lock], ..unlocked });
            for committed in journal.writer.append(Lane::Ordinary, vec![one]).expect("appends") {
                fold(&mut state, &committed);
            }
            if snapshots.contains(&at) {
                // What still matters: what the state holds now, and what undoes something older.
                let matters = |event: &Committed<Event>| {
                    let Event::Unlocked(unlocked) = event.event() else { return true };
                    unlocked.locks.iter().any(|lock| state.get(lock) == Some(&sequence(event)))
                };
                journal.reader.snapshot(&matters, Given::default()).expect("a snapshot");
            }
        }
        drop(journal);
        let mut recovered = BTreeMap::new();
        let (_, replayed) = opened(&files).expect("opens");
        replayed.iter().for_each(|event| fold(&mut recovered, event));
        prop_assert_eq!(&recovered, &state);
        let mut full = BTreeMap::new();
        let (journal, _) = opened(&files).expect("opens");
        history(&journal).iter().for_each(|event| fold(&mut full, event));
        prop_assert_eq!(&full, &state);
        verify(&files, &mut |_| {}).expect("holds");
    }
}
