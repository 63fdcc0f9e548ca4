//! The one corpus of hostile tokens: every check, online and offline, has to refuse all of them.

use locum_jose::{SigningKey, base64url};
use locum_model::registry::Algorithm;
use serde_json::{Value, json};

/// The order of P-256: no signature has it for a half.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn part(value: &Value) -> String {
    base64url::encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&base64url::decode(part).expect("base64url")).expect("JSON")
}

/// Tokens made from a good one, with what is wrong with each. `jwks` is the issuer's key set.
///
/// # Panics
///
/// When the token or the key set is none.
pub fn tokens(good: &str, jwks: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let (header, claims) = (decoded(head), decoded(body));
    let with = |value: &Value, name: &str, new: Value| {
        let mut changed = value.clone();
        changed[name] = new;
        changed
    };
    let resigned = |header: &Value, claims: &Value| {
        let pkcs8 = SigningKey::generate(Algorithm::Es256).expect("randomness");
        let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("a key");
        let text = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(text.as_bytes()).expect("signed");
        format!("{text}.{}", base64url::encode(signature))
    };
    let signature_bytes = base64url::decode(signature).expect("base64url");
    let mut high = signature_bytes.clone();
    high[40] ^= 1;
    let jwk: Value = serde_json::from_str::<Value>(jwks).expect("JSON")["keys"][0].clone();
    let far = claims["exp"].as_i64().expect("a number") + 9_999;
    vec![
        ("nothing", String::new()),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("a space before", format!(" {good}")),
        ("a line feed after", format!("{good}\n")),
        ("a nul after", format!("{good}\0")),
        ("a scheme", format!("Bearer {good}")),
        ("padding", format!("{good}=")),
        ("another alphabet", format!("{head}.{body}.+{}", &signature[1..])),
        ("a bit of the signature", format!("{head}.{body}.{}", base64url::encode(&high))),
        ("zeros for a signature", format!("{head}.{body}.{}", base64url::encode([0; 64]))),
        ("a short signature", format!("{head}.{body}.{}", base64url::encode(&signature_bytes[..63]))),
        (
            "a DER signature",
            format!("{head}.{body}.{}", base64url::encode([&[0x30, 0x44][..], &signature_bytes].concat())),
        ),
        ("the signature of another token", format!("{head}.{body}.{}", base64url::encode([0x5a; 64]))),
        (
            "r and s are the order",
            format!("{head}.{body}.{}", base64url::encode([P256_ORDER, P256_ORDER].concat())),
        ),
        ("without the last character", good[..good.len() - 1].to_owned()),
        ("without the first character", good[1..].to_owned()),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("twice", format!("{good}{good}")),
        ("five parts", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("a key under an address", resigned(&with(&header, "x5u", json!("https://127.0.0.1/")), &claims)),
        ("no base64 of its own", resigned(&with(&header, "b64", json!(false)), &claims)),
        ("compressed", resigned(&with(&header, "zip", json!("DEF")), &claims)),
        ("alg nOnE, signed", format!("{}.{body}.{signature}", part(&with(&header, "alg", json!("nOnE"))))),
        ("alg of another key", format!("{}.{body}.{signature}", part(&with(&header, "alg", json!("EdDSA"))))),
        ("alg ES384", format!("{}.{body}.{signature}", part(&with(&header, "alg", json!("ES384"))))),
        ("alg a list", format!("{}.{body}.{signature}", part(&with(&header, "alg", json!(["ES256"]))))),
        ("kid a path", resigned(&with(&header, "kid", json!("../../etc/passwd")), &claims)),
        ("kid that steers", resigned(&with(&header, "kid", json!("\u{1b}[2J\r\n\0'--")), &claims)),
        ("another issuer", resigned(&header, &with(&claims, "iss", json!("https://evil.test")))),
        ("alg none", format!("{}.{body}.", part(&json!({"alg": "none", "typ": "at+jwt"})))),
        ("alg none, signed", format!("{}.{body}.{signature}", part(&with(&header, "alg", json!("none"))))),
        (
            "alg HS256 with our public key",
            format!("{}.{body}.{signature}", part(&with(&header, "alg", json!("HS256")))),
        ),
        ("another kid", resigned(&with(&header, "kid", json!("A".repeat(43))), &claims)),
        ("our kid, another key", resigned(&header, &claims)),
        ("a key in the header", resigned(&with(&header, "jwk", jwk), &claims)),
        ("a jku", resigned(&with(&header, "jku", json!("https://evil.test/jwks")), &claims)),
        ("crit", resigned(&with(&header, "crit", json!(["exp"])), &claims)),
        ("another typ", resigned(&with(&header, "typ", json!("JWT")), &claims)),
        (
            "a wider scope",
            format!("{head}.{}.{signature}", part(&with(&claims, "scope", json!("orders:refund")))),
        ),
        ("a longer life", format!("{head}.{}.{signature}", part(&with(&claims, "exp", json!(far))))),
        (
            "another jti",
            format!("{head}.{}.{signature}", part(&with(&claims, "jti", json!("00".repeat(16))))),
        ),
        ("random text", base64url::encode([0x5a; 64])),
        ("too long", "e".repeat(8193)),
        ("as long as may be", "e".repeat(8192)),
        ("no ASCII", "ключ.ключ.ключ".to_owned()),
        ("deep JSON", format!("{}.{body}.{signature}", base64url::encode("[".repeat(4000)))),
        (
            "a member twice",
            format!(
                "{}.{body}.{signature}",
                base64url::encode(r#"{"alg":"ES256","alg":"none","typ":"at+jwt"}"#)
            ),
        ),
    ]
}

/// The `kid` in a token's header.
///
/// # Panics
///
/// When it is no token.
pub fn kid_of(token: &str) -> String {
    let header = decoded(token.split('.').next().expect("a part"));
    header["kid"].as_str().expect("a text").to_owned()
}
