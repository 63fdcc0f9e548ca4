//! Threads that look while one writes: nothing is live after its death was applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use locum_model::{ConnectorNo, Reason, Target, TenantNo, WorkloadNo};

use super::samples::*;
use crate::{Applied, CheckOutcome, Lookup, Table};

const ROUNDS: u64 = 600;
const TOKENS: u128 = 8;
const READERS: usize = 3;

/// Each round starts a task with tokens, kills it by another level, and only then says so.
#[test]
fn no_lookup_that_starts_after_a_revocation_was_applied_says_live() {
    let table = Arc::new(empty_table());
    let (started_rounds, killed_rounds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let seen_live = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (table, live) = (Arc::clone(&table), Arc::clone(&seen_live));
            let (started, killed) = (Arc::clone(&started_rounds), Arc::clone(&killed_rounds));
            thread::spawn(move || read(&table, (&started, &killed), &live))
        })
        .collect();
    write(&table, &started_rounds, &killed_rounds);
    readers.into_iter().for_each(|reader| reader.join().expect("no reader saw a dead token alive"));
    assert!(seen_live.load(Ordering::Relaxed) > 0, "the readers saw tokens alive before they died");
}

fn tokens_of(round: u64) -> impl Iterator<Item = u128> {
    (0..TOKENS).map(move |n| u128::from(round) * TOKENS + n + 1)
}

fn read(table: &Table, (started, killed): (&AtomicU64, &AtomicU64), live: &AtomicUsize) {
    let mut round = 0;
    while round < ROUNDS {
        // Acquire: whoever sees the round killed sees what `apply` wrote before.
        let dead = killed.load(Ordering::Acquire);
        for old in round.saturating_sub(3)..started.load(Ordering::Acquire) {
            for jti in tokens_of(old).map(token_id) {
                let now = noon_plus(1);
                let is_live = matches!(table.lookup(jti, &jti.to_string(), now), Lookup::Live(_));
                assert!(!(is_live && old < dead), "{jti} of round {old} after {dead} were killed");
                live.fetch_add(usize::from(is_live), Ordering::Relaxed);
                table.note_check(jti, now, CheckOutcome::Active);
            }
        }
        round = dead;
    }
}

fn write(table: &Table, started_rounds: &AtomicU64, killed_rounds: &AtomicU64) {
    let mut journal = Journal::default();
    for round in 0..ROUNDS {
        let task = round + 1;
        assert_eq!(journal.apply(table, start(started(task, None, journal.newest()))), Applied::Started);
        for jti in tokens_of(round) {
            let record = issued(jti, &[task], journal.newest());
            assert!(matches!(journal.apply(table, issue(record)), Applied::Issued(_)));
            table.remember(token_id(jti), &token_id(jti).to_string());
        }
        started_rounds.store(task, Ordering::Release);
        thread::yield_now();
        kill(table, &mut journal, round);
        killed_rounds.store(task, Ordering::Release);
        if round % 16 == 0 {
            // Frees the dead tasks that hold no rows, and reuses nothing that a reader may stand on.
            table.reap(noon_plus(0), 100);
        }
    }
}

fn kill(table: &Table, journal: &mut Journal, round: u64) {
    let task = round + 1;
    let target = match round % 8 {
        0 => Target::Tenant(TenantNo(1)),
        1 => Target::Workload(WorkloadNo(2)),
        2 => Target::Connector(ConnectorNo(6)),
        3 => Target::Subject(subject(5)),
        4 => Target::SigningKey(kid(10)),
        5 => Target::Task(task_id(task)),
        6 => {
            assert_eq!(journal.apply(table, ended(task, noon_plus(1))), Applied::Ended);
            return;
        }
        _ => {
            for jti in tokens_of(round) {
                journal.apply(table, revoked(Target::Token(token_id(jti)), None, noon_plus(1)));
            }
            return;
        }
    };
    journal.apply(table, revoked(target, None, noon_plus(1)));
}

/// Rows and tasks leave and their slots are used again while readers stand on them.
#[test]
fn a_reader_never_judges_a_token_by_the_task_that_took_its_tasks_slot() {
    let table = Arc::new(empty_table());
    let round_now = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (table, now) = (Arc::clone(&table), Arc::clone(&round_now));
            thread::spawn(move || {
                loop {
                    let round = now.load(Ordering::Acquire);
                    if round >= ROUNDS {
                        return;
                    }
                    for jti in round.saturating_sub(2) + 1..=round + 1 {
                        // Every task here is ended before it is announced: nothing is ever live.
                        let answer = table.lookup_verified(token_id(u128::from(jti)), noon_plus(1));
                        let expected = match answer {
                            Lookup::Dead(dead) => {
                                dead.reason == Reason::TaskEnded && dead.task == task_id(jti)
                            }
                            Lookup::Live(_) => jti > round,
                            Lookup::Unrecognised => true,
                        };
                        assert!(expected, "{jti} in round {round}: {answer:?}");
                    }
                }
            })
        })
        .collect();
    let mut journal = Journal::default();
    for task in 1..=ROUNDS {
        journal.apply(&table, start(started(task, None, journal.newest())));
        let mut record = issued(u128::from(task), &[task], journal.newest());
        record.expires_at = noon_plus(2);
        journal.apply(&table, issue(record));
        journal.apply(&table, ended(task, noon_plus(1)));
        round_now.store(task, Ordering::Release);
        // The reaper's time is ahead of the readers': rows go while they look.
        table.reap(noon_plus(2), 100);
    }
    readers.into_iter().for_each(|reader| reader.join().expect("no reader saw another task's state"));
    assert_eq!((table.counts().tokens, table.counts().tasks), (0, 0));
}
