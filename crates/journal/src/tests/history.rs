//! What goes in comes out, in order and chained.

use std::collections::BTreeSet;
use std::sync::Arc;

use locum_model::Position;
use locum_model::feed::JournalHead;
use locum_model::limits::BATCH_EVENTS_MAX;
use proptest::prelude::*;

use super::*;
use crate::stored::tests::any_event;
use crate::{AppendError, EpochError, Journal, verify};

#[test]
fn a_new_journal_is_empty() {
    let (journal, replayed) = opened(&MemoryFiles::new()).expect("opens");
    assert_eq!(replayed, []);
    assert_eq!(journal.writer.head().position, Position { home: 1, epoch: 1, sequence: 0 });
    assert_eq!(journal.reader.head(), journal.writer.head());
    assert_eq!(journal.reader.events(0).count(), 0);
}

#[test]
fn sequences_count_from_one_without_gaps_over_segments_and_starts() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 100);
    let before = history(&journal);
    let head = journal.writer.head();
    assert!(names(&files, "segment-").len() > 3);
    assert_eq!(before.len(), 100);
    for (number, found) in (1..).zip(&before) {
        assert_eq!(found.position(), Position { home: 1, epoch: 1, sequence: number });
        assert_eq!(found.event(), &event(number));
    }
    drop(journal);
    let (journal, replayed) = opened(&files).expect("opens again");
    assert_eq!(replayed, before);
    assert_eq!(journal.writer.head(), head);
}

#[test]
fn the_end_of_a_batch_is_had_for_good_and_that_of_another_history_never() {
    let files = MemoryFiles::new();
    let (mut journal, _) = opened(&files).expect("opens");
    assert_eq!(journal.reader.newest_batch(), None);
    let mut told = Vec::new();
    let mut copy = None;
    for number in 1..=60 {
        if number == 30 {
            copy = Some(files.fork());
        }
        let batch = (0..1 + number % 3).map(|n| event(10 * number + n)).collect();
        journal.writer.append(Lane::Ordinary, batch).expect("appended");
        let batch = journal.reader.newest_batch().expect("appended");
        assert_eq!(batch.sequence, journal.writer.head().position.sequence);
        told.push(batch);
        if number % 7 == 0 {
            journal.writer.seal().expect("sealed");
            assert_eq!(journal.reader.newest_batch(), Some(batch), "a seal is not told of");
        }
    }
    assert!(names(&files, "segment-").len() > 3);
    journal.writer.seal().expect("sealed");
    drop(journal);
    let (mut journal, _) = opened(&files).expect("opens again");
    assert_eq!(journal.reader.newest_batch(), told.last().copied(), "over a start, and a seal");
    let had = |journal: &Journal, batch: &JournalHead| journal.reader.lookup().had(batch).expect("readable");
    for batch in &told {
        assert_eq!(had(&journal, batch), Some(true), "{}", batch.sequence);
        let mut hash = batch.hash;
        hash[31] ^= 1;
        assert_eq!(had(&journal, &JournalHead { hash, ..*batch }), Some(false));
    }
    let ends: BTreeSet<_> = told.iter().map(|batch| batch.sequence).collect();
    let newest = *ends.last().expect("some");
    for sequence in (1..newest).filter(|sequence| !ends.contains(sequence)) {
        let within = JournalHead { sequence, ..told[0] };
        assert_eq!(had(&journal, &within), Some(false), "{sequence} ends no batch");
    }
    for sequence in [0, newest + 1, u64::MAX] {
        assert_eq!(had(&journal, &JournalHead { sequence, ..told[0] }), None, "{sequence}");
    }
    // One reader for all, in any order.
    let mut lookup = journal.reader.lookup();
    let any_order = told.iter().rev().chain(&told);
    any_order.for_each(|batch| assert_eq!(lookup.had(batch).expect("readable"), Some(true)));
    journal.writer.append(Lane::Ordinary, vec![event(1)]).expect("appended");
    assert_eq!(had(&journal, told.last().expect("some")), Some(true));

    // A copy that goes on with other events, batches of the same lengths among them.
    let (mut other, _) = opened(&copy.expect("made")).expect("opens");
    for number in 30..=60 {
        let batch = (0..1 + number % 3).map(|n| event(10 * number + n + 1)).collect();
        other.writer.append(Lane::Ordinary, batch).expect("appended");
    }
    for (number, batch) in (1..).zip(&told) {
        assert_eq!(had(&other, batch), Some(number < 30), "{number}");
    }
}

