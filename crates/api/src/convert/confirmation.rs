//! The key that a token is bound to, and what a presenter showed.

use locum_model::Confirmation;

use super::id;
use crate::broker::v1 as wire;
use crate::broker::v1::confirmation::Key;
use crate::violation::Malformed;

/// The confirmation of a token.
///
/// # Errors
///
/// [`Malformed`] when no key is named or its digest has not 32 bytes.
pub fn from_wire(confirmation: &wire::Confirmation, field: &str) -> Result<Confirmation, Malformed> {
    match &confirmation.key {
        Some(Key::CertificateSha256(digest)) => {
            id::bytes_from_wire(digest, &format!("{field}.certificate_sha256")).map(Confirmation::Certificate)
        }
        Some(Key::KeySha256(thumbprint)) => {
            id::bytes_from_wire(thumbprint, &format!("{field}.key_sha256")).map(Confirmation::Key)
        }
        None => Err(Malformed::of(field, "must name one key")),
    }
}

/// The confirmation as a message.
pub fn to_wire(confirmation: Confirmation) -> wire::Confirmation {
    let key = match confirmation {
        Confirmation::Certificate(digest) => Key::CertificateSha256(digest.to_vec()),
        Confirmation::Key(thumbprint) => Key::KeySha256(thumbprint.to_vec()),
    };
    wire::Confirmation { key: Some(key) }
}

/// SHA-256 of the certificate that the presenter of a token showed; none when it showed none.
///
/// # Errors
///
/// [`Malformed`] when there is a digest and it has not 32 bytes.
pub fn presented_from_wire(
    presented: Option<&wire::Presented>,
    field: &str,
) -> Result<Option<[u8; 32]>, Malformed> {
    let digest = presented.map_or(&[][..], |presented| &presented.certificate_sha256);
    id::optional_bytes_from_wire(digest, &format!("{field}.certificate_sha256"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn malformed_confirmations_are_refused() {
        let keys = [
            (None, "cnf"),
            (Some(Key::CertificateSha256(vec![])), "cnf.certificate_sha256"),
            (Some(Key::CertificateSha256(vec![0; 33])), "cnf.certificate_sha256"),
            (Some(Key::KeySha256(vec![0; 31])), "cnf.key_sha256"),
        ];
        for (key, field) in keys {
            let refused = from_wire(&wire::Confirmation { key }, "cnf").expect_err("malformed");
            assert_eq!(refused.violations()[0].field, field);
        }
    }

    #[test]
    fn what_was_not_shown_is_none() {
        let showed = |bytes: usize| wire::Presented { certificate_sha256: vec![7; bytes] };
        assert_eq!(presented_from_wire(None, "presented"), Ok(None));
        assert_eq!(presented_from_wire(Some(&showed(0)), "presented"), Ok(None));
        assert_eq!(presented_from_wire(Some(&showed(32)), "presented"), Ok(Some([7; 32])));
        assert!(presented_from_wire(Some(&showed(20)), "presented").is_err());
    }

    proptest! {
        #[test]
        fn a_confirmation_survives(digest in any::<[u8; 32]>()) {
            for confirmation in [Confirmation::Certificate(digest), Confirmation::Key(digest)] {
                prop_assert_eq!(from_wire(&to_wire(confirmation), "cnf"), Ok(confirmation));
            }
        }
    }
}
