use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Header, Validation, decode, encode};

use super::*;
use crate::json::Object;
use crate::key::tests::{RS256_JWK, RS256_TOKEN};

fn keys(ours: registry::Algorithm) -> (EncodingKey, PublicKey) {
    let pkcs8 = SigningKey::generate(ours).expect("entropy");
    let public = SigningKey::from_pkcs8(ours, &pkcs8).expect("new").public().clone();
    let encoding = match ours {
        registry::Algorithm::Es256 => EncodingKey::from_ec_der(&pkcs8),
        registry::Algorithm::Ed25519 => EncodingKey::from_ed_der(&pkcs8),
    };
    (encoding, public)
}

fn unjudged(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation
}

#[test]
fn installing_again_is_no_harm() {
    assert_eq!((install(), install(), is_installed()), (Ok(()), Ok(()), true));
}

#[test]
fn jsonwebtoken_signs_and_verifies_with_ring() {
    install().expect("nothing else is installed in tests");
    for ours in [registry::Algorithm::Es256, registry::Algorithm::Ed25519] {
        let (encoding, public) = keys(ours);
        let algorithm = name_of(ours.into());
        let claims = std::collections::BTreeMap::from([("sub", "a")]);
        let token = encode(&Header::new(algorithm), &claims, &encoding).expect("signs");
        let decoded =
            decode::<Object>(&token, &decoding_key(&public), &unjudged(algorithm)).expect("verifies");
        assert_eq!(decoded.claims.text("sub"), Some("a"));
        let (_, another) = keys(ours);
        assert!(decode::<Object>(&token, &decoding_key(&another), &unjudged(algorithm)).is_err());
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        let signature = crate::base64url::decode(signature).expect("canonical");
        assert_eq!(public.verify(input.as_bytes(), &signature), Ok(()), "without jsonwebtoken too");
    }
}

#[test]
fn no_key_serves_another_algorithm() {
    let (encoding, public) = keys(registry::Algorithm::Es256);
    for algorithm in [
        Algorithm::HS256,
        Algorithm::HS512,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::EdDSA,
    ] {
        assert!(verifier(&algorithm, &decoding_key(&public)).is_err(), "{algorithm:?}");
        assert!(signer(&algorithm, &encoding).is_err(), "{algorithm:?}");
    }
    // The oldest trick: the public key as a shared secret.
    let secret = DecodingKey::from_secret(public.as_bytes());
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert!(verifier(&algorithm, &secret).is_err(), "{algorithm:?}");
    }
    assert!(signer(&Algorithm::HS256, &EncodingKey::from_secret(b"secret")).is_err());
}

#[test]
fn malformed_keys_are_refused() {
    for key in [DecodingKey::from_ec_der(b"short"), DecodingKey::from_ec_der(&[2; 65])] {
        assert!(verifier(&Algorithm::ES256, &key).is_err());
    }
    assert!(verifier(&Algorithm::EdDSA, &DecodingKey::from_ed_der(&[1; 31])).is_err());
    let weak = DecodingKey::from_rsa_raw_components(&[0xff; 128], &[1, 0, 1]);
    assert!(verifier(&Algorithm::RS256, &weak).is_err());
    assert!(signer(&Algorithm::ES256, &EncodingKey::from_ec_der(b"not PKCS#8")).is_err());
}

#[test]
fn rs256_holds_for_the_vector_of_the_rfc() {
    install().expect("nothing else is installed in tests");
    let key = PublicKey::from_jwk(RS256_JWK.as_bytes()).expect("a good key");
    let (input, signature) = RS256_TOKEN.rsplit_once('.').expect("three parts");
    let judge = |input: &[u8], algorithm| {
        jsonwebtoken::crypto::verify(signature, input, &decoding_key(&key), algorithm)
    };
    assert_eq!(judge(input.as_bytes(), Algorithm::RS256), Ok(true));
    assert_eq!(judge(&input.as_bytes()[1..], Algorithm::RS256), Ok(false));
    assert!(judge(input.as_bytes(), Algorithm::PS256).is_err());
}

#[test]
fn its_jwks_and_thumbprints_are_ours() {
    install().expect("nothing else is installed in tests");
    for ours in [registry::Algorithm::Es256, registry::Algorithm::Ed25519] {
        let (encoding, public) = keys(ours);
        let algorithm = name_of(ours.into());
        let expected = crate::base64url::kid_text(&public.thumbprint());
        let check = |jwk: Jwk| {
            let thumbprint = jwk.thumbprint(ThumbprintHash::SHA256).expect("a thumbprint");
            assert_eq!(thumbprint, expected);
        };
        check(Jwk::from_decoding_key(&decoding_key(&public), Some(algorithm)).expect("a key of ours"));
        if ours == registry::Algorithm::Es256 {
            check(Jwk::from_encoding_key(&encoding, algorithm).expect("a key of ours"));
        }
    }
}