#[test]
fn an_epoch_goes_on_where_the_one_before_ended() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 10);
    let at = |epoch, sequence| Position { home: 1, epoch, sequence };
    assert_eq!(
        journal.writer.begin_epoch(1),
        Err(EpochError::NotLater { asked: 1, current: 1 }),
        "epochs only grow"
    );
    journal.writer.begin_epoch(1_800_000_000).expect("begun");
    assert_eq!(journal.writer.head().position, at(1_800_000_000, 10));
    assert_eq!(journal.writer.begin_epoch(1_800_000_001), Err(EpochError::NothingBefore));
    let committed = journal.writer.append(Lane::Urgent, vec![event(11)]).expect("appended");
    assert_eq!(committed[0].position(), at(1_800_000_000, 11));
    drop(journal);
    let (mut journal, replayed) = opened(&files).expect("opens again");
    let positions: Vec<_> = replayed.iter().map(locum_model::Committed::position).collect();
    let expected: Vec<_> = (1..=10).map(|n| at(1, n)).chain([at(1_800_000_000, 11)]).collect();
    assert_eq!(positions, expected);
    // The next segments, and a snapshot over both epochs, keep them apart.
    for number in 12..=60 {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appended");
    }
    assert!(journal.reader.snapshot(&|_| true, Given::default()).expect("written").kept > 11);
    drop(journal);
    let (_, replayed) = opened(&files).expect("opens from the snapshot");
    assert_eq!(replayed[9].position(), at(1, 10));
    assert_eq!(replayed[59].position(), at(1_800_000_000, 60));
    verify(&files, &mut |_| {}).expect("good");
}

#[test]
fn an_epoch_that_was_begun_and_not_written_in_is_found_again() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 3);
    journal.writer.begin_epoch(7).expect("begun");
    drop(journal);
    let (journal, replayed) = opened(&files).expect("opens");
    assert_eq!(
        (replayed.len(), journal.writer.head().position),
        (3, Position { home: 1, epoch: 7, sequence: 3 })
    );
}

#[test]
fn a_reader_begins_anywhere() {
    let journal = filled(&MemoryFiles::new(), 60);
    for from in 1..=62 {
        let found: Vec<_> =
            journal.reader.events(from).map(|found| found.expect("reads").position().sequence).collect();
        assert_eq!(found, (from..=60).collect::<Vec<_>>(), "from {from}");
    }
}

#[test]
fn a_reader_that_has_caught_up_goes_on() {
    let mut journal = filled(&MemoryFiles::new(), 10);
    let mut following = journal.reader.events(1);
    assert_eq!(following.by_ref().count(), 10);
    for number in 11..=80 {
        journal.writer.append(Lane::Urgent, vec![event(number)]).expect("appends");
        if number % 3 == 0 {
            journal.writer.seal().expect("seals");
        }
        let found = following.next().expect("there is one more").expect("reads");
        assert_eq!((found.position().sequence, found.event()), (number, &event(number)));
        assert!(following.next().is_none());
    }
}

#[test]
fn readers_never_see_what_is_not_durable() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 10);
    // The write happens, the sync fails.
    files.fail_after(1, crate::Fault::Broken);
    assert_eq!(journal.writer.append(Lane::Ordinary, vec![event(11)]), Err(AppendError::Fatal));
    assert_eq!(journal.reader.head().position.sequence, 10);
    assert_eq!(journal.reader.events(11).count(), 0);
}

#[test]
fn readers_keep_up_with_a_writer_in_another_thread() {
    let mut journal = filled(&MemoryFiles::new(), 1);
    let reader = journal.reader.clone();
    let following = std::thread::spawn(move || {
        let mut events = reader.events(1);
        let mut seen = 0;
        while seen < 300 {
            match events.next() {
                Some(found) => {
                    seen += 1;
                    assert_eq!(found.expect("reads").position().sequence, seen);
                }
                None => std::thread::yield_now(),
            }
        }
    });
    for number in 2..=300 {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
    }
    following.join().expect("the reader saw everything, in order");
}

