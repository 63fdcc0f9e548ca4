//! The boundary of a token's life, and the bytes by which it is recognised.

use std::sync::Arc;

use locum_model::{Reason, Timestamp};

use super::samples::*;
use crate::{Applied, Dead, LiveToken, Lookup, Table};

const COMPACT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiIwMSJ9.c2lnbmF0dXJl";

fn table() -> (Table, Journal) {
    let (table, mut journal) = (empty_table(), Journal::default());
    journal.apply(&table, start(started(1, None, at(0))));
    let record = issued(1, &[1], journal.newest());
    assert!(matches!(journal.apply(&table, issue(record)), Applied::Issued(_)));
    (table, journal)
}

fn live() -> Lookup {
    let expires_at = noon_plus(120);
    Lookup::Live(LiveToken { jti: token_id(1), task: task_id(1), expires_at, uses_left: None })
}

#[test]
fn a_token_is_dead_from_its_expiry_on_and_not_before() {
    let (table, _) = table();
    table.remember(token_id(1), COMPACT);
    let exp = noon_plus(120).as_millis();
    let expired = Lookup::Dead(Dead { jti: token_id(1), task: task_id(1), reason: Reason::TokenExpired });
    for (millis, expected) in [
        (i64::MIN, live()),
        (exp - 1_000, live()),
        (exp - 1, live()),
        (exp, expired),
        (exp + 1, expired),
        (exp + 1_000, expired),
        (i64::MAX, expired),
    ] {
        let now = Timestamp::from_millis(millis);
        assert_eq!(table.lookup(token_id(1), COMPACT, now), expected, "{millis}");
        assert_eq!(table.lookup_verified(token_id(1), now), expected, "{millis}");
    }
}

#[test]
fn expiry_goes_before_every_other_reason() {
    let (table, mut journal) = table();
    journal.apply(&table, revoked(locum_model::Target::Token(token_id(1)), None, noon_plus(1)));
    journal.apply(&table, ended(1, noon_plus(2)));
    let reason = |seconds| match table.lookup_verified(token_id(1), noon_plus(seconds)) {
        Lookup::Dead(dead) => Some(dead.reason),
        _ => None,
    };
    assert_eq!(reason(119), Some(Reason::TokenRevoked));
    assert_eq!(reason(120), Some(Reason::TokenExpired));
}

#[test]
fn part_of_a_second_is_cut_off() {
    let (table, mut journal) = table();
    let mut record = issued(2, &[1], journal.newest());
    record.expires_at = Timestamp::from_millis(noon_plus(120).as_millis() + 999);
    journal.apply(&table, issue(record));
    let at_120 = table.lookup_verified(token_id(2), noon_plus(120));
    assert!(matches!(at_120, Lookup::Dead(Dead { reason: Reason::TokenExpired, .. })));
}

#[test]
fn only_the_very_bytes_are_recognised() {
    let (table, _) = table();
    let now = noon_plus(1);
    assert_eq!(table.lookup(token_id(1), COMPACT, now), Lookup::Unrecognised, "no memo yet");
    table.remember(token_id(1), COMPACT);
    assert_eq!(table.lookup(token_id(1), COMPACT, now), live());
    assert_eq!(table.lookup(token_id(2), COMPACT, now), Lookup::Unrecognised, "another id");
    for length in 0..COMPACT.len() {
        assert_eq!(
            table.lookup(token_id(1), &COMPACT[..length], now),
            Lookup::Unrecognised,
            "{length} bytes"
        );
    }
    for flipped in (0..COMPACT.len() * 7).map(|bit| {
        let mut bytes = COMPACT.as_bytes().to_vec();
        bytes[bit / 7] ^= 1 << (bit % 7);
        String::from_utf8(bytes).expect("still ASCII")
    }) {
        assert_eq!(table.lookup(token_id(1), &flipped, now), Lookup::Unrecognised, "{flipped}");
    }
    let long = "a".repeat(locum_model::limits::TOKEN_BYTES_MAX + 1);
    table.remember(token_id(1), &long);
    assert_eq!(table.lookup(token_id(1), &long, now), Lookup::Unrecognised, "longer than any check looks at");
}

#[test]
fn uses_are_spent_one_by_one_and_then_it_is_dead() {
    let (table, mut journal) = table();
    let mut record = issued(2, &[1], journal.newest());
    record.uses_max = Some(2);
    journal.apply(&table, issue(record));
    let left = || match table.lookup_verified(token_id(2), noon_plus(1)) {
        Lookup::Live(live) => Ok(live.uses_left),
        Lookup::Dead(dead) => Err(dead.reason),
        Lookup::Unrecognised => Err(Reason::TokenUnknown),
    };
    assert_eq!(left(), Ok(Some(2)));
    assert_eq!(journal.apply(&table, used(2, noon_plus(1))), Applied::Used { left: 1 });
    assert_eq!(left(), Ok(Some(1)));
    assert_eq!(journal.apply(&table, used(2, noon_plus(1))), Applied::Used { left: 0 });
    assert_eq!(left(), Err(Reason::TokenSpent));
    for (event, reason) in [
        (used(2, noon_plus(1)), Reason::TokenSpent),
        (used(2, noon_plus(120)), Reason::TokenExpired),
        (used(9, noon_plus(1)), Reason::TokenUnknown),
    ] {
        assert_eq!(journal.apply(&table, event), Applied::TooLate(reason));
    }
    assert_eq!(journal.apply(&table, used(1, noon_plus(1))), Applied::Used { left: u32::MAX }, "no limit");
}

#[test]
fn a_record_can_be_signed_again_only_while_its_token_lives() {
    let (table, mut journal) = table();
    let record = Arc::new(issued(1, &[1], at(1)));
    assert_eq!(table.live(&record, noon_plus(119)).map(|live| live.record().jti), Ok(token_id(1)));
    assert_eq!(table.live(&record, noon_plus(120)), Err(Reason::TokenExpired));
    let never_entered = Arc::new(issued(2, &[1], at(1)));
    assert_eq!(table.live(&never_entered, noon_plus(1)), Err(Reason::TokenExpired));
    assert_eq!(table.workload_of(token_id(1)), record.standing.actors.last().map(|actor| actor.workload));
    assert_eq!(table.workload_of(token_id(2)), None);
    assert_eq!((table.task_of(token_id(1)), table.task_of(token_id(2))), (Some(task_id(1)), None));
    journal.apply(&table, ended(1, noon_plus(2)));
    assert_eq!(table.live(&record, noon_plus(3)), Err(Reason::TaskEnded));
}
