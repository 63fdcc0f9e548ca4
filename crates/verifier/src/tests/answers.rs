//! What a verifier answers about tokens, being well fed.

use std::time::Duration;

use locum_model::{Confirmation, IssueRecord, Position, Reason, Target, Timestamp, TokenId};

use super::stage::*;
use crate::{Answer, Inactive, Moment, Presented, Unknown, Verifier};

fn inactive(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Inactive(inactive) => Some(inactive.reason()),
        _ => None,
    }
}

fn is_active(verifier: &Verifier, token: &str, now: Moment) -> bool {
    matches!(verifier.check(token, &BARE, now), Answer::Active(_))
}

#[test]
fn a_good_token_is_active_the_first_time_and_every_time() {
    let verifier = fresh(&Broker::new(), at(0));
    let token = token(&record());
    for turn in 0..3 {
        let Answer::Active(claims) = verifier.check(&token, &BARE, at(10)) else { unreachable!("{turn}") };
        assert_eq!((claims.jti, claims.audience.as_str()), (record().jti, AUDIENCE));
        assert_eq!(verifier.figures(at(10)).recognised, turn);
    }
    let figures = verifier.figures(at(10));
    assert_eq!((figures.active, figures.tokens, figures.inactive), (3, 1, vec![]));
    assert_eq!(figures.position, Some(Position { home: 1, epoch: 1, sequence: 100 }));
    assert_eq!(figures.lease_left, Some(LEASE - Duration::from_millis(10)));
}

#[test]
fn every_level_kills_what_was_decided_before_and_only_that() {
    let (record, now) = (record(), at(10));
    let older = token(&record);
    for (target, another) in targets() {
        for seen_before in [false, true] {
            let mut broker = Broker::new();
            let verifier = fresh(&broker, at(0));
            if seen_before {
                assert!(is_active(&verifier, &older, now));
            }
            broker.revoke(&[another], now).to(&verifier, now).expect("a good frame");
            broker.beat(&verifier, now).expect("the lease is kept");
            assert!(is_active(&verifier, &older, now), "{another:?}");
            broker.revoke(&[target], now).to(&verifier, now).expect("a good frame");
            let answer = verifier.check(&older, &BARE, now);
            // Decided at 100, before the other revocation: the watermark is at 102.
            assert_eq!(answer, Answer::Inactive(Inactive::Revoked(target.level())), "{target:?}");
            let decided_at = Position { sequence: 103, ..record.decided_at };
            let younger = token(&IssueRecord { decided_at, ..record.clone() });
            assert!(is_active(&verifier, &younger, now), "{target:?}");
        }
    }
}

#[test]
fn the_watermark_itself_is_dead_and_the_next_is_not() {
    let now = at(10);
    for (target, _) in targets() {
        let mut broker = Broker::new();
        let verifier = fresh(&broker, at(0));
        broker.revoke(&[target], now).to(&verifier, now).expect("a good frame");
        for (sequence, active) in [(0, false), (99, false), (100, false), (101, true), (1 << 47, true)] {
            let decided_at = Position { sequence, ..record().decided_at };
            let token = token(&IssueRecord { decided_at, ..record() });
            assert_eq!(is_active(&verifier, &token, now), active, "{target:?} at {sequence}");
        }
    }
}

#[test]
fn what_was_in_force_before_is_in_the_snapshot() {
    for (target, _) in targets() {
        let mut broker = Broker::new();
        broker.revoke(&[target], at(0));
        let verifier = fresh(&broker, at(0));
        let answer = verifier.check(&token(&record()), &BARE, at(1));
        assert_eq!(answer, Answer::Inactive(Inactive::Revoked(target.level())));
    }
}

#[test]
fn times_are_judged_without_leeway_by_the_later_clock() {
    let verifier = fresh(&Broker::new(), at(0));
    let short = IssueRecord { expires_at: Timestamp::from_seconds(START + 1), ..record() };
    let short = token(&short);
    let lag = |wall: i64| Moment { wall: Timestamp::from_millis(START * 1000 + wall), ..at(999) };
    for (now, active) in
        [(at(999), true), (lag(0), true), (lag(-5_000), true), (lag(1_000), false), (lag(0), false)]
    {
        assert_eq!(is_active(&verifier, &short, now), active, "{now:?}");
    }
    // What was over once stays so, for every token, whatever the clock does.
    assert!(!is_active(&verifier, &short, at(0)));
    // The wall clock is behind, the broker's is not.
    let verifier = fresh(&Broker::new(), at(0));
    assert!(is_active(&verifier, &short, at(999)));
    let behind = Moment { wall: Timestamp::from_millis(START * 1000), ..at(1_000) };
    assert_eq!(inactive(&verifier.check(&short, &BARE, behind)), Some(Reason::TokenExpired));
    let early = IssueRecord { not_before: Timestamp::from_seconds(START + 1), ..record() };
    let early = token(&early);
    let verifier = fresh(&Broker::new(), at(0));
    assert_eq!(inactive(&verifier.check(&early, &BARE, at(999))), Some(Reason::TokenNotYetValid));
    assert!(is_active(&verifier, &early, at(1000)));
}

