//! The preview counts exactly what the revocation then kills.

use locum_model::{ConnectorNo, OwnerNo, Position, Target, TaskId, TenantNo, WorkloadNo};
use proptest::prelude::*;

use super::samples::*;
use crate::{Lookup, Paging, Preview, Table};

const TASKS: u64 = 6;
const TOKENS: u128 = 40;

/// Tasks 1 to 6 in a small tree and 40 tokens over three workloads and connectors.
fn table() -> (Table, Journal) {
    let (table, mut journal) = (empty_table(), Journal::default());
    for task in 1..=TASKS {
        let parent = (task > 2).then_some(task / 2);
        let mut event = started(task, parent, journal.newest());
        event.subject_key = subject((task % 2) as u8);
        event.connectors = vec![named((task % 3) as u32, 8)];
        journal.apply(&table, start(event));
    }
    for n in 1..=TOKENS {
        let chain = chain(n as u64 % TASKS + 1);
        let mut record = issued(n, &chain, journal.newest());
        record.standing.connector = ConnectorNo((n % 3) as u32);
        record.standing.actors[0].workload = WorkloadNo((n % 4) as u32);
        record.issued_at = noon_plus(n as i64);
        record.expires_at = noon_plus(n as i64 + 100);
        journal.apply(&table, issue(record));
    }
    assert_eq!(table.counts().tokens, TOKENS as usize);
    (table, journal)
}

/// From root to leaf.
fn chain(leaf: u64) -> Vec<u64> {
    let mut chain: Vec<u64> =
        std::iter::successors(Some(leaf), |task| (*task > 2).then_some(task / 2)).collect();
    chain.reverse();
    chain
}

fn live(table: &Table) -> (Vec<u128>, usize) {
    let is_live = |n: &u128| matches!(table.lookup_verified(token_id(*n), noon_plus(40)), Lookup::Live(_));
    let tasks = (1..=TASKS).filter(|task| table.task(task_id(*task)) == Some(Ok(()))).count();
    ((1..=TOKENS).filter(is_live).collect(), tasks)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        (1..=TOKENS).prop_map(|n| Target::Token(token_id(n))),
        (1..=TASKS).prop_map(|n| Target::Task(task_id(n))),
        (0..3_u8).prop_map(|n| Target::Subject(subject(n))),
        (0..5_u32).prop_map(|n| Target::Workload(WorkloadNo(n))),
        (0..4_u32).prop_map(|n| Target::Connector(ConnectorNo(n))),
        (0..3_u32).prop_map(|n| Target::Tenant(TenantNo(n))),
        (7..9_u32).prop_map(|n| Target::Owner(OwnerNo(n))),
        (9..12_u8).prop_map(|n| Target::SigningKey(kid(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_preview_is_what_then_dies(first in target(), second in target(), until in prop::option::of(0..60_u64)) {
        let (table, mut journal) = table();
        journal.apply(&table, revoked(first, None, noon_plus(40)));
        let (before, tasks_before) = live(&table);
        let listed = pages(&table, second);
        let until: Option<Position> = until.map(at);
        let preview = table.preview(&[second], until, 1_000);
        journal.apply(&table, revoked(second, until, noon_plus(40)));
        let (after, tasks_after) = live(&table);
        let died: Vec<i64> = before.iter().filter(|n| !after.contains(n)).map(|n| *n as i64).collect();
        prop_assert!(preview.complete);
        if until.is_none() {
            prop_assert_eq!(listed, died.iter().map(|n| *n as u128).collect::<Vec<_>>());
        }
        prop_assert_eq!(preview.tokens, died.len());
        prop_assert_eq!(preview.oldest_issued_at, died.iter().min().map(|n| noon_plus(*n)));
        prop_assert_eq!(preview.newest_issued_at, died.iter().max().map(|n| noon_plus(*n)));
        prop_assert_eq!(preview.by_workload.iter().map(|(_, n)| n).sum::<usize>(), died.len());
        prop_assert_eq!(preview.by_connector.iter().map(|(_, n)| n).sum::<usize>(), died.len());
        // Naming a token by id looks at no task, and kills none.
        prop_assert_eq!(preview.tasks, tasks_before - tasks_after);
    }
}

/// Every token of a listing in pages of three, by number.
fn pages(table: &Table, target: Target) -> Vec<u128> {
    let (mut tokens, mut after) = (Vec::new(), None);
    loop {
        let page = table.list(&[target], Paging { size: 3, after, scan_max: 1_000 });
        assert!(page.complete && page.tokens.len() <= 3);
        tokens.extend(page.tokens.iter().map(|token| u128::from_be_bytes(token.place.jti.0)));
        after = page.tokens.last().map(|token| token.place);
        if !page.more {
            return tokens;
        }
    }
}

#[test]
fn a_listing_looks_at_so_much_and_finds_a_token_by_its_id_all_the_same() {
    let (table, _) = table();
    let paging = |scan_max| Paging { size: 100, after: None, scan_max };
    let cut = table.list(&[Target::Tenant(TenantNo(1))], paging(5));
    assert!(!cut.complete && !cut.more && cut.tokens.len() <= 5);
    let named = table.list(&[Target::Token(token_id(TOKENS))], paging(5));
    assert!(named.complete && named.tokens.len() == 1, "{named:?}");
    assert_eq!(named.tokens[0].connector, Some(ConnectorNo((TOKENS % 3) as u32)));
    let rows = table.rows_by(|tenant| tenant == TenantNo(1));
    assert_eq!(rows.connector, [(ConnectorNo(1), 14), (ConnectorNo(0), 13), (ConnectorNo(2), 13)]);
    assert_eq!(rows.workload.iter().map(|(_, rows)| rows).sum::<usize>(), TOKENS as usize);
    assert_eq!(table.rows_by(|_| false), crate::RowsBy::default());
}

#[test]
fn a_scan_that_is_cut_short_says_so_and_counters_stand_in_for_registrations() {
    let (table, _) = table();
    let counted = table.preview(&[Target::Tenant(TenantNo(1))], None, 5);
    assert_eq!((counted.tokens, counted.complete), (TOKENS as usize, false));
    assert_eq!(counted.by_connector, [(ConnectorNo(1), 14), (ConnectorNo(0), 13), (ConnectorNo(2), 13)]);
    assert!(counted.oldest_issued_at.is_some());
    let scanned = table.preview(&[Target::Task(task_id(1))], None, 5);
    assert!(scanned.tokens <= 5 && !scanned.complete);
    let nothing = table.preview(&[], None, 5);
    assert_eq!(nothing, Preview { complete: true, ..Preview::default() });
}

#[test]
fn the_tasks_under_a_task_come_parents_first_and_bounded() {
    let (table, _) = table();
    let counts = |tasks: Vec<TaskId>| tasks.into_iter().map(TaskId::count).collect::<Vec<_>>();
    assert_eq!(counts(table.tasks_under(task_id(1), 10)), [3, 6]);
    assert_eq!(counts(table.tasks_under(task_id(2), 10)), [4, 5]);
    assert_eq!(counts(table.tasks_under(task_id(2), 1)), [4]);
    assert_eq!(counts(table.tasks_under(task_id(2), 0)), [0; 0]);
    assert_eq!(counts(table.tasks_under(task_id(99), 10)), [0; 0]);
}
