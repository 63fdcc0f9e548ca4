//! Filled tables, as a fold of events.

use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{NamedConnector, TaskStarted};
use locum_model::{
    Actor, Committed, ConnectorNo, DigestKey, Event, Grant, Intent, IssueRecord, KeyId, OwnerNo,
    PolicyRevision, Position, RegistryRevision, Resources, Scope, Standing, SubjectKey, TaskId, TenantNo,
    Timestamp, TokenId, WorkloadNo,
};
use locum_table::Table;

use crate::Even;

/// When everything in a filled table was issued.
pub const ISSUED: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Tokens of one task.
const TOKENS_PER_TASK: u64 = 10;

/// The id of the `number`-th token of a filled table.
pub fn jti(number: u64) -> TokenId {
    let mut even = Even(number);
    TokenId((u128::from(even.draw()) << 64 | u128::from(even.draw())).to_be_bytes())
}

/// A key for digests of tokens.
pub fn digest_key() -> DigestKey {
    let mut even = Even(1);
    DigestKey::of_words(|| even.draw())
}

/// A table with `tokens` live rows, ten to a task, as a fold of events.
pub fn filled_table(tokens: u64) -> Table {
    filled_table_of(tokens, TOKENS_PER_TASK)
}

/// A table with `tokens` live rows, `per_task` to a task, as a fold of events.
pub fn filled_table_of(tokens: u64, per_task: u64) -> Table {
    let table = Table::new(digest_key());
    let mut position = Position { home: 1, epoch: 1, sequence: 0 };
    let mut apply = |event: Event| {
        position = position.next();
        table.apply(&Committed::assertion(event, position));
    };
    for number in 0..tokens {
        let task = TaskId::new(1, number / per_task + 1);
        if number % per_task == 0 {
            apply(Event::TaskStarted(Arc::new(started(task))));
        }
        apply(Event::TokenIssued(Arc::new(record(jti(number), task))));
    }
    table
}

fn scope() -> Scope {
    let grant = Grant { operation: "orders:read".parse().expect("plain"), resources: Resources::All };
    Scope::of([grant]).expect("one grant")
}

/// The beginning of a task of a filled table.
pub fn started(task: TaskId) -> TaskStarted {
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
