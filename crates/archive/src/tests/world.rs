//! Histories: what could have happened, from a list of small numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{
    By, ChecksSummed, DenialsSummed, KeyMoved, LapseCause, Locked, NamedConnector, Outcome,
    RegistryActivated, Revoked, TaskEnded, TaskLapsed, TaskStarted, TokenUsed, Unlocked,
};
use locum_model::issue_record::RequestKey;
use locum_model::registry::{
    Algorithm, Check, Connector, Entries, LastNumbers, Model, Owner, Tenant, Tier, Workload, WorkloadKind,
};
use locum_model::{
    Actor, Committed, ConnectorNo, Event, Intent, IssueRecord, KeyId, ModelNo, OwnerNo, PolicyRevision,
    Position, Reason, RegistryRevision, Scope, Selector, SpiffeId, Standing, SubjectKey, Target, TaskId,
    TenantNo, Timestamp, TokenId, WorkloadNo,
};

/// When the first event happens.
pub(super) const BEGIN: i64 = 1_795_305_600_000;
/// Words that operators say.
pub(super) const SAID: [&str; 4] =
    ["stolen laptop", "Drill: laptop of INC-412", "runaway agent", "a drill, again"];

pub(super) struct World {
    pub(super) events: Vec<Committed<Event>>,
    now: i64,
    revision: u32,
    tasks: Vec<TaskStarted>,
    tokens: Vec<IssueRecord>,
    locks: u64,
}

impl World {
    /// What happens when these choices are made.
    pub(super) fn of(choices: &[(u8, u8, u8)]) -> Self {
        let mut world = Self {
            events: Vec::new(),
            now: BEGIN,
            revision: 0,
            tasks: Vec::new(),
            tokens: Vec::new(),
            locks: 0,
        };
        world.register();
        for choice in choices {
            world.happen(*choice);
        }
        world
    }

