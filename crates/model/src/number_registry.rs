//! From a proposal to a registry: checked whole, numbered, and compared with the one in force.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{
    ACTIONS_PER_CONNECTOR_MAX, AUDIENCE_BYTES_MAX, REGISTRATION_NUMBERS_MAX, REGISTRY_ENTRIES_MAX,
    TOKEN_TTL_MAX, TOKEN_TTL_MIN, WORKLOAD_ID_BYTES_MAX,
};
use crate::limits::{STALENESS_BOUND_MAX, STALENESS_BOUND_MIN};
use crate::number::{ConnectorNo, ModelNo, OwnerNo, RegistryRevision, TenantNo, WorkloadNo};
use crate::registry::{
    Connector, Entries, LastNumbers, Model, Owner, Proposal, ProposedConnector, ProposedWorkload, Tenant,
    Workload,
};
use crate::{Name, Target};

/// A registry that may come into force, and how it differs from the one that is.
#[derive(Debug)]
pub struct Numbered {
    /// What may come into force.
    pub entries: Entries,
    /// What is gone, or is another registration under its old name.
    pub removed: Vec<Target>,
    /// What changed, a line each.
    pub changes: Vec<String>,
}

/// Checks and numbers `proposal`; entries that `current` has keep their numbers.
///
/// # Errors
///
/// Every problem, a line each.
pub fn number(current: &Entries, proposal: &Proposal) -> Result<Numbered, Vec<String>> {
    let mut work = Work::new(current);
    work.bounds(proposal);
    work.tenants(proposal);
    work.owners(proposal);
    work.models(proposal);
    work.connectors(proposal);
    work.workloads(proposal);
    work.distinct_identities();
    work.numbers_left();
    if !work.problems.is_empty() {
        return Err(work.problems);
    }
    let (removed, changes) = differences(current, &work.next);
    Ok(Numbered { entries: work.next, removed, changes })
}

/// Checks a proposal by itself, as if nothing were in force.
///
/// # Errors
///
/// Every problem, a line each.
pub fn check_registry(proposal: &Proposal) -> Result<(), Vec<String>> {
    number(&Entries::default(), proposal).map(drop)
}

struct Work<'a> {
    current: &'a Entries,
    next: Entries,
    problems: Vec<String>,
    tenants: BTreeMap<Name, TenantNo>,
    owners: BTreeMap<(TenantNo, Name), OwnerNo>,
    models: BTreeMap<(TenantNo, Name), ModelNo>,
    connectors: BTreeMap<(TenantNo, Name), ConnectorNo>,
}

impl<'a> Work<'a> {
    fn new(current: &'a Entries) -> Self {
        let next = Entries {
            revision: RegistryRevision(current.revision.0 + 1),
            last: current.last,
            ..Entries::default()
        };
        Self {
            current,
            next,
            problems: Vec::new(),
            tenants: BTreeMap::new(),
            owners: BTreeMap::new(),
            models: BTreeMap::new(),
            connectors: BTreeMap::new(),
        }
    }

    fn bounds(&mut self, proposal: &Proposal) {
        let counts = [
            ("tenants", proposal.tenants.len()),
            ("models", proposal.models.len()),
            ("workloads", proposal.workloads.len()),
            ("connectors", proposal.connectors.len()),
        ];
        for (what, count) in counts {
            if count > REGISTRY_ENTRIES_MAX {
                self.problems.push(format!("{count} {what}: at most {REGISTRY_ENTRIES_MAX} are allowed"));
            }
        }
    }

    fn tenants(&mut self, proposal: &Proposal) {
        for name in &proposal.tenants {
            let known = self.current.tenants.values().find(|tenant| tenant.name == *name);
            let number = TenantNo(give(known.map(|t| t.number.0), &mut self.next.last.tenant));
            if self.tenants.insert(name.clone(), number).is_some() {
                self.problems.push(format!("tenant `{name}` stands twice"));
            }
            self.next.tenants.insert(number, Tenant { number, name: name.clone() });
        }
    }

    /// Owners are known by being named: whoever answers for something is an owner.
    fn owners(&mut self, proposal: &Proposal) {
        let named = proposal.models.iter().map(|entry| (&entry.tenant, &entry.owner));
        let named = named.chain(proposal.workloads.iter().map(|entry| (&entry.tenant, &entry.owner)));
        let named = named.chain(proposal.connectors.iter().map(|entry| (&entry.tenant, &entry.owner)));
        let named: BTreeSet<_> = named.collect();
        for (tenant, name) in named {
            let Some(tenant) = self.tenants.get(tenant).copied() else { continue };
            let same = |owner: &&Owner| owner.tenant == tenant && owner.name == *name;
            let known = self.current.owners.values().find(same);
            let number = OwnerNo(give(known.map(|owner| owner.number.0), &mut self.next.last.owner));
            self.owners.insert((tenant, name.clone()), number);
            self.next.owners.insert(number, Owner { number, tenant, name: name.clone() });
        }
    }

