//! A small registry, and requests against it, for the tests of this crate.
//!
//! Tenant `acme` has the connectors `orders` (medium), `vault` (high) and `mail` (low); tenant
//! `other` has an `orders` of its own. Workload 1 `refunder` is a plugin with model `gpt`,
//! workload 2 `operator` is a service of owner `platform` without a model, workload 3 is
//! `refunder` of `other`.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_model::event::PolicyText;
use locum_model::evidence::WorldPin;
use locum_model::registry::{
    Action, Algorithm, Check, Connector, Effect, Entries, Model, Owner, Tenant, Tier, Workload, WorkloadKind,
};
use locum_model::{
    ConnectorNo, Grant, ModelNo, Name, OwnerNo, PolicyRevision, Position, Registry, RegistryRevision,
    Resources, Scope, TenantNo, Timestamp, WorkloadNo,
};

use crate::{Ask, Denial, Justification, Permit, PolicySet, Proof, RegistryEntities, Request, Subject};

/// The lines of a scope: operations, each with its resources; none for all.
pub(crate) type Lines = &'static [(&'static str, &'static [&'static str])];

/// The names that a request borrows, with the rest of it.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) ask: Ask,
    pub(crate) workload: Workload,
    pub(crate) tenant: Name,
    pub(crate) owner: Name,
    pub(crate) model: Option<Name>,
    pub(crate) purpose: Name,
    pub(crate) scope: Scope,
    pub(crate) depth: u32,
    pub(crate) justification: Justification,
    pub(crate) proof: Proof,
    pub(crate) subject: Subject,
    pub(crate) now: Timestamp,
}

impl Wish {
    /// A token for `scope`, asked by workload `number`, for `refund-order`, with nothing proved.
    pub(crate) fn of(registry: &Registry, number: u32, scope: &[(&str, &[&str])]) -> Self {
        let workload = registry.workload(WorkloadNo(number)).expect("registered").clone();
        Self {
            ask: Ask::IssueToken,
            tenant: registry.tenant(workload.tenant).expect("registered").name.clone(),
            owner: registry.owner(workload.owner).expect("registered").name.clone(),
            model: workload.model.map(|no| registry.model(no).expect("registered").name.clone()),
            workload,
            purpose: name("refund-order"),
            scope: scope_of(scope),
            depth: 0,
            justification: Justification::Missing,
            proof: Proof::Unproved,
            subject: Subject::Workload,
            now: Timestamp::from_seconds(1_767_614_400),
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            ask: self.ask,
            tenant: &self.tenant,
            workload: &self.workload,
            owner: &self.owner,
            model: self.model.as_ref(),
            purpose: &self.purpose,
            scope: &self.scope,
            depth: self.depth,
            justification: self.justification,
            proof: self.proof,
            subject: self.subject,
            now: self.now,
            world: world(),
        }
    }
}

