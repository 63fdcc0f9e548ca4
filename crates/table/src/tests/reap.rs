//! Reaping: in order, bounded, complete, and never the cause of an answer.

use std::time::Duration;

use locum_model::event::ChecksSummed;
use locum_model::{PolicyRevision, Reason, Target, TenantNo, WorkloadNo};

use super::samples::*;
use crate::hashing::RowKey;
use crate::{Applied, CheckOutcome, Lookup, Reaped, Table};

/// Task 1, and one token a second that expires that many seconds after noon.
fn table(tokens: u128) -> (Table, Journal) {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    // The last to expire is issued first.
    for n in (1..=tokens).rev() {
        let mut record = issued(n, &[1], journal.newest());
        record.expires_at = noon_plus(i64::try_from(n).expect("few"));
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    }
    (table, journal)
}

fn held(table: &Table, tokens: u128) -> Vec<u128> {
    (1..=tokens).filter(|n| table.holds(token_id(*n))).collect()
}

#[test]
fn rows_leave_in_the_order_of_their_expiry_and_no_more_than_asked() {
    let (table, _) = table(10);
    for (now, rows_max, rows, left, more) in [
        (0, 100, 0, 10, false),
        (4, 0, 0, 10, true),
        (4, 3, 3, 7, true),
        (4, 3, 1, 6, false),
        (4, 3, 0, 6, false),
        (1_000, 1, 1, 5, true),
        (1_000, 100, 5, 0, false),
    ] {
        let reaped = table.reap(noon_plus(now), rows_max);
        assert_eq!(reaped, Reaped { rows, checks: Vec::new(), more }, "at {now}, {rows_max}");
        assert_eq!(held(&table, 10), (11 - left..=10).collect::<Vec<_>>(), "at {now}, {rows_max}");
        assert_eq!(table.tokens_of(WorkloadNo(2)), usize::try_from(left).expect("few"));
    }
    assert_eq!(table.counts().tokens, 0);
}

#[test]
fn many_rows_of_one_second_leave_over_several_calls() {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    for n in 1..=1_500 {
        journal.apply(&table, issue(issued(n, &[1], at(1))));
    }
    let calls: Vec<Reaped> = (0..3).map(|_| table.reap(noon_plus(120), 600)).collect();
    assert_eq!(
        calls.iter().map(|reaped| (reaped.rows, reaped.more)).collect::<Vec<_>>(),
        [(600, true), (600, true), (300, false)]
    );
}

#[test]
fn lag_is_the_age_of_the_oldest_expired_row() {
    let (table, _) = table(2);
    for (millis, lag) in [(0, 0), (1_000, 0), (1_250, 250), (5_000, 4_000)] {
        let now = locum_model::Timestamp::from_millis(NOON * 1000 + millis);
        assert_eq!(table.overdue(now), Duration::from_millis(lag), "{millis}");
    }
    table.reap(noon_plus(1), 100);
    assert_eq!(table.overdue(noon_plus(5)), Duration::from_secs(3));
    table.reap(noon_plus(5), 100);
    assert_eq!(table.overdue(noon_plus(500)), Duration::ZERO);
    assert_eq!(empty_table().overdue(noon_plus(0)), Duration::ZERO);
}

#[test]
fn an_expired_row_answers_the_same_until_it_is_reaped() {
    let (table, _) = table(1);
    let expired = table.lookup_verified(token_id(1), noon_plus(1));
    assert!(matches!(expired, Lookup::Dead(dead) if dead.reason == Reason::TokenExpired));
    table.reap(noon_plus(1), 1);
    assert_eq!(table.lookup_verified(token_id(1), noon_plus(1)), Lookup::Unrecognised);
}

#[test]
fn checks_leave_with_their_row_once() {
    let (table, _) = table(3);
    for (jti, seconds, outcome) in [
        (1, 0, CheckOutcome::Active),
        (1, 1, CheckOutcome::Refused),
        (2, 0, CheckOutcome::Active),
        (9, 0, CheckOutcome::Active),
    ] {
        table.note_check(token_id(jti), noon_plus(seconds), outcome);
    }
    let sum = |jti, last, active, refused| ChecksSummed {
        jti: token_id(jti),
        task: task_id(1),
        first: noon_plus(0),
        last: noon_plus(last),
        active,
        refused,
    };
    assert_eq!(table.reap(noon_plus(1), 10).checks, [sum(1, 1, 1, 1)]);
    assert_eq!(table.drain_checks(10), [sum(2, 0, 1, 0)]);
    assert_eq!(table.drain_checks(10), []);
    assert_eq!(table.reap(noon_plus(9), 10).checks, [], "drained ones do not leave twice");
}

