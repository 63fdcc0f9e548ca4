//! [`RegistryEntities`]: the registry as policies see it, made once per registry revision.
//!
//! Whatever a validated policy can reach from principal and resource is there. A decision only
//! reads it, so that its cost does not depend on the size of the registry. An entry whose owner,
//! model or tenant does not fit is left out, and every request about it is denied.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression};
use locum_model::registry::{Connector, Model, Owner, Tenant, Workload};
use locum_model::{ConnectorNo, Name, OwnerNo, Registry, TenantNo, WorkloadNo};

use crate::facts::Contexts;
use crate::vocabulary::{self, Vocabulary, uid};

/// The registry does not hold together, so that policies cannot be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry does not hold together")]
pub(crate) struct Unaskable;

/// A registry and its entries as Cedar entities. Never changes what it answers: share it as an `Arc`.
pub struct RegistryEntities {
    registry: Arc<Registry>,
    pub(crate) words: Vocabulary,
    pub(crate) entities: Entities,
    pub(crate) contexts: Contexts,
    workloads: HashMap<WorkloadNo, Known>,
    operations: HashMap<ConnectorNo, BTreeMap<Name, Known>>,
}

/// An entity and all that it is in.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) uid: EntityUid,
    /// Any, itself, its ancestors; each once.
    pub(crate) pins: Vec<Pin>,
}

/// What a scope can name: an entity, or none for any.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) entity: Option<EntityUid>,
    /// [`Pin::hash_of`] the entity: hashed once, looked for in every decision.
    pub(crate) hash: u64,
}

/// Entities being collected.
struct Collection<'a> {
    words: &'a Vocabulary,
    registry: &'a Registry,
    found: Vec<Entity>,
}

type Attributes = Vec<(&'static str, RestrictedExpression)>;

// === impl RegistryEntities ===

impl RegistryEntities {
    /// Prepares a registry. Its cost grows with the entries; do it once for a revision.
    pub fn of(registry: Arc<Registry>) -> Self {
        let words = Vocabulary::new();
        let mut collection = Collection { words: &words, registry: &registry, found: Vec::new() };
        collection.add_owners_and_models();
        let workloads = collection.workloads();
        let operations = collection.operations();
        let made = Entities::from_entities(collection.found, None);
        let entities = made.expect("each entry of a registry once, and nothing is in itself");
        Self { registry, words, entities, contexts: Contexts::default(), workloads, operations }
    }

    /// The registry.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn workload(&self, number: WorkloadNo) -> Result<&Known, Unaskable> {
        self.workloads.get(&number).ok_or(Unaskable)
    }

    pub(crate) fn operation(&self, connector: ConnectorNo, action: &Name) -> Result<&Known, Unaskable> {
        self.operations.get(&connector).and_then(|actions| actions.get(action)).ok_or(Unaskable)
    }
}

impl Default for RegistryEntities {
    fn default() -> Self {
        Self::of(Arc::default())
    }
}

impl fmt::Debug for RegistryEntities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryEntities").field("entities", &self.entities.len()).finish_non_exhaustive()
    }
}

// === impl Pin ===

impl Pin {
    fn of(entity: Option<EntityUid>) -> Self {
        Self { hash: Self::hash_of(entity.as_ref()), entity }
    }

    /// Without a key of its own for each process: pins of a registry meet those of a policy set.
    pub(crate) fn hash_of(entity: Option<&EntityUid>) -> u64 {
        let mut hasher = DefaultHasher::new();
        entity.hash(&mut hasher);
        hasher.finish()
    }
}

// === impl Collection ===

