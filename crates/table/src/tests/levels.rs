//! Every level kills what was decided before, and only that.

use locum_model::{
    ConnectorNo, Level, ModelNo, OwnerNo, PolicyRevision, Reason, Target, TenantNo, WorkloadNo,
};

use super::samples::*;
use crate::{Applied, Dead, Lookup, Table};

/// The targets of a level that the sample token rests on.
fn targets(level: Level) -> Vec<Target> {
    match level {
        Level::Token => vec![Target::Token(token_id(1))],
        Level::Task => vec![Target::Task(task_id(1)), Target::Task(task_id(2)), Target::Task(task_id(3))],
        Level::Subject => vec![Target::Subject(subject(5))],
        Level::Workload => vec![Target::Workload(WorkloadNo(2))],
        Level::Connector => vec![Target::Connector(ConnectorNo(6))],
        Level::Tenant => vec![Target::Tenant(TenantNo(1))],
        Level::Owner => vec![Target::Owner(OwnerNo(3)), Target::Owner(OwnerNo(8))],
        Level::Model => vec![Target::Model(ModelNo(4))],
        Level::SigningKey => vec![Target::SigningKey(kid(10))],
        Level::PolicyRevision => vec![Target::PolicyRevision(PolicyRevision(9))],
    }
}

/// A target of the level that it does not rest on.
fn another(level: Level) -> Target {
    match level {
        Level::Token => Target::Token(token_id(2)),
        Level::Task => Target::Task(task_id(9)),
        Level::Subject => Target::Subject(subject(6)),
        Level::Workload => Target::Workload(WorkloadNo(u32::MAX)),
        Level::Connector => Target::Connector(ConnectorNo(5)),
        Level::Tenant => Target::Tenant(TenantNo(2)),
        Level::Owner => Target::Owner(OwnerNo(4)),
        Level::Model => Target::Model(ModelNo(3)),
        Level::SigningKey => Target::SigningKey(kid(11)),
        Level::PolicyRevision => Target::PolicyRevision(PolicyRevision(8)),
    }
}

/// Whether revoking the target also kills the tasks that the sample token is for.
fn kills_tasks(target: Target) -> bool {
    !matches!(target.level(), Level::Token | Level::SigningKey | Level::PolicyRevision)
}

/// Task 3 below 2 below 1, token 1 for task 3: positions 1 to 4.
fn issued_in_a_chain() -> (Table, Journal) {
    let (table, mut journal) = (empty_table(), Journal::default());
    for (task, parent) in [(1, None), (2, Some(1)), (3, Some(2))] {
        let decided_at = journal.newest();
        assert_eq!(journal.apply(&table, start(started(task, parent, decided_at))), Applied::Started);
    }
    let record = issued(1, &[1, 2, 3], journal.newest());
    assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    (table, journal)
}

fn reason(table: &Table, jti: u128) -> Option<Reason> {
    match table.lookup_verified(token_id(jti), noon_plus(1)) {
        Lookup::Live(_) => None,
        Lookup::Dead(Dead { reason, .. }) => Some(reason),
        Lookup::Unrecognised => Some(Reason::TokenUnknown),
    }
}

#[test]
fn every_level_kills_what_was_decided_before() {
    for target in Level::ALL.into_iter().flat_map(targets) {
        let (table, mut journal) = issued_in_a_chain();
        assert_eq!(reason(&table, 1), None);
        journal.apply(&table, revoked(target, None, noon_plus(1)));
        assert_eq!(reason(&table, 1), Some(Reason::TokenRevoked), "{target:?}");
        let task = table.task(task_id(3)).expect("known");
        let expected = if kills_tasks(target) { Err(Reason::TaskRevoked) } else { Ok(()) };
        assert_eq!(task, expected, "{target:?}");
        assert_eq!(table.watermark(target), Some(at(4)));
    }
}

#[test]
fn a_registration_that_is_removed_takes_its_tokens_along() {
    for target in Level::ALL.into_iter().flat_map(targets) {
        let (table, mut journal) = issued_in_a_chain();
        journal.apply(&table, removed(vec![target], noon_plus(1)));
        assert_eq!(reason(&table, 1), Some(Reason::TokenRevoked), "{target:?}");
    }
}

