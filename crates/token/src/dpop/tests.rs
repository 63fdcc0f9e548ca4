//! Proofs that hold, and everything that does not.

use locum_jose::{SigningKey, base64url};
use locum_model::Timestamp;
use locum_model::registry::Algorithm;

use super::*;

const NOW: i64 = 1_800_000_000;
const TOKEN: &str = "header.claims.signature";
const URI: &str = "https://orders.test/order/1";

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW)
}

fn key(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("randomness");
    SigningKey::from_pkcs8(algorithm, &pkcs8).expect("just made")
}

fn ath() -> String {
    base64url::encode(sha256(TOKEN))
}

fn claims() -> Vec<(&'static str, String)> {
    vec![
        ("jti", r#""a""#.to_owned()),
        ("htm", r#""GET""#.to_owned()),
        ("htu", format!(r#""{URI}""#)),
        ("iat", NOW.to_string()),
        ("ath", format!(r#""{}""#, ath())),
    ]
}

fn text(claims: &[(&str, String)]) -> String {
    let members: Vec<_> = claims.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

fn signed(key: &SigningKey, payload: &str) -> String {
    let (alg, jwk) = (key.public().algorithm(), key.public().to_jwk());
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"{alg}","jwk":{jwk}}}"#);
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    format!("{input}.{}", base64url::encode(key.sign(input.as_bytes()).expect("randomness")))
}

fn said(proof: &str) -> Result<Proof, NotProved> {
    check(&Shown { proof, method: "GET", uri: URI }, Some(TOKEN), now())
}

#[test]
fn a_proof_proves_its_key_for_one_request() {
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
        let key = key(algorithm);
        let proof = said(&signed(&key, &text(&claims()))).expect("good");
        assert_eq!(proof.key, key.public().thumbprint());
    }
    let key = ProofKey::generate().expect("randomness");
    let proof = key.prove(("GET", "https://orders.test/order/1?a=b"), Some(TOKEN), [1; 16], now());
    let proof = proof.expect("randomness");
    assert_eq!(said(&proof).expect("our own").key, key.thumbprint());
    let shown = Shown { proof: &proof, method: "GET", uri: URI };
    assert!(check(&shown, None, now()).is_ok(), "for a request without a token, `ath` is not looked at");
    assert_eq!(check(&shown, Some("another"), now()), Err(NotProved::OtherToken));
    assert_eq!(
        check(&Shown { method: "POST", ..shown }, Some(TOKEN), now()),
        Err(NotProved::Elsewhere("htm"))
    );
    assert_eq!(
        check(&Shown { method: "get", ..shown }, Some(TOKEN), now()),
        Err(NotProved::Elsewhere("htm"))
    );
    let elsewhere = Shown { uri: "https://orders.test/order/2", ..shown };
    assert_eq!(check(&elsewhere, Some(TOKEN), now()), Err(NotProved::Elsewhere("htu")));
    assert!(!format!("{shown:?}").contains(&proof), "it is worth something");
}

#[test]
fn it_is_taken_for_a_minute() {
    let proof = signed(&key(Algorithm::Es256), &text(&claims()));
    for (late, expected) in [
        (-11, Err(NotProved::Ahead)),
        (-10, Ok(())),
        (0, Ok(())),
        (60, Ok(())),
        (61, Err(NotProved::TooOld)),
        (1_000_000_000, Err(NotProved::TooOld)),
        (-1_000_000_000, Err(NotProved::Ahead)),
    ] {
        let shown = Shown { proof: &proof, method: "GET", uri: URI };
        let said = check(&shown, Some(TOKEN), Timestamp::from_seconds(NOW + late));
        assert_eq!(said.map(|_| ()), expected, "{late} s later");
    }
}

#[test]
fn a_proof_is_what_key_and_jti_say_it_is() {
    let (one, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let payload = text(&claims());
    let first = said(&signed(&one, &payload)).expect("good");
    assert_eq!(said(&signed(&one, &payload)).expect("good"), first, "another signature, the same proof");
    assert_ne!(said(&signed(&other, &payload)).expect("good").id, first.id);
    let mut later = claims();
    later[3].1 = (NOW + 1).to_string();
    assert_eq!(
        said(&signed(&one, &text(&later))).expect("good").id,
        first.id,
        "another time, the same `jti`"
    );
}

#[test]
fn every_claim_has_to_be_there_and_right() {
    let key = key(Algorithm::Es256);
    for (at, name) in ["jti", "htm", "htu", "iat", "ath"].into_iter().enumerate() {
        let missing = if name == "ath" { NotProved::OtherToken } else { NotProved::Claim(name) };
        let mut without = claims();
        without.remove(at);
        assert_eq!(said(&signed(&key, &text(&without))), Err(missing), "no {name}");
        let long = format!(r#""{}""#, "x".repeat(2_100));
        let wrong = ["null", "[]", "{}", "true", "1.5", r#""""#, &long];
        for value in wrong {
            let mut bent = claims();
            bent[at].1 = value.to_owned();
            assert_eq!(said(&signed(&key, &text(&bent))), Err(missing), "{name}: {value:.9}");
        }
        let twice = [claims(), vec![claims()[at].clone()]].concat();
        assert_eq!(said(&signed(&key, &text(&twice))), Err(NotProved::Form), "{name} twice");
    }
    for iat in ["-1", "18446744073709551616", "9223372036854775807", "1e9", "4294967296"] {
        let mut bent = claims();
        bent[3].1 = iat.to_owned();
        assert_eq!(said(&signed(&key, &text(&bent))), Err(NotProved::Claim("iat")), "{iat}");
    }
    let padded = format!(r#""{}=""#, ath());
    let mut bent = claims();
    bent[4].1 = padded;
    assert_eq!(said(&signed(&key, &text(&bent))), Err(NotProved::OtherToken));
}

#[test]
fn hostile_proofs_are_none() {
    let good = signed(&key(Algorithm::Es256), &text(&claims()));
    for at in 0..good.len() {
        assert!(said(&good[..at]).is_err(), "cut at {at}");
        let bent = format!(
            "{}{}{}",
            &good[..at],
            if good.as_bytes()[at] == b'A' { 'B' } else { 'A' },
            &good[at + 1..]
        );
        assert!(said(&bent).is_err(), "bent at {at}");
    }
    for text in [
        "",
        ".",
        "..",
        "a.b.c",
        "Bearer x",
        &"e".repeat(4_097),
        &format!("{good}, {good}"),
        &format!(" {good}"),
    ] {
        assert_eq!(said(text), Err(NotProved::Form), "{text:.20}");
    }
    let (key, payload) = (key(Algorithm::Es256), text(&claims()));
    let jwk = key.public().to_jwk();
    let private = format!(r#"{},"d":"AAAA"}}"#, &jwk[..jwk.len() - 1]);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{private}}}"#);
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(&payload));
    let proof = format!("{input}.{}", base64url::encode(key.sign(input.as_bytes()).expect("randomness")));
    assert_eq!(said(&proof), Err(NotProved::PrivateKey));
}
