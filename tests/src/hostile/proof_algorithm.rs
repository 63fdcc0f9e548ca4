//! Proofs by keys of every kind, of those that are taken and of those that are not: line 29, and of the header's
//! lines what concerns `alg`.

use locum_jose::base64url;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding,
};
use serde_json::json;

/// A key of 2,048 bits in PKCS#1, made for this and known to everybody: nothing here makes keys of RSA.
const RSA: &[u8] = include_bytes!("rsa_2048.der");

/// Signs.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A header, what stands in it as the key's public half in the canonical form of RFC 7638, and how it signs.
pub(super) struct Maker {
    pub name: String,
    pub alg: &'static str,
    /// The members that the thumbprint is of.
    pub canonical: String,
    /// What the proof says for a key.
    pub jwk: String,
    pub sign: Sign,
    pub is_good: bool,
}

/// Every kind of key and algorithm, beside those that tokens are signed with.
pub(super) fn makers() -> Vec<Maker> {
    let mut all = by_rsa();
    all.extend(on_curves());
    all
}

fn by_rsa() -> Vec<Maker> {
    let key = || KeyPair::from_der(RSA).expect("a key of RSA");
    let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(key().public());
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    let with = |member: &str| format!("{},{member}}}", &canonical[..canonical.len() - 1]);
    let sign = |padding: &'static dyn RsaEncoding| -> Sign {
        let key = key();
        Box::new(move |input| {
            let mut out = vec![0; key.public().modulus_len()];
            key.sign(padding, &random(), input, &mut out).expect("randomness");
            out
        })
    };
    let maker = |name: &str, alg, padding, jwk: &str, is_good| {
        let (canonical, jwk, name) = (canonical.clone(), jwk.to_owned(), format!("{alg}{name}"));
        Maker { name, alg, canonical, jwk, sign: sign(padding), is_good }
    };
    let pkcs1 = &signature::RSA_PKCS1_SHA256;
    let mut all = vec![
        maker(", good", "RS256", pkcs1, &canonical, true),
        maker(", named in the key", "RS256", pkcs1, &with(r#""alg":"RS256""#), true),
        maker(", another in the key", "RS256", pkcs1, &with(r#""alg":"PS256""#), false),
        maker(", a private key", "RS256", pkcs1, &with(r#""d":"AQAB""#), false),
        maker(", a factor", "RS256", pkcs1, &with(r#""p":"AQAB""#), false),
        maker(", a zero before n", "RS256", pkcs1, &canonical.replace(&n, &format!("AAAA{n}")), false),
        maker(", a short n", "RS256", pkcs1, &canonical.replace(&n, &n[..171]), false),
        maker(", e is 1", "RS256", pkcs1, &canonical.replace(&e, "AQ"), false),
        maker(", signed with PS256", "RS256", &signature::RSA_PSS_SHA256, &canonical, false),
        maker(", signed with RS512", "RS256", &signature::RSA_PKCS1_SHA512, &canonical, false),
    ];
    for (alg, padding) in [
        ("RS384", &signature::RSA_PKCS1_SHA384 as &'static dyn RsaEncoding),
        ("RS512", &signature::RSA_PKCS1_SHA512),
        ("PS256", &signature::RSA_PSS_SHA256),
        ("PS384", &signature::RSA_PSS_SHA384),
        ("PS512", &signature::RSA_PSS_SHA512),
        // What everybody may sign with is not by that what was meant.
        ("ES256", pkcs1),
        ("EdDSA", pkcs1),
        ("rs256", pkcs1),
        ("none", pkcs1),
    ] {
        all.push(maker(" by RSA", alg, padding, &canonical, false));
    }
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, n.as_bytes());
    let hmac = Box::new(move |input: &[u8]| ring::hmac::sign(&secret, input).as_ref().to_vec());
    all.push(Maker { sign: hmac, ..maker(" by what everybody knows", "HS256", pkcs1, &canonical, false) });
    all
}

fn on_curves() -> Vec<Maker> {
    let mut all = Vec::new();
    let p384 = &ECDSA_P384_SHA384_FIXED_SIGNING;
    for (name, alg, crv, algorithm, is_good) in [
        (", good", "ES384", "P-384", p384, true),
        (", on another curve", "ES256", "P-384", p384, false),
        (", called P-256", "ES384", "P-256", p384, false),
        (", of another", "ES384", "P-384", &ECDSA_P256_SHA256_FIXED_SIGNING, false),
        (", in DER", "ES256", "P-256", &ECDSA_P256_SHA256_ASN1_SIGNING, false),
        (" on P-256", "ES512", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, false),
        (" on P-521", "ES512", "P-521", p384, false),
        (" on P-256", "ES256K", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING, false),
        ("", "ES256K", "secp256k1", &ECDSA_P256_SHA256_FIXED_SIGNING, false),
    ] {
        let (canonical, sign) = elliptic(crv, algorithm);
        let name = format!("{alg}{name}");
        all.push(Maker { name, alg, jwk: canonical.clone(), canonical, sign, is_good });
    }
    // Curves of Edwards that nobody here verifies on, and names that are not the one.
    let edwards = |alg: &'static str, crv: &str, bytes: usize| {
        let canonical = json!({"crv": crv, "kty": "OKP", "x": base64url::encode(vec![9; bytes])}).to_string();
        let sign = Box::new(|_: &[u8]| vec![7; 114]);
        let name = format!("{alg} on {crv}");
        Maker { name, alg, jwk: canonical.clone(), canonical, sign, is_good: false }
    };
    all.extend([
        edwards("EdDSA", "Ed448", 57),
        edwards("EdDSA", "X25519", 32),
        edwards("Ed448", "Ed448", 57),
        edwards("ML-DSA-44", "Ed25519", 32),
    ]);
    all
}

/// A key of ECDSA under a curve's name, and how it signs.
fn elliptic(crv: &str, algorithm: &'static EcdsaSigningAlgorithm) -> (String, Sign) {
    let random = random();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("randomness");
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("just made");
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    let canonical = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
    (canonical, Box::new(move |input| key.sign(&random, input).expect("randomness").as_ref().to_vec()))
}

#[expect(clippy::disallowed_methods, reason = "keys that are thrown away, and nobody's")]
fn random() -> SystemRandom {
    SystemRandom::new()
}