#[test]
fn draining_is_bounded_goes_on_and_loses_nothing() {
    let (table, _) = table(25);
    (1..=25).for_each(|n| table.note_check(token_id(n), noon_plus(0), CheckOutcome::Active));
    assert_eq!(table.drain_checks(0), []);
    let mut drained = Vec::new();
    loop {
        let some = table.drain_checks(10);
        assert!(some.len() <= 10);
        if some.is_empty() {
            break;
        }
        drained.extend(some);
    }
    let mut jtis: Vec<_> = drained.iter().map(|sum| sum.jti).collect();
    jtis.sort_unstable();
    assert_eq!(jtis, (1..=25).map(token_id).collect::<Vec<_>>());
}

#[test]
fn a_task_leaves_when_it_is_dead_and_nothing_rests_on_it() {
    let (table, mut journal) = table(2);
    for (task, parent) in [(2, Some(1)), (3, Some(2)), (4, None)] {
        let decided_at = journal.newest();
        journal.apply(&table, start(started(task, parent, decided_at)));
    }
    let held = |table: &Table| [1, 2, 3, 4].map(|task| table.holds_task(task_id(task)));
    table.reap(noon_plus(0), 10);
    assert_eq!(held(&table), [true; 4], "alive");
    journal.apply(&table, ended(1, noon_plus(0)));
    table.reap(noon_plus(0), 10);
    table.reap(noon_plus(0), 10);
    assert_eq!(held(&table), [true, false, false, true], "rows still rest on task 1");
    table.reap(noon_plus(2), 10);
    assert_eq!(held(&table), [false, false, false, true]);
    assert_eq!((table.counts().tasks, table.counts().standings), (1, 1));
}

#[test]
fn a_revoked_task_leaves_though_nobody_ends_it() {
    let (table, mut journal) = table(0);
    journal.apply(&table, revoked(Target::Tenant(TenantNo(1)), None, noon_plus(0)));
    table.reap(noon_plus(0), 10);
    assert!(!table.holds_task(task_id(1)));
}

#[test]
fn a_slot_that_is_used_again_is_another_task() {
    let (table, mut journal) = table(0);
    journal.apply(&table, ended(1, noon_plus(0)));
    table.reap(noon_plus(0), 10);
    journal.apply(&table, start(started(2, None, journal.newest())));
    assert_eq!((table.task(task_id(1)), table.task(task_id(2))), (None, Some(Ok(()))));
}

#[test]
fn a_slot_that_is_used_again_is_nobodys_child() {
    let (table, mut journal) = table(0);
    journal.apply(&table, start(started(2, Some(1), journal.newest())));
    assert_eq!(table.tasks_under(task_id(1), 10), [task_id(2)]);
    journal.apply(&table, ended(2, noon_plus(0)));
    table.reap(noon_plus(0), 10);
    journal.apply(&table, start(started(3, None, journal.newest())));
    assert_eq!(table.tasks_under(task_id(1), 10), []);
}

#[test]
fn a_watermark_is_forgotten_only_when_it_is_old_and_covers_nothing_that_is_left() {
    let (table, mut journal) = (empty_table(), Journal::default());
    // An old task of subject 5, spared by `until`, and a new one.
    journal.apply(&table, start(started(1, None, at(0))));
    let targets = [
        Target::Subject(subject(5)),
        Target::Subject(subject(6)),
        Target::Task(task_id(1)),
        Target::Task(task_id(9)),
        Target::Token(token_id(9)),
        Target::Tenant(TenantNo(7)),
    ];
    for target in targets {
        let until = matches!(target, Target::Task(task) if task == task_id(1)).then(|| at(0));
        journal.apply(&table, revoked(target, until, noon_plus(0)));
    }
    // Task 1 is dead by its subject; a child keeps it in the table. Its own watermark stays with it.
    let remembered = |table: &Table| targets.map(|target| table.watermark(target).is_some());
    let reap = |table: &Table, seconds| (0..4).for_each(|_| drop(table.reap(noon_plus(seconds), 100)));
    reap(&table, 10_000);
    assert_eq!(remembered(&table), [true; 6], "the newest event is from noon");
    journal.apply(&table, retired(kid(1), noon_plus(10_000)));
    reap(&table, 900);
    assert_eq!(remembered(&table), [true; 6], "not old enough at this time");
    reap(&table, 10_000);
    assert_eq!(remembered(&table), [false, false, false, false, false, true]);
    assert!(table.watermark(Target::SigningKey(kid(1))).is_some());
    // A decision from before, should one still come, is refused all the same.
    let late = start(started(2, None, at(0)));
    assert_eq!(journal.apply(&table, late), Applied::TooLate(Reason::TaskRevoked));
    let fresh = start(started(3, None, journal.newest()));
    assert_eq!(journal.apply(&table, fresh), Applied::Started);
}

