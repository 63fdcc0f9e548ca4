//! Row 7: revocations, one by one and of everything at once.

use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_benches::drive::flat_out;
use locum_benches::past::{CROWDED, Past};
use locum_benches::process::Cores;
use locum_benches::served::{self, REVOKE, Served};
use locum_benches::wire::{Unary, framed};
use locum_benches::{Goal, Report, Row, median, parts, timed_async};
use prost::bytes::Bytes;

use crate::Size;
use crate::peers::{Peers, beside};
use crate::stage::{LINES, Stage};

const REVOKE_TOKEN: &str = "https://localhost/locum.broker.v1.TokenService/RevokeToken";
/// A plugin of its own.
const PLUGIN: usize = 3;
/// Longer than the bench takes.
const TTL: Duration = Duration::from_secs(800);

/// Tokens of one plugin, each by itself.
pub(crate) async fn separate(report: &mut Report, stage: &Stage, peers: &Peers) {
    if !report.wants(7) {
        return;
    }
    let served = &stage.served;
    report.progress(format_args!("issuing {} tokens to revoke", stage.size.tokens));
    let tokens = served.tokens(PLUGIN, stage.size.tokens).await;
    let bodies: Vec<Bytes> =
        tokens.iter().map(|token| framed(&wire::RevokeTokenRequest { token: token.clone() })).collect();
    let lines = served.plugin(PLUGIN).lines(LINES).await;
    report.progress("revoking them one by one, 64 in flight");
    let (_, took) = timed_async(served::ask_all(&lines, REVOKE_TOKEN, bodies)).await;
    let rate = tokens.len() as f64 / took.as_secs_f64();
    beside(
        report,
        7,
        ("RevokeToken, durable, 64 in flight", rate),
        &[
            ("Redis DEL, synced", peers.redis_durable.map(|rates| rates.revoke), Goal::RatioAtLeast(1.25)),
            ("PostgreSQL UPDATE", peers.postgres.map(|rates| rates.revoke), Goal::Told),
            ("oidc-provider", peers.oidc_provider.map(|rates| rates.revoke), Goal::Told),
        ],
    );
}

/// Everything that a workload has, whatever that is.
pub(crate) async fn everything(report: &mut Report, size: Size, peers: &Peers) {
    if !report.wants(7) {
        return;
    }
    let mut few = None;
    for tokens in [1, 1_000, size.crowd] {
        report.progress(format_args!("revoking a workload with {tokens} live tokens"));
        let (site, _) = Past { tokens, ttl: TTL }.make().await;
        let served = Served::start_on(site, Cores::One);
        let first = first_revoke(&served).await;
        let p50 = revoke_p50(&served, size.span).await;
        let sync = median(parts::bare_syncs(served.site.dir(), 500)).as_secs_f64() * 1e6;
        let what = format!("Revoke, durable, of {tokens} live tokens, p50");
        let row = Row::new(7, what, p50, "µs").beside("one fdatasync", sync);
        report.show(row.goal(Goal::RatioAtMost(2.0)));
        let few = *few.get_or_insert(p50);
        if tokens == size.crowd {
            let what = format!("Revoke of {tokens} live tokens, p50");
            let row = Row::new(7, what.clone(), p50, "µs").beside("the same of 1 live token", few);
            report.show(row.goal(Goal::RatioAtMost(1.1)));
            if let Some((tree, children)) = peers.openbao_tree {
                let row = Row::new(7, format!("{what}, the first one"), first, "µs")
                    .beside(format!("OpenBao, {children} children"), tree.as_secs_f64() * 1e6);
                report.show(row.goal(Goal::RatioAtMost(1e-5)));
            }
        }
    }
}

/// The one that kills, in microseconds.
async fn first_revoke(served: &Served) -> f64 {
    let line = served.operator().line().await.expect("a connection");
    let (answer, took) = timed_async(line.unary(REVOKE, body())).await;
    answer.expect("revoked");
    took.as_secs_f64() * 1e6
}

/// The middle of many with one in flight, in microseconds.
pub(crate) async fn revoke_p50(served: &Served, span: Duration) -> f64 {
    let lines = served.operator().lines(1).await;
    let bodies = [body()].into();
    let slots = Unary::slots(&lines, 1, REVOKE, &bodies, |answer| !answer.is_empty());
    flat_out(slots, span, || {}).await.latency.micros(0.5)
}

fn body() -> Bytes {
    framed(&locum_tests::work::revoke(Target::Workload(format!("agent-{CROWDED}"))))
}
