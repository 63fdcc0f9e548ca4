//! J6: a full disk refuses ordinary events and still takes urgent ones.

use super::*;
use crate::{AppendError, Fault, verify};

/// A disk on which nothing more fits than what is there.
fn full(files: &MemoryFiles) {
    let used: usize =
        files.list().expect("lists").iter().map(|name| files.contents(name).expect("listed").len()).sum();
    files.set_capacity(Some(used as u64));
}

/// Appends one by one until refused; returns the next number.
fn until_refused(journal: &mut Journal, lane: Lane, mut number: u64) -> (u64, AppendError) {
    loop {
        match journal.writer.append(lane, vec![event(number)]) {
            Ok(_) => number += 1,
            Err(refused) => return (number, refused),
        }
    }
}

#[test]
fn a_full_disk_refuses_ordinary_events_and_takes_urgent_ones() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 30);
    full(&files);
    let (refused_at, refused) = until_refused(&mut journal, Lane::Ordinary, 31);
    assert_eq!(refused, AppendError::Full);
    let head = journal.writer.head();
    assert_eq!(journal.writer.append(Lane::Ordinary, vec![event(refused_at)]), Err(AppendError::Full));
    assert_eq!((journal.writer.head(), journal.reader.head()), (head, head));
    // The reserve of 16 KiB takes at least ten of the longest.
    for number in refused_at..refused_at + 10 {
        journal.writer.append(Lane::Urgent, vec![event(number)]).expect("urgent");
        assert_eq!(journal.writer.append(Lane::Ordinary, vec![event(1)]), Err(AppendError::Full));
    }
    let (last, refused) = until_refused(&mut journal, Lane::Urgent, refused_at + 10);
    assert_eq!(refused, AppendError::Full, "the reserve ends too");
    // It stays so over a restart, and then space comes back.
    drop(journal);
    let (mut journal, replayed) = opened(&files).expect("opens on a full disk");
    assert_eq!(replayed.len() as u64, last - 1);
    assert_eq!(journal.writer.append(Lane::Ordinary, vec![event(last)]), Err(AppendError::Full));
    files.set_capacity(None);
    journal.writer.append(Lane::Ordinary, vec![event(last)]).expect("there is space");
    assert_eq!(names(&files, "reserve"), ["reserve"]);
    let (journal, replayed) = opened(&files).expect("opens");
    assert_eq!(replayed.len() as u64, last);
    assert_eq!(history(&journal), replayed);
    verify(&files, &mut |_| {}).expect("holds");
}

#[test]
fn a_seal_that_does_not_fit_harms_nothing() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 30);
    full(&files);
    let (last, _) = until_refused(&mut journal, Lane::Urgent, 31);
    let _ = journal.writer.seal();
    files.set_capacity(None);
    journal.writer.append(Lane::Urgent, vec![event(last)]).expect("goes on");
    journal.writer.seal().expect("seals");
    assert_eq!(opened(&files).expect("opens").1.len() as u64, last);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_said_so() {
    let files = MemoryFiles::new();
    files.set_capacity(Some(100));
    let refused = opened(&files).err().expect("refused");
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    files.set_capacity(None);
    opened(&files).expect("opens once there is space");
}

/// `ENOSPC` out of nowhere, at every call: refused or fatal, never lost, never half.
#[test]
fn no_space_at_any_call_loses_nothing() {
    let probe = MemoryFiles::new();
    filled(&probe, 40);
    for call in 0..probe.operations() {
        let files = MemoryFiles::new();
        files.fail_after(call, Fault::Full);
        let Ok((mut journal, _)) = opened(&files) else { continue };
        let mut acknowledged = 0;
        while acknowledged < 40 {
            match journal.writer.append(Lane::Ordinary, vec![event(acknowledged + 1)]) {
                Ok(_) => acknowledged += 1,
                // The fault strikes once: what was refused is taken now.
                Err(AppendError::Full) => {}
                Err(AppendError::Fatal) => break,
                Err(AppendError::TooLarge) => panic!("call {call}: not too large"),
            }
        }
        files.crash(call);
        let (_, replayed) = opened(&files).unwrap_or_else(|error| panic!("call {call}: {error:?}"));
        let last = replayed.len() as u64;
        assert!(last == acknowledged || last == acknowledged + 1, "call {call}: {last}");
        verify(&files, &mut |_| {}).unwrap_or_else(|damage| panic!("call {call}: {damage:?}"));
    }
}

#[test]
fn power_loss_at_every_call_of_the_way_into_the_reserve() {
    let files = MemoryFiles::new();
    let mut journal = filled(&files, 30);
    full(&files);
    let (next, _) = until_refused(&mut journal, Lane::Ordinary, 31);
    drop(journal);
    for stop in 0..40 {
        for seed in 0..8 {
            let files = files.fork();
            files.crash(seed);
            full(&files);
            let (mut journal, _) = opened(&files).expect("opens");
            files.halt_after(stop);
            let mut acknowledged = next - 1;
            while journal.writer.append(Lane::Urgent, vec![event(acknowledged + 1)]).is_ok() {
                acknowledged += 1;
            }
            files.crash(seed);
            let (_, replayed) = opened(&files).unwrap_or_else(|error| panic!("stop {stop}: {error:?}"));
            let last = replayed.len() as u64;
            assert!(last == acknowledged || last == acknowledged + 1, "stop {stop}, seed {seed}: {last}");
        }
    }
}
