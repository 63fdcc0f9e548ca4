//! The registry: who is known, what there is to reach, and who answers for each.
//!
//! A [`Proposal`] is what an operator writes: names only. A [`Registry`] is a proposal that was
//! accepted: every entry has its number, and lookups are by index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::name::Name;
use crate::number::{ConnectorNo, ModelNo, OwnerNo, RegistryRevision, TenantNo, WorkloadNo};
use crate::scope::ResourcePattern;
use crate::spiffe::{SpiffeId, SpiffePattern};

/// What an action does to the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Only looks.
    Read,
    /// Changes data.
    Write,
    /// Makes something leave: mail, payments, posts.
    Send,
    /// Changes who may do what.
    Admin,
}

/// How much harm a connector can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Harm is small and undone easily.
    Low,
    /// Harm is real.
    Medium,
    /// Harm is grave or final.
    High,
}

/// How a connector's backend checks tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Asks Locum on each call.
    Online,
    /// In its own process, following the revocation feed.
    Feed,
    /// By signature alone: it cannot hear a revocation, so its tokens live 60 s at most.
    Jwks,
}

/// The signature algorithm of a connector's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: every verifier has it.
    #[default]
    Es256,
    /// Ed25519 (RFC 8037): `EdDSA` in headers.
    Ed25519,
}

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// A plugin or tool.
    Plugin,
    /// An agent that plans by itself.
    Agent,
    /// A service or backend API.
    Service,
    /// A gateway that checks on behalf of backends and passes on what its peer showed.
    Gateway,
}

/// A tenant: the outermost boundary; it leads every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its number.
    pub number: TenantNo,
    /// Its name.
    pub name: Name,
}

/// The person or team answerable for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub number: OwnerNo,
    /// Its tenant.
    pub tenant: TenantNo,
    /// Its name.
    pub name: Name,
}

/// An approved AI model behind workloads of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its number.
    pub number: ModelNo,
    /// Its tenant.
    pub tenant: TenantNo,
    /// Its name.
    pub name: Name,
    /// Who answers for it.
    pub owner: OwnerNo,
}

/// A workload that may call Locum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its number.
    pub number: WorkloadNo,
    /// Its tenant.
    pub tenant: TenantNo,
    /// Its name.
    pub name: Name,
    /// The SPIFFE IDs that are this workload; disjoint from every other workload's.
    pub identity: SpiffePattern,
    /// What it is.
    pub kind: WorkloadKind,
    /// Who answers for it.
    pub owner: OwnerNo,
    /// The model behind it.
    pub model: Option<ModelNo>,
    /// The connectors whose tokens it may check.
    pub serves: BTreeSet<ConnectorNo>,
}

/// What one action of a connector does, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does to the world.
    pub effect: Effect,
    /// The resources that it can touch; none means that the action takes no resource.
    pub resources: BTreeSet<ResourcePattern>,
}

/// A target system that tokens are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Its number.
    pub number: ConnectorNo,
    /// Its tenant.
    pub tenant: TenantNo,
    /// Its name, as in `connector:action`.
    pub name: Name,
    /// The `aud` of its tokens; no two connectors share one.
    pub audience: String,
    /// Who answers for it.
    pub owner: OwnerNo,
    /// How much harm it can do.
    pub tier: Tier,
    /// How its backend checks.
    pub check: Check,
    /// How its tokens are signed.
    pub algorithm: Algorithm,
    /// The longest life of its tokens.
    pub ttl_max: Duration,
    /// How long its verifiers may answer without hearing from Locum; whole milliseconds.
    pub staleness_bound: Duration,
    /// Its actions by name.
    pub actions: BTreeMap<Name, Action>,
}

/// The numbers given out so far, so that none is given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastNumbers {
    /// Of tenants.
    pub tenant: u32,
    /// Of owners.
    pub owner: u32,
    /// Of models.
    pub model: u32,
    /// Of workloads.
    pub workload: u32,
    /// Of connectors.
    pub connector: u32,
}

/// Everything that a registry holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Which one this is.
    pub revision: RegistryRevision,
    /// Numbers given out so far.
    pub last: LastNumbers,
    /// Tenants by number.
    pub tenants: BTreeMap<TenantNo, Tenant>,
    /// Owners by number.
    pub owners: BTreeMap<OwnerNo, Owner>,
    /// Models by number.
    pub models: BTreeMap<ModelNo, Model>,
    /// Workloads by number.
    pub workloads: BTreeMap<WorkloadNo, Workload>,
    /// Connectors by number.
    pub connectors: BTreeMap<ConnectorNo, Connector>,
}