#[test]
fn no_level_kills_what_rests_on_another() {
    for target in Level::ALL.map(another) {
        let (table, mut journal) = issued_in_a_chain();
        journal.apply(&table, revoked(target, None, noon_plus(1)));
        assert_eq!(reason(&table, 1), None, "{target:?}");
        assert_eq!(table.task(task_id(3)), Some(Ok(())), "{target:?}");
    }
}

#[test]
fn no_level_kills_what_was_decided_after() {
    for target in Level::ALL.into_iter().flat_map(targets) {
        let (table, mut journal) = (empty_table(), Journal::default());
        journal.apply(&table, revoked(target, None, noon_plus(0)));
        for (task, parent) in [(1, None), (2, Some(1)), (3, Some(2))] {
            let decided_at = journal.newest();
            let event = start(started(task, parent, decided_at));
            assert_eq!(journal.apply(&table, event), Applied::Started, "{target:?}");
        }
        let record = issued(1, &[1, 2, 3], journal.newest());
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)), "{target:?}");
        assert_eq!(reason(&table, 1), None, "{target:?}");
    }
}

#[test]
fn a_revocation_reaches_what_was_decided_before_it_and_lands_after_it() {
    for target in Level::ALL.into_iter().flat_map(targets) {
        let (table, mut journal) = (empty_table(), Journal::default());
        for (task, parent) in [(1, None), (2, Some(1)), (3, Some(2))] {
            let decided_at = journal.newest();
            journal.apply(&table, start(started(task, parent, decided_at)));
        }
        let decided_at = journal.newest();
        journal.apply(&table, revoked(target, None, noon_plus(0)));
        let event = issue(issued(1, &[1, 2, 3], decided_at));
        assert_eq!(journal.apply(&table, event), Applied::TooLate(Reason::TokenRevoked), "{target:?}");
        assert!(!table.holds(token_id(1)));
        let child = start(started(4, Some(3), decided_at));
        let expected =
            if kills_tasks(target) { Applied::TooLate(Reason::TaskRevoked) } else { Applied::Started };
        assert_eq!(journal.apply(&table, child), expected, "{target:?}");
    }
}

#[test]
fn until_spares_what_was_decided_later_and_never_reaches_past_the_event() {
    // The token was decided at position 3; the revocation stands at 5, so that its watermark is 4.
    for (until, dead) in
        [(None, true), (Some(2), false), (Some(3), true), (Some(4), true), (Some(1_000), true)]
    {
        for target in
            [Target::Connector(ConnectorNo(6)), Target::Token(token_id(1)), Target::Subject(subject(5))]
        {
            let (table, mut journal) = issued_in_a_chain();
            // All tasks were decided at 0 to 2 and fall with a subject or a connector in any case.
            journal.apply(&table, revoked(target, until.map(at), noon_plus(1)));
            let task_is_dead = table.task(task_id(3)) != Some(Ok(()));
            assert_eq!(reason(&table, 1).is_some(), dead || task_is_dead, "{target:?} until {until:?}");
            assert_eq!(table.watermark(target), Some(at(until.unwrap_or(4).min(4))));
            let later = issue(issued(2, &[1, 2, 3], journal.newest()));
            let lives = matches!(journal.apply(&table, later), Applied::Issued(_));
            assert_eq!(lives, !task_is_dead, "{target:?} until {until:?}");
        }
    }
}

#[test]
fn a_watermark_is_never_lowered() {
    let (table, mut journal) = issued_in_a_chain();
    let target = Target::Tenant(TenantNo(1));
    journal.apply(&table, revoked(target, None, noon_plus(1)));
    journal.apply(&table, revoked(target, Some(at(1)), noon_plus(2)));
    assert_eq!(table.watermark(target), Some(at(4)));
    assert_eq!(reason(&table, 1), Some(Reason::TokenRevoked));
}

