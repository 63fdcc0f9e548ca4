//! Courses of requests: those that meet, and what a crash must not bring back.

use std::time::Duration;

use locum_model::event::Outcome;

use super::TTL;
use crate::ask::IssueAsk;
use crate::run::Run;

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