/// A registry in force: entries and the indexes over them.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entries: Entries,
    exact_ids: HashMap<Box<str>, WorkloadNo>,
    id_patterns: Vec<WorkloadNo>,
    connector_names: HashMap<(TenantNo, Name), ConnectorNo>,
    workload_names: HashMap<(TenantNo, Name), WorkloadNo>,
}

// === impl Registry ===

impl Registry {
    /// Builds the indexes over `entries`.
    pub fn of(entries: Entries) -> Self {
        let mut registry = Self::default();
        for workload in entries.workloads.values() {
            if workload.identity.as_str().contains('*') {
                registry.id_patterns.push(workload.number);
            } else {
                registry.exact_ids.insert(workload.identity.as_str().into(), workload.number);
            }
            registry.workload_names.insert((workload.tenant, workload.name.clone()), workload.number);
        }
        for connector in entries.connectors.values() {
            registry.connector_names.insert((connector.tenant, connector.name.clone()), connector.number);
        }
        registry.entries = entries;
        registry
    }

    /// The entries.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Which registry this is.
    pub fn revision(&self) -> RegistryRevision {
        self.entries.revision
    }

    /// The workload that `id` is. At most one: patterns are disjoint.
    pub fn workload_of(&self, id: &SpiffeId) -> Option<&Workload> {
        let by_pattern = || {
            let mut candidates = self.id_patterns.iter().filter_map(|no| self.workload(*no));
            candidates.find(|workload| workload.identity.matches(id))
        };
        match self.exact_ids.get(id.as_str()) {
            Some(number) => self.workload(*number),
            None => by_pattern(),
        }
    }

    /// The workload with this number.
    pub fn workload(&self, number: WorkloadNo) -> Option<&Workload> {
        self.entries.workloads.get(&number)
    }

    /// The workload of this name in a tenant.
    pub fn workload_named(&self, tenant: TenantNo, name: &Name) -> Option<&Workload> {
        self.workload_names.get(&(tenant, name.clone())).and_then(|no| self.workload(*no))
    }

    /// The connector with this number.
    pub fn connector(&self, number: ConnectorNo) -> Option<&Connector> {
        self.entries.connectors.get(&number)
    }

    /// The connector of this name in a tenant.
    pub fn connector_named(&self, tenant: TenantNo, name: &Name) -> Option<&Connector> {
        self.connector_names.get(&(tenant, name.clone())).and_then(|no| self.connector(*no))
    }

    /// The tenant with this number.
    pub fn tenant(&self, number: TenantNo) -> Option<&Tenant> {
        self.entries.tenants.get(&number)
    }

    /// The owner with this number.
    pub fn owner(&self, number: OwnerNo) -> Option<&Owner> {
        self.entries.owners.get(&number)
    }

    /// The model with this number.
    pub fn model(&self, number: ModelNo) -> Option<&Model> {
        self.entries.models.get(&number)
    }
}

// === what an operator proposes ===

/// A whole registry as written: names only, not yet checked against itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// The tenants.
    pub tenants: Vec<Name>,
    /// The models.
    pub models: Vec<ProposedModel>,
    /// The workloads.
    pub workloads: Vec<ProposedWorkload>,
    /// The connectors.
    pub connectors: Vec<ProposedConnector>,
}

/// A model as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedModel {
    /// Its tenant.
    pub tenant: Name,
    /// Its name.
    pub name: Name,
    /// Who answers for it.
    pub owner: Name,
}

/// A workload as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedWorkload {
    /// Its tenant.
    pub tenant: Name,
    /// Its name.
    pub name: Name,
    /// The SPIFFE IDs that are this workload.
    pub identity: SpiffePattern,
    /// What it is.
    pub kind: WorkloadKind,
    /// Who answers for it.
    pub owner: Name,
    /// The model behind it.
    pub model: Option<Name>,
    /// The connectors whose tokens it may check.
    pub serves: Vec<Name>,
}

/// A connector as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposedConnector {
    /// Its tenant.
    pub tenant: Name,
    /// Its name.
    pub name: Name,
    /// The `aud` of its tokens.
    pub audience: String,
    /// Who answers for it.
    pub owner: Name,
    /// How much harm it can do.
    pub tier: Tier,
    /// How its backend checks.
    pub check: Check,
    /// How its tokens are signed.
    pub algorithm: Algorithm,
    /// The longest life of its tokens.
    pub ttl_max: Duration,
    /// How long its verifiers may answer without hearing from Locum.
    pub staleness_bound: Duration,
    /// Its actions.
    pub actions: BTreeMap<Name, Action>,
}