#[test]
fn revoking_a_middle_ancestor_kills_what_is_below_and_nothing_above() {
    let (table, mut journal) = issued_in_a_chain();
    for (jti, chain) in [(2, &[1, 2][..]), (3, &[1][..])] {
        let record = issued(jti, chain, journal.newest());
        assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    }
    journal.apply(&table, revoked(Target::Task(task_id(2)), None, noon_plus(1)));
    assert_eq!([1, 2, 3].map(|jti| reason(&table, jti).is_some()), [true, true, false]);
    assert_eq!(table.task(task_id(1)), Some(Ok(())));
    assert_eq!(table.task(task_id(2)), Some(Err(Reason::TaskRevoked)));
    assert_eq!(table.task(task_id(3)), Some(Err(Reason::TaskRevoked)));
    let late = issued(4, &[1, 2, 3], journal.newest());
    assert_eq!(journal.apply(&table, issue(late)), Applied::TooLate(Reason::TaskRevoked));
}

#[test]
fn a_tasks_watermark_from_before_its_start_still_covers_older_decisions() {
    let (table, mut journal) = issued_in_a_chain();
    let old = journal.newest();
    journal.apply(&table, revoked(Target::Task(task_id(4)), None, noon_plus(0)));
    journal.apply(&table, start(started(4, None, journal.newest())));
    assert_eq!(table.task(task_id(4)), Some(Ok(())), "decided after");
    let older = issue(issued(2, &[4], old));
    assert_eq!(journal.apply(&table, older), Applied::TooLate(Reason::TokenRevoked));
    let newer = issue(issued(2, &[4], journal.newest()));
    assert!(matches!(journal.apply(&table, newer), Applied::Issued(_)));
}

#[test]
fn a_tasks_watermark_covers_a_token_that_was_decided_before_its_task() {
    let (table, mut journal) = issued_in_a_chain();
    let old = journal.newest();
    journal.apply(&table, removed(Vec::new(), noon_plus(0)));
    journal.apply(&table, start(started(4, None, journal.newest())));
    assert!(matches!(journal.apply(&table, issue(issued(2, &[4], old))), Applied::Issued(_)));
    // Twice, so that the second time every memo of the lookup is filled.
    assert_eq!([reason(&table, 2), reason(&table, 2)], [None, None]);
    journal.apply(&table, revoked(Target::Task(task_id(4)), Some(old), noon_plus(1)));
    assert_eq!(table.task(task_id(4)), Some(Ok(())), "decided later");
    assert_eq!(reason(&table, 2), Some(Reason::TokenRevoked));
}

#[test]
fn each_actor_and_a_connector_of_the_intent_alone_count_too() {
    // Connector 7 is named by the task's intent only.
    let (table, mut journal) = issued_in_a_chain();
    journal.apply(&table, revoked(Target::Connector(ConnectorNo(7)), None, noon_plus(1)));
    assert_eq!(reason(&table, 1), Some(Reason::TaskRevoked));

    for target in [Target::Workload(WorkloadNo(20)), Target::Owner(OwnerNo(30)), Target::Model(ModelNo(40))] {
        let (table, mut journal) = issued_in_a_chain();
        let mut record = issued(2, &[1, 2, 3], journal.newest());
        let root =
            locum_model::Actor { workload: WorkloadNo(20), owner: OwnerNo(30), model: Some(ModelNo(40)) };
        record.standing.actors.insert(0, root);
        journal.apply(&table, issue(record));
        journal.apply(&table, revoked(target, None, noon_plus(1)));
        assert_eq!((reason(&table, 1), reason(&table, 2)), (None, Some(Reason::TokenRevoked)), "{target:?}");
    }
}

#[test]
fn a_retired_key_signs_nothing_that_lives_whenever_it_was_decided() {
    let (table, mut journal) = issued_in_a_chain();
    journal.apply(&table, retired(kid(10), noon_plus(1)));
    assert_eq!(reason(&table, 1), Some(Reason::TokenRevoked));
    let later = issued(2, &[1, 2, 3], journal.newest());
    assert_eq!(journal.apply(&table, issue(later.clone())), Applied::TooLate(Reason::TokenRevoked));
    let mut with_another = later;
    with_another.kid = kid(11);
    assert!(matches!(journal.apply(&table, issue(with_another)), Applied::Issued(_)));
}
