//! Courses of frames from somewhere else: strangers', and those of another epoch after a restore.

use std::time::Duration;

use locum_model::Reason;

use super::{TTL, is_of_kind};
use crate::forged::Strange;
use crate::network::BREATH;
use crate::run::Run;
use crate::station::Down;

/// R5: whatever a key that counts has signed, only what this broker says to this verifier brings it anywhere.
pub(super) fn strangers_sign(run: &mut Run) {
    for (strange, kind) in [
        (Strange::Issuer, "heartbeat"),
        (Strange::Issuer, "key set"),
        (Strange::Home, "part"),
        (Strange::Epoch, "heartbeat"),
        (Strange::Epoch, "delta"),
        (Strange::Partition, "heartbeat"),
        (Strange::Partition, "delta"),
        (Strange::Version, "heartbeat"),
        (Strange::Version, "delta"),
        (Strange::Level, "delta"),
    ] {
        // One that is pinned to the home.
        let at = run.dice.weighted(&[(1, 0), (1, 1), (1, 3)]);
        let token = run.token_for(at, TTL);
        match kind {
            "heartbeat" => {
                run.clock.advance(Duration::from_millis(600));
                run.exchange_with(at, usize::MAX, 0);
            }
            "delta" => {
                run.kill(token);
                run.turn_pumps();
                run.broker_says(at);
            }
            _ => {
                run.kill(token);
                run.cut(at);
                run.feed.stations[at].comes_back(false);
                run.exchange_with(at, 1, 0);
            }
        }
        let place = run.place_of(at, kind);
        assert!(run.show_strange(at, place, strange), "a {kind} of another {strange:?} cannot be made");
        // Up to the stranger's, and asked before the true one comes.
        run.exchange_with(at, 0, place + 1);
        let _ = run.believes(at, token);
        run.calm();
        assert_eq!(run.believes(at, token), kind == "heartbeat", "the verifier does not recover");
    }
}

/// J4, R2: what the copy forgot stays dead, offline too, and what is issued since is believed.
pub(super) fn copy_is_restored(run: &mut Run) {
    let at = run.some_station();
    let (before, dead) = (run.token_for(at, TTL), run.token_for(at, TTL));
    run.back_up();
    let forgotten = run.token_for(at, TTL);
    run.kill(dead);
    run.calm();
    run.restore();
    for token in [before, dead, forgotten] {
        let _ = run.believes(at, token);
    }
    run.introspect_all();
    run.calm();
    for token in [before, dead, forgotten] {
        assert!(!run.believes(at, token), "R2: it is believed after a restore");
    }
    let token = run.token_for(at, TTL);
    run.kill(token);
    run.linger(at, token, Duration::from_secs(3));
    assert!(!run.believes(at, token), "the verifier does not hear of the new epoch");
}

/// R2, J4: a broker that came up on a copy which nobody accepted gets no verifier to answer by it that knows
/// more than the copy does; and the first such verifier is a witness.
pub(super) fn copy_is_not_accepted(run: &mut Run) {
    let at = run.some_station();
    let (alive, dead) = (run.token_for(at, TTL), run.token_for(at, TTL));
    run.back_up();
    run.kill(dead);
    for _ in 0..1 + run.dice.below(4) {
        let forgotten = run.token_for(at, TTL);
        run.kill(forgotten);
    }
    run.calm();
    assert!(run.believes(at, alive) && !run.believes(at, dead), "it does not follow");
    run.with_the_copy(|run| {
        // It keeps nothing, as one that somebody else has made. What it shows is more than this journal ever told.
        run.feed.stations[at].kept = None;
        run.feed.stations[at].comes_back(true);
        run.exchange_with(at, usize::MAX, 0);
        let ended = |down: &Down| matches!(down, Down::End(Reason::FeedPositionInvalid));
        assert!(run.line(at).is_some_and(|line| line.down.iter().any(ended)), "J4: nobody minds the witness");
        // Then it shows nothing, and is told everything that the copy knows.
        for _ in 0..24 {
            run.clock.advance(BREATH);
            run.turn_pumps();
            (0..3).for_each(|_| run.exchange_with(at, usize::MAX, usize::MAX));
            assert!(!run.believes(at, dead), "R2: it believes what the copy has forgotten");
        }
        assert!(run.lack(at).is_some(), "J4: it answers by an older history");
    });
    // Whoever runs it finds the true disk.
    run.calm();
    assert!(run.believes(at, alive) && !run.believes(at, dead), "the verifier does not recover");
}