#[test]
fn a_subject_is_not_forgotten_while_a_task_from_before_has_something_resting_on_it() {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    let mut long = issued(1, &[1], at(1));
    long.expires_at = noon_plus(20_000);
    journal.apply(&table, issue(long));
    let target = Target::Subject(subject(5));
    journal.apply(&table, revoked(target, None, noon_plus(0)));
    journal.apply(&table, retired(kid(1), noon_plus(15_000)));
    (0..4).for_each(|_| drop(table.reap(noon_plus(15_000), 100)));
    assert!(table.watermark(target).is_some());
    assert!(matches!(table.lookup_verified(token_id(1), noon_plus(15_000)), Lookup::Dead(_)));
    journal.apply(&table, retired(kid(2), noon_plus(50_000)));
    (0..4).for_each(|_| drop(table.reap(noon_plus(50_000), 100)));
    assert_eq!((table.watermark(target), table.counts().tokens, table.counts().tasks), (None, 0, 0));
}

#[test]
fn a_subject_is_not_forgotten_while_a_token_of_its_own_subject_is_left() {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    let mut long = issued(1, &[1], at(1));
    long.subject_key = subject(6);
    long.expires_at = noon_plus(20_000);
    journal.apply(&table, issue(long));
    let target = Target::Subject(subject(6));
    journal.apply(&table, revoked(target, None, noon_plus(0)));
    assert_eq!(table.task(task_id(1)), Some(Ok(())), "the task is of another subject");
    journal.apply(&table, retired(kid(1), noon_plus(40_000)));
    // The row is overdue, but the reaper is slow: what the row rests on has to stay.
    (0..4).for_each(|_| drop(table.reap(noon_plus(40_000), 0)));
    assert!(table.watermark(target).is_some() && table.holds(token_id(1)));
    let early = table.lookup_verified(token_id(1), noon_plus(15_000));
    assert!(matches!(early, Lookup::Dead(dead) if dead.reason == Reason::TokenRevoked));
    (0..4).for_each(|_| drop(table.reap(noon_plus(40_000), 10)));
    assert_eq!((table.watermark(target), table.holds(token_id(1))), (None, false));
}

#[test]
fn two_rows_that_share_a_tag_both_leave() {
    let first = token_id(1);
    let second = (2..=u64::MAX).map(u128::from).map(|low| {
        // The tag is high + low * constant: for any low there is a high with the same tag.
        let of = |id| RowKey::of(id).tag();
        let zero_high = token_id(low);
        let gap = tag_number(of(first)).wrapping_sub(tag_number(of(zero_high)));
        token_id(u128::from(gap) << 64 | low)
    });
    let second = second.take(1).last().expect("one");
    assert_eq!(RowKey::of(first).tag(), RowKey::of(second).tag());
    for swapped in [false, true] {
        let (table, mut journal) = table(0);
        let mut pair = [(first, 10), (second, 20)];
        if swapped {
            pair.reverse();
        }
        for (jti, seconds) in pair {
            let mut record = issued(0, &[1], journal.newest());
            record.jti = jti;
            record.expires_at = noon_plus(seconds);
            assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
        }
        let live = |jti| matches!(table.lookup_verified(jti, noon_plus(5)), Lookup::Live(_));
        assert!(live(first) && live(second));
        table.reap(noon_plus(10), 10);
        assert!(table.holds(second), "it is not due");
        table.reap(noon_plus(20), 10);
        assert_eq!((table.holds(first), table.holds(second), table.counts().tokens), (false, false, 0));
    }
}

#[test]
fn what_a_freed_standing_was_asked_for_is_forgotten_with_it() {
    let (table, mut journal) = table(0);
    let enter = |journal: &mut Journal, jti: u128, workload: u32, revision: u32, seconds: i64| {
        let mut record = issued(jti, &[1], journal.newest());
        record.standing.actors[0].workload = WorkloadNo(workload);
        record.standing.policy_revision = PolicyRevision(revision);
        record.expires_at = noon_plus(seconds);
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    };
    enter(&mut journal, 1, 2, 9, 10);
    assert_eq!(table.reap(noon_plus(10), 10).rows, 1);
    // Takes the place that the standing of the first one had.
    enter(&mut journal, 2, 12, 11, 100);
    enter(&mut journal, 3, 2, 9, 100);
    enter(&mut journal, 4, 2, 9, 100);
    journal.apply(&table, revoked(Target::PolicyRevision(PolicyRevision(9)), None, noon_plus(20)));
    let live = |n| matches!(table.lookup_verified(token_id(n), noon_plus(30)), Lookup::Live(_));
    assert_eq!([2, 3, 4].map(live), [true, false, false]);
}

