//! What a selector comes to, within the tenants of the operator who names it.

use locum_model::limits::SELECTOR_EXPANSION_MAX;
use locum_model::registry::Registry;
use locum_model::{Reason, Selector, Target, TenantNo};

use crate::broker::Broker;
use crate::operator::{Operator, Tenants};
use crate::refusal::Refusal;

/// One target, as people know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What.
    pub target: Target,
    /// Its name or id.
    pub name: String,
    /// Its tenant, where the level has one.
    pub tenant: Option<TenantNo>,
    /// The tenant's name.
    pub tenant_name: String,
}

impl Broker {
    /// Everything that `selector` names within the operator's tenants.
    pub(crate) fn select(
        &self,
        operator: &Operator,
        registry: &Registry,
        selector: &Selector,
    ) -> Result<Vec<Match>, Refusal> {
        let mut found = match selector {
            Selector::Token(_) | Selector::Task(_) => self.select_live(operator, registry, selector)?,
            Selector::SigningKey(kid) => {
                operator.needs_all()?;
                // One that is retired is dead already: revoking it again is no mistake.
                let known = self.fold.pin().world.keys.key(kid).is_some()
                    || self.fold.table.watermark(Target::SigningKey(*kid)).is_some();
                let key = Match::plain(Target::SigningKey(*kid), locum_token::kid_text(kid));
                known.then_some(key).into_iter().collect()
            }
            Selector::PolicyRevision(revision) => {
                operator.needs_all()?;
                let known = revision.0 >= 1 && *revision <= self.fold.pin().pin.policy;
                let set = Match::plain(Target::PolicyRevision(*revision), revision.to_string());
                known.then_some(set).into_iter().collect()
            }
            _ => registered(registry, selector),
        };
        found.retain(|one| one.tenant.is_none_or(|tenant| operator.reaches(registry, tenant)));
        for one in &mut found {
            one.tenant_name =
                one.tenant.map(|no| crate::shown_name::tenant_name(registry, no)).unwrap_or_default();
        }
        match found.len() {
            0 => Err(Refusal::new(
                Reason::SelectorUnknown,
                format!("`{}` names nothing here", selector_text(selector)),
            )),
            1..=SELECTOR_EXPANSION_MAX => Ok(found),
            // One for each tenant: a subject is nobody's in particular.
            _ if matches!(selector, Selector::Subject(_)) => Ok(found),
            _ => {
                let detail = format!(
                    "`{}` names more than {SELECTOR_EXPANSION_MAX} registrations",
                    selector_text(selector)
                );
                Err(Refusal::new(Reason::RequestMalformed, detail))
            }
        }
    }

    /// A target that was selected before, by its name of today; by its number when it is gone.
    pub(crate) fn named(&self, registry: &Registry, target: Target, selector: &Selector) -> Match {
        let numbered = |name: Option<&locum_model::Name>, tenant: Option<TenantNo>, number: u32| {
            let name = name.map_or_else(|| format!("{} #{number}", target.level()), ToString::to_string);
            (name, tenant)
        };
        let (name, tenant) = match target {
            Target::Token(jti) => (jti.to_string(), None),
            Target::Task(task) => {
                let state = self.fold.state.read();
                (task.to_string(), state.tasks.get(task).map(|row| row.started.tenant))
            }
            Target::Subject(_) => match selector {
                Selector::Subject(subject) => (subject.escape_debug().to_string(), None),
                other => (selector_text(other), None),
            },
            Target::Workload(no) => {
                let one = registry.workload(no);
                numbered(one.map(|one| &one.name), one.map(|one| one.tenant), no.0)
            }
            Target::Connector(no) => {
                let one = registry.connector(no);
                numbered(one.map(|one| &one.name), one.map(|one| one.tenant), no.0)
            }
            Target::Tenant(no) => numbered(registry.tenant(no).map(|one| &one.name), Some(no), no.0),
            Target::Owner(no) => {
                let one = registry.owner(no);
                numbered(one.map(|one| &one.name), one.map(|one| one.tenant), no.0)
            }
            Target::Model(no) => {
                let one = registry.model(no);
                numbered(one.map(|one| &one.name), one.map(|one| one.tenant), no.0)
            }
            Target::SigningKey(kid) => (locum_token::kid_text(&kid), None),
            Target::PolicyRevision(revision) => (revision.to_string(), None),
        };
        let tenant_name = tenant.map(|no| crate::shown_name::tenant_name(registry, no)).unwrap_or_default();
        Match { target, name, tenant, tenant_name }
    }

