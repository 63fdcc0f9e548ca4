//! Events to test with: plain ones, whose fields a test changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{
    By, KeyMoved, LapseCause, NamedConnector, Outcome, RegistryActivated, Revoked, TaskEnded, TaskLapsed,
    TaskStarted, TokenUsed,
};
use locum_model::registry::Entries;
use locum_model::scope::{Operation, Scope};
use locum_model::{
    Actor, Committed, ConnectorNo, DigestKey, Event, Intent, IssueRecord, KeyId, ModelNo, Name, OwnerNo,
    PolicyRevision, Position, RegistryRevision, Resources, Selector, SpiffeId, Standing, SubjectKey, Target,
    TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};

use crate::{Applied, Table};

/// Noon of some day, in seconds.
pub(super) const NOON: i64 = 1_795_305_600;

/// A journal in memory: numbers events and keeps them for a replay.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) events: Vec<Committed<Event>>,
}

impl Journal {
    /// The position of the newest event.
    pub(super) fn newest(&self) -> Position {
        at(self.events.len() as u64)
    }

    /// Commits an event and applies it.
    pub(super) fn apply(&mut self, table: &Table, event: Event) -> Applied {
        table.apply(self.commit(event))
    }

    /// Commits an event.
    pub(super) fn commit(&mut self, event: Event) -> &Committed<Event> {
        let position = self.newest().next();
        self.events.push(Committed::assertion(event, position));
        self.events.last().expect("just pushed")
    }

    /// Applies everything to a fresh table: a restart.
    pub(super) fn replay(&self) -> Table {
        let table = empty_table();
        self.events.iter().for_each(|event| drop(table.apply(event)));
        table
    }
}

/// A table with a key of its own.
pub(super) fn empty_table() -> Table {
    let mut word = 1_u64;
    Table::new(DigestKey::of_words(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.rotate_left(32)
    }))
}

pub(super) fn at(sequence: u64) -> Position {
    Position { home: 1, epoch: 1, sequence }
}

pub(super) fn noon_plus(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOON + seconds)
}

pub(super) fn task_id(count: u64) -> TaskId {
    TaskId::new(1, count)
}

pub(super) fn token_id(n: u128) -> TokenId {
    TokenId(n.to_be_bytes())
}

pub(super) fn subject(n: u8) -> SubjectKey {
    SubjectKey([n; 16])
}

pub(super) fn kid(n: u8) -> KeyId {
    KeyId([n; 32])
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn identity() -> SpiffeId {
    "spiffe://acme.example/refunder".parse().expect("a SPIFFE ID")
}

fn scope() -> Scope {
    let operation = Operation { connector: name("payments"), action: name("refund") };
    Scope::of([locum_model::Grant { operation, resources: Resources::All }]).expect("a scope")
}

/// A connector that an intent names.
pub(super) fn named(number: u32, owner: u32) -> NamedConnector {
    NamedConnector { number: ConnectorNo(number), owner: OwnerNo(owner) }
}

/// Tenant 1, workload 2 of owner 3 with model 4, subject 5, connectors 6 and 7 of owner 8.
pub(super) fn started(task: u64, parent: Option<u64>, decided_at: Position) -> TaskStarted {
    TaskStarted {
        task: task_id(task),
        parent: parent.map(task_id),
        tenant: TenantNo(1),
        workload: WorkloadNo(2),
        workload_identity: identity(),
        owner: OwnerNo(3),
        model: Some(ModelNo(4)),
        subject: "alice".to_owned(),
        subject_key: subject(5),
        intent: Intent { purpose: name("refund-order"), scope: scope() },
        connectors: vec![named(6, 8), named(7, 8)],
        justification: None,
        holder: [0; 32],
        deadline: noon_plus(3600),
        lease: Duration::from_secs(30),
        decided_at,
        policy_revision: PolicyRevision(9),
        registry_revision: RegistryRevision(1),
        policies: vec!["refunds".to_owned()],
        request: None,
        at: noon_plus(0),
    }
}

/// For connector 6 of owner 8, by policy revision 9, signed with key 10; 120 seconds from noon on.
pub(super) fn issued(jti: u128, chain: &[u64], decided_at: Position) -> IssueRecord {
    let actor = Actor { workload: WorkloadNo(2), owner: OwnerNo(3), model: Some(ModelNo(4)) };
    IssueRecord {
        jti: token_id(jti),
        tasks: chain.iter().copied().map(task_id).collect(),
        standing: Standing {
            actors: vec![actor],
            tenant: TenantNo(1),
            connector: ConnectorNo(6),
            connector_owner: OwnerNo(8),
            policy_revision: PolicyRevision(9),
        },
        subject: "alice".to_owned(),
        subject_key: subject(5),
        client_id: identity(),
        audience: "https://payments.example".to_owned(),
        scope: scope(),
        at: noon_plus(0),
        issued_at: noon_plus(0),
        not_before: noon_plus(-5),
        expires_at: noon_plus(120),
        uses_max: None,
        confirmation: None,
        kid: kid(10),
        decided_at,
        registry_revision: RegistryRevision(1),
        policies: vec!["refunds".to_owned()],
        request: None,
    }
}

pub(super) fn start(started: TaskStarted) -> Event {
    Event::TaskStarted(Arc::new(started))
}

pub(super) fn issue(record: IssueRecord) -> Event {
    Event::TokenIssued(Arc::new(record))
}

pub(super) fn ended(task: u64, at: Timestamp) -> Event {
    Event::TaskEnded(TaskEnded {
        task: task_id(task),
        outcome: Outcome::Completed,
        reason: None,
        by: By::Broker,
        at,
    })
}

pub(super) fn lapsed(task: u64, at: Timestamp) -> Event {
    Event::TaskLapsed(TaskLapsed { task: task_id(task), cause: LapseCause::LeaseExpired, at })
}

pub(super) fn used(jti: u128, at: Timestamp) -> Event {
    Event::TokenUsed(TokenUsed {
        jti: token_id(jti),
        task: task_id(1),
        operation: Operation { connector: name("payments"), action: name("refund") },
        resource: None,
        by: By::Broker,
        at,
    })
}

pub(super) fn revoked(target: Target, until: Option<Position>, at: Timestamp) -> Event {
    Event::Revoked(Box::new(Revoked {
        selector: Selector::Task(task_id(0)),
        targets: vec![target],
        until,
        reason: "a test".to_owned(),
        by: By::Operator("olivia".to_owned()),
        at,
    }))
}

pub(super) fn removed(removed: Vec<Target>, at: Timestamp) -> Event {
    let entries = Entries { tenants: BTreeMap::new(), ..Entries::default() };
    Event::RegistryActivated(Box::new(RegistryActivated {
        entries,
        digest: [0; 32],
        removed,
        by: By::Broker,
        at,
    }))
}

pub(super) fn retired(key: KeyId, at: Timestamp) -> Event {
    Event::KeyRetired(KeyMoved { kid: key, by: By::Broker, at })
}
