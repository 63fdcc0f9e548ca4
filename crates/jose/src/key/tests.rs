use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::*;
use crate::sign::SigningKey;

/// RFC 7515 appendix A.3.1, the public members.
const ES256_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
/// RFC 7515 appendix A.3.1.
const ES256_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/// RFC 7515 appendix A.2.1, the public members.
pub(crate) const RS256_JWK: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
/// RFC 7515 appendix A.2.1.
pub(crate) const RS256_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// RFC 8037 appendix A.2.
const ED25519_JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 8037 appendix A.4.
const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// RFC 7638 section 3.1.
const THUMBPRINT_JWK: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

/// Order of P-256 (SEC 2 section 2.4.2).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn key(jwk: &str) -> PublicKey {
    PublicKey::from_jwk(jwk.as_bytes()).expect("a good key")
}

fn changed(jwk: &str, member: &str) -> Result<PublicKey, NotAKey> {
    PublicKey::from_jwk(format!("{},{member}}}", &jwk[..jwk.len() - 1]).as_bytes())
}

#[test]
fn the_signatures_of_the_rfcs_hold_under_their_keys_alone() {
    let vectors = [(ES256_JWK, ES256_TOKEN), (RS256_JWK, RS256_TOKEN), (ED25519_JWK, ED25519_TOKEN)];
    for (jwk, token) in vectors {
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        let signature = base64url::decode(signature).expect("canonical");
        assert_eq!(key(jwk).verify(input.as_bytes(), &signature), Ok(()), "{jwk}");
        let mut flipped = signature.clone();
        flipped[20] ^= 1;
        assert_eq!(key(jwk).verify(input.as_bytes(), &flipped), Err(SignatureInvalid), "{jwk}");
        for (other, _) in vectors.iter().filter(|(other, _)| *other != jwk) {
            assert_eq!(key(other).verify(input.as_bytes(), &signature), Err(SignatureInvalid), "{other}");
        }
    }
}

