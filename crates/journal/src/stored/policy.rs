//! Policy sets.

use locum_model::event::{PolicyActivated, PolicyText};
use locum_model::{PolicyRevision, Timestamp};

use super::{DecodeError, Stored, all_restored, exactly, form, restored};

impl Stored for PolicyActivated {
    type Form = form::PolicyActivated;

    fn to_form(&self) -> form::PolicyActivated {
        form::PolicyActivated {
            revision: self.revision.0,
            texts: self.texts.iter().map(Stored::to_form).collect(),
            digest: self.digest.to_vec(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::PolicyActivated) -> Result<Self, DecodeError> {
        Ok(Self {
            revision: PolicyRevision(form.revision),
            texts: all_restored(form.texts)?,
            digest: exactly(&form.digest, "policy_activated.digest")?,
            by: restored(form.by, "policy_activated.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

impl Stored for PolicyText {
    type Form = form::PolicyText;

    fn to_form(&self) -> form::PolicyText {
        form::PolicyText { name: self.name.clone(), text: self.text.clone() }
    }

    fn from_form(form: form::PolicyText) -> Result<Self, DecodeError> {
        Ok(Self { name: form.name, text: form.text })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::by::tests::any_by;
    use super::super::key::tests::any_time;
    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_activated() -> impl Strategy<Value = PolicyActivated> {
        let text = any::<(String, String)>().prop_map(|(name, text)| PolicyText { name, text });
        let texts = prop::collection::vec(text, 0..4);
        (any::<u32>(), texts, any::<[u8; 32]>(), any_by(), any_time()).prop_map(
            |(revision, texts, digest, by, at)| PolicyActivated {
                revision: PolicyRevision(revision),
                texts,
                digest,
                by,
                at,
            },
        )
    }

    proptest! {
        #[test]
        fn survives(event in any_activated()) {
            check_round_trip(&event);
        }
    }
}