    fn models(&mut self, proposal: &Proposal) {
        for entry in &proposal.models {
            let what = format!("model `{}`", entry.name);
            let Some((tenant, owner)) = self.place(&what, &entry.tenant, &entry.owner) else { continue };
            let same = |model: &&Model| model.tenant == tenant && model.name == entry.name;
            let known = self.current.models.values().find(same);
            let number = ModelNo(give(known.map(|model| model.number.0), &mut self.next.last.model));
            if self.models.insert((tenant, entry.name.clone()), number).is_some() {
                self.problems.push(format!("{what} stands twice in tenant `{}`", entry.tenant));
            }
            self.next.models.insert(number, Model { number, tenant, name: entry.name.clone(), owner });
        }
    }

    fn connectors(&mut self, proposal: &Proposal) {
        let mut audiences = BTreeSet::new();
        for entry in &proposal.connectors {
            let what = format!("connector `{}`", entry.name);
            let Some((tenant, owner)) = self.place(&what, &entry.tenant, &entry.owner) else { continue };
            self.connector_fits(&what, entry);
            if !audiences.insert(&entry.audience) {
                self.problems.push(format!(
                    "{what}: another connector has the audience `{}`",
                    entry.audience.escape_debug()
                ));
            }
            let same = |connector: &&Connector| connector.tenant == tenant && connector.name == entry.name;
            let known = self.current.connectors.values().find(same);
            let number = ConnectorNo(give(known.map(|c| c.number.0), &mut self.next.last.connector));
            if self.connectors.insert((tenant, entry.name.clone()), number).is_some() {
                self.problems.push(format!("{what} stands twice in tenant `{}`", entry.tenant));
            }
            let connector = Connector {
                number,
                tenant,
                name: entry.name.clone(),
                audience: entry.audience.clone(),
                owner,
                tier: entry.tier,
                check: entry.check,
                algorithm: entry.algorithm,
                ttl_max: entry.ttl_max,
                staleness_bound: entry.staleness_bound,
                actions: entry.actions.clone(),
            };
            self.next.connectors.insert(number, connector);
        }
    }

    fn connector_fits(&mut self, what: &str, entry: &ProposedConnector) {
        let audience = entry.audience.as_str();
        let plain = audience.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if audience.is_empty() || audience.len() > AUDIENCE_BYTES_MAX || !plain {
            let bound = format!("1 to {AUDIENCE_BYTES_MAX} printable ASCII characters without quotes");
            self.problems.push(format!("{what}: the audience has to be {bound}"));
        }
        if !(TOKEN_TTL_MIN..=TOKEN_TTL_MAX).contains(&entry.ttl_max) {
            let (least, most) = (TOKEN_TTL_MIN.as_secs(), TOKEN_TTL_MAX.as_secs());
            self.problems.push(format!("{what}: ttl_max has to be {least} s to {most} s"));
        }
        let whole = entry.staleness_bound.subsec_nanos().is_multiple_of(1_000_000);
        if !whole || !(STALENESS_BOUND_MIN..=STALENESS_BOUND_MAX).contains(&entry.staleness_bound) {
            let (least, most) = (STALENESS_BOUND_MIN.as_millis(), STALENESS_BOUND_MAX.as_secs());
            self.problems.push(format!(
                "{what}: staleness_bound has to be {least} ms to {most} s in whole milliseconds"
            ));
        }
        if entry.actions.is_empty() || entry.actions.len() > ACTIONS_PER_CONNECTOR_MAX {
            self.problems.push(format!("{what} has to have 1 to {ACTIONS_PER_CONNECTOR_MAX} actions"));
        }
    }

