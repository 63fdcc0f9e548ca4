//! The slice of the registry that one request needs, as Cedar entities.
//!
//! Whatever a validated policy can reach from principal and resource is in the slice, and nothing
//! else: the registry is not copied. A registry that does not hold together gives no slice.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityTypeName, EntityUid, RestrictedExpression};
use locum_model::registry::{Action, Connector, Model, Owner, Tenant, Workload};
use locum_model::scope::{Operation, Resources};
use locum_model::{Name, OwnerNo, Registry};

use crate::vocabulary::{self, Vocabulary, uid};

/// The registry does not hold together, so that policies cannot be asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry does not hold together")]
pub(crate) struct Unaskable;

/// An operation of the request as the registry knows it.
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) resources: &'a Resources,
    pub(crate) connector: &'a Connector,
    pub(crate) action: &'a Action,
}

/// Entities being collected, each once.
pub(crate) struct Slice<'a> {
    words: &'a Vocabulary,
    registry: &'a Registry,
    tenant: &'a Tenant,
    tenant_uid: EntityUid,
    seen: HashSet<EntityUid>,
    found: Vec<Entity>,
}

/// An entity and all that it is in, for picking policies: no pin, itself, its ancestors.
pub(crate) type Pins = Vec<Option<EntityUid>>;

type Attributes = Vec<(&'static str, RestrictedExpression)>;

impl<'a> Slice<'a> {
    /// A slice for requests of one tenant.
    pub(crate) fn new(
        words: &'a Vocabulary,
        registry: &'a Registry,
        tenant: &'a Tenant,
    ) -> Result<Self, Unaskable> {
        let tenant_uid = uid(&words.tenant, tenant.name.as_str());
        let (seen, found) = (HashSet::new(), Vec::new());
        let mut slice = Self { words, registry, tenant, tenant_uid, seen, found };
        slice.push(slice.tenant_uid.clone(), vec![("name", text(tenant.name.as_str()))], [])?;
        Ok(slice)
    }

    /// Adds the workload; its entity first among the pins.
    pub(crate) fn workload(&mut self, workload: &Workload) -> Result<(EntityUid, Pins), Unaskable> {
        let owner = self.owner(workload.owner)?;
        let model = match workload.model {
            Some(number) => Some(self.model(self.registry.model(number).ok_or(Unaskable)?)?),
            None => None,
        };
        let entity = uid(&self.words.workload, &workload.number.to_string());
        let mut attributes = vec![
            ("name", text(workload.name.as_str())),
            ("kind", word(&self.words.kind, vocabulary::kind(workload.kind))),
            ("tenant", reference(&self.tenant_uid)),
            ("owner", reference(&owner)),
        ];
        attributes.extend(model.as_ref().map(|model| ("model", reference(model))));
        let parents = [Some(self.tenant_uid.clone()), Some(owner), model].into_iter().flatten();
        self.push_pinned(entity, attributes, parents.collect())
    }

    /// Adds an operation, its connector and who answers for that.
    pub(crate) fn operation(&mut self, asked: &Asked<'_>) -> Result<(EntityUid, Pins), Unaskable> {
        let connector = asked.connector;
        let owner = self.owner(connector.owner)?;
        let connector_id = self.id_of(&connector.name);
        let connector_uid = uid(&self.words.connector, &connector_id);
        let tier = vocabulary::tier(connector.tier);
        let attributes = vec![
            ("name", text(connector.name.as_str())),
            ("tenant", reference(&self.tenant_uid)),
            ("owner", reference(&owner)),
            ("tier", word(&self.words.tier, tier)),
            ("check", word(&self.words.check, vocabulary::check(connector.check))),
            ("audience", text(&connector.audience)),
        ];
        self.push(connector_uid.clone(), attributes, [self.tenant_uid.clone(), owner.clone()])?;
        let action = &asked.operation.action;
        let entity = uid(&self.words.operation, &format!("{connector_id}:{action}"));
        let attributes = vec![
            ("connector", reference(&connector_uid)),
            ("action", text(action.as_str())),
            ("effect", word(&self.words.effect, vocabulary::effect(asked.action.effect))),
            ("tier", word(&self.words.tier, tier)),
        ];
        let (entity, mut pins) = self.push_pinned(entity, attributes, vec![connector_uid])?;
        pins.extend([Some(self.tenant_uid.clone()), Some(owner)]);
        Ok((entity, pins))
    }

    /// The entities, with what each is in.
    pub(crate) fn finish(self) -> Result<Entities, Unaskable> {
        Entities::from_entities(self.found, None).map_err(|_duplicate| Unaskable)
    }

    fn owner(&mut self, number: OwnerNo) -> Result<EntityUid, Unaskable> {
        let owner: &Owner = self.registry.owner(number).ok_or(Unaskable)?;
        if owner.tenant != self.tenant.number {
            return Err(Unaskable);
        }
        let entity = uid(&self.words.owner, &self.id_of(&owner.name));
        let attributes = vec![("name", text(owner.name.as_str())), ("tenant", reference(&self.tenant_uid))];
        self.push(entity.clone(), attributes, [self.tenant_uid.clone()])?;
        Ok(entity)
    }

    fn model(&mut self, model: &Model) -> Result<EntityUid, Unaskable> {
        if model.tenant != self.tenant.number {
            return Err(Unaskable);
        }
        let owner = self.owner(model.owner)?;
        let entity = uid(&self.words.model, &self.id_of(&model.name));
        let attributes = vec![
            ("name", text(model.name.as_str())),
            ("tenant", reference(&self.tenant_uid)),
            ("owner", reference(&owner)),
        ];
        self.push(entity.clone(), attributes, [self.tenant_uid.clone()])?;
        Ok(entity)
    }

    /// `tenant/name`: neither may hold a `/`, so that no two pairs give one id.
    fn id_of(&self, name: &Name) -> String {
        format!("{}/{name}", self.tenant.name)
    }

    fn push_pinned(
        &mut self,
        entity: EntityUid,
        attributes: Attributes,
        parents: Vec<EntityUid>,
    ) -> Result<(EntityUid, Pins), Unaskable> {
        let pins =
            [None, Some(entity.clone())].into_iter().chain(parents.iter().cloned().map(Some)).collect();
        self.push(entity.clone(), attributes, parents)?;
        Ok((entity, pins))
    }

    fn push(
        &mut self,
        entity: EntityUid,
        attributes: Attributes,
        parents: impl IntoIterator<Item = EntityUid>,
    ) -> Result<(), Unaskable> {
        if self.seen.insert(entity.clone()) {
            let attributes: HashMap<_, _> =
                attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let made = Entity::new(entity, attributes, parents.into_iter().collect());
            self.found.push(made.map_err(|_unevaluated| Unaskable)?);
        }
        Ok(())
    }
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
