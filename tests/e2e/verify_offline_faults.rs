//! The offline check while wires, verifiers and brokers fail in every way that a network and a machine
//! know: real processes, work that never stops, and a history of every answer that has to keep the rules
//! of [`locum_tests::history`].
//!
//! What a frame can suffer within a connection, where TLS lets nothing through, is the simulation's.

use std::time::Duration;

use locum_tests::Line;
use locum_tests::clock::boottime;
use locum_tests::history::Coverage;

use crate::verify_offline_faults::scene::{BOUND, Scene};

mod scene;

/// Whether a wire brings no answer in time.
fn is_outage(line: Line) -> bool {
    match line {
        Line::Stalled | Line::Cut | Line::Losing(1) => true,
        Line::Late(by) => by >= BOUND,
        _ => false,
    }
}

/// Every rule bore on something.
fn covers(coverage: Coverage) {
    let Coverage { after_bound, after_everywhere, after_inactive, of_the_living, in_outages, healings } =
        coverage;
    for (rule, bore_on) in [
        ("bound", after_bound),
        ("everywhere", after_everywhere),
        ("inactive", after_inactive),
        ("living", of_the_living),
        ("outages", in_outages),
        ("healings", healings),
    ] {
        assert!(bore_on > 0, "nothing was seen of the rule about {rule}: {coverage:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wires_that_delay_lose_double_break_and_cut() {
    let (_daemon, scene) = Scene::new(3).await;
    let work = scene.work();
    // The first verifier's wire stays good: it is the one that hears while the others do not.
    for lines in [
        [(1, Line::Late(Duration::from_millis(60))), (2, Line::Late(Duration::from_millis(600)))],
        [(1, Line::Losing(3)), (2, Line::Doubling(3))],
        [(1, Line::Breaking(4)), (2, Line::Stalled)],
        [(1, Line::Cut), (2, Line::Losing(1))],
    ] {
        scene.lines(&lines);
        let from = boottime();
        scene.goes_on(5).await;
        let silent = lines.iter().filter(|(_, line)| is_outage(*line)).map(|(verifier, _)| *verifier);
        scene.cut_off(silent, from).await;
        scene.lines(&[(1, Line::Open), (2, Line::Open)]);
        scene.heal(0..3).await;
    }
    covers(scene.judge(work).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifiers_and_brokers_that_are_stopped_where_they_stand() {
    let (daemon, scene) = Scene::new(2).await;
    let work = scene.work();
    // A verifier stops for longer than its lease: revocations that are waited for return meanwhile, and it
    // must not believe what it knew before.
    for _ in 0..2 {
        scene.freeze(1);
        scene.goes_on(8).await;
        scene.thaw(1);
        scene.heal(0..2).await;
    }
    // The broker stops.
    daemon.freeze();
    let from = boottime();
    scene.cut_off(0..2, from).await;
    daemon.thaw();
    scene.heal(0..2).await;
    // Both, and the verifier goes on first: it has nobody to ask.
    scene.freeze(1);
    daemon.freeze();
    let from = boottime();
    scene.cut_off(0..1, from).await;
    scene.thaw(1);
    scene.cut_off(0..2, from).await;
    daemon.thaw();
    scene.heal(0..2).await;
    scene.goes_on(5).await;
    covers(scene.judge(work).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_at_work() {
    let (mut daemon, scene) = Scene::new(2).await;
    let work = scene.work();
    for turn in 0..4 {
        scene.goes_on(5).await;
        daemon.kill().await;
        // Twice it is back before anybody notices; twice it is away for longer than the bound.
        if turn % 2 == 1 {
            let from = boottime();
            scene.cut_off(0..2, from).await;
        }
        daemon.up().await;
        scene.lead_to(&daemon);
        scene.heal(0..2).await;
    }
    scene.goes_on(5).await;
    covers(scene.judge(work).await);
}
