//! The words of the schema as Cedar values: entity types, actions, ids.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use locum_model::registry::{Check, Effect, Tier, WorkloadKind};

use crate::request::Ask;

/// What a policy can speak of, in Cedar's schema language.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// The schema's types and actions, parsed once per policy set.
#[derive(Clone, Debug)]
pub(crate) struct Vocabulary {
    pub(crate) tenant: EntityTypeName,
    pub(crate) owner: EntityTypeName,
    pub(crate) model: EntityTypeName,
    pub(crate) workload: EntityTypeName,
    pub(crate) connector: EntityTypeName,
    pub(crate) operation: EntityTypeName,
    pub(crate) kind: EntityTypeName,
    pub(crate) tier: EntityTypeName,
    pub(crate) check: EntityTypeName,
    pub(crate) effect: EntityTypeName,
    actions: [EntityUid; 3],
}

/// The schema, parsed.
pub(crate) fn schema() -> Schema {
    let (schema, _) =
        Schema::from_cedarschema_str(SCHEMA).expect("the schema is a constant that a test parses");
    schema
}

/// An entity of a type.
pub(crate) fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

// === impl Vocabulary ===

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let word = |name: &str| {
            let parsed = format!("Locum::{name}").parse::<EntityTypeName>();
            parsed.expect("the name of a type is a constant identifier")
        };
        let action = word("Action");
        Self {
            tenant: word("Tenant"),
            owner: word("Owner"),
            model: word("Model"),
            workload: word("Workload"),
            connector: word("Connector"),
            operation: word("Operation"),
            kind: word("Kind"),
            tier: word("Tier"),
            check: word("Check"),
            effect: word("Effect"),
            actions: Ask::ALL.map(|ask| uid(&action, ask.as_str())),
        }
    }

    /// The action of an ask.
    pub(crate) fn action(&self, ask: Ask) -> &EntityUid {
        &self.actions[ask as usize]
    }

    /// The ask that an action is.
    pub(crate) fn ask(&self, action: &EntityUid) -> Option<Ask> {
        Ask::ALL.into_iter().find(|ask| self.action(*ask) == action)
    }
}

pub(crate) fn kind(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Plugin => "plugin",
        WorkloadKind::Agent => "agent",
        WorkloadKind::Service => "service",
        WorkloadKind::Gateway => "gateway",
    }
}

pub(crate) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Low => "low",
        Tier::Medium => "medium",
        Tier::High => "high",
    }
}

pub(crate) fn check(check: Check) -> &'static str {
    match check {
        Check::Online => "online",
        Check::Feed => "feed",
        Check::Jwks => "jwks",
    }
}

pub(crate) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "read",
        Effect::Write => "write",
        Effect::Send => "send",
        Effect::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_schema_has_exactly_our_types_and_actions_and_no_groups() {
        let (schema, words) = (schema(), Vocabulary::new());
        let ours = [
            &words.tenant,
            &words.owner,
            &words.model,
            &words.workload,
            &words.connector,
            &words.operation,
            &words.kind,
            &words.tier,
            &words.check,
            &words.effect,
        ];
        let theirs: BTreeSet<String> = schema.entity_types().map(ToString::to_string).collect();
        assert_eq!(theirs, ours.iter().map(ToString::to_string).collect());
        let actions: BTreeSet<EntityUid> = schema.actions().cloned().collect();
        assert_eq!(actions, Ask::ALL.map(|ask| words.action(ask).clone()).into());
        assert_eq!(schema.action_groups().count(), 0, "candidates are picked by the action itself");
        for ask in Ask::ALL {
            assert_eq!(words.ask(words.action(ask)), Some(ask));
        }
    }
}
