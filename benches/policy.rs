//! One decision, beside plain Cedar over the whole set with the whole registry prepared for it.
//!
//! Both sides answer the same requests in the same run and have to agree before anything is
//! measured. Each tenant has a hundred policies: four about the tenant, the rest about single
//! operations, half of those about single workloads; three forbids are about everybody.

use std::hint::black_box;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Entities, EntityUid, PolicySet as CedarSet, Request as CedarRequest,
};
use cedar_policy::{Policy, PolicyId};
use locum_benches::{Even, Goal, Report, Row, nanos};
use locum_model::event::PolicyText;
use locum_model::evidence::WorldPin;
use locum_model::registry::{
    Action, Algorithm, Check, Connector, Effect, Entries, Owner, Tenant, Tier, Workload, WorkloadKind,
};
use locum_model::{
    ConnectorNo, Grant, Name, OwnerNo, PolicyRevision, Position, Registry, RegistryRevision, Resources,
    Scope, TenantNo, WorkloadNo,
};
use locum_policy::{Ask, Justification, PolicySet, Proof, RegistryEntities, Request, Subject};

const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];
const POLICIES_OF_TENANT: usize = 100;
const CONNECTORS_OF_TENANT: usize = 10;
const WORKLOADS_OF_TENANT: usize = 20;
const GOALS: [Goal; 4] = [Goal::AtMost(8.0), Goal::AtMost(9.0), Goal::AtMost(10.0), Goal::AtMost(15.0)];
const EFFECTS: [(&str, Effect); 4] =
    [("read", Effect::Read), ("write", Effect::Write), ("send", Effect::Send), ("admin", Effect::Admin)];

/// What both sides decide over.
struct Stage {
    known: RegistryEntities,
    set: PolicySet,
    cedar: Cedar,
}

/// Plain Cedar.
struct Cedar {
    set: CedarSet,
    entities: Entities,
}

fn main() {
    let mut report = Report::asked();
    let (sizes, decisions) = report.sized([(4, 2_000), (4, 2_000), (2, 20)]);
    for (policies, goal) in POLICIES.into_iter().zip(GOALS).take(sizes) {
        if !report.wants(13) {
            continue;
        }
        report.progress(format_args!("{policies} policies"));
        let stage = Stage::of(policies);
        for operations in [1, 4] {
            let scope = scope(operations);
            let workload = stage.known.registry().workload(WorkloadNo(1)).expect("registered");
            stage.agree(workload, &scope);
            let ours = nanos(decisions, |_| drop(black_box(stage.ours(workload, &scope))));
            let times = (10 * decisions / policies).max(3);
            let plain = nanos(times, |_| drop(black_box(stage.plain(workload, &scope))));
            let what = format!("decision, {policies} policies, {operations} operations");
            let row = Row::new(13, what, ours / 1e3, "us").beside("plain Cedar", plain / 1e3);
            report.show(row.goal(if operations == 1 { goal } else { Goal::Told }));
        }
    }
}

// === impl Stage ===

impl Stage {
    fn of(policies: usize) -> Self {
        let tenants = policies.div_ceil(POLICIES_OF_TENANT);
        let entries = entries(tenants as u32);
        let texts = texts(policies);
        let cedar = Cedar::of(&entries, &texts);
        let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
        let text = PolicyText { name: "bench.cedar".into(), text: texts.join("\n") };
        let set = locum_policy::compile(&[text]).expect("valid");
        assert_eq!(set.len(), policies);
        Self { known: RegistryEntities::of(Arc::new(Registry::of(entries))), set, cedar }
    }

    /// The policies that permit, or nothing.
    fn ours(&self, workload: &Workload, scope: &Scope) -> Vec<String> {
        let registry = self.known.registry();
        let request = Request {
            ask: Ask::IssueToken,
            tenant: &registry.tenant(workload.tenant).expect("registered").name,
            workload,
            owner: &registry.owner(workload.owner).expect("registered").name,
            model: None,
            purpose: &workload.name,
            scope,
            depth: 1,
            justification: Justification::Given,
            proof: Proof::Proved,
            subject: Subject::Workload,
            now: locum_benches::ISSUED,
            world: WorldPin {
                position: Position { home: 1, epoch: 1, sequence: 1 },
                policy: PolicyRevision(1),
                registry: RegistryRevision(1),
            },
        };
        let decided = locum_policy::decide(&self.set, &self.known, &request);
        decided.map(|permit| permit.policies().to_vec()).unwrap_or_default()
    }