#[test]
fn an_empty_batch_is_nothing() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 3);
    let (head, calls) = (journal.writer.head(), files.operations());
    assert_eq!(journal.writer.append(Lane::Ordinary, Vec::new()), Ok(Vec::new()));
    assert_eq!((journal.writer.head(), files.operations()), (head, calls));
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let files = MemoryFiles::new();
    let (mut journal, _) = opened(&files).expect("opens");
    let calls = files.operations();
    journal.writer.append(Lane::Ordinary, vec![event(2); 9]).expect("appends");
    assert_eq!(files.operations() - calls, 2);
}

#[test]
fn a_batch_beyond_its_bound_changes_nothing() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 3);
    let (head, calls) = (journal.writer.head(), files.operations());
    let too_many = vec![event(0); BATCH_EVENTS_MAX + 1];
    assert_eq!(journal.writer.append(Lane::Urgent, too_many), Err(AppendError::TooLarge));
    let long = |bytes: usize| {
        let Event::Unlocked(unlocked) = event(0) else { unreachable!("an unlock") };
        Event::Unlocked(Unlocked { reason: "x".repeat(bytes), ..unlocked })
    };
    assert_eq!(journal.writer.append(Lane::Urgent, vec![long(16 << 20)]), Err(AppendError::TooLarge));
    assert_eq!(journal.writer.append(Lane::Urgent, vec![long(15 << 20); 5]), Err(AppendError::TooLarge));
    assert_eq!((journal.writer.head(), files.operations()), (head, calls));
    journal.writer.append(Lane::Ordinary, vec![event(4)]).expect("goes on");
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_that_fits() {
    for before in [0, 5] {
        let files = MemoryFiles::new();
        let mut journal = filled(&files, before);
        let large: Vec<Event> = (0..200).map(|_| event(25)).collect();
        journal.writer.append(Lane::Ordinary, large.clone()).expect("appends");
        journal.writer.append(Lane::Ordinary, vec![event(7)]).expect("goes on");
        let (journal, replayed) = opened(&files).expect("opens again");
        assert_eq!(replayed.len() as u64, before + 201);
        assert_eq!(history(&journal), replayed);
    }
}

#[test]
fn a_segment_takes_space_step_by_step() {
    let files = MemoryFiles::new();
    let large = Options { segment_bytes: 12 << 20, ..options() };
    let mut journal = open(Arc::new(files.clone()), large.clone(), &mut ()).expect("opens");
    let Event::Unlocked(unlocked) = event(1) else { unreachable!("an unlock") };
    let one = Event::Unlocked(Unlocked { reason: "x".repeat(1 << 20), ..unlocked });
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..13 {
        journal.writer.append(Lane::Ordinary, vec![one.clone()]).expect("appends");
        lengths.extend(
            names(&files, "segment-").iter().filter_map(|name| Some(files.contents(name)?.len() >> 20)),
        );
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [4, 8, 12]);
    assert_eq!(names(&files, "segment-").len(), 2);
    let mut replayed = Vec::new();
    open(Arc::new(files), large, &mut replayed).expect("opens again");
    assert_eq!(replayed.len(), 13);
}

#[test]
fn a_seal_is_written_once() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 3);
    journal.writer.seal().expect("seals");
    let (head, calls) = (journal.writer.head(), files.operations());
    journal.writer.seal().expect("is sealed");
    assert_eq!((journal.writer.head(), files.operations()), (head, calls));
    let (mut journal, replayed) = opened(&files).expect("opens again");
    assert_eq!((replayed.len(), journal.writer.head()), (3, head));
    let calls = files.operations();
    journal.writer.seal().expect("is sealed still");
    assert_eq!(files.operations(), calls);
    assert!(verify(&files, &mut |_| {}).expect("holds").sealed);
}

#[test]
fn a_journal_of_another_home_is_refused() {
    let files = MemoryFiles::new();
    filled(&files, 3);
    let other = Options { home: 2, ..options() };
    let refused = open(Arc::new(files), other, &mut ()).err().expect("refused");
    assert!(matches!(refused, OpenError::WrongHome { expected: 2, found: 1 }), "{refused}");
}

