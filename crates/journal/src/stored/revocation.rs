//! Revocations and locks.

use locum_model::event::{Locked, Revoked, Unlocked};
use locum_model::{TenantNo, Timestamp};

use super::{DecodeError, Stored, all_restored, form, restored, restored_if_any};

impl Stored for Revoked {
    type Form = form::Revoked;

    fn to_form(&self) -> form::Revoked {
        form::Revoked {
            selector: Some(self.selector.to_form()),
            targets: self.targets.iter().map(Stored::to_form).collect(),
            until: self.until.as_ref().map(Stored::to_form),
            reason: self.reason.clone(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::Revoked) -> Result<Self, DecodeError> {
        Ok(Self {
            selector: restored(form.selector, "revoked.selector")?,
            targets: all_restored(form.targets)?,
            until: restored_if_any(form.until)?,
            reason: form.reason,
            by: restored(form.by, "revoked.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

impl Stored for Locked {
    type Form = form::Locked;

    fn to_form(&self) -> form::Locked {
        form::Locked {
            lock: self.lock,
            tenant: self.tenant.map(|tenant| tenant.0),
            selector: Some(self.selector.to_form()),
            targets: self.targets.iter().map(Stored::to_form).collect(),
            reason: self.reason.clone(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
            until_unix_millis: self.until.as_millis(),
        }
    }

    fn from_form(form: form::Locked) -> Result<Self, DecodeError> {
        Ok(Self {
            lock: form.lock,
            tenant: form.tenant.map(TenantNo),
            selector: restored(form.selector, "locked.selector")?,
            targets: all_restored(form.targets)?,
            reason: form.reason,
            by: restored(form.by, "locked.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
            until: Timestamp::from_millis(form.until_unix_millis),
        })
    }
}

impl Stored for Unlocked {
    type Form = form::Unlocked;

    fn to_form(&self) -> form::Unlocked {
        form::Unlocked {
            locks: self.locks.clone(),
            reason: self.reason.clone(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::Unlocked) -> Result<Self, DecodeError> {
        Ok(Self {
            locks: form.locks,
            reason: form.reason,
            by: restored(form.by, "unlocked.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::by::tests::any_by;
    use super::super::key::tests::any_time;
    use super::super::position::tests::any_position;
    use super::super::selector::tests::{any_selector, any_target};
    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_revoked() -> impl Strategy<Value = Revoked> {
        let targets = prop::collection::vec(any_target(), 0..4);
        let until = prop::option::of(any_position());
        (any_selector(), targets, until, any::<String>(), any_by(), any_time()).prop_map(
            |(selector, targets, until, reason, by, at)| Revoked { selector, targets, until, reason, by, at },
        )
    }

    pub(crate) fn any_locked() -> impl Strategy<Value = Locked> {
        (any_revoked(), any::<u64>(), prop::option::of(any::<u32>()), any_time()).prop_map(
            |(like, lock, tenant, until)| Locked {
                lock,
                tenant: tenant.map(TenantNo),
                selector: like.selector,
                targets: like.targets,
                reason: like.reason,
                by: like.by,
                at: like.at,
                until,
            },
        )
    }

    pub(crate) fn any_unlocked() -> impl Strategy<Value = Unlocked> {
        let locks = prop::collection::vec(any::<u64>(), 0..4);
        (locks, any::<String>(), any_by(), any_time()).prop_map(|(locks, reason, by, at)| Unlocked {
            locks,
            reason,
            by,
            at,
        })
    }

    proptest! {
        #[test]
        fn a_revocation_survives(event in any_revoked()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_lock_survives(event in any_locked()) {
            check_round_trip(&event);
        }

        #[test]
        fn an_unlock_survives(event in any_unlocked()) {
            check_round_trip(&event);
        }
    }

    #[test]
    fn a_revocation_without_its_selector_is_refused() {
        let refused = Revoked::from_form(form::Revoked::default());
        assert_eq!(refused, Err(DecodeError::Missing("revoked.selector")));
    }
}