    fn workloads(&mut self, proposal: &Proposal) {
        for entry in &proposal.workloads {
            let what = format!("workload `{}`", entry.name);
            let Some((tenant, owner)) = self.place(&what, &entry.tenant, &entry.owner) else { continue };
            if entry.identity.as_str().len() > WORKLOAD_ID_BYTES_MAX {
                self.problems
                    .push(format!("{what}: the identity is longer than {WORKLOAD_ID_BYTES_MAX} bytes"));
            }
            let model = self.model_of(&what, tenant, entry);
            let serves = self.served_by(&what, tenant, entry);
            let same = |workload: &&Workload| workload.tenant == tenant && workload.name == entry.name;
            // Another identity is another workload, even under an old name.
            let known =
                self.current.workloads.values().find(same).filter(|known| known.identity == entry.identity);
            let number = WorkloadNo(give(known.map(|w| w.number.0), &mut self.next.last.workload));
            let workload = Workload {
                number,
                tenant,
                name: entry.name.clone(),
                identity: entry.identity.clone(),
                kind: entry.kind,
                owner,
                model,
                serves,
            };
            let mut others = self.next.workloads.values();
            if others.any(|other| other.tenant == tenant && other.name == entry.name) {
                self.problems.push(format!("{what} stands twice in tenant `{}`", entry.tenant));
            }
            self.next.workloads.insert(number, workload);
        }
    }

    fn model_of(&mut self, what: &str, tenant: TenantNo, entry: &ProposedWorkload) -> Option<ModelNo> {
        let name = entry.model.as_ref()?;
        let found = self.models.get(&(tenant, name.clone())).copied();
        if found.is_none() {
            self.problems.push(format!("{what}: no model `{name}` in tenant `{}`", entry.tenant));
        }
        found
    }

    fn served_by(&mut self, what: &str, tenant: TenantNo, entry: &ProposedWorkload) -> BTreeSet<ConnectorNo> {
        let mut serves = BTreeSet::new();
        for name in &entry.serves {
            match self.connectors.get(&(tenant, name.clone())) {
                Some(number) => drop(serves.insert(*number)),
                None => {
                    let tenant = &entry.tenant;
                    self.problems
                        .push(format!("{what} serves `{name}`: no such connector in tenant `{tenant}`"));
                }
            }
        }
        serves
    }

    /// Two registrations that one SPIFFE ID could be would make "who is calling" a guess.
    fn distinct_identities(&mut self) {
        let all: Vec<_> = self.next.workloads.values().collect();
        let (mut patterns, mut exact) = (Vec::new(), BTreeMap::new());
        for workload in all {
            let clash = |other: &&Workload| {
                format!("workloads `{}` and `{}` can be the same SPIFFE ID", other.name, workload.name)
            };
            if workload.identity.as_str().contains('*') {
                patterns.push(workload);
            } else if let Some(other) = exact.insert(workload.identity.as_str(), workload) {
                self.problems.push(clash(&other));
            }
        }
        for (at, pattern) in patterns.iter().enumerate() {
            let others = exact.values().chain(&patterns[at + 1..]);
            for other in others.filter(|other| other.identity.overlaps(&pattern.identity)) {
                let line =
                    format!("workloads `{}` and `{}` can be the same SPIFFE ID", pattern.name, other.name);
                self.problems.push(line);
            }
        }
    }

    fn numbers_left(&mut self) {
        let LastNumbers { tenant, owner, model, workload, connector } = self.next.last;
        if [tenant, owner, model, workload, connector].iter().any(|last| *last >= REGISTRATION_NUMBERS_MAX) {
            let line =
                format!("registration numbers are used up: {REGISTRATION_NUMBERS_MAX} of a kind were given");
            self.problems.push(line);
        }
    }

    fn place(&mut self, what: &str, tenant: &Name, owner: &Name) -> Option<(TenantNo, OwnerNo)> {
        let Some(number) = self.tenants.get(tenant).copied() else {
            self.problems.push(format!("{what}: no tenant `{tenant}`"));
            return None;
        };
        let owner = self.owners.get(&(number, owner.clone())).copied()?;
        Some((number, owner))
    }
}

/// The known number, or the next one. Numbers are never given twice.
fn give(known: Option<u32>, last: &mut u32) -> u32 {
    known.unwrap_or_else(|| {
        *last = last.saturating_add(1);
        *last
    })
}

fn differences(before: &Entries, after: &Entries) -> (Vec<Target>, Vec<String>) {
    let mut removed = Vec::new();
    let mut changes = Vec::new();
    let named = |what: &str, name: &Name| format!("{what} `{name}`");
    compare(&before.tenants, &after.tenants, &mut removed, &mut changes, |t| {
        (Target::Tenant(t.number), named("tenant", &t.name))
    });
    compare(&before.owners, &after.owners, &mut removed, &mut changes, |o| {
        (Target::Owner(o.number), named("owner", &o.name))
    });
    compare(&before.models, &after.models, &mut removed, &mut changes, |m| {
        (Target::Model(m.number), named("model", &m.name))
    });
    compare(&before.workloads, &after.workloads, &mut removed, &mut changes, |w| {
        (Target::Workload(w.number), named("workload", &w.name))
    });
    compare(&before.connectors, &after.connectors, &mut removed, &mut changes, |c| {
        (Target::Connector(c.number), named("connector", &c.name))
    });
    (removed, changes)
}

