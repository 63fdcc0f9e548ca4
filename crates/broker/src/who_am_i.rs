//! `WhoAmI`: what the registry says of a workload that asks about itself.

use locum_model::Caller;

use crate::broker::Broker;
use crate::shown_name::{connector_name, tenant_name};

/// A registration as its own workload sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// Who answers for it.
    pub owner: String,
    /// The model behind it.
    pub model: Option<String>,
    /// The connectors that it serves.
    pub serves: Vec<String>,
}

impl Broker {
    /// The caller's registration; none when it has none. Changes nothing and is in no record.
    pub fn who_am_i(&self, caller: &Caller) -> Option<Registered> {
        let pinned = self.fold.pin();
        let registry = &pinned.world.registry;
        let workload = registry.workload_of(caller.spiffe_id()?)?;
        Some(Registered {
            name: workload.name.to_string(),
            tenant: tenant_name(registry, workload.tenant),
            owner: registry.owner(workload.owner).map(|owner| owner.name.to_string()).unwrap_or_default(),
            model: workload.model.and_then(|no| registry.model(no)).map(|model| model.name.to_string()),
            serves: workload.serves.iter().map(|no| connector_name(registry, *no)).collect(),
        })
    }
}