#[test]
fn a_format_from_the_future_is_named() {
    for (name, newest) in [("segment-", 1), ("snapshot-", 2)] {
        let files = MemoryFiles::new();
        let journal = filled(&files, 40);
        journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
        let name = names(&files, name).pop().expect("a file");
        let mut bytes = files.contents(&name).expect("its bytes");
        bytes[8] = 9;
        files.replace(&name, bytes);
        let refused = opened(&files).err().expect("refused");
        assert!(
            matches!(&refused, OpenError::FutureFormat { file, found: 9, known } if *file == name && *known == newest),
            "{refused}"
        );
    }
}

#[test]
fn verification_counts_everything() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 100);
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    let mut seen = Vec::new();
    let report = verify(&files, &mut |progress| seen.push(progress.file)).expect("holds");
    assert_eq!(report.head, journal.writer.head());
    assert_eq!((report.events, report.snapshots, report.torn_bytes, report.sealed), (100, 1, 0, false));
    assert_eq!(seen, names(&files, "segment-"));
    journal.writer.seal().expect("seals");
    let sealed = verify(&files, &mut |_| {}).expect("holds");
    assert_eq!((sealed.events, sealed.batches, sealed.sealed), (100, report.batches, true));
    assert_eq!(sealed.head, journal.writer.head());
}

#[test]
fn what_is_not_ours_stays() {
    let files = MemoryFiles::new();
    files.replace("notes.txt", b"hello".to_vec());
    files.replace("segment.partial", b"half".to_vec());
    filled(&files, 3);
    let (_, replayed) = opened(&files).expect("opens");
    assert_eq!(replayed.len(), 3);
    assert_eq!(files.contents("notes.txt").as_deref(), Some(b"hello".as_slice()));
    assert_eq!(files.contents("segment.partial"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_events_in_any_batches_come_back(
        batches in prop::collection::vec(prop::collection::vec(any_event(), 1..5), 1..8),
    ) {
        let files = MemoryFiles::new();
        let (mut journal, _) = opened(&files).expect("opens");
        let mut told = Vec::new();
        for batch in &batches {
            let committed = journal.writer.append(Lane::Ordinary, batch.clone()).expect("appends");
            let same: Vec<Event> = committed.iter().map(|one| one.event().clone()).collect();
            prop_assert_eq!(&same, batch);
            told.extend(committed);
        }
        prop_assert_eq!(&history(&journal), &told);
        let (_, replayed) = opened(&files).expect("opens again");
        prop_assert_eq!(replayed, told);
    }
}

#[test]
fn single_events_are_found_in_any_order() {
    // 4 MiB segments, so that there are marks inside of them as well as at their beginnings.
    let options = crate::Options { segment_bytes: 4 << 20, ..options() };
    let files = MemoryFiles::new();
    let mut journal = crate::open(Arc::new(files), options, &mut ()).expect("opens");
    let last = 12_000;
    for number in 1..=last {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
    }
    journal.writer.append(Lane::Ordinary, events(last + 1, last + 7)).expect("appends");
    let mut lookup = journal.reader.lookup();
    let order = (1..=last + 7).map(|step| 1 + step * 5_003 % (last + 7));
    for sequence in order.take(800).chain([1, 1, last + 5, last + 2, last + 7, last + 6]) {
        let found = lookup.event(sequence).expect("reads").expect("is there");
        assert_eq!((found.position().sequence, found.event()), (sequence, &event(sequence)));
    }
    assert_eq!(lookup.event(0).expect("reads"), None);
    assert_eq!(lookup.event(last + 8).expect("reads"), None);
    journal.writer.append(Lane::Ordinary, vec![event(last + 8)]).expect("appends");
    assert!(lookup.event(last + 8).expect("reads").is_some(), "it goes on when the journal does");
}

#[test]
fn a_damaged_event_is_not_found_but_told() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 60);
    let name = names(&files, "segment-").remove(1);
    let mut bytes = files.contents(&name).expect("a segment");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    files.replace(&name, bytes);
    let mut lookup = journal.reader.lookup();
    let told = (1..=60).filter(|sequence| lookup.event(*sequence).is_err()).count();
    assert!(told > 0, "damage is told");
    assert!((1..=60).any(|sequence| lookup.event(sequence).is_ok()), "and the rest is still found");
}
