//! [`Standing`]: whose authority a token rests on, as it was when the token was issued.

use crate::number::{ConnectorNo, ModelNo, OwnerNo, PolicyRevision, TenantNo, WorkloadNo};

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
