//! The registry in force.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_model::event::RegistryActivated;
use locum_model::limits::STALENESS_BOUND_DEFAULT;
use locum_model::registry::{
    Action, Algorithm, Check, Connector, Effect, Entries, LastNumbers, Model, Owner, Tenant, Tier, Workload,
    WorkloadKind,
};
use locum_model::{ConnectorNo, ModelNo, OwnerNo, RegistryRevision, TenantNo, Timestamp, WorkloadNo};

use super::scope::patterns;
use super::{DecodeError, Stored, all_restored, exactly, form, known, parsed, restored};

impl Stored for RegistryActivated {
    type Form = form::RegistryActivated;

    fn to_form(&self) -> form::RegistryActivated {
        form::RegistryActivated {
            entries: Some(self.entries.to_form()),
            digest: self.digest.to_vec(),
            removed: self.removed.iter().map(Stored::to_form).collect(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::RegistryActivated) -> Result<Self, DecodeError> {
        Ok(Self {
            entries: restored(form.entries, "registry_activated.entries")?,
            digest: exactly(&form.digest, "registry_activated.digest")?,
            removed: all_restored(form.removed)?,
            by: restored(form.by, "registry_activated.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

/// The maps are stored as their values: an entry carries the number that it stands under.
impl Stored for Entries {
    type Form = form::Entries;

    fn to_form(&self) -> form::Entries {
        form::Entries {
            revision: self.revision.0,
            last: Some(self.last.to_form()),
            tenants: self.tenants.values().map(Stored::to_form).collect(),
            owners: self.owners.values().map(Stored::to_form).collect(),
            models: self.models.values().map(Stored::to_form).collect(),
            workloads: self.workloads.values().map(Stored::to_form).collect(),
            connectors: self.connectors.values().map(Stored::to_form).collect(),
        }
    }

    fn from_form(form: form::Entries) -> Result<Self, DecodeError> {
        Ok(Self {
            revision: RegistryRevision(form.revision),
            last: restored(form.last, "entries.last")?,
            tenants: numbered(form.tenants, |entry: &Tenant| entry.number, "entries.tenants")?,
            owners: numbered(form.owners, |entry: &Owner| entry.number, "entries.owners")?,
            models: numbered(form.models, |entry: &Model| entry.number, "entries.models")?,
            workloads: numbered(form.workloads, |entry: &Workload| entry.number, "entries.workloads")?,
            connectors: numbered(form.connectors, |entry: &Connector| entry.number, "entries.connectors")?,
        })
    }
}

/// Entries by their numbers, none twice.
fn numbered<T: Stored, K: Ord>(
    forms: Vec<T::Form>,
    number: impl Fn(&T) -> K,
    field: &'static str,
) -> Result<BTreeMap<K, T>, DecodeError> {
    let mut map = BTreeMap::new();
    for form in forms {
        let entry = T::from_form(form)?;
        if map.insert(number(&entry), entry).is_some() {
            return Err(DecodeError::Repeated(field));
        }
    }
    Ok(map)
}

impl Stored for LastNumbers {
    type Form = form::LastNumbers;

    fn to_form(&self) -> form::LastNumbers {
        form::LastNumbers {
            tenant: self.tenant,
            owner: self.owner,
            model: self.model,
            workload: self.workload,
            connector: self.connector,
        }
    }

    fn from_form(form: form::LastNumbers) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: form.tenant,
            owner: form.owner,
            model: form.model,
            workload: form.workload,
            connector: form.connector,
        })
    }
}

impl Stored for Tenant {
    type Form = form::Tenant;

    fn to_form(&self) -> form::Tenant {
        form::Tenant { number: self.number.0, name: self.name.to_string() }
    }

    fn from_form(form: form::Tenant) -> Result<Self, DecodeError> {
        Ok(Self { number: TenantNo(form.number), name: parsed(&form.name, "tenant.name")? })
    }
}

impl Stored for Owner {
    type Form = form::Owner;

    fn to_form(&self) -> form::Owner {
        form::Owner { number: self.number.0, tenant: self.tenant.0, name: self.name.to_string() }
    }

    fn from_form(form: form::Owner) -> Result<Self, DecodeError> {
        Ok(Self {
            number: OwnerNo(form.number),
            tenant: TenantNo(form.tenant),
            name: parsed(&form.name, "owner.name")?,
        })
    }
}

impl Stored for Model {
    type Form = form::Model;

    fn to_form(&self) -> form::Model {
        form::Model {
            number: self.number.0,
            tenant: self.tenant.0,
            name: self.name.to_string(),
            owner: self.owner.0,
        }
    }

    fn from_form(form: form::Model) -> Result<Self, DecodeError> {
        Ok(Self {
            number: ModelNo(form.number),
            tenant: TenantNo(form.tenant),
            name: parsed(&form.name, "model.name")?,
            owner: OwnerNo(form.owner),
        })
    }
}

impl Stored for Workload {
    type Form = form::Workload;

    fn to_form(&self) -> form::Workload {
        form::Workload {
            number: self.number.0,
            tenant: self.tenant.0,
            name: self.name.to_string(),
            identity: self.identity.to_string(),
            kind: self.kind.to_form().into(),
            owner: self.owner.0,
            model: self.model.map(|model| model.0),
            serves: self.serves.iter().map(|connector| connector.0).collect(),
        }
    }

    fn from_form(form: form::Workload) -> Result<Self, DecodeError> {
        let count = form.serves.len();
        let serves: std::collections::BTreeSet<_> = form.serves.into_iter().map(ConnectorNo).collect();
        if serves.len() != count {
            return Err(DecodeError::Repeated("workload.serves"));
        }
        Ok(Self {
            number: WorkloadNo(form.number),
            tenant: TenantNo(form.tenant),
            name: parsed(&form.name, "workload.name")?,
            identity: parsed(&form.identity, "workload.identity")?,
            kind: WorkloadKind::from_form(known(form.kind, "workload.kind")?)?,
            owner: OwnerNo(form.owner),
            model: form.model.map(ModelNo),
            serves,
        })
    }
}

impl Stored for Connector {
    type Form = form::Connector;

    fn to_form(&self) -> form::Connector {
        let action = |(name, action): (&locum_model::Name, &Action)| form::Action {
            name: name.to_string(),
            effect: action.effect.to_form().into(),
            resources: action.resources.iter().map(|resource| resource.as_str().to_owned()).collect(),
        };
        form::Connector {
            number: self.number.0,
            tenant: self.tenant.0,
            name: self.name.to_string(),
            audience: self.audience.clone(),
            owner: self.owner.0,
            tier: self.tier.to_form().into(),
            check: self.check.to_form().into(),
            algorithm: self.algorithm.to_form().into(),
            ttl_max: Some(self.ttl_max.to_form()),
            actions: self.actions.iter().map(action).collect(),
            staleness_bound: Some(self.staleness_bound.to_form()),
        }
    }

    fn from_form(form: form::Connector) -> Result<Self, DecodeError> {
        let mut actions = BTreeMap::new();
        for action in form.actions {
            let name = parsed(&action.name, "action.name")?;
            let action = Action {
                effect: Effect::from_form(known(action.effect, "action.effect")?)?,
                resources: patterns(&action.resources, "action.resources")?,
            };
            if actions.insert(name, action).is_some() {
                return Err(DecodeError::Repeated("connector.actions"));
            }
        }
        Ok(Self {
            number: ConnectorNo(form.number),
            tenant: TenantNo(form.tenant),
            name: parsed(&form.name, "connector.name")?,
            audience: form.audience,
            owner: OwnerNo(form.owner),
            tier: Tier::from_form(known(form.tier, "connector.tier")?)?,
            check: Check::from_form(known(form.check, "connector.check")?)?,
            algorithm: Algorithm::from_form(known(form.algorithm, "connector.algorithm")?)?,
            ttl_max: restored(form.ttl_max, "connector.ttl_max")?,
            staleness_bound: match form.staleness_bound {
                Some(span) => Duration::from_form(span)?,
                None => STALENESS_BOUND_DEFAULT,
            },
            actions,
        })
    }
}

impl Stored for WorkloadKind {
    type Form = form::WorkloadKind;

    fn to_form(&self) -> form::WorkloadKind {
        match self {
            Self::Plugin => form::WorkloadKind::Plugin,
            Self::Agent => form::WorkloadKind::Agent,
            Self::Service => form::WorkloadKind::Service,
            Self::Gateway => form::WorkloadKind::Gateway,
        }
    }

    fn from_form(form: form::WorkloadKind) -> Result<Self, DecodeError> {
        Ok(match form {
            form::WorkloadKind::Unspecified => return Err(DecodeError::Missing("workload kind")),
            form::WorkloadKind::Plugin => Self::Plugin,
            form::WorkloadKind::Agent => Self::Agent,
            form::WorkloadKind::Service => Self::Service,
            form::WorkloadKind::Gateway => Self::Gateway,
        })
    }
}

impl Stored for Tier {
    type Form = form::Tier;

    fn to_form(&self) -> form::Tier {
        match self {
            Self::Low => form::Tier::Low,
            Self::Medium => form::Tier::Medium,
            Self::High => form::Tier::High,
        }
    }

    fn from_form(form: form::Tier) -> Result<Self, DecodeError> {
        Ok(match form {
            form::Tier::Unspecified => return Err(DecodeError::Missing("tier")),
            form::Tier::Low => Self::Low,
            form::Tier::Medium => Self::Medium,
            form::Tier::High => Self::High,
        })
    }
}

impl Stored for Check {
    type Form = form::Check;

    fn to_form(&self) -> form::Check {
        match self {
            Self::Online => form::Check::Online,
            Self::Feed => form::Check::Feed,
            Self::Jwks => form::Check::Jwks,
        }
    }

    fn from_form(form: form::Check) -> Result<Self, DecodeError> {
        Ok(match form {
            form::Check::Unspecified => return Err(DecodeError::Missing("check")),
            form::Check::Online => Self::Online,
            form::Check::Feed => Self::Feed,
            form::Check::Jwks => Self::Jwks,
        })
    }
}

impl Stored for Effect {
    type Form = form::Effect;

    fn to_form(&self) -> form::Effect {
        match self {
            Self::Read => form::Effect::Read,
            Self::Write => form::Effect::Write,
            Self::Send => form::Effect::Send,
            Self::Admin => form::Effect::Admin,
        }
    }

    fn from_form(form: form::Effect) -> Result<Self, DecodeError> {
        Ok(match form {
            form::Effect::Unspecified => return Err(DecodeError::Missing("effect")),
            form::Effect::Read => Self::Read,
            form::Effect::Write => Self::Write,
            form::Effect::Send => Self::Send,
            form::Effect::Admin => Self::Admin,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;
