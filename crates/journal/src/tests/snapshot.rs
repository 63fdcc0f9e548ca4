//! J5: snapshot and tail give the same as everything, for what is kept.

use std::collections::BTreeMap;

use locum_model::Position;
use proptest::prelude::*;

use super::*;
use crate::{SnapshotError, foreseen, verify};

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
        open(Arc::new(files.clone()), options(), &mut |events| events.iter().for_each(|event| fold(&mut recovered, event))).expect("opens");
        prop_assert_eq!(&recovered, &state);
        let mut full = BTreeMap::new();
        let (journal, _) = opened(&files).expect("opens");
        history(&journal).iter().for_each(|event| fold(&mut full, event));
        prop_assert_eq!(&full, &state);
        verify(&files, &mut |_| {}).expect("holds");
    }
}