/// R2, J4: a copy that nobody accepted, and that has gone on beyond what a verifier knows, so that positions repeat
/// with other contents, is found out by what the verifier kept. One that kept nothing follows it, and yet
/// believes nothing again that it knows to be dead.
pub(super) fn copy_goes_on(run: &mut Run) {
    let at = run.some_station();
    let (alive, dead, quiet) = (run.token_for(at, TTL), run.token_for(at, TTL), run.token_for(at, TTL));
    run.back_up();
    run.kill(dead);
    for _ in 0..run.dice.below(4) {
        let forgotten = run.token_for(at, TTL);
        run.kill(forgotten);
    }
    run.kill(quiet);
    // Its next pings are answered.
    (0..8).for_each(|_| run.pass(BREATH));
    run.calm();
    assert!(run.believes(at, alive) && !run.believes(at, dead), "it does not follow");
    run.with_the_copy(|run| {
        let knew = run.model.sequence();
        let behind = knew - run.broker.status().position.sequence;
        let beyond = 1 + run.dice.below(30) as u64;
        run.go_on_untold(behind + beyond);
        assert!(run.broker.status().position.sequence > knew, "it is not overtaken");
        run.feed.stations[at].comes_back(true);
        run.exchange_with(at, usize::MAX, 0);
        let ended = |down: &Down| matches!(down, Down::End(Reason::FeedPositionInvalid));
        assert!(run.line(at).is_some_and(|line| line.down.iter().any(ended)), "J4: nobody minds the witness");
        // The process ends there. Had nobody kept anything, nothing here could tell both histories apart.
        run.cut(at);
        run.feed.stations[at].kept = None;
        run.feed.stations[at].comes_back(true);
        for _ in 0..24 {
            run.clock.advance(BREATH);
            run.turn_pumps();
            (0..3).for_each(|_| run.exchange_with(at, usize::MAX, usize::MAX));
            // Of one more that nobody asked about since it died: whoever was asked remembers that by itself.
            assert!(!run.believes(at, quiet) && !run.believes(at, dead), "R2: it believes what is dead");
        }
        assert!(run.lack(at).is_none(), "it is not told anything");
    });
    // It has followed another history: whoever finds the true disk starts it anew.
    run.restart_station(at);
    run.calm();
    assert!(run.believes(at, alive) && !run.believes(at, dead), "the verifier does not recover");
}

/// R2, J4: frames of an epoch that was left bring nobody back there.
pub(super) fn epoch_is_told_again(run: &mut Run) {
    let at = run.some_station();
    let dead = run.token_for(at, TTL);
    run.kill(dead);
    run.back_up();
    // Somebody keeps what a verifier hears that begins anew.
    run.cut(at);
    run.feed.stations[at].comes_back(false);
    run.exchange_with(at, 1, 0);
    // But for the keys: an older set of them ends the stream before anything else is looked at.
    let is_kept = |down: &&Down| !matches!(down, Down::Frame(frame) if is_of_kind(frame, "key set"));
    let down = run.line(at).into_iter().flat_map(|line| line.down.iter());
    let kept: Vec<_> = down.filter(is_kept).cloned().collect();
    assert!(!kept.is_empty(), "nothing was told");
    run.calm();
    run.restore();
    run.calm();
    let token = run.token_for(at, TTL);
    if let Some(line) = run.line(at) {
        line.down.extend(kept);
    }
    for _ in 0..8 {
        run.exchange_with(at, 0, 1);
        let _ = run.believes(at, token);
    }
    run.calm();
    assert!(run.believes(at, token), "the verifier does not recover");
}

/// R1, J4: how far a verifier was in what the copy forgot says nothing about what came since.
pub(super) fn showed_more_than_the_copy(run: &mut Run) {
    let at = run.some_station();
    run.back_up();
    for _ in 0..24 {
        let token = run.token_for(at, TTL);
        run.kill(token);
    }
    run.calm();
    run.restore();
    // Its stream begins with how far it was.
    run.calm();
    // For as long as any lease from before the start may run nothing is everywhere.
    (0..30_000 / BREATH.as_millis()).for_each(|_| run.pass(BREATH));
    run.calm();
    let token = run.token_for(at, TTL);
    run.kill(token);
    run.turn_pumps();
    // Everybody else hears of it and says so.
    for _ in 0..4 {
        run.clock.advance(Duration::from_millis(200));
        let others = (0..run.feed.stations.len()).filter(|other| *other != at).collect::<Vec<_>>();
        others
            .into_iter()
            .for_each(|other| (0..3).for_each(|_| run.exchange_with(other, usize::MAX, usize::MAX)));
        run.ask_who_is_missing();
    }
    assert!(run.believes(at, token), "the verifier has no lease, or heard of it");
}
