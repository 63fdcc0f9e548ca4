//! Row 7: revocations one by one.

use locum_api::broker::v1 as wire;
use locum_benches::wire::framed;
use locum_benches::{Goal, Report, served, timed_async};
use prost::bytes::Bytes;

use crate::peers::{Peers, beside};
use crate::stage::{LINES, Stage};

const REVOKE_TOKEN: &str = "https://localhost/locum.broker.v1.TokenService/RevokeToken";
/// A plugin of its own.
const PLUGIN: usize = 3;

/// Tokens of one plugin, each by itself.
pub(crate) async fn show(report: &mut Report, stage: &Stage, peers: &Peers) {
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
