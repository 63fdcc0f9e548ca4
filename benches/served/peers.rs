//! Every peer that is installed, one after the other on the core that ours will have.

use std::time::Duration;

use locum_benches::peer::Rates;
use locum_benches::peer::oidc_provider::OidcProvider;
use locum_benches::peer::openbao::OpenBao;
use locum_benches::peer::postgres::Postgres;
use locum_benches::peer::redis::{Log, Redis};
use locum_benches::{Goal, Report, Row};

use crate::Size;

/// What an encoded answer of `IntrospectToken` takes: Redis keeps as much beside each token.
const ANSWER_BYTES: usize = 250;

/// A peer that breaks is started anew: OpenBao may lose its office while its core is full.
const TRIES: usize = 3;

/// What they came to; those that are not installed are missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peers {
    /// Without a log.
    pub redis: Option<InMemory>,
    /// With a log that is synced before each answer.
    pub redis_durable: Option<Rates>,
    pub postgres: Option<Rates>,
    pub openbao: Option<Rates>,
    /// How long OpenBao took over a token with children, and how many.
    pub openbao_tree: Option<(Duration, usize)>,
    pub oidc_provider: Option<Rates>,
}

/// Tokens that Redis looks up a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InMemory {
    pub check: f64,
    pub check_by_16: f64,
    pub check_by_128: f64,
}

impl Peers {
    pub(crate) async fn measure(report: &Report, size: Size) -> Self {
        let span = size.span / 2;
        let mut peers = Self::default();
        report.progress("Redis");
        if let Some(redis) = Redis::start(Log::Off, ANSWER_BYTES) {
            redis.fill();
            peers.redis = Some(InMemory {
                check: redis.checks(1, span),
                check_by_16: redis.checks(16, span),
                check_by_128: redis.checks(128, span),
            });
        }
        if report.wants(6) || report.wants(7) {
            report.progress("Redis with a log");
            peers.redis_durable = Redis::start(Log::Always, ANSWER_BYTES).map(|redis| Rates {
                check: 0.0,
                issue: redis.issues(span),
                revoke: redis.revokes(),
            });
        }
        report.progress("PostgreSQL");
        peers.postgres = Postgres::start().map(|postgres| postgres.rates(span));
        let oidc_provider = move || async move { Some(OidcProvider::start().await?.rates(span).await) };
        peers.oidc_provider = by_itself(report, "oidc-provider", oidc_provider).await;
        let children = size.children;
        let openbao = move || async move { Some(OpenBao::start().await?.rates(span).await) };
        peers.openbao = by_itself(report, "OpenBao", openbao).await;
        if report.wants(7) {
            let tree =
                move || async move { Some((OpenBao::start().await?.revoke_tree(children).await, children)) };
            let name = format!("OpenBao revokes a token with {children} children");
            peers.openbao_tree = by_itself(report, &name, tree).await;
        }
        peers
    }
}

/// What a peer came to; nothing when it is not installed, or when it breaks each time, which is its own affair.
async fn by_itself<T: Send + 'static, W: Future<Output = Option<T>> + Send + 'static>(
    report: &Report,
    name: &str,
    work: impl Fn() -> W,
) -> Option<T> {
    report.progress(name);
    for tries_left in (0..TRIES).rev() {
        match tokio::spawn(work()).await {
            Ok(measured) => return measured,
            Err(cause) => report.progress(format_args!("it broke ({tries_left} tries left): {cause}")),
        }
    }
    report.progress("its rows are missing");
    None
}

/// A row for each peer that was measured: `figure` a second beside theirs.
pub(crate) fn beside(report: &mut Report, number: u8, (what, figure): (&str, f64), peers: &[Beside]) {
    for (name, rate, goal) in peers {
        if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
            report.show(Row::new(number, what, figure, "1/s").beside(*name, rate).goal(*goal));
        }
    }
}

/// A peer's name, its rate, and what ours is to be beside it.
pub(crate) type Beside = (&'static str, Option<f64>, Goal);
