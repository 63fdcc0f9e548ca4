use locum_model::registry::Algorithm;

use super::*;
use crate::base64url;
use crate::key::PublicKey;
use crate::provider::install;
use crate::sign::SigningKey;

fn pair(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("entropy");
    SigningKey::from_pkcs8(algorithm, &pkcs8).expect("new")
}

fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(input.as_bytes()).expect("entropy");
    format!("{input}.{}", base64url::encode(signature))
}

fn judge(text: &str, key: &PublicKey) -> Result<Object, NotAsserted> {
    install().expect("nothing else is installed in tests");
    verify(&Compact::parse(text, &JWT_SVID).expect("well formed"), key)
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#;

#[test]
fn a_good_assertion_gives_its_claims_whatever_its_times() {
    let key = pair(Algorithm::Es256);
    let claims = r#"{"sub":"spiffe://td/a","aud":["locum"],"exp":1,"nbf":99999999999,"iat":"x"}"#;
    let object = judge(&signed(&key, HEADER, claims), key.public()).expect("it holds");
    assert_eq!((object.text("sub"), object.integer("exp")), (Some("spiffe://td/a"), Some(1)));
    let key = pair(Algorithm::Ed25519);
    let text = signed(&key, &HEADER.replace("ES256", "EdDSA"), "{}");
    assert_eq!(judge(&text, key.public()), Ok(Object::default()));
}

#[test]
fn a_bad_assertion_is_refused() {
    let (key, other) = (pair(Algorithm::Es256), pair(Algorithm::Ed25519));
    let good = signed(&key, HEADER, "{}");
    assert_eq!(judge(&good, other.public()), Err(NotAsserted::Algorithm));
    assert_eq!(judge(&good, pair(Algorithm::Es256).public()), Err(NotAsserted::Signature));
    let spliced = format!("{}.{}", &good[..good.rfind('.').expect("a dot")], base64url::encode([1; 64]));
    assert_eq!(judge(&spliced, key.public()), Err(NotAsserted::Signature));
    for payload in [r#"{"sub":"a","sub":"b"}"#, "[]", "1", "null", "{} {}", r#"{"exp":1e400}"#, "x"] {
        assert_eq!(
            judge(&signed(&key, HEADER, payload), key.public()),
            Err(NotAsserted::Claims),
            "{payload}"
        );
    }
}

#[test]
fn each_kind_has_its_headers() {
    let fits = |profile: &Profile, header: &str| {
        let text = [header, "{}", "s"].map(base64url::encode).join(".");
        Compact::parse(&text, profile).is_ok()
    };
    for (header, svid, openid) in [
        (r#"{"alg":"ES256","kid":"k"}"#, true, true),
        (r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#, true, true),
        (r#"{"alg":"ES256","kid":"k","typ":"JOSE"}"#, true, false),
        (r#"{"alg":"RS256","kid":"k","typ":"JWT","x5t":"AA"}"#, false, true),
        (r#"{"alg":"RS256","kid":"k","typ":"dpop+jwt"}"#, false, false),
        (r#"{"alg":"RS256","kid":"k","jku":"https://evil.test"}"#, false, false),
        (r#"{"alg":"HS256","kid":"k"}"#, false, false),
        (r#"{"alg":"ES256"}"#, false, false),
    ] {
        assert_eq!((fits(&JWT_SVID, header), fits(&OPENID, header)), (svid, openid), "{header}");
    }
}
