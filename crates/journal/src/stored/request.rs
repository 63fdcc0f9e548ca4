//! Request ids.

use locum_model::issue_record::RequestKey;

use super::{DecodeError, Stored, exactly, form};

impl Stored for RequestKey {
    type Form = form::RequestKey;

    fn to_form(&self) -> form::RequestKey {
        form::RequestKey { id: self.id.clone(), hash: self.hash.to_vec() }
    }

    fn from_form(form: form::RequestKey) -> Result<Self, DecodeError> {
        Ok(Self { id: form.id, hash: exactly(&form.hash, "request_key.hash")? })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::tests::check_round_trip;
    use super::*;

    pub(crate) fn any_request() -> impl Strategy<Value = RequestKey> {
        any::<(String, [u8; 32])>().prop_map(|(id, hash)| RequestKey { id, hash })
    }

    proptest! {
        #[test]
        fn survives(request in any_request()) {
            check_round_trip(&request);
        }
    }
}
