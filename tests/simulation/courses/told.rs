//! Courses of the feed: what verifiers are told, what is lost on the way, clocks, and leases.

use std::time::Duration;

use locum_model::limits::FEED_ENTRIES_PER_FRAME;

use super::TTL;
use crate::network::BREATH;
use crate::run::Run;
use crate::universe::Setup;

// === what is told ===

/// R1: every level is heard of, and kills what rests on it.
pub(super) fn everything_is_revoked(run: &mut Run) {
    let at = run.some_station();
    let tenant = run.feed.stations[at].tenant;
    for level in ["workload", "owner", "model", "connector", "subject", "tenant", "above"] {
        let mut ask = run.task_for(at, TTL);
        let above = ask.task;
        if level == "above" {
            ask = run.child_of(&ask);
        }
        let token = run.believed(at, ask);
        let marks = run.model.tokens[token].marks.clone();
        // Of owners there are several: each in a run of its own.
        let marks: Vec<_> = marks.iter().filter(|mark| mark.starts_with(level)).collect();
        let named = match run.dice.pick(&marks) {
            Some(mark) => run.name_mark(tenant, mark).expect("a level with a name"),
            None if level == "above" => run.name_task(above),
            // Not every workload has a model.
            None => continue,
        };
        let reached: &[&str] = [&["acme"], &["beta"], &["gamma"]][tenant];
        run.revoke(named, reached, None);
        run.drain();
        run.hear_out(at);
        assert!(!run.believes(at, token), "R1: {level} is not heard of");
        assert!(run.lack(at).is_none(), "the verifier has no lease any more");
        run.calm();
    }
}

/// R1: a task that dies with what was issued before some moment takes its later tokens along.
pub(super) fn task_is_too_old(run: &mut Run) {
    let at = run.some_station();
    let tenant = run.feed.stations[at].tenant;
    let ask = run.task_for(at, TTL);
    run.pass(Duration::from_secs(10));
    run.calm();
    let now = run.now().expect("the clock is settled");
    run.pass(Duration::from_secs(1));
    let token = run.believed(at, ask);
    // Its stream may have ended with the proof that it came with.
    run.calm();
    let mark = run.model.tokens[token].marks[0].clone();
    let named = run.name_mark(tenant, &mark).expect("a workload has a name");
    let reached: &[&str] = [&["acme"], &["beta"], &["gamma"]][tenant];
    run.revoke(named, reached, Some(now.minus(Duration::from_secs(4))));
    run.drain();
    run.hear_out(at);
    assert!(!run.believes(at, token), "R1: the task is not heard of");
}

/// R6: a lease counts from when its ping was sent.
pub(super) fn heartbeat_is_late(run: &mut Run) {
    let at = run.some_station();
    let token = run.token_for(at, TTL);
    run.clock.advance(Duration::from_millis(600));
    run.exchange_with(at, usize::MAX, 0);
    let _ = run.place_of(at, "heartbeat");
    run.clock.advance(Duration::from_millis(1_300));
    run.exchange_with(at, 0, usize::MAX);
    assert!(run.believes(at, token), "the heartbeat gave no lease");
    run.cut(at);
    for _ in 0..20 {
        run.clock.advance(Duration::from_millis(100));
        let _ = run.believes(at, token);
    }
    assert!(run.lack(at).is_some(), "R6: the lease does not end");
}

/// R5: who comes back is told what it missed.
pub(super) fn something_was_missed(run: &mut Run) {
    let at = run.some_station();
    let (token, missed) = (run.token_for(at, TTL), run.token_for(at, TTL));
    run.kill(token);
    run.calm();
    run.cut(at);
    run.kill(missed);
    run.turn_pumps();
    run.feed.stations[at].comes_back(true);
    run.calm();
    assert!(!run.believes(at, missed), "R5: it was not told what it missed");
}

/// R1: no lease begins after a revocation that its holder may not know.
pub(super) fn pump_is_late(run: &mut Run) {
    let at = run.some_station();
    let token = run.token_for(at, TTL);
    run.calm();
    run.kill(token);
    run.clock.advance(Duration::from_millis(600));
    (0..2).for_each(|_| run.exchange_with(at, usize::MAX, usize::MAX));
    assert!(run.believes(at, token), "the verifier heard of it, or has no lease any more");
    for _ in 0..60 {
        run.clock.advance(Duration::from_millis(400));
        run.exchange_with(at, usize::MAX, usize::MAX);
        let _ = run.believes(at, token);
    }
    run.hear_out(at);
    assert!(!run.believes(at, token), "the verifier does not hear of it");
}

// === frames that never come ===

