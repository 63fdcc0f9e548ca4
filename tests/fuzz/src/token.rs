//! Of no bytes does the verifier say *active* that the naive check refuses; no proof counts twice, and none that
//! is not for the request.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use locum_jose::{base64url, jwks};
use locum_model::{Confirmation, Target, TokenId};
use locum_token::dpop::Shown;
use locum_token::sha256;
use locum_verifier::{Answer, Presented, Verifier};
use serde_json::Value;

use crate::naive::{self, Naive, Verdict};
use crate::reader::{Reader, piece};
use crate::stage::{self, AUDIENCE, ISSUER, KEYS, START, TOKENS_MAX, at};

const URI: &str = "https://orders.test/order/1";

struct Checks {
    verifier: Verifier,
    naive: Naive,
    /// A token that is bound to the key that signs proofs here.
    bound: String,
}

static CHECKS: LazyLock<Checks> = LazyLock::new(|| {
    let jwks = serde_json::from_str(&jwks::write([KEYS.token.public()])).expect("JSON");
    let dead = TokenId([1; 16]);
    let jkt = Confirmation::Key(KEYS.feed.public().thumbprint().0);
    Checks {
        verifier: stage::fed(&[stage::entry(Target::Token(dead), stage::SEQUENCE)]),
        naive: Naive {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks,
            dead: BTreeSet::from([dead.to_string()]),
            heard: true,
            proofs: Arc::default(),
            defect: None,
        },
        bound: stage::token(3, Some(jkt)),
    }
});

/// The first byte says what the rest is: a whole text, a header and a payload that our key signs, a payload under
/// our own header, or the claims of a proof.
pub fn token(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    match reader.byte() % 4 {
        0 => believed_by_both(&String::from_utf8_lossy(reader.rest())),
        1 => {
            let header = reader.piece();
            believed_by_both(&signed(header, reader.rest()));
        }
        2 => believed_by_both(&signed(header().as_bytes(), reader.rest())),
        _ => proof_is_for_this(reader.rest()),
    }
    assert!(CHECKS.verifier.figures(at(1_000)).tokens <= TOKENS_MAX, "memory");
}

fn believed_by_both(text: &str) {
    // The online check's own shortcuts take any text too.
    let _ = (locum_token::jti_of(text), locum_token::Recognised::read(text).map(|says| says.scope()).is_ok());
    for time in [0, 1] {
        let answer = CHECKS.verifier.check(text, &Presented::default(), at(1_000));
        let naive = CHECKS.naive.check(text, naive::Shown::default(), START + 1);
        let is_active = matches!(answer, Answer::Active(_));
        assert!(
            !is_active || naive == Verdict::Active,
            "active, time {time}, and not for the naive check: {text}"
        );
    }
}

fn proof_is_for_this(claims: &[u8]) {
    let jwk = KEYS.feed.public().to_jwk();
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{jwk}}}"#);
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
    let signature = KEYS.feed.sign(input.as_bytes()).expect("randomness");
    let proof = format!("{input}.{}", base64url::encode(signature));
    let shown =
        Presented { certificate: None, proof: Some(Shown { proof: &proof, method: "GET", uri: URI }) };
    let is_active = || matches!(CHECKS.verifier.check(&CHECKS.bound, &shown, at(1_000)), Answer::Active(_));
    let naive = || {
        CHECKS.naive.check(
            &CHECKS.bound,
            naive::Shown { certificate: None, proof: Some((&proof, "GET", URI)) },
            START + 1,
        )
    };
    let (first, by_naive) = (is_active(), naive());
    assert!(!first || by_naive == Verdict::Active, "active, and not for the naive check: {proof}");
    if first {
        let said: Value = serde_json::from_slice(claims).expect("what counts is JSON");
        let target = said["htu"].as_str().expect("a text").to_ascii_lowercase();
        assert_eq!(said["htm"], "GET");
        assert!(target.starts_with("https://orders.test") && target.contains("/order/1"), "{target}");
        assert_eq!(said["ath"], base64url::encode(sha256(&CHECKS.bound)));
        let age = START + 1 - said["iat"].as_i64().expect("a time");
        assert!((-10..=60).contains(&age), "{age}");
        assert!(said["jti"].as_str().is_some_and(|id| !id.is_empty()));
    }
    assert!(!is_active(), "a proof counts once");
}

fn header() -> String {
    format!(r#"{{"alg":"ES256","kid":"{}","typ":"at+jwt"}}"#, base64url::kid_text(&stage::kid()))
}

fn signed(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    format!("{input}.{}", base64url::encode(KEYS.token.sign(input.as_bytes()).expect("randomness")))
}

/// Real tokens, alive, dead and bound, in all four ways; and the claims of a good proof.
pub fn token_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for token in [stage::token(1, None), stage::token(2, None), CHECKS.bound.clone()] {
        let payload = base64url::decode(token.split('.').nth(1).expect("claims")).expect("base64url");
        seeds.push([&[0], token.as_bytes()].concat());
        seeds.push([&[1][..], &piece(header().as_bytes()), &payload].concat());
        seeds.push([&[2], &payload[..]].concat());
    }
    let ath = base64url::encode(sha256(&CHECKS.bound));
    for id in ["a", "b"] {
        let claims = format!(r#"{{"jti":"{id}","htm":"GET","htu":"{URI}","iat":{START},"ath":"{ath}"}}"#);
        seeds.push([&[3], claims.as_bytes()].concat());
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A property of what is never reached would hold of anything.
    #[test]
    fn what_is_good_is_active_here() {
        let alive = stage::token(2, None);
        let said = |token: &str| {
            let answer = CHECKS.verifier.check(token, &Presented::default(), at(1_000));
            (
                matches!(answer, Answer::Active(_)),
                CHECKS.naive.check(token, naive::Shown::default(), START + 1),
            )
        };
        assert_eq!(said(&alive), (true, Verdict::Active));
        assert_eq!(said(&stage::token(1, None)), (false, Verdict::Inactive), "it was revoked");
        let rebuilt = alive.split('.').nth(1).map(|part| base64url::decode(part).expect("base64url"));
        let rebuilt = signed(header().as_bytes(), &rebuilt.expect("claims"));
        assert_eq!(said(&rebuilt), (true, Verdict::Active), "signed here, and as good");
        let naive = Naive { dead: BTreeSet::from([TokenId([2; 16]).to_string()]), ..CHECKS.naive.clone() };
        assert_eq!(
            naive.check(&alive, naive::Shown::default(), START + 1),
            Verdict::Inactive,
            "and then the target would fail"
        );
    }
}
