//! Tasks: started, ended, lapsed.

use locum_model::event::{
    Commitment, LapseCause, NamedConnector, Outcome, TaskEnded, TaskLapsed, TaskStarted,
};
use locum_model::{
    ConnectorNo, Intent, ModelNo, OwnerNo, PolicyRevision, RegistryRevision, SubjectKey, TaskId, TenantNo,
    Timestamp, WorkloadNo,
};

use super::{DecodeError, Stored, exactly, form, known, parsed, restored, restored_if_any};

impl Stored for TaskStarted {
    type Form = form::TaskStarted;

    fn to_form(&self) -> form::TaskStarted {
        form::TaskStarted {
            task: self.task.as_u64(),
            parent: self.parent.map(TaskId::as_u64),
            tenant: self.tenant.0,
            workload: self.workload.0,
            workload_identity: self.workload_identity.as_str().to_owned(),
            owner: self.owner.0,
            model: self.model.map(|model| model.0),
            subject: self.subject.clone(),
            subject_key: self.subject_key.0.to_vec(),
            purpose: self.intent.purpose.to_string(),
            scope: Some(self.intent.scope.to_form()),
            connectors: self.connectors.iter().map(Stored::to_form).collect(),
            justification: self.justification.as_ref().map(Stored::to_form),
            holder: self.holder.to_vec(),
            deadline_unix_millis: self.deadline.as_millis(),
            lease: Some(self.lease.to_form()),
            decided_at: Some(self.decided_at.to_form()),
            policy_revision: self.policy_revision.0,
            registry_revision: self.registry_revision.0,
            policies: self.policies.clone(),
            request: self.request.as_ref().map(Stored::to_form),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::TaskStarted) -> Result<Self, DecodeError> {
        Ok(Self {
            task: TaskId::from_u64(form.task),
            parent: form.parent.map(TaskId::from_u64),
            tenant: TenantNo(form.tenant),
            workload: WorkloadNo(form.workload),
            workload_identity: parsed(&form.workload_identity, "task_started.workload_identity")?,
            owner: OwnerNo(form.owner),
            model: form.model.map(ModelNo),
            subject: form.subject,
            subject_key: SubjectKey(exactly(&form.subject_key, "task_started.subject_key")?),
            intent: Intent {
                purpose: parsed(&form.purpose, "task_started.purpose")?,
                scope: restored(form.scope, "task_started.scope")?,
            },
            connectors: form
                .connectors
                .into_iter()
                .map(NamedConnector::from_form)
                .collect::<Result<_, _>>()?,
            justification: restored_if_any(form.justification)?,
            holder: exactly(&form.holder, "task_started.holder")?,
            deadline: Timestamp::from_millis(form.deadline_unix_millis),
            lease: restored(form.lease, "task_started.lease")?,
            decided_at: restored(form.decided_at, "task_started.decided_at")?,
            policy_revision: PolicyRevision(form.policy_revision),
            registry_revision: RegistryRevision(form.registry_revision),
            policies: form.policies,
            request: restored_if_any(form.request)?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

impl Stored for NamedConnector {
    type Form = form::NamedConnector;

    fn to_form(&self) -> form::NamedConnector {
        form::NamedConnector { number: self.number.0, owner: self.owner.0 }
    }

    fn from_form(form: form::NamedConnector) -> Result<Self, DecodeError> {
        Ok(Self { number: ConnectorNo(form.number), owner: OwnerNo(form.owner) })
    }
}

impl Stored for Commitment {
    type Form = form::Commitment;

    fn to_form(&self) -> form::Commitment {
        form::Commitment { salt: self.salt.to_vec(), digest: self.digest.to_vec() }
    }

    fn from_form(form: form::Commitment) -> Result<Self, DecodeError> {
        Ok(Self {
            salt: exactly(&form.salt, "commitment.salt")?,
            digest: exactly(&form.digest, "commitment.digest")?,
        })
    }
}

impl Stored for TaskEnded {
    type Form = form::TaskEnded;

    fn to_form(&self) -> form::TaskEnded {
        form::TaskEnded {
            task: self.task.as_u64(),
            outcome: self.outcome.to_form().into(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
            reason: self.reason.clone(),
        }
    }

    fn from_form(form: form::TaskEnded) -> Result<Self, DecodeError> {
        Ok(Self {
            task: TaskId::from_u64(form.task),
            outcome: Outcome::from_form(known(form.outcome, "task_ended.outcome")?)?,
            by: restored(form.by, "task_ended.by")?,
            reason: form.reason,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

impl Stored for Outcome {
    type Form = form::Outcome;

    fn to_form(&self) -> form::Outcome {
        match self {
            Self::Completed => form::Outcome::Completed,
            Self::Failed => form::Outcome::Failed,
            Self::Cancelled => form::Outcome::Cancelled,
        }
    }

    fn from_form(form: form::Outcome) -> Result<Self, DecodeError> {
        Ok(match form {
            form::Outcome::Unspecified => return Err(DecodeError::Missing("outcome")),
            form::Outcome::Completed => Self::Completed,
            form::Outcome::Failed => Self::Failed,
            form::Outcome::Cancelled => Self::Cancelled,
        })
    }
}

impl Stored for TaskLapsed {
    type Form = form::TaskLapsed;

    fn to_form(&self) -> form::TaskLapsed {
        form::TaskLapsed {
            task: self.task.as_u64(),
            cause: self.cause.to_form().into(),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::TaskLapsed) -> Result<Self, DecodeError> {
        Ok(Self {
            task: TaskId::from_u64(form.task),
            cause: LapseCause::from_form(known(form.cause, "task_lapsed.cause")?)?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

impl Stored for LapseCause {
    type Form = form::LapseCause;

    fn to_form(&self) -> form::LapseCause {
        match self {
            Self::LeaseExpired => form::LapseCause::LeaseExpired,
            Self::DeadlinePassed => form::LapseCause::DeadlinePassed,
        }
    }

    fn from_form(form: form::LapseCause) -> Result<Self, DecodeError> {
        Ok(match form {
            form::LapseCause::Unspecified => return Err(DecodeError::Missing("lapse cause")),
            form::LapseCause::LeaseExpired => Self::LeaseExpired,
            form::LapseCause::DeadlinePassed => Self::DeadlinePassed,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::by::tests::{any_by, any_spiffe_id};
    use super::super::key::tests::any_time;
    use super::super::position::tests::any_position;
    use super::super::request::tests::any_request;
    use super::super::scope::tests::{any_name, any_scope};
    use super::super::selector::tests::any_task;
    use super::super::tests::check_round_trip;
    use super::*;

    fn any_named((number, owner): (u32, u32)) -> NamedConnector {
        NamedConnector { number: ConnectorNo(number), owner: OwnerNo(owner) }
    }

    fn any_commitment() -> impl Strategy<Value = Commitment> {
        any::<([u8; 16], [u8; 32])>().prop_map(|(salt, digest)| Commitment { salt, digest })
    }

    pub(crate) fn any_started() -> impl Strategy<Value = TaskStarted> {
        let ids = (any_task(), prop::option::of(any_task()), any_spiffe_id(), any_position());
        let numbers = any::<(u32, u32, u32, u32, u32)>();
        let lists = any::<(Vec<(u32, u32)>, Vec<String>)>();
        let subject = any::<(String, [u8; 16])>();
        let options = (
            prop::option::of(any::<u32>()),
            prop::option::of(any_commitment()),
            prop::option::of(any_request()),
        );
        let times = (any_time(), any::<Duration>(), any_time());
        let intent = (any_name(), any_scope()).prop_map(|(purpose, scope)| Intent { purpose, scope });
        (ids, numbers, lists, subject, options, times, intent, any::<[u8; 32]>()).prop_map(
            |(ids, numbers, lists, subject, options, times, intent, holder)| TaskStarted {
                task: ids.0,
                parent: ids.1,
                tenant: TenantNo(numbers.0),
                workload: WorkloadNo(numbers.1),
                workload_identity: ids.2,
                owner: OwnerNo(numbers.2),
                model: options.0.map(ModelNo),
                subject: subject.0,
                subject_key: SubjectKey(subject.1),
                intent,
                connectors: lists.0.into_iter().map(any_named).collect(),
                justification: options.1,
                holder,
                deadline: times.0,
                lease: times.1,
                decided_at: ids.3,
                policy_revision: PolicyRevision(numbers.3),
                registry_revision: RegistryRevision(numbers.4),
                policies: lists.1,
                request: options.2,
                at: times.2,
            },
        )
    }

    pub(crate) fn any_ended() -> impl Strategy<Value = TaskEnded> {
        let outcome = prop_oneof![Just(Outcome::Completed), Just(Outcome::Failed), Just(Outcome::Cancelled)];
        let reason = prop::option::of(".{0,20}");
        (any_task(), outcome, reason, any_by(), any_time())
            .prop_map(|(task, outcome, reason, by, at)| TaskEnded { task, outcome, reason, by, at })
    }

    pub(crate) fn any_lapsed() -> impl Strategy<Value = TaskLapsed> {
        let cause = prop_oneof![Just(LapseCause::LeaseExpired), Just(LapseCause::DeadlinePassed)];
        (any_task(), cause, any_time()).prop_map(|(task, cause, at)| TaskLapsed { task, cause, at })
    }

    proptest! {
        #[test]
        fn a_start_survives(event in any_started()) {
            check_round_trip(&event);
        }

        #[test]
        fn an_end_survives(event in any_ended()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_lapse_survives(event in any_lapsed()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_start_without_its_scope_is_refused(event in any_started()) {
            let form = form::TaskStarted { scope: None, ..event.to_form() };
            prop_assert_eq!(TaskStarted::from_form(form), Err(DecodeError::Missing("task_started.scope")));
        }

        #[test]
        fn an_unknown_outcome_is_refused(event in any_ended(), outcome in any::<i32>()) {
            let form = form::TaskEnded { outcome, ..event.to_form() };
            prop_assert_eq!(TaskEnded::from_form(form).is_ok(), (1..=3).contains(&outcome));
        }
    }
}
