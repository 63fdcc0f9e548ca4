//! What lands too late, or should never have been written, and is not entered.

use locum_model::limits::{ACTORS_MAX, SCOPE_GRANTS_MAX, TASK_DEPTH_MAX};
use locum_model::{Position, Reason, Target, TenantNo, Timestamp};

use super::samples::*;
use crate::{Applied, Lookup, Table};

fn table() -> (Table, Journal) {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    journal.apply(&table, start(started(2, Some(1), at(1))));
    (table, journal)
}

#[test]
fn a_task_ends_once_and_the_first_says_how() {
    for (first, second, reason) in [
        (ended(2, noon_plus(1)), lapsed(2, noon_plus(2)), Reason::TaskEnded),
        (lapsed(2, noon_plus(1)), ended(2, noon_plus(2)), Reason::TaskLapsed),
        (ended(1, noon_plus(1)), lapsed(2, noon_plus(2)), Reason::TaskEnded),
        (lapsed(1, noon_plus(1)), ended(1, noon_plus(2)), Reason::TaskLapsed),
    ] {
        let (table, mut journal) = table();
        assert_eq!(journal.apply(&table, first), Applied::Ended);
        assert_eq!(journal.apply(&table, second), Applied::TooLate(reason));
        assert_eq!(table.task(task_id(2)), Some(Err(reason)));
        let token = issue(issued(1, &[1, 2], journal.newest()));
        assert_eq!(journal.apply(&table, token), Applied::TooLate(reason));
        let child = start(started(3, Some(2), journal.newest()));
        assert_eq!(journal.apply(&table, child), Applied::TooLate(reason));
        assert_eq!((table.holds(token_id(1)), table.holds_task(task_id(3))), (false, false));
    }
}

#[test]
fn ending_a_revoked_or_unknown_task_is_too_late() {
    let (table, mut journal) = table();
    journal.apply(&table, revoked(Target::Task(task_id(1)), None, noon_plus(1)));
    assert_eq!(journal.apply(&table, ended(1, noon_plus(2))), Applied::TooLate(Reason::TaskRevoked));
    assert_eq!(journal.apply(&table, lapsed(2, noon_plus(2))), Applied::TooLate(Reason::TaskRevoked));
    assert_eq!(journal.apply(&table, ended(9, noon_plus(2))), Applied::TooLate(Reason::TaskNotFound));
    assert_eq!(table.task(task_id(9)), None);
}

#[test]
fn ending_a_task_kills_the_tokens_below_it_and_not_those_above() {
    let (table, mut journal) = table();
    for (jti, chain) in [(1, &[1][..]), (2, &[1, 2][..])] {
        let record = issued(jti, chain, journal.newest());
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    }
    journal.apply(&table, ended(2, noon_plus(1)));
    assert!(matches!(table.lookup_verified(token_id(1), noon_plus(1)), Lookup::Live(_)));
    let Lookup::Dead(dead) = table.lookup_verified(token_id(2), noon_plus(1)) else { panic!("it is dead") };
    assert_eq!((dead.reason, dead.task), (Reason::TaskEnded, task_id(2)));
}

#[test]
fn a_record_that_breaks_the_bounds_of_the_model_is_refused() {
    let (table, mut journal) = table();
    let newest = journal.newest();
    let good = || issued(1, &[1, 2], newest);
    let with = |change: fn(&mut locum_model::IssueRecord)| {
        let mut record = good();
        change(&mut record);
        record
    };
    for (record, reason) in [
        (issued(1, &[], newest), Reason::TaskNotFound),
        (issued(1, &[2], newest), Reason::TaskNotFound),
        (issued(1, &[2, 1], newest), Reason::TaskNotFound),
        (issued(1, &[1, 1, 2], newest), Reason::TaskNotFound),
        (issued(1, &[1, 2, 9], newest), Reason::TaskNotFound),
        (with(|record| record.expires_at = record.issued_at), Reason::TokenExpired),
        (with(|record| record.expires_at = Timestamp::from_millis(i64::MIN)), Reason::TokenExpired),
        (
            with(|record| record.standing.actors = vec![record.standing.actors[0]; ACTORS_MAX + 1]),
            Reason::ChainTooLong,
        ),
    ] {
        assert_eq!(journal.apply(&table, issue(record.clone())), Applied::TooLate(reason), "{record:?}");
        assert!(!table.holds(token_id(1)));
    }
    assert!(matches!(journal.apply(&table, issue(good())), Applied::Issued(_)), "the good one passes");
    assert_eq!(journal.apply(&table, issue(good())), Applied::TooLate(Reason::TokenIdRepeated));
    assert_eq!(table.counts().tokens, 1);
}

#[test]
fn a_task_that_breaks_the_bounds_of_the_model_is_refused() {
    let (table, mut journal) = table();
    for task in 3..=TASK_DEPTH_MAX as u64 {
        let event = start(started(task, Some(task - 1), journal.newest()));
        assert_eq!(journal.apply(&table, event), Applied::Started, "{task}");
    }
    let deepest = TASK_DEPTH_MAX as u64;
    let deeper = start(started(50, Some(deepest), journal.newest()));
    assert_eq!(journal.apply(&table, deeper), Applied::TooLate(Reason::ChainTooLong));
    let orphan = start(started(51, Some(99), journal.newest()));
    assert_eq!(journal.apply(&table, orphan), Applied::TooLate(Reason::TaskNotFound));
    let again = start(started(1, None, journal.newest()));
    assert_eq!(journal.apply(&table, again), Applied::TooLate(Reason::Internal));
    let mut wide = started(52, None, journal.newest());
    wide.connectors = (0..=SCOPE_GRANTS_MAX as u32 + 4).map(|number| named(number, number + 10)).collect();
    assert_eq!(journal.apply(&table, start(wide)), Applied::TooLate(Reason::Internal));
    assert_eq!(table.counts().tasks, TASK_DEPTH_MAX);
}

#[test]
fn a_decision_of_another_home_or_of_the_future_outlives_nothing() {
    let elsewhere = Position { home: 9, epoch: 1, sequence: 1_000_000 };
    for decided_at in [elsewhere, at(u64::MAX), at(1_000)] {
        let (table, mut journal) = table();
        let record = issued(1, &[1, 2], decided_at);
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
        // A key's revocation kills no task, so that the token's own decision is what is judged.
        journal.apply(&table, revoked(Target::SigningKey(kid(10)), None, noon_plus(1)));
        let answer = table.lookup_verified(token_id(1), noon_plus(1));
        assert!(matches!(answer, Lookup::Dead(_)), "{decided_at}: {answer:?}");
    }
}

#[test]
fn an_end_of_another_home_takes_everything() {
    let (table, mut journal) = table();
    let until = Position { home: 9, epoch: 1, sequence: 1 };
    journal.apply(&table, revoked(Target::Tenant(TenantNo(1)), Some(until), noon_plus(1)));
    assert_eq!(table.task(task_id(1)), Some(Err(Reason::TaskRevoked)));
    assert_eq!(table.watermark(Target::Tenant(TenantNo(1))), Some(at(2)));
}
