//! [`Standing`]: whose authority a token rests on, as it was when the token was issued.

use crate::number::{ConnectorNo, ModelNo, OwnerNo, PolicyRevision, TenantNo, WorkloadNo};
use crate::selector::Target;

/// One link in the chain of those who act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// The workload's registration.
    pub workload: WorkloadNo,
    /// Who answers for it.
    pub owner: OwnerNo,
    /// The model behind it, where there is one.
    pub model: Option<ModelNo>,
}

/// Every registration that a token rests on; revoking any of them ends the token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    /// The actors from root to leaf; 1 to [`ACTORS_MAX`](crate::limits::ACTORS_MAX).
    pub actors: Vec<Actor>,
    /// The tenant.
    pub tenant: TenantNo,
    /// The connector that the token is for.
    pub connector: ConnectorNo,
    /// Who answers for the connector.
    pub connector_owner: OwnerNo,
    /// The policy set that allowed it.
    pub policy_revision: PolicyRevision,
}

// === impl Actor, Standing ===

impl Actor {
    /// The registrations behind an actor.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let registered = [Target::Workload(self.workload), Target::Owner(self.owner)];
        registered.into_iter().chain(self.model.map(Target::Model))
    }
}

impl Standing {
    /// Every registration that a token of this standing rests on: who revokes one of them, revokes
    /// the token. Online and offline checks both judge these and no others; one may come twice.
    ///
    /// What a token rests on besides is its own: its id, its tasks, its subject and its signing key.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        let own = [
            Target::Tenant(self.tenant),
            Target::Connector(self.connector),
            Target::Owner(self.connector_owner),
            Target::PolicyRevision(self.policy_revision),
        ];
        own.into_iter().chain(self.actors.iter().flat_map(Actor::targets))
    }
}