/// R2: what is known stays known while a snapshot is on its way.
pub(super) fn snapshot_begins(run: &mut Run) {
    let at = run.some_station();
    let tokens: Vec<_> = (0..=FEED_ENTRIES_PER_FRAME.min(7)).map(|_| run.token_for(at, TTL)).collect();
    tokens.iter().for_each(|token| run.kill(*token));
    run.calm();
    // Of the first alone: whoever was asked about a dead token remembers that, whatever else is forgotten.
    assert!(!run.believes(at, tokens[0]), "the verifier did not hear of them");
    // A broker that has begun anew makes the snapshot of what is in force now, not of when its ring began.
    run.crash();
    run.feed.stations[at].comes_back(false);
    // The keys, and the first part.
    run.exchange_with(at, 1, 2);
    assert!(run.lack(at).is_none(), "the verifier has no lease any more");
    for token in tokens {
        assert!(!run.believes(at, token), "R2: what was known is forgotten");
    }
}

/// R5: a delta that follows one that was lost brings nobody further.
pub(super) fn delta_is_lost(run: &mut Run) {
    let at = run.some_station();
    let (token, other) = (run.token_for(at, TTL), run.token_for(at, TTL));
    run.kill(token);
    assert!(run.lose_frames(at) > 0, "nothing was told");
    assert!(run.believes(at, token), "the verifier heard of it all the same");
    run.kill(other);
    run.linger(at, token, Duration::from_secs(5));
    assert!(!run.believes(at, token) && run.lack(at).is_none(), "the verifier never heard of it");
}

/// R5: a heartbeat from beyond gives no lease.
pub(super) fn only_heartbeats_come(run: &mut Run) {
    let at = run.some_station();
    let token = run.token_for(at, TTL);
    run.kill(token);
    assert!(run.lose_frames(at) > 0, "nothing was told");
    assert!(run.believes(at, token), "the verifier heard of it all the same");
    run.linger(at, token, Duration::from_secs(5));
    assert!(!run.believes(at, token) && run.lack(at).is_none(), "the verifier never heard of it");
}

// === clocks ===

/// T2: a wall clock that is far off makes nothing active.
pub(super) fn wall_clock_is_off(run: &mut Run) {
    let at = run.some_station();
    let token = run.token_for(at, TTL);
    let off = 3_600_000 + run.dice.below(3_600_000) as i64;
    for ahead in [-off, off] {
        run.feed.stations[at].set_wall(ahead);
        let _ = run.believes(at, token);
        assert!(run.lack(at).is_some(), "the verifier does not mind its clock");
        run.feed.stations[at].set_wall(0);
        assert!(run.believes(at, token), "the verifier does not recover");
    }
}

/// R2: what was over by a clock that was ahead stays over.
pub(super) fn wall_clock_was_ahead(run: &mut Run) {
    let at = run.some_station();
    let ttl = 10 + run.dice.below(20) as u64;
    let token = run.token_for(at, ttl);
    run.feed.stations[at].set_wall(40_000);
    assert!(!run.believes(at, token), "the verifier believes what is over by its own clock");
    assert!(run.lack(at).is_none(), "the verifier cannot answer");
    run.feed.stations[at].set_wall(0);
    let _ = run.believes(at, token);
    assert!(run.lack(at).is_none(), "the verifier cannot answer");
}

// === leases of those who are gone ===

/// R1: a revocation is not everywhere while somebody who is gone may answer.
pub(super) fn verifier_is_gone(run: &mut Run) {
    let at = run.some_station();
    let token = run.token_for(at, TTL);
    (0..run.feed.stations.len()).for_each(|at| run.cut(at));
    run.kill(token);
    run.ask_who_is_missing();
    assert!(run.believes(at, token), "the verifier has no lease any more");
    for _ in 0..30 {
        // Nobody connects, so that leases alone end.
        run.clock.advance(Duration::from_millis(100));
        run.ask_who_is_missing();
        let _ = run.believes(at, token);
    }
    assert!(run.feed.waits.is_empty(), "a revocation waits for verifiers that cannot answer");
}

/// R1: whoever comes back is minded for the lease that it has.
pub(super) fn comes_back_with_older_lease(run: &mut Run) {
    let at = run.some_station();
    let tenant = run.feed.stations[at].tenant;
    for patient in [true, false] {
        let mut setup = Setup::full();
        setup.0[tenant].patient = patient;
        run.activate_registry(setup);
        run.drain();
        if patient {
            // Until its next ping is answered, whose lease is the longer one.
            (0..16).for_each(|_| run.pass(BREATH));
        }
    }
    let token = run.token_for(at, TTL);
    run.cut(at);
    run.feed.stations[at].comes_back(true);
    run.exchange_with(at, 1, 0);
    let quiet = |run: &mut Run| {
        run.clock.advance(BREATH);
        run.turn_pumps();
        let others = (0..run.feed.stations.len()).filter(|other| *other != at).collect::<Vec<_>>();
        others.into_iter().for_each(|other| run.exchange_with(other, usize::MAX, usize::MAX));
        run.ask_who_is_missing();
    };
    // Longer than any lease that is told now.
    (0..14).for_each(|_| quiet(run));
    run.kill(token);
    for _ in 0..8 {
        quiet(run);
        assert!(run.believes(at, token), "the verifier has no lease any more");
    }
}
