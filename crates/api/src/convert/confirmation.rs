//! The key that a token is bound to, and what a presenter showed.

use locum_model::Confirmation;
use locum_model::limits::PROOF_URI_BYTES_MAX;

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
            id::bytes_from_wire(digest, format_args!("{field}.certificate_sha256"))
                .map(Confirmation::Certificate)
        }
        Some(Key::KeySha256(thumbprint)) => {
            id::bytes_from_wire(thumbprint, format_args!("{field}.key_sha256")).map(Confirmation::Key)
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

/// What the presenter of a token showed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Presented<'a> {
    /// SHA-256 of the certificate; none when it showed none.
    pub certificate: Option<[u8; 32]>,
    /// The proof of a key; none when it showed none.
    pub proof: Option<PresentedProof<'a>>,
}

/// The proof of a key with the request that it came with. Until it was let through once it is worth something: it
/// has no `Debug`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PresentedProof<'a> {
    /// The proof.
    pub proof: &'a str,
    /// The method of the request.
    pub method: &'a str,
    /// Its URI.
    pub uri: &'a str,
}

/// What the presenter of a token showed. A proof is not judged, only that it says what for.
///
/// # Errors
///
/// [`Malformed`] when there is a digest and it has not 32 bytes, or a proof without method or URI.
pub fn presented_from_wire<'a>(
    presented: Option<&'a wire::Presented>,
    field: &str,
) -> Result<Presented<'a>, Malformed> {
    let Some(presented) = presented else { return Ok(Presented::default()) };
    let proof = presented.proof.as_ref().map(|shown| PresentedProof {
        proof: &shown.proof,
        method: &shown.method,
        uri: &shown.uri,
    });
    presented_of(&presented.certificate_sha256, proof, field)
}

/// The same of its parts.
pub(crate) fn presented_of<'a>(
    certificate_sha256: &[u8],
    proof: Option<PresentedProof<'a>>,
    field: &str,
) -> Result<Presented<'a>, Malformed> {
    let certificate =
        id::optional_bytes_from_wire(certificate_sha256, format_args!("{field}.certificate_sha256"))?;
    if let Some(proof) = &proof {
        for (name, text) in [("proof", proof.proof), ("method", proof.method), ("uri", proof.uri)] {
            if text.is_empty() {
                return Err(Malformed::of(format!("{field}.proof.{name}"), "is missing"));
            }
        }
        if proof.uri.len() > PROOF_URI_BYTES_MAX {
            let bound = format_args!("has at most {PROOF_URI_BYTES_MAX} bytes");
            return Err(Malformed::of(format!("{field}.proof.uri"), bound));
        }
    }
    Ok(Presented { certificate, proof })
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
        let showed = |bytes: usize| wire::Presented { certificate_sha256: vec![7; bytes], proof: None };
        let certificate = |shown: Option<&wire::Presented>| {
            presented_from_wire(shown, "presented").map(|presented| presented.certificate)
        };
        assert_eq!(certificate(None), Ok(None));
        assert_eq!(certificate(Some(&showed(0))), Ok(None));
        assert_eq!(certificate(Some(&showed(32))), Ok(Some([7; 32])));
        assert!(certificate(Some(&showed(20))).is_err());
    }

    #[test]
    fn a_proof_says_what_it_is_for() {
        let whole = wire::PresentedProof {
            proof: "a.b.c".to_owned(),
            method: "GET".to_owned(),
            uri: "https://orders.test/".to_owned(),
        };
        let none = String::new;
        for (proof, refused) in [
            (whole.clone(), None),
            (wire::PresentedProof { proof: none(), ..whole.clone() }, Some("shown.proof.proof")),
            (wire::PresentedProof { method: none(), ..whole.clone() }, Some("shown.proof.method")),
            (wire::PresentedProof { uri: none(), ..whole.clone() }, Some("shown.proof.uri")),
            (wire::PresentedProof { uri: "u".repeat(2_049), ..whole.clone() }, Some("shown.proof.uri")),
        ] {
            let presented = wire::Presented { proof: Some(proof.clone()), ..wire::Presented::default() };
            match (presented_from_wire(Some(&presented), "shown"), refused) {
                (Ok(read), None) => {
                    let read = read.proof.map(|shown| (shown.proof, shown.method, shown.uri));
                    assert_eq!(read, Some((&*proof.proof, &*proof.method, &*proof.uri)));
                }
                (said, refused) => {
                    let said = said.map(drop).expect_err("something is missing");
                    assert_eq!(Some(&*said.violations()[0].field), refused);
                }
            }
        }
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
