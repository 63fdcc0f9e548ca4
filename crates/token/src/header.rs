//! The one header of our tokens: `{"alg":…,"kid":…,"typ":"at+jwt"}`, in this order.

use locum_jose::base64url::{self, kid_text};
use locum_jose::{Profile, SignatureAlgorithm};
use locum_model::KeyId;
use locum_model::limits::TOKEN_BYTES_MAX;

/// `typ` of an access token (RFC 9068 section 2.1).
const TYPE: &str = "at+jwt";

/// What a header may look like; [`text`] then leaves one spelling of it.
pub(crate) const PROFILE: Profile =
    Profile { bytes_max: TOKEN_BYTES_MAX, members: &["alg", "kid", "typ"], types: &[Some(TYPE)] };

/// Length of every header, in characters: `ES256` and `EdDSA` are equally long, and so are all `kid`s.
pub(crate) const TEXT_BYTES: usize = 110;

/// The header as base64url.
pub(crate) fn text(algorithm: SignatureAlgorithm, kid: &KeyId) -> String {
    let kid = kid_text(kid);
    base64url::encode(format!(r#"{{"alg":"{algorithm}","kid":"{kid}","typ":"{TYPE}"}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_has_the_same_length_and_order() {
        for algorithm in [SignatureAlgorithm::Es256, SignatureAlgorithm::Ed25519] {
            let text = text(algorithm, &KeyId([0xa7; 32]));
            assert_eq!(text.len(), TEXT_BYTES);
            let header = base64url::decode(&text).expect("our own");
            let header = String::from_utf8(header).expect("our own");
            let expected = format!(
                r#"{{"alg":"{algorithm}","kid":"p6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6c","typ":"at+jwt"}}"#
            );
            assert_eq!(header, expected);
        }
    }
}