pub(crate) fn world() -> WorldPin {
    let position = Position { home: 1, epoch: 2, sequence: 3 };
    WorldPin { position, policy: PolicyRevision(4), registry: RegistryRevision(5) }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

pub(crate) fn scope_of(lines: &[(&str, &[&str])]) -> Scope {
    let grant = |(operation, resources): &(&str, &[&str])| Grant {
        operation: operation.parse().expect("a good operation"),
        resources: Resources::of(resources.iter().map(|r| r.parse().expect("a good resource"))).expect("few"),
    };
    Scope::of(lines.iter().map(grant)).expect("a good scope")
}

pub(crate) fn text(name: &str, text: &str) -> PolicyText {
    PolicyText { name: name.to_owned(), text: text.to_owned() }
}

/// Compiles one text.
pub(crate) fn compiled(policies: &str) -> PolicySet {
    crate::compile(&[text("test.cedar", policies)]).expect("it compiles")
}

/// What is wrong with one text, one problem a line.
pub(crate) fn problems(policies: &str) -> String {
    let problems = crate::compile(&[text("test.cedar", policies)]).err().unwrap_or_default();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// The registry, prepared.
pub(crate) fn known() -> RegistryEntities {
    RegistryEntities::of(registry().into())
}

/// [`crate::decide`] with a registry that is prepared for this one decision.
pub(crate) fn decide(set: &PolicySet, registry: &Registry, request: &Request<'_>) -> Result<Permit, Denial> {
    crate::decide(set, &RegistryEntities::of(registry.clone().into()), request)
}

pub(crate) fn registry() -> Registry {
    Registry::of(entries())
}

pub(crate) fn entries() -> Entries {
    let (acme, other) = (TenantNo(1), TenantNo(2));
    let mut entries = Entries { revision: RegistryRevision(5), ..Entries::default() };
    for (number, called) in [(acme, "acme"), (other, "other")] {
        entries.tenants.insert(number, Tenant { number, name: name(called) });
    }
    for (number, tenant, called) in [(1, acme, "payments"), (2, acme, "platform"), (3, other, "payments")] {
        let number = OwnerNo(number);
        entries.owners.insert(number, Owner { number, tenant, name: name(called) });
    }
    let gpt = Model { number: ModelNo(1), tenant: acme, name: name("gpt"), owner: OwnerNo(2) };
    entries.models.insert(gpt.number, gpt);
    for workload in [
        workload(1, acme, ("refunder", WorkloadKind::Plugin), (1, Some(1))),
        workload(2, acme, ("operator", WorkloadKind::Service), (2, None)),
        workload(3, other, ("refunder", WorkloadKind::Plugin), (3, None)),
    ] {
        entries.workloads.insert(workload.number, workload);
    }
    for connector in connectors() {
        entries.connectors.insert(connector.number, connector);
    }
    entries
}

pub(crate) fn workload(
    number: u32,
    tenant: TenantNo,
    (called, kind): (&str, WorkloadKind),
    (owner, model): (u32, Option<u32>),
) -> Workload {
    Workload {
        number: WorkloadNo(number),
        tenant,
        name: name(called),
        identity: format!("spiffe://example.org/w/{number}").parse().expect("a good pattern"),
        kind,
        owner: OwnerNo(owner),
        model: model.map(ModelNo),
        serves: [].into(),
    }
}

fn connectors() -> [Connector; 4] {
    let (acme, other) = (TenantNo(1), TenantNo(2));
    let orders: &[(&str, Effect, &[&str])] = &[
        ("read", Effect::Read, &["order/**"]),
        ("refund", Effect::Write, &["order/*", "refund/**"]),
        ("count", Effect::Read, &[]),
    ];
    let vault: &[(&str, Effect, &[&str])] = &[
        ("read", Effect::Read, &["secret/*"]),
        ("write", Effect::Write, &["secret/*"]),
        ("rotate", Effect::Admin, &[]),
    ];
    let mail: &[(&str, Effect, &[&str])] = &[("send", Effect::Send, &["customer/*"])];
    [
        connector((1, acme, 1), "orders", (Tier::Medium, Check::Feed), orders),
        connector((2, acme, 2), "vault", (Tier::High, Check::Online), vault),
        connector((3, acme, 1), "mail", (Tier::Low, Check::Online), mail),
        connector((4, other, 3), "orders", (Tier::Low, Check::Jwks), orders),
    ]
}

fn connector(
    (number, tenant, owner): (u32, TenantNo, u32),
    called: &str,
    (tier, check): (Tier, Check),
    actions: &[(&str, Effect, &[&str])],
) -> Connector {
    let action = |(called, effect, resources): &(&str, Effect, &[&str])| {
        let resources = resources.iter().map(|r| r.parse().expect("a good resource")).collect();
        (name(called), Action { effect: *effect, resources })
    };
    Connector {
        number: ConnectorNo(number),
        tenant,
        name: name(called),
        audience: format!("https://{called}-{number}.example"),
        owner: OwnerNo(owner),
        tier,
        check,
        algorithm: Algorithm::Es256,
        ttl_max: Duration::from_secs(300),
        staleness_bound: Duration::from_secs(2),
        actions: actions.iter().map(action).collect::<BTreeMap<_, _>>(),
    }
}
