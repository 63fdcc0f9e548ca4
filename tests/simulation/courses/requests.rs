//! Courses of requests: those that meet, and what a crash must not bring back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_broker::{Binding, Holder, IssueToken, NextTick, ShownProof};
use locum_model::Reason;
use locum_model::event::Outcome;
use locum_model::limits::REAPER_ASKS_MAX;
use locum_token::dpop::ProofKey;

use super::TTL;
use crate::around::poll;
use crate::ask::IssueAsk;
use crate::model::Over;
use crate::run::{ISSUER, Run};
use crate::universe::scope;

/// R3: a record that lands after its task ended is signed for nobody.
pub(super) fn task_ends_meanwhile(run: &mut Run) {
    let at = run.some_station();
    let ask = run.task_for(at, TTL);
    let tokens = run.model.tokens.len();
    run.issue_token(ask.clone());
    run.end_task(ask.asker.clone(), ask.task, ask.secret, Outcome::Completed);
    assert_eq!(run.pending.len(), 2, "they do not meet");
    run.drain();
    assert_eq!(run.model.tokens.len(), tokens, "the token came first");
    run.introspect_all();
}

/// A lock is looked at once more when what it covers is written down.
pub(super) fn lock_comes_meanwhile(run: &mut Run) {
    let at = run.some_station();
    let ask = run.task_for(at, TTL);
    let tokens = run.model.tokens.len();
    run.issue_token(ask.clone());
    let named = run.name_task(ask.task);
    run.lock(named, &[], 60);
    assert_eq!(run.pending.len(), 2, "they do not meet");
    run.drain();
    assert_eq!(run.model.tokens.len(), tokens, "the token came first");
}

/// R4, P3: a use that was spent is spent, over a crash and over a snapshot too.
pub(super) fn uses_are_spent(run: &mut Run) {
    let at = run.some_station();
    let ask = run.task_for(at, TTL);
    let (token, operation) =
        (run.model.tokens.len(), ask.scope.grants().next().map(|(one, _)| one.to_string()));
    let operation = operation.expect("a scope with an operation");
    run.issue_token(IssueAsk { uses: Some(3), ..ask });
    run.drain();
    for _ in 0..4 {
        run.authorize(token, &operation, None);
        run.drain();
        if run.dice.percent(30) {
            run.compact();
        }
        run.crash();
        run.introspect_all();
    }
    assert_eq!(run.model.tokens[token].uses_left, Some(0), "the uses are not spent");
}

/// V3: proofs of keys take the room of their tenant, and of no other, until they could not be shown again.
pub(super) fn proofs_without_end(run: &mut Run) {
    let at = run.some_station();
    let tenant = run.feed.stations[at].tenant;
    let other = (0..run.feed.stations.len()).find(|other| run.feed.stations[*other].tenant != tenant);
    let (flooding, quiet) = (run.task_for(at, TTL), run.task_for(other.expect("of another tenant"), TTL));
    let key = ProofKey::generate().expect("randomness");
    for round in 0..2 {
        let said: Vec<_> = (0..40).map(|_| prove_once(run, &key, &flooding)).collect();
        let taken = said.iter().take_while(|reason| **reason != Reason::Overloaded).count();
        assert!((1..=8).contains(&taken), "round {round}: {taken} proofs are taken");
        assert!(said[taken..].iter().all(|reason| *reason == Reason::Overloaded), "{said:?}");
        assert_ne!(prove_once(run, &key, &quiet), Reason::Overloaded, "another tenant is refused");
        run.pass(Duration::from_secs(71));
    }
}