    fn commit(&mut self, event: Event) {
        let sequence = self.events.len() as u64 + 1;
        self.events.push(Committed::assertion(event, Position { home: 1, epoch: 1, sequence }));
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn happen(&mut self, (what, which, how): (u8, u8, u8)) {
        self.now += i64::from(how) * 10;
        let (task, token) = (self.task(which), self.token(which));
        match (what % 16, task, token) {
            (0 | 1, _, _) => self.start(None, which, how),
            (2, Some(parent), _) => self.start(Some(parent), which, how),
            (3..=5, Some(task), _) => self.issue(&task, how),
            (6, _, Some(token)) => {
                let (jti, task) = (token.jti, token.task());
                let by = by_workload(3, "spiffe://acme.test/services/orders-api");
                let operation = "orders:read".parse().expect("an operation");
                self.commit(Event::TokenUsed(TokenUsed {
                    jti,
                    task,
                    operation,
                    resource: None,
                    by,
                    at: self.at(),
                }));
            }
            (7, _, Some(token)) => {
                // Sums are written down late: their times lie before those of their neighbours.
                let last = Timestamp::from_millis(self.now - i64::from(which) * 100);
                let (jti, task) = (token.jti, token.task());
                let sum = ChecksSummed { jti, task, first: last, last, active: 1, refused: 0 };
                self.commit(Event::ChecksSummed(sum));
            }
            (8, Some(task), _) => {
                let reason = how.is_multiple_of(2).then(|| said(how).to_owned());
                let by = match &reason {
                    Some(_) => operator(which),
                    None => By::Workload { number: task.workload, id: task.workload_identity.clone() },
                };
                let (task, outcome) = (task.task, Outcome::Completed);
                self.commit(Event::TaskEnded(TaskEnded { task, outcome, reason, by, at: self.at() }));
            }
            (9, Some(task), _) => {
                let lapsed = TaskLapsed { task: task.task, cause: LapseCause::LeaseExpired, at: self.at() };
                self.commit(Event::TaskLapsed(lapsed));
            }
            (10, task, _) => self.deny(task.filter(|_| how.is_multiple_of(2)), which, how),
            (11 | 12, task, token) => self.take(task, token, which, how),
            (13, task, _) => self.lock(task, which, how),
            (14, _, _) if self.locks > 0 => {
                let locks = vec![1 + u64::from(which) % self.locks];
                let (reason, by) = (said(how).to_owned(), operator(how));
                self.commit(Event::Unlocked(Unlocked { locks, reason, by, at: self.at() }));
            }
            (15, _, _) if how.is_multiple_of(3) => self.register(),
            _ => {
                let key = KeyMoved { kid: KeyId([which; 32]), by: By::Broker, at: self.at() };
                self.commit(Event::KeyRetired(key));
            }
        }
    }

    fn task(&self, which: u8) -> Option<TaskStarted> {
        self.tasks.get(usize::from(which) % self.tasks.len().max(1)).cloned()
    }

    fn token(&self, which: u8) -> Option<IssueRecord> {
        self.tokens.get(usize::from(which) % self.tokens.len().max(1)).cloned()
    }

    /// A registry. Each one after the first registers the refunder anew, under another number.
    fn register(&mut self) {
        let before = self.refunder();
        self.revision += 1;
        let entries = entries(self.revision);
        let removed = if self.revision > 1 { vec![Target::Workload(before)] } else { Vec::new() };
        let digest = [0; 32];
        let activated = RegistryActivated { entries, digest, removed, by: By::Broker, at: self.at() };
        self.commit(Event::RegistryActivated(Box::new(activated)));
    }

    fn refunder(&self) -> WorkloadNo {
        WorkloadNo(9 + self.revision)
    }

    fn start(&mut self, parent: Option<TaskStarted>, which: u8, how: u8) {
        let globex = parent.as_ref().map_or(which.is_multiple_of(3), |parent| parent.tenant == TenantNo(2));
        let (tenant, workload, id, owner, model, connector) = match globex {
            true => (2, WorkloadNo(2), "spiffe://globex.test/bot", 2, None, 2),
            false => (1, self.refunder(), "spiffe://acme.test/agents/refunder", 1, Some(ModelNo(1)), 1),
        };
        let id: SpiffeId = id.parse().expect("an id");
        let started = TaskStarted {
            task: TaskId::new(1, self.tasks.len() as u64 + 1),
            parent: parent.map(|parent| parent.task),
            tenant: TenantNo(tenant),
            workload,
            workload_identity: id.clone(),
            owner: OwnerNo(owner),
            model,
            subject: id.to_string(),
            subject_key: SubjectKey([tenant as u8; 16]),
            intent: Intent { purpose: "refund-order".parse().expect("a name"), scope: Scope::default() },
            // Somebody else of the tenant answers for it.
            connectors: vec![NamedConnector { number: ConnectorNo(connector), owner: OwnerNo(owner + 2) }],
            justification: None,
            holder: [0; 32],
            deadline: self.at().plus(Duration::from_secs(60)),
            lease: Duration::from_secs(60),
            decided_at: Position::default(),
            policy_revision: PolicyRevision(1),
            registry_revision: RegistryRevision(self.revision),
            policies: Vec::new(),
            request: request(how),
            at: self.at(),
        };
        self.tasks.push(started.clone());
        self.commit(Event::TaskStarted(Arc::new(started)));
    }

    fn issue(&mut self, task: &TaskStarted, how: u8) {
        let mut tasks = vec![task.task];
        let mut above = task.parent;
        while let Some(parent) = above {
            tasks.insert(0, parent);
            above = self.tasks.iter().find(|task| task.task == parent).and_then(|task| task.parent);
        }
        let mut jti = [0; 16];
        jti[..8].copy_from_slice(&(self.tokens.len() as u64 + 1).to_be_bytes());
        let record = IssueRecord {
            jti: TokenId(jti),
            tasks,
            standing: Standing {
                actors: vec![Actor { workload: task.workload, owner: task.owner, model: task.model }],
                tenant: task.tenant,
                connector: task.connectors[0].number,
                connector_owner: task.connectors[0].owner,
                policy_revision: PolicyRevision(1),
            },
            subject: task.subject.clone(),
            subject_key: task.subject_key,
            client_id: task.workload_identity.clone(),
            audience: "https://orders.acme.test".into(),
            scope: Scope::default(),
            at: self.at(),
            issued_at: self.at().floor_to_second(),
            not_before: self.at().floor_to_second(),
            expires_at: self.at().plus(Duration::from_secs(60)),
            uses_max: None,
            confirmation: None,
            kid: KeyId([how % 3; 32]),
            decided_at: Position::default(),
            registry_revision: RegistryRevision(self.revision),
            policies: Vec::new(),
            request: request(how),
        };
        self.tokens.push(record.clone());
        self.commit(Event::TokenIssued(Arc::new(record)));
    }

    fn deny(&mut self, task: Option<TaskStarted>, which: u8, how: u8) {
        let (tenant, by) = match which % 3 {
            0 => (TenantNo(0), operator(how)),
            1 => (TenantNo(1), by_workload(self.refunder().0, "spiffe://acme.test/agents/refunder")),
            _ => (TenantNo(2), by_workload(2, "spiffe://globex.test/bot")),
        };
        // A task is named only by those who may.
        let task = task.filter(|task| task.tenant == tenant).map(|task| task.task);
        let reason = [Reason::ScopeBeyondIntent, Reason::PolicyDenied][usize::from(how) % 2];
        let last = Timestamp::from_millis(self.now - i64::from(how) * 50);
        self.commit(Event::DenialsSummed(DenialsSummed {
            tenant,
            by,
            task,
            method: "IssueToken".into(),
            reason,
            detail: String::new(),
            policy_revision: PolicyRevision(1),
            asked: None,
            count: 1,
            first: last,
            last,
        }));
    }

    fn targets(
        &self,
        task: Option<TaskStarted>,
        token: Option<IssueRecord>,
        which: u8,
    ) -> (Selector, Vec<Target>) {
        let name = |text: &str| text.parse().expect("a name");
        match (which % 8, task, token) {
            (0, Some(task), _) => (Selector::Task(task.task), vec![Target::Task(task.task)]),
            (1, _, Some(token)) => (Selector::Token(token.jti), vec![Target::Token(token.jti)]),
            (2, _, _) => (Selector::Workload(name("refunder")), vec![Target::Workload(self.refunder())]),
            (3, _, _) => (Selector::Connector(name("vault")), vec![Target::Connector(ConnectorNo(2))]),
            (4, _, _) => (Selector::Owner(name("team-a")), vec![Target::Owner(OwnerNo(1))]),
            (5, _, _) => (Selector::Model(name("gpt")), vec![Target::Model(ModelNo(1))]),
            (6, _, _) => (Selector::Tenant(name("globex")), vec![Target::Tenant(TenantNo(2))]),
            _ => {
                let both = vec![Target::Workload(self.refunder()), Target::Workload(WorkloadNo(2))];
                (Selector::WorkloadPattern("spiffe://acme.test/**".parse().expect("a pattern")), both)
            }
        }
    }

    fn take(&mut self, task: Option<TaskStarted>, token: Option<IssueRecord>, which: u8, how: u8) {
        let (selector, targets) = self.targets(task, token, which);
        let (reason, by) = (said(how).to_owned(), operator(how));
        let revoked = Revoked { selector, targets, until: None, reason, by, at: self.at() };
        self.commit(Event::Revoked(Box::new(revoked)));
    }

    fn lock(&mut self, task: Option<TaskStarted>, which: u8, how: u8) {
        self.locks += 1;
        let (selector, targets) = self.targets(task, None, which);
        let tenant = match targets[..] {
            [Target::Task(task)] => self.tasks.iter().find(|row| row.task == task).map(|row| row.tenant),
            [Target::Connector(_) | Target::Tenant(_)] => Some(TenantNo(2)),
            [_] => Some(TenantNo(1)),
            _ => None,
        };
        let (reason, by) = (said(how).to_owned(), operator(how));
        let (lock, at, until) = (self.locks, self.at(), self.at().plus(Duration::from_secs(60)));
        let locked = Locked { lock, tenant, selector, targets, reason, by, at, until };
        self.commit(Event::Locked(Box::new(locked)));
    }
}

fn said(how: u8) -> &'static str {
    SAID[usize::from(how) % SAID.len()]
}