fn compare<K: Ord + Copy, V: PartialEq>(
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    removed: &mut Vec<Target>,
    changes: &mut Vec<String>,
    describe: impl Fn(&V) -> (Target, String),
) {
    for (number, old) in before {
        let (target, name) = describe(old);
        match after.get(number) {
            None => {
                removed.push(target);
                changes.push(format!("- {name}"));
            }
            Some(new) if new != old => changes.push(format!("~ {name}")),
            Some(_) => {}
        }
    }
    for (number, new) in after {
        if !before.contains_key(number) {
            changes.push(format!("+ {}", describe(new).1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::registry::{Action, Algorithm, Check, Effect, ProposedModel, Tier, WorkloadKind};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a good name")
    }

    fn workload(text: &str, identity: &str) -> ProposedWorkload {
        ProposedWorkload {
            tenant: name("acme"),
            name: name(text),
            identity: identity.parse().expect("a good pattern"),
            kind: WorkloadKind::Plugin,
            owner: name("team-a"),
            model: Some(name("gpt")),
            serves: vec![name("orders")],
        }
    }

    fn proposal() -> Proposal {
        let read = Action { effect: Effect::Read, resources: BTreeSet::new() };
        Proposal {
            tenants: vec![name("acme")],
            models: vec![ProposedModel { tenant: name("acme"), name: name("gpt"), owner: name("team-a") }],
            workloads: vec![workload("refunder", "spiffe://acme.test/agents/refunder")],
            connectors: vec![ProposedConnector {
                tenant: name("acme"),
                name: name("orders"),
                audience: "https://orders.acme.test".into(),
                owner: name("team-b"),
                tier: Tier::Low,
                check: Check::Online,
                algorithm: Algorithm::Es256,
                ttl_max: Duration::from_secs(60),
                staleness_bound: STALENESS_BOUND_MIN,
                actions: [(name("read"), read)].into(),
            }],
        }
    }

    #[test]
    fn an_entry_keeps_its_number_and_a_removed_one_never_gets_it_back() {
        let first = number(&Entries::default(), &proposal()).expect("valid").entries;
        let same = number(&first, &proposal()).expect("valid");
        assert_eq!((same.removed, same.changes), (vec![], vec![]));

        let mut without = proposal();
        without.workloads.clear();
        let second = number(&first, &without).expect("valid");
        let gone = *first.workloads.keys().next().expect("one workload");
        assert_eq!(second.removed, [Target::Workload(gone)]);

        let third = number(&second.entries, &proposal()).expect("valid").entries;
        let again = *third.workloads.keys().next().expect("one workload");
        assert!(again > gone && third.last.workload == again.0);
    }

    #[test]
    fn another_identity_is_another_workload() {
        let first = number(&Entries::default(), &proposal()).expect("valid").entries;
        let mut moved = proposal();
        moved.workloads = vec![workload("refunder", "spiffe://acme.test/agents/other")];
        let second = number(&first, &moved).expect("valid");
        assert_eq!(second.removed.len(), 1);
    }

    #[test]
    fn every_problem_is_named() {
        let mut bad = proposal();
        bad.workloads.push(workload("wide", "spiffe://acme.test/agents/*"));
        bad.workloads
            .push(ProposedWorkload { tenant: name("nobody"), ..workload("lost", "spiffe://acme.test/x") });
        bad.workloads
            .push(ProposedWorkload { model: Some(name("none")), ..workload("b", "spiffe://acme.test/b") });
        bad.connectors.push(ProposedConnector { name: name("copy"), ..bad.connectors[0].clone() });
        bad.connectors[0].ttl_max = Duration::from_secs(3600);
        bad.connectors[0].staleness_bound = STALENESS_BOUND_MIN.saturating_sub(Duration::from_millis(1));
        let problems = number(&Entries::default(), &bad).expect_err("invalid").join("\n");
        for part in [
            "same SPIFFE ID",
            "no tenant `nobody`",
            "no model `none`",
            "has the audience",
            "ttl_max",
            "staleness_bound",
        ] {
            assert!(problems.contains(part), "{part} in {problems}");
        }
    }
}