/// Asks for more than the task may, with a fresh proof: the proof is looked at first, and nothing is committed.
fn prove_once(run: &mut Run, key: &ProofKey, ask: &IssueAsk) -> Reason {
    let uri = format!("{ISSUER}/locum.broker.v1.TokenService/IssueToken");
    let mut id = [0; 16];
    id[..8].copy_from_slice(&run.dice.next().to_be_bytes());
    let now = run.now().expect("the clock is settled");
    let proof = key.prove(("POST", &uri), None, id, now).expect("randomness");
    let question = IssueToken {
        task: run.model.tasks[ask.task].id,
        holder: Holder::shown(ask.secret),
        scope: scope(&[("orders:refund", &[])]),
        ttl: None,
        uses_max: None,
        binding: Binding::ByProof(ShownProof { proof, method: "POST", uri }),
        request: None,
    };
    let (broker, caller) = (Arc::clone(&run.broker), ask.asker.caller.clone());
    let mut asked: Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { broker.issue_token(&caller, question).await });
    let answered = poll(&mut asked).expect("decided before anything is committed");
    answered.expect_err("wider than its task").reason()
}

/// Lets the reaper come for as long as it has more to do at once; what it waits for then.
fn tick_until_rest(run: &mut Run) -> NextTick {
    let mut ticks = std::iter::repeat_with(|| run.tick().expect("the clock is settled"));
    ticks.by_ref().take(1_000).find(|next| *next != NextTick::AtOnce).expect("it comes to rest")
}

/// Many leases run out in the same moment: a revocation waits for no more ends than are written together.
pub(super) fn leases_run_out_together(run: &mut Run) {
    let at = run.some_station();
    let (all, together) = (REAPER_ASKS_MAX * 2 + 7, REAPER_ASKS_MAX);
    let tasks: Vec<_> = (0..all).map(|_| run.task_for(at, TTL).task).collect();
    run.clock.advance(Duration::from_secs(601));
    let lapsed =
        |run: &Run| tasks.iter().filter(|task| run.model.tasks[**task].over == Some(Over::Lapsed)).count();
    for round in 0..2 {
        assert_eq!(tick_until_rest(run), NextTick::WhenWritten);
        assert_eq!(run.lapsing.len(), together, "round {round}: so many are asked for");
        if round == 0 {
            let named = run.name_task(tasks[all - 1]);
            run.revoke(named, &[], None);
        }
        run.pump();
        run.look_at_all();
        assert_eq!((lapsed(run), run.pending.len()), (together * (round + 1), 0), "round {round}");
    }
    run.tick();
    run.pump();
    assert_eq!(lapsed(run), all - 1, "all but the revoked one");
    assert_eq!(tick_until_rest(run), NextTick::Later);
}

/// Many tokens expire in the same moment: how they were checked is written down in turns, and none of it is lost.
pub(super) fn checked_tokens_expire_together(run: &mut Run) {
    let at = run.some_station();
    let ask = run.task_for(at, TTL);
    for _ in 0..REAPER_ASKS_MAX + 20 {
        run.issue_token(ask.clone());
    }
    run.drain();
    run.introspect_all();
    run.clock.advance(Duration::from_secs(TTL + 1));
    let mut written = Vec::new();
    for next in [NextTick::WhenWritten, NextTick::Later] {
        assert_eq!(tick_until_rest(run), next);
        let before = run.model.sequence();
        run.pump();
        written.push(usize::try_from(run.model.sequence() - before).expect("few"));
    }
    assert_eq!(written, [REAPER_ASKS_MAX, 20], "sums that were written");
}

/// A number is never given twice, and a task that died does not come back for its number's sake.
pub(super) fn newest_task_died(run: &mut Run) {
    let at = run.some_station();
    let ask = run.task_for(at, TTL);
    let named = match run.dice.below(2) {
        0 => run.name_task(ask.task),
        _ => {
            let mark = run.model.tasks[ask.task].marks[0].clone();
            run.name_mark(run.feed.stations[at].tenant, &mark).expect("a workload has a name")
        }
    };
    run.revoke(named, &[], None);
    run.drain();
    // Beyond everything that is kept for as long as anything may live, in steps that a lease allows.
    for _ in 0..4 {
        run.drain();
        run.clock.advance(Duration::from_secs(24 * 3600));
        run.tick();
        run.drain();
        run.compact();
    }
    run.crash();
    run.inspect(ask.task);
    run.compact();
    run.crash();
    run.tick();
    run.calm();
    run.token_for(at, TTL);
}
