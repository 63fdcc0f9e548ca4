//! What the benches share: a measured loop, a filled table, a broker on a real disk.
//!
//! A figure is only worth something beside its alternative, measured in the same run on the same
//! machine: every bench prints ratios, and no test asserts a time.

pub mod chart;
pub mod drive;
pub mod histogram;
pub mod http1;
pub mod instructions;
pub mod memory;
pub mod parts;
pub mod past;
pub mod peer;
pub mod process;
pub mod row;
pub mod served;
pub mod tables;
pub mod turns;
pub mod wire;

pub use row::{Goal, Report, Row};
pub use tables::{ISSUED, filled_table, filled_table_of, jti, record, started};
pub use turns::{Turns, in_turn};

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use locum_model::event::By;
use locum_model::registry::{
    Action, Algorithm, Check, Effect, Proposal, ProposedConnector, ProposedWorkload,
};
use locum_model::registry::{Tier, WorkloadKind};

/// Nanoseconds that `work` takes: the median of nine rounds of `times` calls each.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn nanos(times: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            (0..times).for_each(&mut work);
            begun.elapsed().as_nanos() as f64 / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// How long one call takes.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let made = black_box(work());
    (made, begun.elapsed())
}

/// The middle of some durations.
pub fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    spans[spans.len() / 2]
}

/// A small generator of even, repeatable numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Even(pub u64);

impl Even {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A registry with one plugin and one connector.
pub fn proposal() -> Proposal {
    let name = |text: &str| text.parse().expect("plain");
    let read = Action { effect: Effect::Read, resources: Default::default() };
    Proposal {
        tenants: vec![name("acme")],
        models: Vec::new(),
        workloads: vec![ProposedWorkload {
            tenant: name("acme"),
            name: name("refunder"),
            identity: "spiffe://acme.test/agents/refunder".parse().expect("plain"),
            kind: WorkloadKind::Plugin,
            owner: name("team-a"),
            model: None,
            serves: Vec::new(),
        }],
        connectors: vec![ProposedConnector {
            tenant: name("acme"),
            name: name("orders"),
            audience: "https://orders.acme.test".into(),
            owner: name("team-b"),
            tier: Tier::Low,
            check: Check::Online,
            algorithm: Algorithm::Es256,
            ttl_max: Duration::from_secs(900),
            staleness_bound: Duration::from_secs(2),
            actions: [(name("read"), read)].into(),
        }],
    }
}

/// A broker on a real disk, with its writer on a thread.
pub struct OnDisk {
    /// The broker.
    pub broker: Arc<locum_broker::Broker>,
    /// Its directory; removed when dropped.
    pub dir: tempfile::TempDir,
}

impl OnDisk {
    /// A broker in a new directory, with [`proposal`] in force.
    pub async fn open() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("journal")).expect("a directory");
        let (options, around) = (broker_options(), surroundings(dir.path()));
        let (broker, committer) = locum_broker::Broker::open(options, around).expect("a broker");
        locum_server::tasks::writer_thread(move || committer.run()).expect("a thread");
        broker.prepare_keys().await.expect("keys");
        broker.activate_registry(&proposal(), By::Broker).await.expect("a registry");
        Self { broker, dir }
    }
}

/// How long it takes until a future is done.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn timed_async<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let made = work.await;
    (made, begun.elapsed())
}

/// How a broker of a bench is set.
pub fn broker_options() -> locum_broker::Options {
    locum_broker::Options {
        issuer: "https://locum.acme.test".into(),
        journal: locum_journal::Options { home: 1, ..locum_journal::Options::default() },
        key_publish_ahead: Duration::from_secs(3600),
        key_rotate_every: Duration::from_secs(86_400),
    }
}

/// The real world for a broker whose journal is in `dir`'s `journal`; keys stay in memory.
pub fn surroundings(dir: &Path) -> locum_broker::Surroundings {
    let clock = locum_server::clock::SystemClock::open(&dir.join("clock")).expect("a clock");
    locum_broker::Surroundings {
        clock: Arc::new(clock),
        entropy: Arc::new(locum_server::entropy::OsEntropy::new()),
        files: Arc::new(locum_journal::DiskFiles::open(dir.join("journal")).expect("a journal directory")),
        keys: Arc::new(locum_token::MemoryKeyStore::default()),
    }
}
