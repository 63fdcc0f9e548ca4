//! Selectors and targets.

use locum_model::{
    ConnectorNo, KeyId, ModelNo, OwnerNo, PolicyRevision, Selector, SubjectKey, Target, TaskId, TenantNo,
    TokenId, WorkloadNo,
};

use super::form::{self, selector, target};
use super::{DecodeError, Stored, exactly, parsed, required};

impl Stored for Selector {
    type Form = form::Selector;

    fn to_form(&self) -> form::Selector {
        use selector::Level;
        let level = match self {
            Self::Token(jti) => Level::Token(jti.0.to_vec()),
            Self::Task(task) => Level::Task(task.as_u64()),
            Self::Subject(subject) => Level::Subject(subject.clone()),
            Self::Workload(name) => Level::Workload(name.to_string()),
            Self::WorkloadPattern(pattern) => Level::WorkloadPattern(pattern.to_string()),
            Self::Connector(name) => Level::Connector(name.to_string()),
            Self::Tenant(name) => Level::Tenant(name.to_string()),
            Self::Owner(name) => Level::Owner(name.to_string()),
            Self::Model(name) => Level::Model(name.to_string()),
            Self::SigningKey(kid) => Level::SigningKey(kid.0.to_vec()),
            Self::PolicyRevision(revision) => Level::PolicyRevision(revision.0),
        };
        form::Selector { level: Some(level) }
    }

    fn from_form(form: form::Selector) -> Result<Self, DecodeError> {
        use selector::Level;
        Ok(match required(form.level, "selector.level")? {
            Level::Token(jti) => Self::Token(TokenId(exactly(&jti, "selector.token")?)),
            Level::Task(task) => Self::Task(TaskId::from_u64(task)),
            Level::Subject(subject) => Self::Subject(subject),
            Level::Workload(name) => Self::Workload(parsed(&name, "selector.workload")?),
            Level::WorkloadPattern(text) => {
                Self::WorkloadPattern(parsed(&text, "selector.workload_pattern")?)
            }
            Level::Connector(name) => Self::Connector(parsed(&name, "selector.connector")?),
            Level::Tenant(name) => Self::Tenant(parsed(&name, "selector.tenant")?),
            Level::Owner(name) => Self::Owner(parsed(&name, "selector.owner")?),
            Level::Model(name) => Self::Model(parsed(&name, "selector.model")?),
            Level::SigningKey(kid) => Self::SigningKey(KeyId(exactly(&kid, "selector.signing_key")?)),
            Level::PolicyRevision(revision) => Self::PolicyRevision(PolicyRevision(revision)),
        })
    }
}

impl Stored for Target {
    type Form = form::Target;

    fn to_form(&self) -> form::Target {
        use target::Level;
        let level = match self {
            Self::Token(jti) => Level::Token(jti.0.to_vec()),
            Self::Task(task) => Level::Task(task.as_u64()),
            Self::Subject(key) => Level::Subject(key.0.to_vec()),
            Self::Workload(number) => Level::Workload(number.0),
            Self::Connector(number) => Level::Connector(number.0),
            Self::Tenant(number) => Level::Tenant(number.0),
            Self::Owner(number) => Level::Owner(number.0),
            Self::Model(number) => Level::Model(number.0),
            Self::SigningKey(kid) => Level::SigningKey(kid.0.to_vec()),
            Self::PolicyRevision(revision) => Level::PolicyRevision(revision.0),
        };
        form::Target { level: Some(level) }
    }

    fn from_form(form: form::Target) -> Result<Self, DecodeError> {
        use target::Level;
        Ok(match required(form.level, "target.level")? {
            Level::Token(jti) => Self::Token(TokenId(exactly(&jti, "target.token")?)),
            Level::Task(task) => Self::Task(TaskId::from_u64(task)),
            Level::Subject(key) => Self::Subject(SubjectKey(exactly(&key, "target.subject")?)),
            Level::Workload(number) => Self::Workload(WorkloadNo(number)),
            Level::Connector(number) => Self::Connector(ConnectorNo(number)),
            Level::Tenant(number) => Self::Tenant(TenantNo(number)),
            Level::Owner(number) => Self::Owner(OwnerNo(number)),
            Level::Model(number) => Self::Model(ModelNo(number)),
            Level::SigningKey(kid) => Self::SigningKey(KeyId(exactly(&kid, "target.signing_key")?)),
            Level::PolicyRevision(revision) => Self::PolicyRevision(PolicyRevision(revision)),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use locum_model::SpiffePattern;
    use proptest::prelude::*;

    use super::super::key::tests::any_kid;
    use super::super::scope::tests::any_name;
    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_task() -> impl Strategy<Value = TaskId> {
        any::<u64>().prop_map(TaskId::from_u64)
    }

    pub(crate) fn any_jti() -> impl Strategy<Value = TokenId> {
        any::<[u8; 16]>().prop_map(TokenId)
    }

    pub(crate) fn any_spiffe_pattern() -> impl Strategy<Value = SpiffePattern> {
        r"spiffe://[a-z0-9.-]{1,20}(/([A-Za-z0-9_-]{1,8}|\*)){1,4}(/\*\*)?"
            .prop_map(|pattern| pattern.parse().expect("a good pattern"))
    }

    pub(crate) fn any_selector() -> impl Strategy<Value = Selector> {
        prop_oneof![
            any_jti().prop_map(Selector::Token),
            any_task().prop_map(Selector::Task),
            any::<String>().prop_map(Selector::Subject),
            any_name().prop_map(Selector::Workload),
            any_spiffe_pattern().prop_map(Selector::WorkloadPattern),
            any_name().prop_map(Selector::Connector),
            any_name().prop_map(Selector::Tenant),
            any_name().prop_map(Selector::Owner),
            any_name().prop_map(Selector::Model),
            any_kid().prop_map(Selector::SigningKey),
            any::<u32>().prop_map(|n| Selector::PolicyRevision(PolicyRevision(n))),
        ]
    }

    pub(crate) fn any_target() -> impl Strategy<Value = Target> {
        prop_oneof![
            any_jti().prop_map(Target::Token),
            any_task().prop_map(Target::Task),
            any::<[u8; 16]>().prop_map(|key| Target::Subject(SubjectKey(key))),
            any::<u32>().prop_map(|n| Target::Workload(WorkloadNo(n))),
            any::<u32>().prop_map(|n| Target::Connector(ConnectorNo(n))),
            any::<u32>().prop_map(|n| Target::Tenant(TenantNo(n))),
            any::<u32>().prop_map(|n| Target::Owner(OwnerNo(n))),
            any::<u32>().prop_map(|n| Target::Model(ModelNo(n))),
            any_kid().prop_map(Target::SigningKey),
            any::<u32>().prop_map(|n| Target::PolicyRevision(PolicyRevision(n))),
        ]
    }

    proptest! {
        #[test]
        fn a_selector_survives(selector in any_selector()) {
            check_round_trip(&selector);
        }

        #[test]
        fn a_target_survives(target in any_target()) {
            check_round_trip(&target);
        }
    }

    #[test]
    fn a_target_that_names_nothing_is_refused() {
        assert_eq!(Target::from_form(form::Target::default()), Err(DecodeError::Missing("target.level")));
        let short = form::Target { level: Some(target::Level::Token(vec![0; 15])) };
        assert_eq!(Target::from_form(short), Err(DecodeError::Invalid("target.token")));
    }
}
