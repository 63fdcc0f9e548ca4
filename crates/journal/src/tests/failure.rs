//! J2: the first failure of a write or sync ends the writer, at every call site; nothing is
//! acknowledged from then on, and nothing that was is lost.

use super::*;
use crate::{AppendError, Fault, SnapshotError, verify};

/// Appends until done; says how many events were acknowledged and how it ended.
fn work(files: &MemoryFiles) -> (u64, Result<(), AppendError>) {
    let Ok((mut journal, _)) = opened(files) else { return (0, Err(AppendError::Fatal)) };
    let mut acknowledged = 0;
    while acknowledged < 40 {
        let to = acknowledged + 1 + acknowledged % 4;
        let appended = journal.writer.append(Lane::Urgent, events(acknowledged + 1, to)).map(|_| ());
        if let Err(refused) = appended.and_then(|()| if to % 5 == 0 { journal.writer.seal() } else { Ok(()) })
        {
            // The sealed batch was acknowledged before its seal failed.
            let acknowledged = journal.writer.head().position.sequence;
            assert_eq!(refused, AppendError::Fatal);
            assert!(journal.writer.failure().is_some());
            let calls = files.operations();
            for lane in [Lane::Ordinary, Lane::Urgent] {
                assert_eq!(journal.writer.append(lane, vec![event(1)]), Err(AppendError::Fatal));
                assert_eq!(journal.writer.append(lane, Vec::new()), Err(AppendError::Fatal));
            }
            assert_eq!(journal.writer.seal(), Err(AppendError::Fatal));
            assert_eq!(files.operations(), calls, "nothing is tried again");
            assert_eq!(journal.reader.head().position.sequence, acknowledged);
            return (acknowledged, Err(AppendError::Fatal));
        }
        acknowledged = to;
    }
    (acknowledged, Ok(()))
}

#[test]
fn every_call_that_fails_is_fatal_and_loses_nothing() {
    let files = MemoryFiles::new();
    assert_eq!(work(&files).1, Ok(()));
    let operations = files.operations();
    for call in 0..operations {
        let files = MemoryFiles::new();
        files.fail_after(call, Fault::Broken);
        let (acknowledged, ended) = work(&files);
        assert_eq!(ended, Err(AppendError::Fatal), "call {call}");
        // The process starts again over the same cache, then the power goes.
        let (_, seen) = opened(&files).unwrap_or_else(|error| panic!("call {call}: {error:?}"));
        assert!(seen.len() as u64 >= acknowledged, "call {call}");
        files.crash(call);
        let (_, replayed) = opened(&files).unwrap_or_else(|error| panic!("call {call}: {error:?}"));
        assert_eq!(replayed, seen, "call {call}");
        verify(&files, &mut |_| {}).unwrap_or_else(|damage| panic!("call {call}: {damage:?}"));
    }
}

#[test]
fn every_call_that_fails_while_opening_refuses_and_loses_nothing() {
    let files = MemoryFiles::new();
    filled(&files, 40);
    let before = files.operations();
    let probe = files.fork();
    opened(&probe).expect("opens");
    let calls = probe.operations() - before;
    assert!(calls > 10);
    for call in 0..calls {
        let files = files.fork();
        files.fail_after(call, Fault::Broken);
        assert!(opened(&files).is_err(), "call {call}");
        files.crash(call);
        assert_eq!(opened(&files).expect("opens").1.len(), 40, "call {call}");
    }
}

#[test]
fn a_snapshot_that_fails_harms_nothing() {
    let files = MemoryFiles::new();
    filled(&files, 60);
    let probe = files.fork();
    let (journal, _) = opened(&probe).expect("opens");
    let before = probe.operations();
    journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    let calls = probe.operations() - before;
    for call in 0..calls {
        for fault in [Fault::Broken, Fault::Full] {
            let files = files.fork();
            let (mut journal, _) = opened(&files).expect("opens");
            files.fail_after(call, fault);
            let refused = journal.reader.snapshot(&|_| true, Given::default());
            assert!(
                matches!(refused, Err(SnapshotError::Io(_) | SnapshotError::Damaged(_))),
                "call {call}: {refused:?}"
            );
            journal.writer.append(Lane::Ordinary, events(61, 62)).expect("the writer goes on");
            journal.reader.snapshot(&|_| true, Given::default()).expect("the next one is written");
            files.crash(call);
            assert_eq!(opened(&files).expect("opens").1.len(), 62, "call {call}");
        }
    }
}

#[test]
fn a_read_that_fails_ends_the_iterator() {
    let files = MemoryFiles::new();
    let journal = filled(&files, 60);
    let mut events = journal.reader.events(1);
    assert!(events.next().is_some_and(|event| event.is_ok()));
    files.halt_after(0);
    let mut ended = events.skip_while(|event| event.is_ok());
    assert!(ended.next().is_some_and(|event| event.is_err()));
    assert!(ended.next().is_none());
}
