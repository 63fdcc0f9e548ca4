//! Rows 4 and 5: a check over the wire, unary and on a stream.

use std::sync::Arc;

use locum_api::broker::v1 as wire;
use locum_benches::drive::at_rate;
use locum_benches::peer::Call;
use locum_benches::process::Process;
use locum_benches::served::{self, INTROSPECT, INTROSPECT_STREAM, question, says_active};
use locum_benches::wire::{Door, Unary, framed};
use locum_benches::{Goal, Report, Row};
use prost::Message as _;
use prost::bytes::Bytes;

use crate::peers::{Peers, Rates, beside};
use crate::stage::{IN_FLIGHT, LINES, Stage, middle_micros};

/// Tokens that are out on streams at once, whatever the batches.
const TOKENS_OUT: usize = 1_024;

pub(crate) async fn unary(report: &mut Report, stage: &Stage, peers: &mut Peers) {
    if !report.wants(4) {
        return;
    }
    let questions = served::questions(&stage.tokens);
    let slots = async |door: &Door| {
        Unary::slots(&door.lines(LINES).await, IN_FLIGHT, INTROSPECT, &questions, says_active)
    };
    report.progress("unary checks, 64 in flight on 8 connections");
    let backend = stage.served.backend();
    let mut rates = Rates::default();
    let between = async || peers.turn(report, Call::Check, stage.size.turn_of_a_peer(), &mut rates).await;
    let [ours, bare] = stage.flat_out(&backend, slots, between).await;
    let what = "IntrospectToken, unary, 64 in flight";
    let at_least = |ratio| Goal::RatioAtLeast(ratio);
    report.show(Row::new(4, what, ours.rate, "1/s").beside("an empty call", bare.rate).goal(at_least(0.9)));
    beside(
        report,
        4,
        (what, ours.rate),
        &[
            ("Redis GET", &rates.redis, Goal::Told),
            ("PostgreSQL", &rates.postgres, at_least(9.0)),
            ("oidc-provider", &rates.oidc_provider, at_least(25.0)),
            ("OpenBao", &rates.openbao, at_least(20.0)),
        ],
    );
    let cost = Row::new(4, "IntrospectToken, unary: CPU of the server", ours.cpu_micros, "µs");
    report.show(cost.beside("an empty call", bare.cpu_micros).goal(Goal::RatioAtMost(1.11)));
    let rate = bare.rate / 3.0;
    report.progress(format_args!("the same at {rate:.0} a second"));
    let turn = async |_: &Process, door: &Door| {
        at_rate(slots(door).await, rate, stage.size.turn(), drop).await.latency
    };
    let [ours, bare] = stage.in_turns(&backend, turn, async || {}).await;
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let what = format!("IntrospectToken at a third of that rate, {name}");
        let row = Row::new(4, what, middle_micros(&ours, share), "µs");
        report.show(row.beside("an empty call", middle_micros(&bare, share)));
    }
}

pub(crate) async fn streams(report: &mut Report, stage: &Stage, peers: &Peers) {
    if !report.wants(5) {
        return;
    }
    stream(report, stage, (16, 5e5), (peers, 16)).await;
    stream(report, stage, (256, 7e5), (peers, 128)).await;
}

async fn stream(
    report: &mut Report,
    stage: &Stage,
    (batch, goal): (usize, f64),
    (peers, pipelined): (&Peers, u32),
) {
    report.progress(format_args!("streams of checks, batches of {batch}"));
    let bodies: Arc<[Bytes]> = stage
        .tokens
        .chunks_exact(batch)
        .map(|some| {
            let tokens = some.iter().map(|token| question(token)).collect();
            framed(&wire::IntrospectTokensRequest { tokens })
        })
        .collect();
    let good = if batch == 16 { all_active::<16> } else { all_active::<256> };
    let slots = async |door: &Door| {
        let (mut slots, ahead) = (Vec::new(), (TOKENS_OUT / 2 / batch) as u64);
        for line in door.lines(2).await {
            let stream = line.two_way(INTROSPECT_STREAM, Arc::clone(&bodies), (ahead, good)).await;
            slots.push(stream.expect("a stream"));
        }
        slots
    };
    let each = batch as f64;
    let mut redis = Vec::new();
    let between = async || redis.extend(peers.redis_pipelined(pipelined, stage.size.turn_of_a_peer()));
    let [ours, bare] = stage.flat_out(&stage.served.backend(), slots, between).await;
    let rate = ours.rate * each;
    let what = format!("IntrospectTokens, batches of {batch}");
    let row = Row::new(5, what.clone(), rate, "1/s");
    report.show(row.beside("an empty stream", bare.rate * each).goal(Goal::AtLeast(goal)));
    let peer = format!("Redis GET pipelined x{pipelined}");
    beside(report, 5, (&what, rate), &[(&peer, &redis, Goal::RatioAtLeast(1.0))]);
    let cost = Row::new(5, format!("{what}: CPU of the server a token"), ours.cpu_micros / each, "µs");
    report.show(cost.beside("an empty stream", bare.cpu_micros / each));
}

/// Whether a batch's answer has `N` entries that all say active: walked, not decoded, because the client
/// shall not be what is measured.
fn all_active<const N: usize>(answer: &[u8]) -> bool {
    let (mut rest, mut active) = (answer, 0);
    while !rest.is_empty() {
        // Field 1, length-delimited: one answer; its own first field says whether it is active.
        let Some(inside) = rest.strip_prefix(&[10]) else { return false };
        let mut inside = inside;
        let Ok(length) = prost::encoding::decode_varint(&mut inside) else { return false };
        let Some((one, after)) = inside.split_at_checked(length as usize) else { return false };
        active += usize::from(says_active(one));
        rest = after;
    }
    debug_assert_eq!(wire::IntrospectTokensResponse::decode(answer).map_or(0, |a| a.tokens.len()), N);
    active == N
}