#[test]
fn a_clock_that_is_far_off_is_named() {
    let verifier = fresh(&Broker::new(), at(0));
    let token = token(&record());
    let off = |millis: i64| Moment { wall: Timestamp::from_millis(START * 1000 + millis), ..at(0) };
    for millis in [-5_000, -60_000, 5_000, 60_000] {
        assert!(is_active(&verifier, &token, off(millis)), "{millis}");
    }
    for millis in [-60_001, 60_001, -600_000, 600_000, -START * 1000, i64::from(i32::MAX) * 1000] {
        let unknown = Unknown::Clock { ahead_millis: millis };
        assert_eq!(verifier.check(&token, &BARE, off(millis)), Answer::Unknown(unknown));
        assert_eq!(verifier.lack(off(millis)), Some(unknown));
        assert_eq!(verifier.figures(off(millis)).clock_ahead_millis, Some(millis));
    }
    for wall in [i64::MIN, i64::MAX] {
        let now = Moment { wall: Timestamp::from_millis(wall), ..at(0) };
        assert!(matches!(verifier.check(&token, &BARE, now), Answer::Unknown(Unknown::Clock { .. })));
    }
    assert!(is_active(&verifier, &token, at(0)));
}

#[test]
fn a_bound_token_needs_its_key() {
    let verifier = fresh(&Broker::new(), at(0));
    let bound = token(&IssueRecord { confirmation: Some(Confirmation::Certificate([7; 32])), ..record() });
    let shown = |certificate| Presented { certificate, proof: None };
    for (certificate, active) in [(None, false), (Some([8; 32]), false), (Some([7; 32]), true), (None, false)]
    {
        let answer = verifier.check(&bound, &shown(certificate), at(0));
        assert_eq!(matches!(answer, Answer::Active(_)), active, "{certificate:?}");
        assert_eq!(inactive(&answer), (!active).then_some(Reason::TokenUnproved));
    }
    let free = token(&record());
    assert!(matches!(verifier.check(&free, &shown(Some([7; 32])), at(0)), Answer::Active(_)));
}

#[test]
fn only_online_can_count_uses() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    for uses_max in [1, 3] {
        let counted = token(&IssueRecord { uses_max: Some(uses_max), ..record() });
        assert_eq!(verifier.check(&counted, &BARE, at(0)), Answer::Unknown(Unknown::OnlineOnly));
    }
    let counted = token(&IssueRecord { uses_max: Some(1), ..record() });
    broker.revoke(&[Target::Token(record().jti)], at(0)).to(&verifier, at(0)).expect("good");
    assert_eq!(inactive(&verifier.check(&counted, &BARE, at(0))), Some(Reason::TokenRevoked));
}

#[test]
fn another_connectors_token_is_nobodys() {
    let verifier = fresh(&Broker::new(), at(0));
    let mut elsewhere = record();
    elsewhere.standing.connector.0 = 5;
    let other_audience = IssueRecord { audience: "https://orders.test/".to_owned(), ..record() };
    for other in [elsewhere, other_audience] {
        let answer = verifier.check(&token(&other), &BARE, at(0));
        assert_eq!(answer, Answer::Inactive(Inactive::WrongAudience));
    }
    assert_eq!(verifier.figures(at(0)).tokens, 0, "they take no place");
}

#[test]
fn a_decision_made_elsewhere_is_unknown() {
    let verifier = fresh(&Broker::new(), at(0));
    for (home, epoch, expected) in [(2, 1, false), (1, 2, false), (1, 1, true), (1, 0, true)] {
        let decided_at = Position { home, epoch, sequence: 500 };
        let token = token(&IssueRecord { decided_at, ..record() });
        let answer = verifier.check(&token, &BARE, at(0));
        let unknown = Answer::Unknown(Unknown::Elsewhere);
        assert_eq!(matches!(answer, Answer::Active(_)), expected, "{home}.{epoch}: {answer:?}");
        assert!(expected || answer == unknown);
    }
}

#[test]
fn a_key_that_leaves_the_set_never_verifies_again() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let (kept, gone) = (token(&record()), token(&IssueRecord { kid: KEYS.other_token, ..record() }));
    assert!(is_active(&verifier, &kept, at(0)) && is_active(&verifier, &gone, at(0)));
    broker.token_keys = vec![KEYS.token];
    broker.key_set += 1;
    broker.key_set(at(0)).to(&verifier, at(0)).expect("a good set");
    assert_eq!(inactive(&verifier.check(&gone, &BARE, at(0))), Some(Reason::TokenUnknownKey));
    assert!(is_active(&verifier, &kept, at(0)));
}

#[test]
fn the_memo_is_bounded_and_lets_go_of_what_is_over() {
    let broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let short = Timestamp::from_seconds(START + 1);
    for n in 0..600_u32 {
        let jti = TokenId(u128::from(n).to_be_bytes());
        assert!(is_active(&verifier, &token(&IssueRecord { jti, expires_at: short, ..record() }), at(0)));
    }
    assert!((200..=256).contains(&verifier.figures(at(0)).tokens));
    for turn in 0..64 {
        broker.beat(&verifier, at(1_000 + turn)).expect("good");
    }
    assert_eq!(verifier.figures(at(1_064)).tokens, 0);
}
