//! [`World`]: registry, policy and keys as one immutable value that a decision pins.

use std::sync::Arc;

use locum_model::evidence::WorldPin;
use locum_model::number::PolicyRevision;
use locum_model::registry::{Connector, Registry, Workload};
use locum_model::{Caller, Name, Reason, TenantNo};
use locum_policy::{PolicySet, RegistryEntities};
use locum_token::KeyRing;

use crate::refusal::Refusal;

/// What is in force. Replaced whole by the fold; never changed in place.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub registry: Arc<Registry>,
    /// The same registry, as policies see it.
    pub entities: Arc<RegistryEntities>,
    pub registry_digest: [u8; 32],
    pub policy: Option<Arc<PolicySet>>,
    pub policy_revision: PolicyRevision,
    pub policy_digest: [u8; 32],
    pub keys: KeyRing,
    /// The sequence of the newest event that moved a key: it numbers the sets of keys.
    pub key_set: u64,
}

/// A world, and the newest position that was read before it was taken.
#[derive(Clone)]
pub(crate) struct Pinned {
    pub world: Arc<World>,
    pub pin: WorldPin,
}

// === impl World ===

impl World {
    /// The policy set in force, where its texts have this digest.
    pub(crate) fn policy_of(&self, digest: [u8; 32]) -> Option<&PolicySet> {
        self.policy.as_deref().filter(|_| self.policy_digest == digest)
    }
}

// === impl Pinned ===

impl Pinned {
    /// The registered workload that `caller` is.
    pub(crate) fn workload(&self, caller: &Caller) -> Result<&Workload, Refusal> {
        let id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?;
        self.world.registry.workload_of(id).ok_or_else(|| {
            Refusal::new(Reason::WorkloadUnregistered, format!("no workload is registered for `{id}`"))
        })
    }

    /// The connector that a workload of `tenant` means by `name`.
    pub(crate) fn connector(&self, tenant: TenantNo, name: &Name) -> Result<&Connector, Refusal> {
        self.world.registry.connector_named(tenant, name).ok_or_else(|| {
            Refusal::new(Reason::ConnectorUnknown, format!("no connector `{name}` is registered"))
        })
    }

    /// The connector of this name, when `workload` is registered as serving it.
    ///
    /// A connector that does not exist answers the same as one that is not served.
    pub(crate) fn served(&self, workload: &Workload, name: &Name) -> Result<&Connector, Refusal> {
        let connector = self.world.registry.connector_named(workload.tenant, name);
        connector.filter(|connector| workload.serves.contains(&connector.number)).ok_or_else(|| {
            let detail = format!("this workload does not serve a connector `{name}`");
            Refusal::new(Reason::ConnectorNotServed, detail)
        })
    }

    /// The policy set in force.
    pub(crate) fn policy(&self) -> Result<&PolicySet, Refusal> {
        self.world
            .policy
            .as_deref()
            .ok_or_else(|| Refusal::new(Reason::PolicyDenied, "no policy set is in force yet"))
    }
}
