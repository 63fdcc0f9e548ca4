//! Row 6: a token that is decided on, written down durably and signed.

use std::sync::Arc;

use locum_api::broker::v1 as wire;
use locum_benches::drive::flat_out;
use locum_benches::parts;
use locum_benches::process::{Cores, on_the_servers_core};
use locum_benches::served::{self, ISSUE, Served};
use locum_benches::turns::middle;
use locum_benches::wire::{Door, Unary, framed};
use locum_benches::{Goal, Report, Row, median};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::peers::{Peers, beside};
use crate::stage::{IN_FLIGHT, LINES, Stage};

/// A plugin of its own, so that quotas are its own.
const PLUGIN: usize = 2;
const TASKS: usize = 64;

pub(crate) async fn show(report: &mut Report, stage: &Stage, peers: &Peers) {
    if !report.wants(6) {
        return;
    }
    report.progress("issuing, 64 in flight on 8 connections");
    let served = &stage.served;
    let tasks = served.tasks(PLUGIN, TASKS).await;
    let asks: Arc<[Bytes]> = tasks.iter().map(|task| framed(&task.ask())).collect();
    let slots = |lines: &[_], count| Unary::slots(lines, count, ISSUE, &asks, is_token);
    let plugin = served.plugin(PLUGIN);
    let (mut signatures, mut decisions) = (Vec::new(), Vec::new());
    let parts_of_it = || {
        on_the_servers_core(|| {
            signatures.push(parts::signature() / 1e3);
            decisions.push(parts::decision() / 1e3);
        });
    };
    let load = async |door: &Door| slots(&door.lines(LINES).await, IN_FLIGHT);
    let [ours, bare] = stage.beside_nothing(&plugin, load, parts_of_it).await;
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
            ("Redis SET, synced", peers.redis_durable.map(|rates| rates.issue), at_least(0.7)),
            ("PostgreSQL INSERT", peers.postgres.map(|rates| rates.issue), at_least(3.0)),
            ("oidc-provider, JWT", peers.oidc_provider.map(|rates| rates.issue), at_least(12.0)),
            ("OpenBao, service token", peers.openbao.map(|rates| rates.issue), at_least(60.0)),
        ],
    );
    behind(report, stage, ours.rate).await;
    report.progress("issuing, one in flight");
    let one = flat_out(slots(&plugin.lines(LINES).await, 1), stage.size.span, || {}).await;
    let echo = flat_out(slots(&stage.nothing.door.lines(LINES).await, 1), stage.size.span, || {}).await;
    let syncs = on_the_servers_core(|| parts::bare_syncs(served.site.dir(), 500));
    let sync = median(syncs).as_secs_f64() * 1e6;
    report.show(
        Row::new(6, "IssueToken, one in flight, p50", one.latency.micros(0.5), "µs")
            .beside("one fdatasync", sync)
            .goal(Goal::RatioAtMost(3.0)),
    );
    report.show(
        Row::new(
            6,
            "IssueToken, one in flight, p50 without the wire",
            one.latency.micros(0.5) - echo.latency.micros(0.5),
            "µs",
        )
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