#[test]
fn es384_verifies() {
    let random = crate::entropy::system();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).expect("entropy");
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("new");
    let signature = pair.sign(&random, b"message").expect("entropy");
    let public = PublicKey::p384(pair.public_key().as_ref()).expect("97 bytes");
    assert_eq!(public.verify(b"message", signature.as_ref()), Ok(()));
    assert_eq!(public.verify(b"massage", signature.as_ref()), Err(SignatureInvalid));
    assert_eq!(key(&public.to_jwk()), public);
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let thumbprint = |jwk| base64url::kid_text(&key(jwk).thumbprint());
    assert_eq!(thumbprint(THUMBPRINT_JWK), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037 appendix A.3.
    assert_eq!(thumbprint(ED25519_JWK), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_key_survives_its_jwk() {
    for jwk in [ES256_JWK, RS256_JWK, ED25519_JWK] {
        assert_eq!(key(&key(jwk).to_jwk()), key(jwk));
    }
    let our_own = SigningKey::generate(Algorithm::Es256).expect("entropy");
    let our_own = SigningKey::from_pkcs8(Algorithm::Es256, &our_own).expect("new");
    assert_eq!(key(&our_own.public().to_jwk()), *our_own.public());
    assert_eq!(
        PublicKey::from_bytes(Algorithm::Es256, our_own.public().as_bytes()).as_ref(),
        Ok(our_own.public())
    );
}

#[test]
fn raw_bytes_have_one_length_and_form() {
    let mut compressed = [0; 65];
    compressed[0] = 2;
    for (algorithm, bytes) in [
        (Algorithm::Es256, &[4; 64][..]),
        (Algorithm::Es256, &[4; 66]),
        (Algorithm::Es256, &[4; 32]),
        (Algorithm::Es256, &compressed),
        (Algorithm::Es256, &[]),
        (Algorithm::Ed25519, &[4; 65]),
        (Algorithm::Ed25519, &[4; 31]),
        (Algorithm::Ed25519, &[]),
    ] {
        assert_eq!(PublicKey::from_bytes(algorithm, bytes), Err(NotAKey::Bytes), "{bytes:?}");
    }
}

#[test]
fn private_and_symmetric_keys_are_refused() {
    for member in PRIVATE_MEMBERS {
        assert_eq!(changed(ES256_JWK, &format!(r#""{member}":"AA""#)), Err(NotAKey::Private), "{member}");
        assert_eq!(changed(RS256_JWK, &format!(r#""{member}":null"#)), Err(NotAKey::Private), "{member}");
    }
    assert_eq!(PublicKey::from_jwk(br#"{"kty":"oct"}"#), Err(NotAKey::Private));
}

#[test]
fn a_key_that_contradicts_itself_is_refused() {
    for (member, fault) in [
        (r#""use":"enc""#, "use"),
        (r#""use":7"#, "use"),
        (r#""key_ops":["sign"]"#, "key_ops"),
        (r#""key_ops":"verify""#, "key_ops"),
        (r#""alg":"ES384""#, "alg"),
        (r#""alg":"EdDSA""#, "alg"),
        (r#""alg":"none""#, "alg"),
        (r#""alg":null"#, "alg"),
    ] {
        assert_eq!(changed(ES256_JWK, member), Err(NotAKey::Unsupported(fault)), "{member}");
    }
    for alg in ["RS384", "RS512", "PS256", "HS256"] {
        assert_eq!(changed(RS256_JWK, &format!(r#""alg":"{alg}""#)), Err(NotAKey::Unsupported("alg")));
    }
    for good in [r#""use":"sig""#, r#""key_ops":["verify"]"#, r#""alg":"ES256""#, r#""x5c":["AA"]"#] {
        assert_eq!(changed(ES256_JWK, good), Ok(key(ES256_JWK)), "{good}");
    }
    assert_eq!(changed(ES256_JWK, r#""kty":"EC""#), Err(NotAKey::Json));
}

#[test]
fn malformed_members_are_named() {
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    for (from, to, fault) in [
        (x.to_owned(), format!("{x}="), NotAKey::Member("x")),
        (x.to_owned(), x[..42].to_owned(), NotAKey::Member("x")),
        (format!(r#""{x}""#), "7".to_owned(), NotAKey::Member("x")),
        (r#""kty":"EC","#.to_owned(), String::new(), NotAKey::Member("kty")),
        ("P-256".to_owned(), "P-384".to_owned(), NotAKey::Member("x")),
        ("P-256".to_owned(), "secp256k1".to_owned(), NotAKey::Unsupported("crv")),
        (r#""EC""#.to_owned(), r#""OKP""#.to_owned(), NotAKey::Unsupported("crv")),
        (r#""EC""#.to_owned(), r#""ec""#.to_owned(), NotAKey::Unsupported("kty")),
    ] {
        let jwk = ES256_JWK.replace(&from, &to);
        assert_ne!(jwk, ES256_JWK);
        assert_eq!(PublicKey::from_jwk(jwk.as_bytes()), Err(fault), "{jwk}");
    }
}

#[test]
fn an_rsa_key_has_2048_to_4096_bits_and_an_odd_exponent() {
    let n = |length: usize, first: u8| {
        let mut n = vec![0xff; length];
        n[0] = first;
        n
    };
    let e = || vec![1, 0, 1];
    assert!(PublicKey::rsa(n(256, 0x80), e()).is_ok());
    assert!(PublicKey::rsa(n(512, 0xff), e()).is_ok());
    for bad in [n(128, 0xff), n(255, 0xff), n(256, 0x7f), n(257, 0), n(513, 1), vec![]] {
        assert_eq!(PublicKey::rsa(bad, e()), Err(NotAKey::Member("n")));
    }
    for bad in [vec![], vec![1], vec![2], vec![0, 3], vec![1, 0, 0], vec![1, 0, 0, 0, 1]] {
        assert_eq!(PublicKey::rsa(n(256, 0x80), bad), Err(NotAKey::Member("e")));
    }
}

#[test]
fn ecdsa_takes_p1363_within_the_order_and_nothing_else() {
    let (input, signature) = ES256_TOKEN.rsplit_once('.').expect("three parts");
    let good = base64url::decode(signature).expect("canonical");
    let (r, s) = good.split_at(32);
    let (zero, max) = ([0; 32], [0xff; 32]);
    let mut above = P256_ORDER;
    above[31] += 1;
    let join = |r: &[u8], s: &[u8]| [r, s].concat();
    let der = [&[0x30, 0x46, 0x02, 0x21, 0], r, &[0x02, 0x21, 0], s].concat();
    for bad in [
        join(&zero, &zero),
        join(&zero, s),
        join(r, &zero),
        join(&P256_ORDER, s),
        join(r, &P256_ORDER),
        join(&above, s),
        join(r, &above),
        join(&max, &max),
        join(s, r),
        good[..63].to_vec(),
        join(&good, &[0]),
        join(&good, &good),
        der,
        vec![],
    ] {
        assert_eq!(key(ES256_JWK).verify(input.as_bytes(), &bad), Err(SignatureInvalid), "{bad:?}");
    }
    assert_eq!(key(ES256_JWK).verify(input.as_bytes(), &join(r, &negated(s))), Ok(()), "the other s");
}

/// The order minus `s`: the other half of the pair of signatures that hold.
fn negated(s: &[u8]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let digit = 256 + i32::from(P256_ORDER[at]) - i32::from(s[at]) - borrow;
        difference[at] = (digit % 256) as u8;
        borrow = 1 - digit / 256;
    }
    difference
}