fn request(how: u8) -> Option<RequestKey> {
    how.is_multiple_of(4).then(|| RequestKey { id: format!("req-{}", how % 5), hash: [how; 32] })
}

fn operator(which: u8) -> By {
    By::Operator(["alice", "bob"][usize::from(which) % 2].into())
}

fn by_workload(number: u32, id: &str) -> By {
    By::Workload { number: WorkloadNo(number), id: id.parse().expect("an id") }
}

fn entries(revision: u32) -> Entries {
    let name = |text: &str| text.parse().expect("a name");
    let (acme, globex) = (TenantNo(1), TenantNo(2));
    let tenants = [(acme, "acme"), (globex, "globex")];
    let owners = [(1, acme, "team-a"), (2, globex, "team-g"), (3, acme, "desk-a"), (4, globex, "desk-g")];
    let workload = |number, tenant, text: &str, id: &str, owner, model| Workload {
        number: WorkloadNo(number),
        tenant,
        name: name(text),
        identity: id.parse().expect("a pattern"),
        kind: WorkloadKind::Agent,
        owner: OwnerNo(owner),
        model,
        serves: BTreeSet::new(),
    };
    let workloads = [
        workload(2, globex, "bot", "spiffe://globex.test/bot", 2, None),
        workload(3, acme, "orders-api", "spiffe://acme.test/services/*", 1, None),
        workload(9 + revision, acme, "refunder", "spiffe://acme.test/agents/refunder", 1, Some(ModelNo(1))),
    ];
    let connector = |number, tenant, text: &str, owner| Connector {
        number: ConnectorNo(number),
        tenant,
        name: name(text),
        audience: format!("https://{text}.test"),
        owner: OwnerNo(owner),
        tier: Tier::Low,
        check: Check::Online,
        algorithm: Algorithm::Es256,
        ttl_max: Duration::from_secs(60),
        staleness_bound: Duration::from_secs(2),
        actions: BTreeMap::new(),
    };
    let connectors = [connector(1, acme, "orders", 1), connector(2, globex, "vault", 2)];
    let model = Model { number: ModelNo(1), tenant: acme, name: name("gpt"), owner: OwnerNo(1) };
    Entries {
        revision: RegistryRevision(revision),
        last: LastNumbers::default(),
        tenants: tenants.map(|(number, text)| (number, Tenant { number, name: name(text) })).into(),
        owners: owners
            .map(|(number, tenant, text)| {
                let number = OwnerNo(number);
                (number, Owner { number, tenant, name: name(text) })
            })
            .into(),
        models: [(model.number, model)].into(),
        workloads: workloads.map(|workload| (workload.number, workload)).into(),
        connectors: connectors.map(|connector| (connector.number, connector)).into(),
    }
}
