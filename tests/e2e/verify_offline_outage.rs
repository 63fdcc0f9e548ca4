//! The offline check while brokers stop, die and come back: never *active* past the staleness bound,
//! never *active* again for what is dead.

use std::future::ready as now;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_sdk::{CheckAnswer, Unknown, Verifier};
use locum_tests::backend::{orders, ready};
use locum_tests::work::{Held, begin, grant, issue};
use locum_tests::{Daemon, Line, Relay, Site, eventually};

use tokio::time::Instant;

use crate::LOCUMD;

/// The staleness bound of `orders`, the default.
const STALENESS_BOUND: Duration = Duration::from_secs(2);

/// A daemon, a wire to it, a verifier, and two tokens of one task.
struct Stage {
    daemon: Daemon,
    relay: Relay,
    verifier: Verifier,
    task: Held,
    live: String,
    dead: String,
}

async fn stage() -> Stage {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&daemon, &relay).await).await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let ask = || task.ask("orders:read", &["order/1"]);
    let live = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    let dead = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    Stage { daemon, relay, verifier, task, live, dead }
}

impl Stage {
    fn is_active(&self, token: &str) -> bool {
        matches!(self.verifier.check(token), CheckAnswer::Active(_))
    }

    async fn kill_one(&self) {
        let request = wire::RevokeTokenRequest { token: self.dead.clone() };
        self.daemon.at("agents/refunder").tokens().revoke_token(request).await.expect("revoked");
    }

    /// Checks until it is unknown; the last *active* may not have been asked for later than the bound
    /// allows, counted from the moment before the cut.
    async fn falls_silent(&self, cut_at: Instant) {
        let mut last_active = cut_at;
        let unknown = eventually("the lease to run out", || {
            let asked_at = Instant::now();
            now(match self.verifier.check(&*self.live) {
                CheckAnswer::Active(_) => {
                    last_active = asked_at;
                    None
                }
                CheckAnswer::Unknown(unknown) => Some(unknown),
                CheckAnswer::Inactive(inactive) => unreachable!("it lives: {inactive}"),
            })
        });
        let unknown = unknown.await;
        assert!(matches!(unknown, Unknown::LeaseOver | Unknown::Behind), "{unknown}");
        let overrun = last_active.duration_since(cut_at);
        assert!(overrun <= STALENESS_BOUND, "active {overrun:?} after the cut");
    }

    /// Waits until the dead token is not active. The kill may have come before the verifier heard of the
    /// revocation: then its lease is what ends it.
    async fn dies(&self, cut_at: Instant) {
        let gone = || {
            let asked_at = Instant::now();
            let active = self.is_active(&self.dead);
            let overrun = asked_at.duration_since(cut_at);
            assert!(!active || overrun <= STALENESS_BOUND, "active {overrun:?} after the cut");
            now((!active).then_some(()))
        };
        eventually("the revocation", gone).await;
    }

    /// Waits for the live token to be active, and sees that the dead one never is.
    async fn recovers(&self) {
        let answer = || {
            assert!(!self.is_active(&self.dead), "what is dead stays so");
            now(self.is_active(&self.live).then_some(()))
        };
        eventually("the live token to be active again", answer).await;
        eventually("no trouble to be left", || now(self.verifier.trouble().is_none().then_some(()))).await;
        assert!(matches!(self.verifier.check(&*self.dead), CheckAnswer::Inactive(_)));
    }
}

#[tokio::test]
async fn a_wire_that_goes_silent_ends_what_can_be_said() {
    for line in [Line::Stalled, Line::Cut] {
        let stage = stage().await;
        assert!(stage.is_active(&stage.live) && stage.is_active(&stage.dead));
        let cut_at = Instant::now();
        stage.relay.set(line);
        stage.kill_one().await;
        stage.falls_silent(cut_at).await;
        stage.relay.set(Line::Open);
        stage.recovers().await;
    }
}

#[tokio::test]
async fn a_broker_that_is_stopped_and_goes_on() {
    let stage = stage().await;
    stage.kill_one().await;
    eventually("the revocation", || now((!stage.is_active(&stage.dead)).then_some(()))).await;
    assert!(stage.is_active(&stage.live));
    let cut_at = Instant::now();
    stage.daemon.freeze();
    stage.falls_silent(cut_at).await;
    stage.daemon.thaw();
    stage.recovers().await;
}

#[tokio::test]
async fn a_broker_that_is_killed_and_comes_back() {
    let mut stage = stage().await;
    for turn in 0..3 {
        if turn == 0 {
            stage.kill_one().await;
        }
        let cut_at = Instant::now();
        stage.daemon.kill().await;
        if turn == 1 {
            stage.falls_silent(cut_at).await;
        }
        stage.daemon.up().await;
        stage.relay.lead_to(stage.daemon.addresses().grpc.port());
        stage.dies(cut_at).await;
        stage.recovers().await;
    }
    // It goes on hearing.
    stage.daemon.at("agents/refunder").tasks().end_task(stage.task.end()).await.expect("ended");
    eventually("the task's end", || now((!stage.is_active(&stage.live)).then_some(()))).await;
}
