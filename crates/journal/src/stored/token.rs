//! Tokens: issued, used.

use locum_model::event::TokenUsed;
use locum_model::{
    Actor, Confirmation, ConnectorNo, IssueRecord, KeyId, ModelNo, OwnerNo, PolicyRevision, RegistryRevision,
    Standing, SubjectKey, TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};

use super::form::{self, token_issued};
use super::{DecodeError, Stored, all_restored, exactly, parsed, restored, restored_if_any};

impl Stored for IssueRecord {
    type Form = form::TokenIssued;

    fn to_form(&self) -> form::TokenIssued {
        form::TokenIssued {
            jti: self.jti.0.to_vec(),
            tasks: self.tasks.iter().map(|task| task.as_u64()).collect(),
            standing: Some(self.standing.to_form()),
            subject: self.subject.clone(),
            subject_key: self.subject_key.0.to_vec(),
            client_id: self.client_id.as_str().to_owned(),
            audience: self.audience.clone(),
            scope: Some(self.scope.to_form()),
            at_unix_millis: self.at.as_millis(),
            issued_at_unix_millis: self.issued_at.as_millis(),
            not_before_unix_millis: self.not_before.as_millis(),
            expires_at_unix_millis: self.expires_at.as_millis(),
            uses_max: self.uses_max,
            confirmation: self.confirmation.as_ref().map(Stored::to_form),
            kid: self.kid.0.to_vec(),
            decided_at: Some(self.decided_at.to_form()),
            registry_revision: self.registry_revision.0,
            policies: self.policies.clone(),
            request: self.request.as_ref().map(Stored::to_form),
        }
    }

    fn from_form(form: form::TokenIssued) -> Result<Self, DecodeError> {
        // `IssueRecord::task` rests on this.
        if form.tasks.is_empty() {
            return Err(DecodeError::Missing("token_issued.tasks"));
        }
        Ok(Self {
            jti: TokenId(exactly(&form.jti, "token_issued.jti")?),
            tasks: form.tasks.into_iter().map(TaskId::from_u64).collect(),
            standing: restored(form.standing, "token_issued.standing")?,
            subject: form.subject,
            subject_key: SubjectKey(exactly(&form.subject_key, "token_issued.subject_key")?),
            client_id: parsed(&form.client_id, "token_issued.client_id")?,
            audience: form.audience,
            scope: restored(form.scope, "token_issued.scope")?,
            at: Timestamp::from_millis(form.at_unix_millis),
            issued_at: Timestamp::from_millis(form.issued_at_unix_millis),
            not_before: Timestamp::from_millis(form.not_before_unix_millis),
            expires_at: Timestamp::from_millis(form.expires_at_unix_millis),
            uses_max: form.uses_max,
            confirmation: restored_if_any(form.confirmation)?,
            kid: KeyId(exactly(&form.kid, "token_issued.kid")?),
            decided_at: restored(form.decided_at, "token_issued.decided_at")?,
            registry_revision: RegistryRevision(form.registry_revision),
            policies: form.policies,
            request: restored_if_any(form.request)?,
        })
    }
}

impl Stored for Confirmation {
    type Form = token_issued::Confirmation;

    fn to_form(&self) -> token_issued::Confirmation {
        match self {
            Self::Certificate(hash) => token_issued::Confirmation::Certificate(hash.to_vec()),
            Self::Key(thumbprint) => token_issued::Confirmation::Key(thumbprint.to_vec()),
        }
    }

    fn from_form(form: token_issued::Confirmation) -> Result<Self, DecodeError> {
        Ok(match form {
            token_issued::Confirmation::Certificate(hash) => {
                Self::Certificate(exactly(&hash, "token_issued.certificate")?)
            }
            token_issued::Confirmation::Key(thumbprint) => {
                Self::Key(exactly(&thumbprint, "token_issued.key")?)
            }
        })
    }
}

impl Stored for Standing {
    type Form = form::Standing;

    fn to_form(&self) -> form::Standing {
        form::Standing {
            actors: self.actors.iter().map(Stored::to_form).collect(),
            tenant: self.tenant.0,
            connector: self.connector.0,
            connector_owner: self.connector_owner.0,
            policy_revision: self.policy_revision.0,
        }
    }

    fn from_form(form: form::Standing) -> Result<Self, DecodeError> {
        // Nobody's authority is no authority.
        if form.actors.is_empty() {
            return Err(DecodeError::Missing("standing.actors"));
        }
        Ok(Self {
            actors: all_restored(form.actors)?,
            tenant: TenantNo(form.tenant),
            connector: ConnectorNo(form.connector),
            connector_owner: OwnerNo(form.connector_owner),
            policy_revision: PolicyRevision(form.policy_revision),
        })
    }
}

impl Stored for Actor {
    type Form = form::Actor;

    fn to_form(&self) -> form::Actor {
        form::Actor { workload: self.workload.0, owner: self.owner.0, model: self.model.map(|model| model.0) }
    }

