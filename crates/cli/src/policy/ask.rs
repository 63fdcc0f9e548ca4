//! [`Asked`]: a request by names, whether it comes from a case or from the record.

use locum_model::evidence::WorldPin;
use locum_model::{Name, Registry, Scope, Timestamp};
use locum_policy::{Ask, Explanation, Justification, PolicySet, Proof, RegistryEntities, Request, Subject};
use locum_proposal::PolicyCase;

use crate::failure::Failure;

/// A request by names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    pub(crate) tenant: Name,
    pub(crate) workload: Name,
    pub(crate) purpose: Name,
    pub(crate) scope: Scope,
    pub(crate) depth: u32,
    pub(crate) justification: bool,
    pub(crate) proof: bool,
    pub(crate) delegated: bool,
    pub(crate) at: Timestamp,
}

impl Asked {
    /// What a case asks.
    pub(crate) fn of(case: &PolicyCase) -> Result<Self, String> {
        let ask = Ask::ALL.into_iter().find(|ask| ask.as_str() == case.ask);
        let words = || Ask::ALL.map(Ask::as_str).join("`, `");
        Ok(Self {
            ask: ask.ok_or_else(|| format!("`ask` is none of `{}`", words()))?,
            tenant: case.tenant.clone(),
            workload: case.workload.clone(),
            purpose: case.purpose.clone(),
            scope: case.scope.clone(),
            depth: case.depth,
            justification: case.justification,
            proof: case.proof,
            delegated: case.delegated,
            at: case.at,
        })
    }

    /// Puts it to policies; none when the registry does not know the workload.
    pub(crate) fn put(&self, set: &PolicySet, known: &RegistryEntities) -> Option<Explanation> {
        let registry: &Registry = known.registry();
        let entries = registry.entries();
        let tenant = entries.tenants.values().find(|tenant| tenant.name == self.tenant)?;
        let ours = |tenant_of, name: &Name| tenant_of == tenant.number && *name == self.workload;
        let workload = entries.workloads.values().find(|entry| ours(entry.tenant, &entry.name))?;
        let model = workload.model.and_then(|number| registry.model(number));
        let request = Request {
            ask: self.ask,
            tenant: &tenant.name,
            workload,
            owner: &registry.owner(workload.owner)?.name,
            model: model.map(|model| &model.name),
            purpose: &self.purpose,
            scope: &self.scope,
            depth: self.depth,
            justification: if self.justification { Justification::Given } else { Justification::Missing },
            proof: if self.proof { Proof::Proved } else { Proof::Unproved },
            subject: if self.delegated { Subject::Other } else { Subject::Workload },
            now: self.at,
            world: WorldPin::default(),
        };
        Some(locum_policy::explain(set, known, &request))
    }

    /// The same, or a failure that names the workload.
    pub(crate) fn put_known(
        &self,
        set: &PolicySet,
        known: &RegistryEntities,
    ) -> Result<Explanation, Failure> {
        self.put(set, known).ok_or_else(|| Failure::Usage(self.unknown()))
    }

    pub(crate) fn unknown(&self) -> String {
        format!("the registry has no workload `{}/{}`", self.tenant, self.workload)
    }

    /// What was asked, in a few words.
    pub(crate) fn summary(&self) -> String {
        let Self { ask, tenant, workload, purpose, scope, .. } = self;
        format!("{} by `{tenant}/{workload}` for `{purpose}`: {}", ask.as_str(), scope.written())
    }
}
