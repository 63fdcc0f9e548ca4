//! The small world of a run: three tenants with the same names in each, and three policy sets.
//!
//! A [`Setup`] says which entries are there; from it come the proposal that the broker is given
//! and, written apart from it, the marks that the model reckons with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use locum_model::event::PolicyText;
use locum_model::registry::{
    Action, Algorithm, Check, Effect, Proposal, ProposedConnector, ProposedModel, ProposedWorkload, Tier,
    WorkloadKind,
};
use locum_model::{Grant, Name, Resources, Scope, SpiffeId};

use crate::around::Dice;

pub(crate) const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];
pub(crate) const CONNECTORS: [&str; 3] = ["orders", "mail", "vault"];

/// Which of the entries that come and go are there, in one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) tenant: bool,
    pub(crate) helper: bool,
    pub(crate) helper_moved: bool,
    pub(crate) mail: bool,
    pub(crate) model: bool,
    pub(crate) orders_elsewhere: bool,
    pub(crate) agent_elsewhere: bool,
    /// Its verifiers may go on for longer without hearing from the broker.
    pub(crate) patient: bool,
}

/// Which entries are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup(pub(crate) [Present; 3]);

/// One of the workloads that ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) tenant: usize,
    pub(crate) name: &'static str,
}

impl Setup {
    pub(crate) fn full() -> Self {
        let present = Present {
            tenant: true,
            helper: true,
            helper_moved: false,
            mail: true,
            model: true,
            orders_elsewhere: false,
            agent_elsewhere: false,
            patient: false,
        };
        Self([present; 3])
    }

    /// The same with one thing changed. The first tenant always stays.
    pub(crate) fn changed(mut self, dice: &mut Dice) -> Self {
        let at = dice.below(3);
        let one = &mut self.0[at];
        let flag = match dice.below(9) {
            0 if at == 2 => &mut one.tenant,
            0 | 1 => &mut one.helper,
            2 => &mut one.helper_moved,
            3 => &mut one.mail,
            4 => &mut one.model,
            5 => &mut one.orders_elsewhere,
            6 => &mut one.agent_elsewhere,
            _ => &mut one.patient,
        };
        *flag = !*flag;
        self
    }

    pub(crate) fn owner_of_connector(&self, tenant: usize, connector: &str) -> &'static str {
        match connector {
            "orders" if self.0[tenant].orders_elsewhere => "depot",
            "orders" => "desk",
            "mail" => "post",
            _ => "crew",
        }
    }

    pub(crate) fn owner_of_workload(&self, who: Who) -> &'static str {
        match who.name {
            "agent" if self.0[who.tenant].agent_elsewhere => "night-crew",
            "backend" => "house",
            _ => "crew",
        }
    }

    pub(crate) fn model_of(&self, who: Who) -> Option<&'static str> {
        (who.name == "agent" && self.0[who.tenant].model).then_some("gpt")
    }

    pub(crate) fn has_workload(&self, who: Who) -> bool {
        self.0[who.tenant].tenant && (who.name != "helper" || self.0[who.tenant].helper)
    }

    pub(crate) fn has_connector(&self, tenant: usize, connector: &str) -> bool {
        self.0[tenant].tenant && (connector != "mail" || self.0[tenant].mail)
    }

    pub(crate) fn identity(&self, who: Who) -> SpiffeId {
        let moved = who.name == "helper" && self.0[who.tenant].helper_moved;
        let path = if moved { "helper-2" } else { who.name };
        format!("spiffe://{}.test/agents/{path}", TENANTS[who.tenant]).parse().expect("a good id")
    }

    /// What an operator would write down.
    pub(crate) fn proposal(&self) -> Proposal {
        let mut proposal = Proposal::default();
        for at in (0..3).filter(|at| self.0[*at].tenant) {
            let tenant = name(TENANTS[at]);
            proposal.tenants.push(tenant.clone());
            if self.0[at].model {
                let (name, owner) = (name("gpt"), name("house"));
                proposal.models.push(ProposedModel { tenant: tenant.clone(), name, owner });
            }
            let there: Vec<_> = CONNECTORS.into_iter().filter(|c| self.has_connector(at, c)).collect();
            proposal.connectors.extend(there.iter().map(|connector| self.connector(at, connector)));
            for workload in ["agent", "helper", "backend"] {
                let who = Who { tenant: at, name: workload };
                if self.has_workload(who) {
                    let serves = if workload == "backend" { there.as_slice() } else { &[] };
                    proposal.workloads.push(self.workload(who, serves));
                }
            }
        }
        proposal
    }

    fn connector(&self, at: usize, connector: &'static str) -> ProposedConnector {
        let (check, algorithm, ttl_max) = match connector {
            "orders" => (Check::Online, Algorithm::Es256, 300),
            "mail" => (Check::Jwks, Algorithm::Ed25519, 120),
            _ => (Check::Feed, Algorithm::Es256, 600),
        };
        ProposedConnector {
            tenant: name(TENANTS[at]),
            name: name(connector),
            audience: format!("https://{connector}.{}.test", TENANTS[at]),
            owner: name(self.owner_of_connector(at, connector)),
            tier: Tier::Low,
            check,
            algorithm,
            ttl_max: Duration::from_secs(ttl_max),
            staleness_bound: Duration::from_secs(if self.0[at].patient { 20 } else { 2 }),
            actions: actions(connector),
        }
    }

    fn workload(&self, who: Who, serves: &[&str]) -> ProposedWorkload {
        ProposedWorkload {
            tenant: name(TENANTS[who.tenant]),
            name: name(who.name),
            identity: self.identity(who).to_string().parse().expect("a good pattern"),
            kind: WorkloadKind::Agent,
            owner: name(self.owner_of_workload(who)),
            model: self.model_of(who).map(name),
            serves: serves.iter().map(|served| name(served)).collect(),
        }
    }

    /// Every entry there is as `level tenant/name`, as people would list them.
    pub(crate) fn entries(&self) -> BTreeSet<String> {
        let mut entries = BTreeSet::new();
        for at in (0..3).filter(|at| self.0[*at].tenant) {
            let tenant = TENANTS[at];
            entries.insert(format!("tenant {tenant}"));
            if self.0[at].model {
                entries.extend([format!("model {tenant}/gpt"), format!("owner {tenant}/house")]);
            }
            for connector in CONNECTORS.into_iter().filter(|c| self.has_connector(at, c)) {
                entries.insert(format!("connector {tenant}/{connector}"));
                entries.insert(format!("owner {tenant}/{}", self.owner_of_connector(at, connector)));
            }
            for workload in ["agent", "helper", "backend"] {
                let who = Who { tenant: at, name: workload };
                if self.has_workload(who) {
                    entries.insert(format!("workload {tenant}/{workload} {}", self.identity(who)));
                    entries.insert(format!("owner {tenant}/{}", self.owner_of_workload(who)));
                }
            }
        }
        entries
    }
}

