//! What the benches share: a measured loop, a filled table, a broker on a real disk.
//!
//! A figure is only worth something beside its alternative, measured in the same run on the same
//! machine: every bench prints ratios, and no test asserts a time.

pub mod chart;
pub mod drive;
pub mod histogram;
pub mod http1;
pub mod instructions;
pub mod parts;
pub mod past;
pub mod peer;
pub mod process;
pub mod row;
pub mod served;
pub mod wire;

pub use row::{Goal, Report, Row};

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use locum_model::event::{By, NamedConnector, TaskStarted};
use locum_model::registry::{
    Action, Algorithm, Check, Effect, Proposal, ProposedConnector, ProposedWorkload,
};
use locum_model::registry::{Tier, WorkloadKind};
use locum_model::{
    Actor, Committed, ConnectorNo, Event, Grant, Intent, IssueRecord, KeyId, OwnerNo, PolicyRevision,
    Position, RegistryRevision, Resources, Scope, Standing, SubjectKey, TaskId, TenantNo, Timestamp, TokenId,
    WorkloadNo,
};
use locum_table::Table;

/// When everything in a filled table was issued.
pub const ISSUED: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Tokens of one task.
const TOKENS_PER_TASK: u64 = 10;

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

/// The id of the `number`-th token of a filled table.
pub fn jti(number: u64) -> TokenId {
    let mut even = Even(number);
    TokenId((u128::from(even.draw()) << 64 | u128::from(even.draw())).to_be_bytes())
}

/// A table with `tokens` live rows, ten to a task, as a fold of events.
pub fn filled_table(tokens: u64) -> Table {
    let table = Table::new();
    let mut position = Position { home: 1, epoch: 1, sequence: 0 };
    let mut apply = |event: Event| {
        position = position.next();
        table.apply(&Committed::assertion(event, position));
    };
    for number in 0..tokens {
        let task = TaskId::new(1, number / TOKENS_PER_TASK + 1);
        if number % TOKENS_PER_TASK == 0 {
            apply(Event::TaskStarted(Box::new(started(task))));
        }
        apply(Event::TokenIssued(Box::new(record(jti(number), task))));
    }
    table
}

fn scope() -> Scope {
    let grant = Grant { operation: "orders:read".parse().expect("plain"), resources: Resources::All };
    Scope::of([grant]).expect("one grant")
}

fn started(task: TaskId) -> TaskStarted {
    TaskStarted {
        task,
        parent: None,
        tenant: TenantNo(1),
        workload: WorkloadNo(1),
        workload_identity: "spiffe://acme.test/agents/refunder".parse().expect("plain"),
        owner: OwnerNo(1),
        model: None,
        subject: "spiffe://acme.test/agents/refunder".into(),
        subject_key: SubjectKey([1; 16]),
        intent: Intent { purpose: "refund-order".parse().expect("plain"), scope: scope() },
        connectors: vec![NamedConnector { number: ConnectorNo(1), owner: OwnerNo(1) }],
        justification: None,
        holder: [0; 32],
        deadline: ISSUED.plus(Duration::from_secs(3600)),
        lease: Duration::from_secs(30),
        decided_at: Position { home: 1, epoch: 1, sequence: 0 },
        policy_revision: PolicyRevision(1),
        registry_revision: RegistryRevision(1),
        policies: Vec::new(),
        request: None,
        at: ISSUED,
    }
}

/// An issue record for a task of a filled table.
pub fn record(jti: TokenId, task: TaskId) -> IssueRecord {
    IssueRecord {
        jti,
        tasks: vec![task],
        standing: Standing {
            actors: vec![Actor { workload: WorkloadNo(1), owner: OwnerNo(1), model: None }],
            tenant: TenantNo(1),
            connector: ConnectorNo(1),
            connector_owner: OwnerNo(2),
            policy_revision: PolicyRevision(1),
        },
        subject: "spiffe://acme.test/agents/refunder".into(),
        subject_key: SubjectKey([1; 16]),
        client_id: "spiffe://acme.test/agents/refunder".parse().expect("plain"),
        audience: "https://orders.acme.test".into(),
        scope: scope(),
        at: ISSUED,
        issued_at: ISSUED,
        not_before: ISSUED,
        expires_at: ISSUED.plus(Duration::from_secs(900)),
        uses_max: None,
        confirmation: None,
        kid: KeyId([0; 32]),
        decided_at: Position { home: 1, epoch: 1, sequence: 1 },
        registry_revision: RegistryRevision(1),
        policies: vec!["refund-orders".into()],
        request: None,
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
        let clock = locum_server::clock::SystemClock::open(&dir.path().join("clock")).expect("a clock");
        let journal = dir.path().join("journal");
        std::fs::create_dir(&journal).expect("a directory");
        let options = locum_broker::Options {
            issuer: "https://locum.acme.test".into(),
            journal: locum_journal::Options { home: 1, ..locum_journal::Options::default() },
            key_publish_ahead: Duration::from_secs(3600),
            key_rotate_every: Duration::from_secs(86_400),
        };
        let around = locum_broker::Surroundings {
            clock: Arc::new(clock),
            entropy: Arc::new(locum_server::entropy::OsEntropy::new()),
            files: Arc::new(locum_journal::DiskFiles::open(&journal).expect("a journal directory")),
            keys: Arc::new(locum_token::MemoryKeyStore::default()),
        };
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
