//! J1: whenever the power goes, recovery yields a prefix that holds every acknowledged event,
//! whole, and every batch whole or not at all.
//!
//! Simulated: power loss after every single file operation, with seeds that choose which sectors
//! and names of the un-synced survive; the same with a second loss during recovery.

use super::*;
use crate::verify;

/// What the workload was told.
#[derive(Default)]
struct Told {
    /// Last sequence acknowledged.
    acknowledged: u64,
    /// Last sequence of the batch that was on its way.
    attempted: u64,
}

/// Appends, seals and compacts until it is done or something fails.
fn work(files: &MemoryFiles) -> Told {
    let mut told = Told::default();
    let Ok((mut journal, _)) = opened(files) else { return told };
    while told.acknowledged < 40 {
        told.attempted = told.acknowledged + 1 + told.acknowledged % 4;
        let batch = events(told.acknowledged + 1, told.attempted);
        if journal.writer.append(Lane::Ordinary, batch).is_err() {
            return told;
        }
        told.acknowledged = told.attempted;
        if told.acknowledged % 7 == 0 && journal.writer.seal().is_err() {
            return told;
        }
        if told.acknowledged % 5 == 0 && journal.reader.snapshot(&|_| true, Given::default()).is_err() {
            return told;
        }
    }
    told
}

/// A prefix, whole batches, everything acknowledged; and the journal goes on.
fn check(files: &MemoryFiles, told: &Told, context: &str) {
    let (mut journal, replayed) = opened(files).unwrap_or_else(|error| panic!("{context}: {error:?}"));
    let last = replayed.len() as u64;
    assert!(last == told.acknowledged || last == told.attempted, "{context}: {last}");
    for (number, found) in (1..).zip(&replayed) {
        assert_eq!((found.position().sequence, found.event()), (number, &event(number)), "{context}");
    }
    assert_eq!(history(&journal), replayed, "{context}");
    journal.writer.append(Lane::Ordinary, events(last + 1, last + 3)).expect("goes on");
    let report = verify(files, &mut |_| {}).unwrap_or_else(|damage| panic!("{context}: {damage:?}"));
    assert_eq!((report.events, report.head), (last + 3, journal.writer.head()), "{context}");
}

/// A segment that takes more space: the space is durable before a batch is written into it.
#[test]
fn power_loss_while_a_segment_grows() {
    let batch = || events(20, 40);
    for stop in 0..8 {
        for seed in 0..20 {
            let files = MemoryFiles::new();
            let (mut journal, _) = opened(&files).expect("opens");
            files.halt_after(stop);
            let acknowledged = journal.writer.append(Lane::Ordinary, batch()).is_ok();
            assert_eq!(acknowledged, stop >= 4, "grown and synced, written and synced");
            files.crash(seed);
            let (_, replayed) = opened(&files).unwrap_or_else(|error| panic!("{stop}, {seed}: {error:?}"));
            assert!(replayed.len() == 21 || (replayed.is_empty() && !acknowledged), "{stop}, {seed}");
        }
    }
}

/// How many operations the whole workload takes.
fn operations() -> u64 {
    let files = MemoryFiles::new();
    assert!(work(&files).acknowledged >= 40);
    files.operations()
}

#[test]
fn power_loss_after_every_operation() {
    for stop in 0..=operations() {
        for seed in 0..5 {
            let files = MemoryFiles::new();
            files.halt_after(stop);
            let told = work(&files);
            files.crash(seed);
            check(&files, &told, &format!("stop {stop}, seed {seed}"));
        }
    }
}

#[test]
fn power_loss_during_recovery() {
    for stop in (0..=operations()).step_by(7) {
        let files = MemoryFiles::new();
        files.halt_after(stop);
        let told = work(&files);
        files.crash(stop);
        for again in 0..24 {
            let files = files.fork();
            files.halt_after(again);
            let _ = opened(&files);
            files.crash(again);
            check(&files, &told, &format!("stop {stop}, again {again}"));
        }
    }
}

#[test]
fn the_end_of_the_process_alone_loses_nothing() {
    // No power loss: what was written is seen, synced or not; then the power goes too.
    for stop in 0..=operations() {
        let files = MemoryFiles::new();
        files.halt_after(stop);
        let told = work(&files);
        files.halt_after(u64::MAX / 2);
        let (_, replayed) = opened(&files).unwrap_or_else(|error| panic!("stop {stop}: {error:?}"));
        let seen = replayed.len() as u64;
        assert!(seen == told.acknowledged || seen == told.attempted, "stop {stop}: {seen}");
        files.crash(stop);
        check(&files, &Told { acknowledged: seen, attempted: seen }, &format!("stop {stop}"));
    }
}