fn actions(connector: &str) -> BTreeMap<Name, Action> {
    let action = |effect, resources: &[&str]| Action {
        effect,
        resources: resources.iter().map(|one| one.parse().expect("a good pattern")).collect(),
    };
    match connector {
        "orders" => BTreeMap::from([
            (name("read"), action(Effect::Read, &["order/**"])),
            (name("refund"), action(Effect::Write, &["order/*"])),
        ]),
        "mail" => BTreeMap::from([(name("send"), action(Effect::Send, &[]))]),
        _ => BTreeMap::from([(name("read"), action(Effect::Read, &[]))]),
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a good name")
}

/// A scope from lines of an operation and its resources; none for all.
pub(crate) fn scope(lines: &[(&str, &[&str])]) -> Scope {
    let grant = |(operation, resources): &(&str, &[&str])| Grant {
        operation: operation.parse().expect("a good operation"),
        resources: Resources::of(resources.iter().map(|one| one.parse().expect("a good pattern")))
            .expect("few enough"),
    };
    Scope::of(lines.iter().map(grant)).expect("a good scope")
}

/// The scopes that are asked for.
pub(crate) fn scopes() -> Vec<Scope> {
    vec![
        scope(&[("orders:read", &[]), ("orders:refund", &["order/1", "order/2"]), ("mail:send", &[])]),
        scope(&[("orders:read", &[]), ("vault:read", &[])]),
        scope(&[("orders:read", &[])]),
        scope(&[("orders:read", &["order/1"])]),
        scope(&[("orders:refund", &["order/1"])]),
        scope(&[("orders:read", &["order/1"]), ("orders:refund", &["order/1"])]),
        scope(&[("mail:send", &[])]),
        scope(&[("vault:read", &[])]),
    ]
}

// === policies ===

/// How many policy sets there are.
pub(crate) const POLICIES: usize = 3;

/// The texts of a policy set.
pub(crate) fn policy(set: usize) -> Vec<PolicyText> {
    let read_ttl = if set == 2 { "20s" } else { "10m" };
    let mut text = format!(
        r#"@id("reads") @ttl_max("{read_ttl}") permit (principal, action, resource)
           when {{ resource.effect == Locum::Effect::"read" }};
           @id("refunds") permit (principal, action, resource)
           when {{ resource.effect == Locum::Effect::"write" }};
           @id("sends") @single_use("true") permit (principal, action, resource)
           when {{ resource.effect == Locum::Effect::"send" }};"#
    );
    if set == 1 {
        text.push_str(
            r#"@id("no-deep-refunds") forbid (principal, action, resource)
               when { context.depth > 0 && resource.effect == Locum::Effect::"write" };"#,
        );
    }
    vec![PolicyText { name: "simulation.cedar".into(), text }]
}

/// What a policy set demands of a token, when it allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) ttl_max: u64,
    pub(crate) single_use: bool,
}

/// The same policy sets, told once more: what they allow at a depth.
pub(crate) fn allows(set: usize, scope: &Scope, depth: usize) -> Option<Terms> {
    let mut terms = Terms { ttl_max: 900, single_use: false };
    for (operation, _) in scope.grants() {
        match operation.action.as_str() {
            "read" => terms.ttl_max = terms.ttl_max.min(if set == 2 { 20 } else { 600 }),
            "refund" if set == 1 && depth > 0 => return None,
            "refund" => {}
            _ => terms.single_use = true,
        }
    }
    Some(terms)
}

/// The longest life that the connector allows, in seconds.
pub(crate) fn ttl_max_of(connector: &str) -> u64 {
    match connector {
        "orders" => 300,
        // 120 s by itself, 60 s because its backend cannot hear a revocation.
        "mail" => 60,
        _ => 600,
    }
}
