//! Many threads check while one applies: a revocation counts for every check that starts after
//! `apply` returned.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use locum_model::{IssueRecord, Position, Target, TaskId, TokenId};

use super::stage::*;
use crate::Answer;

const ROUNDS: u64 = 300;
const READERS: usize = 4;

#[test]
fn no_check_that_starts_after_a_revocation_was_applied_says_active() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let tokens: Vec<String> = (0..ROUNDS)
        .map(|round| {
            let (jti, tasks) = (TokenId(u128::from(round).to_be_bytes()), vec![TaskId::new(1, round)]);
            let decided_at = Position { sequence: 90, ..record().decided_at };
            token(&IssueRecord { jti, tasks, decided_at, ..record() })
        })
        .collect();
    let revoked = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    // Nothing is revoked before every reader is at work, however late it is let run.
    let all_read = Barrier::new(READERS + 1);
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (verifier, tokens, revoked, over, all_read) =
                (&verifier, &tokens, &revoked, &over, &all_read);
            scope.spawn(move || {
                let first = verifier.check(&tokens[reader], &BARE, at(10));
                all_read.wait();
                assert!(matches!(first, Answer::Active(_)), "{first:?}");
                let mut turn = reader as u64;
                while !over.load(Ordering::Acquire) {
                    // Mostly near the edge, where a stale answer would show.
                    let edge = revoked.load(Ordering::Acquire);
                    let at_token = (edge + turn % 5).saturating_sub(2).min(ROUNDS - 1);
                    let known_dead = revoked.load(Ordering::Acquire) > at_token;
                    let answer = verifier.check(&tokens[at_token as usize], &BARE, at(10));
                    let active = matches!(answer, Answer::Active(_));
                    assert!(!(active && known_dead), "token {at_token} after {edge}");
                    assert!(!matches!(answer, Answer::Unknown(_)), "{answer:?}");
                    turn += 1;
                }
            });
        }
        all_read.wait();
        for round in 0..ROUNDS {
            let target = match round % 2 {
                0 => Target::Task(TaskId::new(1, round)),
                _ => Target::Token(TokenId(u128::from(round).to_be_bytes())),
            };
            broker.revoke(&[target], at(10)).to(&verifier, at(10)).expect("good");
            revoked.store(round + 1, Ordering::Release);
        }
        over.store(true, Ordering::Release);
    });
    for token in &tokens {
        assert!(matches!(verifier.check(token, &BARE, at(10)), Answer::Inactive(_)));
    }
}
