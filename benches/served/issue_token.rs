//! Row 6: a token that is decided on, written down durably and signed.

use std::sync::Arc;

use locum_api::broker::v1 as wire;
use locum_benches::drive::flat_out;
use locum_benches::histogram::Histogram;
use locum_benches::parts;
use locum_benches::peer::Call;
use locum_benches::process::{Cores, Process, on_the_servers_core};
use locum_benches::served::{self, ISSUE, Served};
use locum_benches::turns::middle;
use locum_benches::wire::{Door, Unary, framed};
use locum_benches::{Goal, Report, Row};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::peers::{Peers, Rates, beside};
use crate::stage::{IN_FLIGHT, LINES, ROUNDS, Stage, middle_micros};

/// A plugin of its own, so that quotas are its own.
const PLUGIN: usize = 2;
const TASKS: usize = 64;
/// Bare ones, beside which one in flight is set.
const SYNCS: usize = 500;

pub(crate) async fn show(report: &mut Report, stage: &Stage, peers: &mut Peers) {
    if !report.wants(6) {
        return;
    }
    report.progress("issuing, 64 in flight on 8 connections");
    let served = &stage.served;
    let tasks = served.tasks(PLUGIN, TASKS).await;
    let asks: Arc<[Bytes]> = tasks.iter().map(|task| framed(&task.ask())).collect();
    let slots = |lines: &[_], count| Unary::slots(lines, count, ISSUE, &asks, is_token);
    let plugin = served.plugin(PLUGIN);
    let (mut signatures, mut decisions, mut rates) = (Vec::new(), Vec::new(), Rates::default());
    let between = async || {
        on_the_servers_core(|| {
            signatures.push(parts::signature() / 1e3);
            decisions.push(parts::decision() / 1e3);
        });
        peers.turn(report, Call::Issue, stage.size.turn_of_a_peer(), &mut rates).await;
    };
    let load = async |door: &Door| slots(&door.lines(LINES).await, IN_FLIGHT);
    let [ours, bare] = stage.flat_out(&plugin, load, between).await;
    let (sign, decide) = (middle(signatures), middle(decisions));
    let sum = sign + decide + bare.cpu_micros;
    let what = format!("an empty call, a signature ({sign:.1}) and a decision ({decide:.1})");
    report.show(
        Row::new(6, "IssueToken, durable: CPU of the server", ours.cpu_micros, "µs")
            .beside(what, sum)
            .goal(Goal::RatioAtMost(1.3)),
    );
    let at_least = Goal::RatioAtLeast;
    beside(
        report,
        6,
        ("IssueToken, durable, 64 in flight", ours.rate),
        &[
            ("Redis SET, synced", &rates.redis, at_least(0.7)),
            ("PostgreSQL INSERT", &rates.postgres, at_least(3.0)),
            ("oidc-provider, JWT", &rates.oidc_provider, at_least(12.0)),
            ("OpenBao, service token", &rates.openbao, at_least(60.0)),
        ],
    );
    behind(report, stage, ours.rate).await;
    report.progress("issuing, one in flight");
    let mut syncs = Histogram::default();
    let turn = async |_: &Process, door: &Door| {
        flat_out(slots(&door.lines(LINES).await, 1), stage.size.turn(), || {}).await.latency
    };
    let between = async || {
        let took = on_the_servers_core(|| parts::bare_syncs(served.site.dir(), SYNCS / ROUNDS as usize));
        took.into_iter().for_each(|took| syncs.add(took));
    };
    let latencies = stage.in_turns(&plugin, turn, between).await;
    let [ours, bare] = latencies.map(|rounds| middle_micros(&rounds, 0.5));
    let sync = syncs.micros(0.5);
    report.show(
        Row::new(6, "IssueToken, one in flight, p50", ours, "µs")
            .beside("one fdatasync", sync)
            .goal(Goal::RatioAtMost(3.0)),
    );
    report.show(
        Row::new(6, "IssueToken, one in flight, p50 without the wire", ours - bare, "µs")
            .beside("one fdatasync", sync),
    );
}

/// The archive follows on the same core, and takes its share of it.
async fn behind(report: &mut Report, stage: &Stage, without: f64) {
    report.progress("issuing, with the archive behind");
    let served = Served::start_on(served::with_archive(), Cores::One);
    let tasks = served.tasks(PLUGIN, TASKS).await;
    let asks: Arc<[Bytes]> = tasks.iter().map(|task| framed(&task.ask())).collect();
    let slots = Unary::slots(&served.plugin(PLUGIN).lines(LINES).await, IN_FLIGHT, ISSUE, &asks, is_token);
    let rate = flat_out(slots, stage.size.span, || {}).await.rate();
    let row = Row::new(6, "IssueToken while the archive indexes on the same core", rate, "1/s");
    report.show(row.beside("without the archive", without));
}

fn is_token(answer: &[u8]) -> bool {
    // Field 1 is the token; every token begins alike.
    debug_assert!(wire::IssueTokenResponse::decode(answer).is_ok_and(|answer| !answer.token.is_empty()));
    answer.first() == Some(&10) && answer.get(3..5) == Some(b"ey")
}