    fn from_form(form: form::Actor) -> Result<Self, DecodeError> {
        Ok(Self {
            workload: WorkloadNo(form.workload),
            owner: OwnerNo(form.owner),
            model: form.model.map(ModelNo),
        })
    }
}

impl Stored for TokenUsed {
    type Form = form::TokenUsed;

    fn to_form(&self) -> form::TokenUsed {
        form::TokenUsed {
            jti: self.jti.0.to_vec(),
            task: self.task.as_u64(),
            operation: self.operation.to_string(),
            resource: self.resource.as_ref().map(|resource| resource.as_str().to_owned()),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::TokenUsed) -> Result<Self, DecodeError> {
        let resource = form.resource.map(|resource| parsed(&resource, "token_used.resource"));
        Ok(Self {
            jti: TokenId(exactly(&form.jti, "token_used.jti")?),
            task: TaskId::from_u64(form.task),
            operation: parsed(&form.operation, "token_used.operation")?,
            resource: resource.transpose()?,
            by: restored(form.by, "token_used.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::by::tests::{any_by, any_spiffe_id};
    use super::super::key::tests::{any_kid, any_time};
    use super::super::position::tests::any_position;
    use super::super::request::tests::any_request;
    use super::super::scope::tests::{any_operation, any_pattern, any_scope};
    use super::super::selector::tests::{any_jti, any_task};
    use super::super::tests::check_round_trip;
    use super::*;

    fn any_actor() -> impl Strategy<Value = Actor> {
        (any::<u32>(), any::<u32>(), prop::option::of(any::<u32>())).prop_map(|(workload, owner, model)| {
            Actor { workload: WorkloadNo(workload), owner: OwnerNo(owner), model: model.map(ModelNo) }
        })
    }

    fn any_standing() -> impl Strategy<Value = Standing> {
        let actors = prop::collection::vec(any_actor(), 1..4);
        (actors, any::<(u32, u32, u32, u32)>()).prop_map(|(actors, numbers)| Standing {
            actors,
            tenant: TenantNo(numbers.0),
            connector: ConnectorNo(numbers.1),
            connector_owner: OwnerNo(numbers.2),
            policy_revision: PolicyRevision(numbers.3),
        })
    }

    fn any_confirmation() -> impl Strategy<Value = Confirmation> {
        prop_oneof![
            any::<[u8; 32]>().prop_map(Confirmation::Certificate),
            any::<[u8; 32]>().prop_map(Confirmation::Key),
        ]
    }

    pub(crate) fn any_issued() -> impl Strategy<Value = IssueRecord> {
        let ids = (any_jti(), any_kid(), any_spiffe_id(), any_position());
        let tasks = prop::collection::vec(any_task(), 1..8);
        let texts = any::<(String, [u8; 16], String, Vec<String>)>();
        let times = (any_time(), any_time(), any_time());
        let options = (
            prop::option::of(any::<u32>()),
            prop::option::of(any_confirmation()),
            prop::option::of(any_request()),
        );
        (ids, tasks, any_standing(), texts, any_scope(), times, options, any::<u32>()).prop_map(
            |(ids, tasks, standing, texts, scope, times, options, registry)| IssueRecord {
                jti: ids.0,
                tasks,
                standing,
                subject: texts.0,
                subject_key: SubjectKey(texts.1),
                client_id: ids.2,
                audience: texts.2,
                scope,
                at: times.1,
                issued_at: times.0,
                not_before: times.1,
                expires_at: times.2,
                uses_max: options.0,
                confirmation: options.1,
                kid: ids.1,
                decided_at: ids.3,
                registry_revision: RegistryRevision(registry),
                policies: texts.3,
                request: options.2,
            },
        )
    }

    pub(crate) fn any_used() -> impl Strategy<Value = TokenUsed> {
        let resource = prop::option::of(any_pattern());
        (any_jti(), any_task(), any_operation(), resource, any_by(), any_time()).prop_map(
            |(jti, task, operation, resource, by, at)| TokenUsed { jti, task, operation, resource, by, at },
        )
    }

    proptest! {
        #[test]
        fn an_issue_survives(event in any_issued()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_use_survives(event in any_used()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_token_without_task_scope_or_actor_is_refused(event in any_issued()) {
            let without = |change: fn(&mut form::TokenIssued)| {
                let mut form = event.to_form();
                change(&mut form);
                IssueRecord::from_form(form)
            };
            let no_task = without(|form| form.tasks.clear());
            prop_assert_eq!(no_task, Err(DecodeError::Missing("token_issued.tasks")));
            let no_scope = without(|form| form.scope = None);
            prop_assert_eq!(no_scope, Err(DecodeError::Missing("token_issued.scope")));
            let no_actor = without(|form| form.standing = Some(form::Standing::default()));
            prop_assert_eq!(no_actor, Err(DecodeError::Missing("standing.actors")));
        }
    }
}
