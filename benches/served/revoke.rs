//! Row 7: revocations one by one.

use locum_api::broker::v1 as wire;
use locum_benches::peer::Call;
use locum_benches::turns::middle;
use locum_benches::wire::framed;
use locum_benches::{Goal, Report, served, timed_async};
use prost::bytes::Bytes;

use crate::peers::{Peers, Rates, beside};
use crate::stage::{LINES, ROUNDS, Stage};

const REVOKE_TOKEN: &str = "https://localhost/locum.broker.v1.TokenService/RevokeToken";
/// A plugin of its own.
const PLUGIN: usize = 3;

/// Tokens of one plugin, each by itself.
pub(crate) async fn show(report: &mut Report, stage: &Stage, peers: &mut Peers) {
    if !report.wants(7) {
        return;
    }
    let served = &stage.served;
    report.progress(format_args!("issuing {} tokens to revoke", stage.size.tokens));
    let tokens = served.tokens(PLUGIN, stage.size.tokens).await;
    let bodies: Vec<Bytes> =
        tokens.iter().map(|token| framed(&wire::RevokeTokenRequest { token: token.clone() })).collect();
    report.progress("revoking them one by one, 64 in flight");
    let (mut ours, mut rates) = (Vec::new(), Rates::default());
    for bodies in bodies.chunks(tokens.len() / ROUNDS as usize) {
        let lines = served.plugin(PLUGIN).lines(LINES).await;
        let (_, took) = timed_async(served::ask_all(&lines, REVOKE_TOKEN, bodies.to_vec())).await;
        ours.push(bodies.len() as f64 / took.as_secs_f64());
        served.process.pause();
        peers.turn(report, Call::Revoke, stage.size.turn_of_a_peer(), &mut rates).await;
        served.process.resume();
    }
    beside(
        report,
        7,
        ("RevokeToken, durable, 64 in flight", middle(ours)),
        &[
            ("Redis DEL, synced", &rates.redis, Goal::RatioAtLeast(1.25)),
            ("PostgreSQL UPDATE", &rates.postgres, Goal::Told),
            ("oidc-provider", &rates.oidc_provider, Goal::Told),
        ],
    );
}
