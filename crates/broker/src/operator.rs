//! [`Operator`]: who forces revocation, and how far that reaches.

use std::collections::BTreeSet;

use locum_model::event::By;
use locum_model::registry::Registry;
use locum_model::{Name, Reason, TenantNo};

use crate::refusal::Refusal;

/// An operator as the configuration names them. The role was judged before a use case is called;
/// the tenants are judged here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name that stands in the record.
    pub name: String,
    /// How far they reach.
    pub tenants: Tenants,
}

/// The tenants that an operator answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    /// All, and what belongs to none: keys, policy revisions.
    All,
    /// Only these.
    Only(BTreeSet<Name>),
}

impl Operator {
    /// Whether `tenant` is one of the operator's.
    pub(crate) fn reaches(&self, registry: &Registry, tenant: TenantNo) -> bool {
        match &self.tenants {
            #[cfg(bug_zoo)]
            Tenants::Only(_)
                if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::TenantsIgnored) =>
            {
                true
            }
            Tenants::All => true,
            Tenants::Only(names) => {
                registry.tenant(tenant).is_some_and(|tenant| names.contains(&tenant.name))
            }
        }
    }

    /// The operator as the record names who did something.
    pub fn by(&self) -> By {
        By::Operator(self.name.clone())
    }

    /// Refuses unless the operator answers for all tenants.
    ///
    /// # Errors
    ///
    /// SELECTOR_FORBIDDEN.
    pub fn needs_all(&self) -> Result<(), Refusal> {
        match self.tenants {
            Tenants::All => Ok(()),
            Tenants::Only(_) => {
                Err(Refusal::new(Reason::SelectorForbidden, "this needs a role for all tenants"))
            }
        }
    }
}