impl Collection<'_> {
    fn add_owners_and_models(&mut self) {
        let entries = self.registry.entries();
        for tenant in entries.tenants.values() {
            self.push(self.tenant_uid(tenant), vec![("name", text(tenant.name.as_str()))], []);
        }
        for owner in entries.owners.values() {
            let Some(tenant) = self.registry.tenant(owner.tenant) else { continue };
            let of = self.tenant_uid(tenant);
            let attributes = vec![("name", text(owner.name.as_str())), ("tenant", reference(&of))];
            self.push(self.owner_uid(tenant, owner), attributes, [of]);
        }
        for model in entries.models.values() {
            let Some(tenant) = self.registry.tenant(model.tenant) else { continue };
            let Some(owner) = self.owner(tenant, model.owner) else { continue };
            let of = self.tenant_uid(tenant);
            let attributes = vec![
                ("name", text(model.name.as_str())),
                ("tenant", reference(&of)),
                ("owner", reference(&owner)),
            ];
            self.push(self.model_uid(tenant, model), attributes, [of]);
        }
    }

    fn workloads(&mut self) -> HashMap<WorkloadNo, Known> {
        let workloads = self.registry.entries().workloads.values();
        workloads.filter_map(|workload| Some((workload.number, self.workload(workload)?))).collect()
    }

    fn workload(&mut self, workload: &Workload) -> Option<Known> {
        let tenant = self.registry.tenant(workload.tenant)?;
        let of = self.tenant_uid(tenant);
        let owner = self.owner(tenant, workload.owner)?;
        let model = match workload.model {
            Some(number) => Some(self.model(tenant, self.registry.model(number)?)?),
            None => None,
        };
        let mut attributes = vec![
            ("name", text(workload.name.as_str())),
            ("kind", word(&self.words.kind, vocabulary::kind(workload.kind))),
            ("tenant", reference(&of)),
            ("owner", reference(&owner)),
        ];
        attributes.extend(model.as_ref().map(|model| ("model", reference(model))));
        let entity = uid(&self.words.workload, &workload.number.to_string());
        let parents: Vec<_> = [Some(of), Some(owner), model].into_iter().flatten().collect();
        let known = Known::of(&entity, &parents);
        self.push(entity, attributes, parents);
        Some(known)
    }

    fn operations(&mut self) -> HashMap<ConnectorNo, BTreeMap<Name, Known>> {
        let connectors = self.registry.entries().connectors.values();
        connectors.filter_map(|connector| Some((connector.number, self.connector(connector)?))).collect()
    }

    /// Adds a connector and its operations.
    fn connector(&mut self, connector: &Connector) -> Option<BTreeMap<Name, Known>> {
        let tenant = self.registry.tenant(connector.tenant)?;
        let of = self.tenant_uid(tenant);
        let owner = self.owner(tenant, connector.owner)?;
        let id = id_of(tenant, &connector.name);
        let entity = uid(&self.words.connector, &id);
        let tier = || word(&self.words.tier, vocabulary::tier(connector.tier));
        let attributes = vec![
            ("name", text(connector.name.as_str())),
            ("tenant", reference(&of)),
            ("owner", reference(&owner)),
            ("tier", tier()),
            ("check", word(&self.words.check, vocabulary::check(connector.check))),
            ("audience", text(&connector.audience)),
        ];
        let mut operations = BTreeMap::new();
        for (name, action) in &connector.actions {
            let operation = uid(&self.words.operation, &format!("{id}:{name}"));
            let attributes = vec![
                ("connector", reference(&entity)),
                ("action", text(name.as_str())),
                ("effect", word(&self.words.effect, vocabulary::effect(action.effect))),
                ("tier", tier()),
            ];
            let ancestors = [entity.clone(), of.clone(), owner.clone()];
            operations.insert(name.clone(), Known::of(&operation, &ancestors));
            self.push(operation, attributes, [entity.clone()]);
        }
        self.push(entity, attributes, [of, owner]);
        Some(operations)
    }

    fn tenant_uid(&self, tenant: &Tenant) -> EntityUid {
        uid(&self.words.tenant, tenant.name.as_str())
    }

    fn owner_uid(&self, tenant: &Tenant, owner: &Owner) -> EntityUid {
        uid(&self.words.owner, &id_of(tenant, &owner.name))
    }

    fn model_uid(&self, tenant: &Tenant, model: &Model) -> EntityUid {
        uid(&self.words.model, &id_of(tenant, &model.name))
    }

    /// The owner, when it is of this tenant.
    fn owner(&self, tenant: &Tenant, number: OwnerNo) -> Option<EntityUid> {
        let owner = self.registry.owner(number).filter(|owner| owner.tenant == tenant.number)?;
        Some(self.owner_uid(tenant, owner))
    }

    /// The model, when it and its owner are of this tenant.
    fn model(&self, tenant: &Tenant, model: &Model) -> Option<EntityUid> {
        let of: TenantNo = model.tenant;
        self.owner(tenant, model.owner)?;
        (of == tenant.number).then(|| self.model_uid(tenant, model))
    }

    fn push(
        &mut self,
        entity: EntityUid,
        attributes: Attributes,
        parents: impl IntoIterator<Item = EntityUid>,
    ) {
        let attributes: HashMap<_, _> =
            attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let made = Entity::new(entity, attributes, parents.into_iter().collect());
        self.found.push(made.expect("texts and references evaluate to themselves"));
    }
}

// === impl Known ===

impl Known {
    fn of(entity: &EntityUid, ancestors: &[EntityUid]) -> Self {
        let named = std::iter::once(entity).chain(ancestors).cloned().map(Some);
        Self { uid: entity.clone(), pins: std::iter::once(None).chain(named).map(Pin::of).collect() }
    }
}

/// `tenant/name`: neither may hold a `/`, so that no two pairs give one id.
fn id_of(tenant: &Tenant, name: &Name) -> String {
    format!("{}/{name}", tenant.name)
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn reference(entity: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(entity.clone())
}

fn word(type_name: &EntityTypeName, value: &str) -> RestrictedExpression {
    reference(&uid(type_name, value))
}
