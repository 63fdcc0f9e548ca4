//! Every peer that is installed: they stand still on the core of ours until it is their turn.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_benches::peer::oidc_provider::OidcProvider;
use locum_benches::peer::openbao::OpenBao;
use locum_benches::peer::postgres::Postgres;
use locum_benches::peer::redis::{Log, Redis};
use locum_benches::peer::{Call, Peer};
use locum_benches::turns::middle;
use locum_benches::{Goal, Report, Row};

/// What an encoded answer of `IntrospectToken` takes: Redis keeps as much beside each token.
const ANSWER_BYTES: usize = 250;

/// A peer that breaks is started anew: OpenBao may lose its office while its core is full.
const TRIES: usize = 3;

/// Those that are installed and asked about.
pub(crate) struct Peers {
    /// Without a log.
    redis: Standing<Redis>,
    /// With a log that is synced before each answer.
    redis_durable: Standing<Redis>,
    postgres: Standing<Postgres>,
    oidc_provider: Standing<OidcProvider>,
    openbao: Standing<OpenBao>,
}

/// Answers a second, for each turn that a peer had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    pub redis: Vec<f64>,
    pub postgres: Vec<f64>,
    pub oidc_provider: Vec<f64>,
    pub openbao: Vec<f64>,
}

/// A peer that stands still until its turn.
struct Standing<P> {
    name: &'static str,
    start: Start<P>,
    /// None when it is not installed, not asked about, or broke each time.
    peer: Option<Arc<P>>,
}

/// Starts a peer, where it is installed.
type Start<P> = fn() -> Pin<Box<dyn Future<Output = Option<P>> + Send>>;

impl Peers {
    pub(crate) async fn start(report: &Report) -> Self {
        let mut peers = Self {
            redis: Standing::new("Redis", || Box::pin(redis(Log::Off))),
            redis_durable: Standing::new("Redis with a log", || Box::pin(redis(Log::Always))),
            postgres: Standing::new("PostgreSQL", || Box::pin(async { Postgres::start() })),
            oidc_provider: Standing::new("oidc-provider", || Box::pin(OidcProvider::start())),
            openbao: Standing::new("OpenBao", || Box::pin(OpenBao::start())),
        };
        if report.wants(4) || report.wants(5) {
            peers.redis.set(report).await;
        }
        if report.wants(6) || report.wants(7) {
            peers.redis_durable.set(report).await;
        }
        if [4, 6, 7].into_iter().any(|number| report.wants(number)) {
            peers.postgres.set(report).await;
            peers.oidc_provider.set(report).await;
            peers.openbao.set(report).await;
        }
        peers
    }

    /// A turn for each, one after the other; what they come to is added to `rates`.
    pub(crate) async fn turn(&mut self, report: &Report, call: Call, span: Duration, rates: &mut Rates) {
        let redis = if call == Call::Check { &mut self.redis } else { &mut self.redis_durable };
        rates.redis.extend(redis.turn(report, call, span).await);
        rates.postgres.extend(self.postgres.turn(report, call, span).await);
        rates.oidc_provider.extend(self.oidc_provider.turn(report, call, span).await);
        rates.openbao.extend(self.openbao.turn(report, call, span).await);
    }

    /// Tokens that Redis looks up a second, so many in one write.
    pub(crate) fn redis_pipelined(&self, pipelined: u32, span: Duration) -> Option<f64> {
        let redis = self.redis.peer.as_ref()?;
        redis.process().resume();
        let rate = redis.checks(pipelined, span);
        redis.process().pause();
        Some(rate)
    }
}

impl<P: Peer> Standing<P> {
    fn new(name: &'static str, start: Start<P>) -> Self {
        Self { name, start, peer: None }
    }

    async fn set(&mut self, report: &Report) {
        self.peer = by_itself(report, self.name, self.start).await.map(Arc::new);
        if let Some(peer) = &self.peer {
            peer.process().pause();
        }
    }

    /// One that breaks in its turn has none in this round.
    async fn turn(&mut self, report: &Report, call: Call, span: Duration) -> Option<f64> {
        let peer = Arc::clone(self.peer.as_ref()?);
        peer.process().resume();
        let asked = Arc::clone(&peer);
        let rate = tokio::spawn(async move { asked.rate(call, span).await }).await;
        peer.process().pause();
        match rate {
            Ok(rate) => rate,
            Err(cause) => {
                report.progress(format_args!("{} broke in its turn: {cause}", self.name));
                // It ends before another one starts.
                drop((peer, self.peer.take()));
                self.set(report).await;
                None
            }
        }
    }
}

// === free functions ===

async fn redis(log: Log) -> Option<Redis> {
    let redis = Redis::start(log, ANSWER_BYTES)?;
    redis.fill();
    Some(redis)
}

/// How long OpenBao takes over a token with so many children.
pub(crate) async fn openbao_tree(report: &Report, children: usize) -> Option<Duration> {
    let tree = move || async move { Some(OpenBao::start().await?.revoke_tree(children).await) };
    by_itself(report, &format!("OpenBao revokes a token with {children} children"), tree).await
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

/// A row for each peer that had a turn: `figure` a second beside the middle of theirs.
pub(crate) fn beside(report: &mut Report, number: u8, (what, figure): (&str, f64), peers: &[Beside<'_>]) {
    for (name, rates, goal) in peers.iter().filter(|(_, rates, _)| !rates.is_empty()) {
        let row = Row::new(number, what, figure, "1/s");
        report.show(row.beside(*name, middle(rates.to_vec())).goal(*goal));
    }
}

/// A peer's name, its rates, and what ours is to be beside it.
pub(crate) type Beside<'a> = (&'a str, &'a [f64], Goal);