    /// The same, as one would write it with Cedar alone.
    fn plain(&self, workload: &Workload, scope: &Scope) -> Vec<String> {
        let mut all = Vec::new();
        for (operation, resources) in scope.grants() {
            let principal = uid("Workload", &workload.number.to_string());
            let resource = uid("Operation", &format!("t0/{operation}"));
            let patterns = resources.patterns().map(|pattern| pattern.to_string());
            let request = CedarRequest::new(
                principal,
                uid("Action", "issue_token"),
                resource,
                facts(workload, patterns),
                None,
            )
            .expect("a request");
            let response = Authorizer::new().is_authorized(&request, &self.cedar.set, &self.cedar.entities);
            all.extend(response.diagnostics().reason().map(ToString::to_string));
        }
        all.sort();
        all.dedup();
        all
    }

    fn agree(&self, workload: &Workload, scope: &Scope) {
        let (ours, plain) = (self.ours(workload, scope), self.plain(workload, scope));
        assert!(ours == plain && ours.len() >= 2, "{ours:?} {plain:?}");
    }
}

fn facts(workload: &Workload, patterns: impl Iterator<Item = String>) -> Context {
    use cedar_policy::RestrictedExpression as Value;
    let pairs = [
        ("purpose", Value::new_string(workload.name.to_string())),
        ("resources", Value::new_set(patterns.map(Value::new_string))),
        ("resources_all", Value::new_bool(false)),
        ("resources_exact", Value::new_bool(true)),
        ("depth", Value::new_long(1)),
        ("justification", Value::new_bool(true)),
        ("proof", Value::new_bool(true)),
        ("delegated", Value::new_bool(false)),
        ("weekday", Value::new_long(1)),
        ("minute_of_day", Value::new_long(720)),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).expect("a context")
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind = format!("Locum::{kind}").parse().expect("a type");
    EntityUid::from_type_name_and_id(kind, cedar_policy::EntityId::new(id))
}

// === impl Cedar ===

impl Cedar {
    fn of(entries: &Entries, texts: &[(String, String)]) -> Self {
        let policies =
            texts.iter().map(|(id, text)| Policy::parse(Some(PolicyId::new(id)), text).expect("it parses"));
        let set = CedarSet::from_policies(policies).expect("unique");
        let (schema, _) =
            cedar_policy::Schema::from_cedarschema_str(locum_policy::SCHEMA).expect("our schema");
        let json = format!("[{}]", entities_json(entries).join(","));
        Self { set, entities: Entities::from_json_str(&json, Some(&schema)).expect("they conform") }
    }
}

fn entities_json(entries: &Entries) -> Vec<String> {
    let entity = |kind: &str, id: &str| format!("{{\"type\":\"Locum::{kind}\",\"id\":\"{id}\"}}");
    let mut all = Vec::new();
    for (number, tenant) in &entries.tenants {
        let (name, own) = (&tenant.name, entity("Tenant", tenant.name.as_str()));
        let team = entity("Owner", &format!("{name}/team"));
        all.push(format!("{{\"uid\":{own},\"attrs\":{{\"name\":\"{name}\"}},\"parents\":[]}}"));
        all.push(format!(
            "{{\"uid\":{team},\"attrs\":{{\"name\":\"team\",\"tenant\":{own}}},\"parents\":[{own}]}}"
        ));
        for workload in entries.workloads.values().filter(|workload| workload.tenant == *number) {
            all.push(format!(
                "{{\"uid\":{},\"attrs\":{{\"name\":\"{}\",\"kind\":{},\"tenant\":{own},\"owner\":{team}}},\"parents\":[{own},{team}]}}",
                entity("Workload", &workload.number.to_string()),
                workload.name,
                entity("Kind", "plugin"),
            ));
        }
        for connector in entries.connectors.values().filter(|connector| connector.tenant == *number) {
            let called = format!("{name}/{}", connector.name);
            let (its, tier) = (entity("Connector", &called), entity("Tier", "low"));
            all.push(format!(
                "{{\"uid\":{its},\"attrs\":{{\"name\":\"{}\",\"tenant\":{own},\"owner\":{team},\"tier\":{tier},\"check\":{},\
                 \"audience\":\"{}\"}},\"parents\":[{own},{team}]}}",
                connector.name,
                entity("Check", "feed"),
                connector.audience,
            ));
            for (action, _) in EFFECTS {
                all.push(format!(
                    "{{\"uid\":{},\"attrs\":{{\"connector\":{its},\"action\":\"{action}\",\"effect\":{},\"tier\":{tier}}},\
                     \"parents\":[{its}]}}",
                    entity("Operation", &format!("{called}:{action}")),
                    entity("Effect", action),
                ));
            }
        }
    }
    all
}

// === what is decided over ===

fn name(text: &str) -> Name {
    text.parse().expect("plain")
}

