//! Keys: published, activated, retired.

use locum_model::KeyId;
use locum_model::Timestamp;
use locum_model::event::{KeyMoved, KeyPublished, KeyPurpose};
use locum_model::registry::Algorithm;

use super::{DecodeError, Stored, exactly, form, known, restored};

impl Stored for KeyPublished {
    type Form = form::KeyPublished;

    fn to_form(&self) -> form::KeyPublished {
        form::KeyPublished {
            kid: self.kid.0.to_vec(),
            purpose: self.purpose.to_form().into(),
            algorithm: self.algorithm.to_form().into(),
            public_key: self.public_key.clone(),
            by: Some(self.by.to_form()),
            at_unix_millis: self.at.as_millis(),
        }
    }

    fn from_form(form: form::KeyPublished) -> Result<Self, DecodeError> {
        Ok(Self {
            kid: KeyId(exactly(&form.kid, "key_published.kid")?),
            purpose: KeyPurpose::from_form(known(form.purpose, "key_published.purpose")?)?,
            algorithm: Algorithm::from_form(known(form.algorithm, "key_published.algorithm")?)?,
            public_key: form.public_key,
            by: restored(form.by, "key_published.by")?,
            at: Timestamp::from_millis(form.at_unix_millis),
        })
    }
}

pub(super) fn activated(event: &KeyMoved) -> form::KeyActivated {
    form::KeyActivated {
        kid: event.kid.0.to_vec(),
        by: Some(event.by.to_form()),
        at_unix_millis: event.at.as_millis(),
    }
}

pub(super) fn from_activated(form: form::KeyActivated) -> Result<KeyMoved, DecodeError> {
    Ok(KeyMoved {
        kid: KeyId(exactly(&form.kid, "key_activated.kid")?),
        by: restored(form.by, "key_activated.by")?,
        at: Timestamp::from_millis(form.at_unix_millis),
    })
}

pub(super) fn retired(event: &KeyMoved) -> form::KeyRetired {
    form::KeyRetired {
        kid: event.kid.0.to_vec(),
        by: Some(event.by.to_form()),
        at_unix_millis: event.at.as_millis(),
    }
}

pub(super) fn from_retired(form: form::KeyRetired) -> Result<KeyMoved, DecodeError> {
    Ok(KeyMoved {
        kid: KeyId(exactly(&form.kid, "key_retired.kid")?),
        by: restored(form.by, "key_retired.by")?,
        at: Timestamp::from_millis(form.at_unix_millis),
    })
}

impl Stored for KeyPurpose {
    type Form = form::KeyPurpose;

    fn to_form(&self) -> form::KeyPurpose {
        match self {
            Self::Token => form::KeyPurpose::Token,
            Self::Feed => form::KeyPurpose::Feed,
            Self::KeysetRoot => form::KeyPurpose::KeysetRoot,
        }
    }

    fn from_form(form: form::KeyPurpose) -> Result<Self, DecodeError> {
        Ok(match form {
            form::KeyPurpose::Unspecified => return Err(DecodeError::Missing("key purpose")),
            form::KeyPurpose::Token => Self::Token,
            form::KeyPurpose::Feed => Self::Feed,
            form::KeyPurpose::KeysetRoot => Self::KeysetRoot,
        })
    }
}

impl Stored for Algorithm {
    type Form = form::Algorithm;

    fn to_form(&self) -> form::Algorithm {
        match self {
            Self::Es256 => form::Algorithm::Es256,
            Self::Ed25519 => form::Algorithm::Ed25519,
        }
    }

    fn from_form(form: form::Algorithm) -> Result<Self, DecodeError> {
        Ok(match form {
            form::Algorithm::Unspecified => return Err(DecodeError::Missing("algorithm")),
            form::Algorithm::Es256 => Self::Es256,
            form::Algorithm::Ed25519 => Self::Ed25519,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::by::tests::any_by;
    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_kid() -> impl Strategy<Value = KeyId> {
        any::<[u8; 32]>().prop_map(KeyId)
    }

    pub(crate) fn any_time() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp::from_millis)
    }

    pub(crate) fn any_algorithm() -> impl Strategy<Value = Algorithm> {
        prop_oneof![Just(Algorithm::Es256), Just(Algorithm::Ed25519)]
    }

    pub(crate) fn any_published() -> impl Strategy<Value = KeyPublished> {
        let purpose =
            prop_oneof![Just(KeyPurpose::Token), Just(KeyPurpose::Feed), Just(KeyPurpose::KeysetRoot)];
        let public_key = prop::collection::vec(any::<u8>(), 0..70);
        (any_kid(), purpose, any_algorithm(), public_key, any_by(), any_time()).prop_map(
            |(kid, purpose, algorithm, public_key, by, at)| KeyPublished {
                kid,
                purpose,
                algorithm,
                public_key,
                by,
                at,
            },
        )
    }

    pub(crate) fn any_moved() -> impl Strategy<Value = KeyMoved> {
        (any_kid(), any_by(), any_time()).prop_map(|(kid, by, at)| KeyMoved { kid, by, at })
    }

    proptest! {
        #[test]
        fn survives(event in any_published()) {
            check_round_trip(&event);
        }

        #[test]
        fn a_move_survives(event in any_moved()) {
            let (as_activated, as_retired) = (from_activated(activated(&event)), from_retired(retired(&event)));
            prop_assert_eq!(as_activated.as_ref(), Ok(&event));
            prop_assert_eq!(as_retired.as_ref(), Ok(&event));
        }

        #[test]
        fn a_thumbprint_of_another_length_is_refused(event in any_published(), length in 0..80_usize) {
            let mut form = event.to_form();
            form.kid = vec![7; length];
            prop_assert_eq!(KeyPublished::from_form(form).is_ok(), length == 32);
        }

        #[test]
        fn an_unknown_purpose_is_refused(event in any_published(), purpose in any::<i32>()) {
            let mut form = event.to_form();
            form.purpose = purpose;
            prop_assert_eq!(KeyPublished::from_form(form).is_ok(), (1..=3).contains(&purpose));
        }
    }
}
