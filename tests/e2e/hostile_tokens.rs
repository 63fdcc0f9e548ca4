//! Hostile token bytes: every class answers the same, to the byte, and says nothing.

use locum_api::broker::v1 as wire;
use locum_jose::{SigningKey, base64url};
use locum_model::registry::Algorithm;
use locum_tests::work::{begin, grant, introspect, issue, may, random};
use locum_tests::{Daemon, plain_http};
use serde_json::{Value, json};

use crate::LOCUMD;

fn part(value: &Value) -> String {
    base64url::encode(value.to_string())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&base64url::decode(part).expect("base64url")).expect("JSON")
}

/// Tokens made from a good one, with what is wrong with each.
fn hostile(good: &str, jwks: &str) -> Vec<(&'static str, String)> {
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
        ("random text", base64url::encode(random::<64>())),
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

#[tokio::test]
async fn every_class_gets_the_one_answer() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let good = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let jwks = plain_http::get(&daemon, "/.well-known/jwks.json", &[]).await.body;
    let dead = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    refunder.tokens().revoke_token(wire::RevokeTokenRequest { token: dead.clone() }).await.expect("revoked");
    let mut all = hostile(&good, &jwks);
    all.push(("a revoked token", dead));
    for (class, token) in all {
        let answer = introspect(&orders, "orders", &token).await.expect(class);
        assert_eq!(answer, wire::IntrospectTokenResponse::default(), "{class}");
        let answer = orders.checks().authorize(may(&token, "orders:read", "order/1")).await.expect(class);
        assert_eq!(answer.into_inner(), wire::AuthorizeResponse::default(), "{class}");
        refunder.tokens().revoke_token(wire::RevokeTokenRequest { token }).await.expect("RFC 7009: success");
    }
    let answer = introspect(&orders, "orders", &good).await.expect("an answer");
    assert!(answer.active, "none of it hurt the good one");
}

#[tokio::test]
async fn nobody_revokes_somebody_elses_token() {
    let daemon = Daemon::shared(LOCUMD);
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    for who in ["agents/reader", "services/orders-api", "globex/bot"] {
        let request = wire::RevokeTokenRequest { token: token.clone() };
        daemon.at(who).tokens().revoke_token(request).await.expect("success, whatever it did");
        assert!(introspect(&orders, "orders", &token).await.expect("an answer").active, "{who}");
    }
}