    /// A token or task by its id. A token's or task's tenant is known only while it is in memory;
    /// an operator of all tenants may name one that is gone, which changes nothing.
    fn select_live(
        &self,
        operator: &Operator,
        registry: &Registry,
        selector: &Selector,
    ) -> Result<Vec<Match>, Refusal> {
        let (target, task) = match selector {
            Selector::Token(jti) => (Target::Token(*jti), self.fold.table.task_of(*jti)),
            Selector::Task(task) => (Target::Task(*task), Some(*task)),
            _ => return Ok(Vec::new()),
        };
        let state = self.fold.state.read();
        let tenant = task.and_then(|task| state.tasks.get(task)).map(|row| row.started.tenant);
        let name = match target {
            Target::Token(jti) => jti.to_string(),
            Target::Task(task) => task.to_string(),
            _ => String::new(),
        };
        let reached = match tenant {
            Some(tenant) => operator.reaches(registry, tenant),
            None => operator.tenants == Tenants::All,
        };
        let one = Match { target, name, tenant, tenant_name: String::new() };
        Ok(if reached { vec![one] } else { Vec::new() })
    }
}

impl Match {
    fn plain(target: Target, name: String) -> Self {
        Self { target, name, tenant: None, tenant_name: String::new() }
    }

    fn of(target: Target, name: impl ToString, tenant: TenantNo) -> Self {
        Self { target, name: name.to_string(), tenant: Some(tenant), tenant_name: String::new() }
    }
}

/// A selector as people write it: keys by their `kid`.
pub fn selector_text(selector: &Selector) -> String {
    match selector {
        Selector::SigningKey(kid) => format!("signing-key={}", locum_token::kid_text(kid)),
        other => other.to_string(),
    }
}

/// What the registry knows under a selector, over all tenants.
fn registered(registry: &Registry, selector: &Selector) -> Vec<Match> {
    let all = registry.entries();
    match selector {
        Selector::Subject(subject) => {
            let one = |tenant: &TenantNo| {
                let key = locum_token::subject_key(*tenant, subject);
                Match::of(Target::Subject(key), subject.escape_debug(), *tenant)
            };
            all.tenants.keys().map(one).collect()
        }
        Selector::Workload(name) => {
            let named = all.workloads.values().filter(|workload| workload.name == *name);
            named.map(|w| Match::of(Target::Workload(w.number), &w.name, w.tenant)).collect()
        }
        Selector::WorkloadPattern(pattern) => {
            let met = all.workloads.values().filter(|workload| workload.identity.overlaps(pattern));
            met.map(|w| Match::of(Target::Workload(w.number), &w.name, w.tenant)).collect()
        }
        Selector::Connector(name) => {
            let named = all.connectors.values().filter(|connector| connector.name == *name);
            named.map(|c| Match::of(Target::Connector(c.number), &c.name, c.tenant)).collect()
        }
        Selector::Tenant(name) => {
            let named = all.tenants.values().filter(|tenant| tenant.name == *name);
            named.map(|t| Match::of(Target::Tenant(t.number), &t.name, t.number)).collect()
        }
        Selector::Owner(name) => {
            let named = all.owners.values().filter(|owner| owner.name == *name);
            named.map(|o| Match::of(Target::Owner(o.number), &o.name, o.tenant)).collect()
        }
        Selector::Model(name) => {
            let named = all.models.values().filter(|model| model.name == *name);
            named.map(|m| Match::of(Target::Model(m.number), &m.name, m.tenant)).collect()
        }
        Selector::Token(_) | Selector::Task(_) | Selector::SigningKey(_) | Selector::PolicyRevision(_) => {
            Vec::new()
        }
    }
}
