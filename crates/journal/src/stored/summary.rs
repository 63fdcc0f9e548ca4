//! Sums of checks and refusals.

use locum_model::event::{ChecksSummed, DenialsSummed, DeniedAsk};
use locum_model::{PolicyRevision, TaskId, TenantNo, Timestamp, TokenId};

use super::{DecodeError, Stored, exactly, form, parsed, restored};

impl Stored for ChecksSummed {
    type Form = form::ChecksSummed;

    fn to_form(&self) -> form::ChecksSummed {
        form::ChecksSummed {
            jti: self.jti.0.to_vec(),
            task: self.task.as_u64(),
            first_unix_millis: self.first.as_millis(),
            last_unix_millis: self.last.as_millis(),
            active: self.active,
            refused: self.refused,
        }
    }

    fn from_form(form: form::ChecksSummed) -> Result<Self, DecodeError> {
        Ok(Self {
            jti: TokenId(exactly(&form.jti, "checks_summed.jti")?),
            task: TaskId::from_u64(form.task),
            first: Timestamp::from_millis(form.first_unix_millis),
            last: Timestamp::from_millis(form.last_unix_millis),
            active: form.active,
            refused: form.refused,
        })
    }
}

impl Stored for DenialsSummed {
    type Form = form::DenialsSummed;

    fn to_form(&self) -> form::DenialsSummed {
        form::DenialsSummed {
            tenant: self.tenant.0,
            by: Some(self.by.to_form()),
            task: self.task.map(TaskId::as_u64),
            method: self.method.clone(),
            reason: self.reason.as_str().to_owned(),
            detail: self.detail.clone(),
            policy_revision: self.policy_revision.0,
            count: self.count,
            first_unix_millis: self.first.as_millis(),
            last_unix_millis: self.last.as_millis(),
            asked: self.asked.as_ref().map(Stored::to_form),
        }
    }

    fn from_form(form: form::DenialsSummed) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: TenantNo(form.tenant),
            by: restored(form.by, "denials_summed.by")?,
            task: form.task.map(TaskId::from_u64),
            method: form.method,
            reason: parsed(&form.reason, "denials_summed.reason")?,
            detail: form.detail,
            policy_revision: PolicyRevision(form.policy_revision),
            count: form.count,
            first: Timestamp::from_millis(form.first_unix_millis),
            last: Timestamp::from_millis(form.last_unix_millis),
            asked: form.asked.map(Stored::from_form).transpose()?,
        })
    }
}

impl Stored for DeniedAsk {
    type Form = form::DeniedAsk;

    fn to_form(&self) -> form::DeniedAsk {
        form::DeniedAsk {
            purpose: self.purpose.to_string(),
            scope: Some(self.scope.to_form()),
            depth: self.depth,
            justified: self.justified,
            proved: self.proved,
            delegated: self.delegated,
            policies: self.policies.clone(),
        }
    }

    fn from_form(form: form::DeniedAsk) -> Result<Self, DecodeError> {
        Ok(Self {
            purpose: parsed(&form.purpose, "denied_ask.purpose")?,
            scope: restored(form.scope, "denied_ask.scope")?,
            depth: form.depth,
            justified: form.justified,
            proved: form.proved,
            delegated: form.delegated,
            policies: form.policies,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use locum_model::Reason;
    use proptest::prelude::*;

    use super::super::by::tests::any_by;
    use super::super::key::tests::any_time;
    use super::super::scope::tests::{any_name, any_scope};
    use super::super::selector::tests::{any_jti, any_task};
    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_checks() -> impl Strategy<Value = ChecksSummed> {
        (any_jti(), any_task(), any_time(), any_time(), any::<u32>(), any::<u32>()).prop_map(
            |(jti, task, first, last, active, refused)| ChecksSummed {
                jti,
                task,
                first,
                last,
                active,
                refused,
            },
        )
    }

    pub(crate) fn any_denials() -> impl Strategy<Value = DenialsSummed> {
        let reason = prop::sample::select(Reason::ALL);
        let texts = any::<(String, String)>();
        let numbers = any::<(u32, u32, u32)>();
        let times = (any_time(), any_time(), prop::option::of(any_ask()));
        (any_by(), prop::option::of(any_task()), reason, texts, numbers, times).prop_map(
            |(by, task, reason, (method, detail), (tenant, policy, count), (first, last, asked))| {
                DenialsSummed {
                    tenant: TenantNo(tenant),
                    by,
                    task,
                    method,
                    reason,
                    detail,
                    policy_revision: PolicyRevision(policy),
                    count,
                    first,
                    last,
                    asked,
                }
            },
        )
    }

    fn any_ask() -> impl Strategy<Value = DeniedAsk> {
        (any_name(), any_scope(), any::<u32>(), any::<[bool; 3]>(), any::<Vec<String>>()).prop_map(
            |(purpose, scope, depth, [justified, proved, delegated], policies)| DeniedAsk {
                purpose,
                scope,
                depth,
                justified,
                proved,
                delegated,
                policies,
            },
        )
    }

    proptest! {
        #[test]
        fn checks_survive(event in any_checks()) {
            check_round_trip(&event);
        }

        #[test]
        fn denials_survive(event in any_denials()) {
            check_round_trip(&event);
        }

        #[test]
        fn an_unknown_reason_is_refused(event in any_denials(), reason in "[A-Z_]{0,12}x") {
            let mut form = event.to_form();
            form.reason = reason;
            let refused = DenialsSummed::from_form(form);
            prop_assert_eq!(refused, Err(DecodeError::Invalid("denials_summed.reason")));
        }
    }
}