/// `operations` lines, each on one resource.
fn scope(operations: usize) -> Scope {
    let grant = |at: usize| Grant {
        operation: format!("c{at}:read").parse().expect("plain"),
        resources: Resources::of(["item/7".parse().expect("plain")]).expect("one"),
    };
    Scope::of((0..operations).map(grant)).expect("few")
}

fn entries(tenants: u32) -> Entries {
    let mut entries = Entries { revision: RegistryRevision(1), ..Entries::default() };
    for tenant in 0..tenants {
        let (number, owner) = (TenantNo(tenant + 1), OwnerNo(tenant + 1));
        entries.tenants.insert(number, Tenant { number, name: name(&format!("t{tenant}")) });
        entries.owners.insert(owner, Owner { number: owner, tenant: number, name: name("team") });
        for at in 0..WORKLOADS_OF_TENANT as u32 {
            let no = WorkloadNo(tenant * WORKLOADS_OF_TENANT as u32 + at + 1);
            let identity = format!("spiffe://t{tenant}.test/w/{at}").parse().expect("plain");
            let workload = Workload {
                number: no,
                tenant: number,
                name: name(&format!("w{at}")),
                identity,
                kind: WorkloadKind::Plugin,
                owner,
                model: None,
                serves: [].into(),
            };
            entries.workloads.insert(no, workload);
        }
        for at in 0..CONNECTORS_OF_TENANT as u32 {
            let no = ConnectorNo(tenant * CONNECTORS_OF_TENANT as u32 + at + 1);
            entries.connectors.insert(no, connector((no, number, owner), tenant, at));
        }
    }
    entries
}

fn connector((number, tenant, owner): (ConnectorNo, TenantNo, OwnerNo), of: u32, at: u32) -> Connector {
    let action = |effect| Action { effect, resources: ["item/*".parse().expect("plain")].into() };
    Connector {
        number,
        tenant,
        name: name(&format!("c{at}")),
        audience: format!("https://c{at}.t{of}.test"),
        owner,
        tier: Tier::Low,
        check: Check::Feed,
        algorithm: Algorithm::Es256,
        ttl_max: std::time::Duration::from_secs(300),
        staleness_bound: std::time::Duration::from_secs(2),
        actions: EFFECTS.map(|(called, effect)| (name(called), action(effect))).into(),
    }
}

/// Policies, each with its id.
fn texts(count: usize) -> Vec<(String, String)> {
    let mut even = Even(13);
    let guards = [
        "forbid (principal, action, resource) when { principal has model && resource.effect == Locum::Effect::\"admin\" };",
        "forbid (principal, action in [Locum::Action::\"start_task\", Locum::Action::\"issue_token\"], resource)
         when { context.depth > 3 && resource.effect != Locum::Effect::\"read\" };",
        "forbid (principal, action == Locum::Action::\"issue_token\", resource)
         when { resource.effect == Locum::Effect::\"send\" && resource.connector.check == Locum::Check::\"jwks\" };",
    ];
    let mut texts: Vec<String> = guards.map(String::from).into();
    for at in 0..count - guards.len() {
        let (tenant, nth) = (at / POLICIES_OF_TENANT, at % POLICIES_OF_TENANT);
        texts.push(match nth {
            0..4 => of_tenant(tenant, EFFECTS[nth].0),
            4 => of_operation(tenant, "", "c0:read"),
            _ => {
                let number = tenant * WORKLOADS_OF_TENANT + even.draw() as usize % WORKLOADS_OF_TENANT + 1;
                let who = if nth % 2 == 0 { String::new() } else { number.to_string() };
                let connector = even.draw() as usize % CONNECTORS_OF_TENANT;
                of_operation(tenant, &who, &format!("c{connector}:{}", EFFECTS[even.draw() as usize % 4].0))
            }
        });
    }
    let numbered = |(at, text): (usize, String)| (format!("p{at}"), format!("@id(\"p{at}\") {text}"));
    texts.into_iter().enumerate().map(numbered).collect()
}

fn of_tenant(tenant: usize, effect: &str) -> String {
    format!(
        "permit (principal in Locum::Tenant::\"t{tenant}\", action, resource in Locum::Tenant::\"t{tenant}\")
         when {{ resource.effect == Locum::Effect::\"{effect}\" && resource.tier != Locum::Tier::\"high\" }};"
    )
}

fn of_operation(tenant: usize, workload: &str, operation: &str) -> String {
    let principal = match workload {
        "" => format!("principal in Locum::Tenant::\"t{tenant}\""),
        number => format!("principal == Locum::Workload::\"{number}\""),
    };
    format!(
        "permit ({principal}, action, resource == Locum::Operation::\"t{tenant}/{operation}\")
         when {{ context.resources_exact && context.purpose != \"explore\" }};"
    )
}