fn tag_number(tag: crate::hashing::Tag) -> u64 {
    use std::hash::BuildHasher;
    crate::hashing::AsItIs::default().hash_one(tag)
}

#[test]
fn memory_is_given_back() {
    let (table, mut journal) = table(0);
    for n in 1..=60_000_u128 {
        journal.apply(&table, issue(issued(n, &[1], at(1))));
    }
    let room = table.rows.capacity();
    assert!(room >= 60_000);
    while table.reap(noon_plus(120), 16_384).rows > 0 {}
    // A shard is looked at in each call.
    (0..256).for_each(|_| drop(table.reap(noon_plus(120), 16_384)));
    assert!(table.rows.capacity() <= room / 2, "{} of {room}", table.rows.capacity());
}

/// A slot's number comes again with another chunk: old and new tasks are told apart all the same.
#[cfg(not(shuttle))]
#[test]
fn chunks_of_task_cells_are_given_back_and_made_again() {
    let (table, mut journal) = (empty_table(), Journal::default());
    let chunks = |table: &Table| table.writer.lock().slots.chunks();
    let many = 5 * u64::from(crate::task::CHUNK_SLOTS);
    let begin = |journal: &mut Journal, task: u64| {
        assert_eq!(journal.apply(&table, start(started(task, None, journal.newest()))), Applied::Started);
        journal.apply(&table, issue(issued(u128::from(task), &[task], journal.newest())));
    };
    (1..=many).for_each(|task| begin(&mut journal, task));
    assert_eq!(chunks(&table), 5);
    // One of the first chunk and one of the last live on.
    for task in (1..=many).filter(|task| ![7, many - 7].contains(task)) {
        journal.apply(&table, ended(task, noon_plus(1)));
    }
    let reap = |table: &Table| while table.reap(noon_plus(119), 16_384).more {};
    reap(&table);
    assert_eq!(chunks(&table), 5, "rows rest in all of them");
    journal.apply(&table, lapsed(many - 7, noon_plus(1)));
    while table.reap(noon_plus(120), 16_384).more {}
    (0..4).for_each(|_| drop(table.reap(noon_plus(120), 16_384)));
    assert_eq!((table.counts().tasks, chunks(&table)), (1, 2), "one in use, one to spare");
    assert_eq!(table.task(task_id(7)), Some(Ok(())));
    assert_eq!(table.task(task_id(many - 7)), None);
    // The lowest free slots go first, and numbers of chunks that went come back.
    (many + 1..=3 * many).for_each(|task| begin(&mut journal, task));
    assert_eq!(chunks(&table), 11);
    for task in many + 1..=3 * many {
        assert_eq!(table.task_of(token_id(u128::from(task))), Some(task_id(task)));
        let answer = table.lookup_verified(token_id(u128::from(task)), noon_plus(2));
        assert!(matches!(answer, Lookup::Live(live) if live.task == task_id(task)), "{task}: {answer:?}");
    }
    assert_eq!(table.tasks_under(task_id(7), 10), []);
}

/// Each time that any go, every shard is touched: not for one chunk, while checks wait for the next call.
#[cfg(not(shuttle))]
#[test]
fn while_more_is_due_chunks_of_task_cells_go_eight_at_a_time() {
    let (table, mut journal) = (empty_table(), Journal::default());
    let chunks = |table: &Table| table.writer.lock().slots.chunks();
    let many = 20 * u64::from(crate::task::CHUNK_SLOTS);
    for task in 1..=many {
        journal.apply(&table, start(started(task, None, journal.newest())));
        journal.apply(&table, issue(issued(u128::from(task), &[task], journal.newest())));
    }
    (1..=many).for_each(|task| drop(journal.apply(&table, ended(task, noon_plus(1)))));
    let mut steps = Vec::new();
    while let (before, true) = (chunks(&table), table.reap(noon_plus(120), 16).more) {
        steps.extend(Some(before - chunks(&table)).filter(|gone| *gone > 0));
    }
    assert_eq!(steps, [8, 8]);
    (0..4).for_each(|_| drop(table.reap(noon_plus(120), 16)));
    assert_eq!(chunks(&table), 1, "one to spare");
}
