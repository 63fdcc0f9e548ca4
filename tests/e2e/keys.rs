//! Keys: published before use, in the JWKS while they count, and old tokens go on verifying.

use std::time::Duration;

use locum_api::admin::v1::{Key, ListKeysRequest, RotateKeyRequest};
use locum_jose::{JwkSet, base64url};
use locum_model::Reason;
use locum_tests::refused::{fields, reason};
use locum_tests::work::{begin, grant, is_active, issue, now};
use locum_tests::{Daemon, Site, plain_http};

use crate::LOCUMD;

const JWKS: &str = "/.well-known/jwks.json";

fn kid_of(token: &str) -> String {
    let header = base64url::decode(token.split('.').next().expect("a part")).expect("base64url");
    let header: serde_json::Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a text").to_owned()
}

async fn keys(daemon: &Daemon) -> Vec<Key> {
    let answer = daemon.operator("viewer").control().list_keys(ListKeysRequest {}).await;
    answer.expect("listed").into_inner().keys
}

fn kids(jwks: &str) -> Vec<String> {
    let set: serde_json::Value = serde_json::from_str(jwks).expect("JSON");
    assert!(JwkSet::parse(jwks.as_bytes()).is_ok(), "our own reader takes it: {jwks}");
    let keys = set["keys"].as_array().expect("a list").iter();
    keys.map(|key| key["kid"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let ask = || task.ask("orders:read", &["order/1"]);
    let before = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    let first = plain_http::get(&daemon, JWKS, &[]).await;
    assert!(kids(&first.body).contains(&kid_of(&before)));
    let admin = daemon.operator("admin");
    let made = admin.control().rotate_key(RotateKeyRequest::default()).await.expect("made").into_inner();
    let key = made.key.expect("a key");
    assert_eq!(
        (key.purpose.as_str(), key.algorithm.as_str(), key.state.as_str()),
        ("token", "ES256", "published")
    );
    let ahead = made.activate_time.expect("a time").seconds - now();
    assert!((3590..=3600).contains(&ahead), "an hour ahead, as configured: {ahead}");
    let second = plain_http::get(&daemon, JWKS, &[]).await;
    assert!(kids(&second.body).contains(&key.kid), "{}", second.body);
    assert_ne!(first.header("etag"), second.header("etag"));
    let after = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    assert_eq!(kid_of(&after), kid_of(&before), "the old key signs until the new one is known");
    for token in [&before, &after] {
        assert!(is_active(&orders, "orders", token).await);
    }
    let again = admin.control().rotate_key(RotateKeyRequest::default()).await;
    assert_eq!(reason(again), Reason::KeyWaiting, "one waits already");
    let strange = RotateKeyRequest { algorithm: "RS256".to_owned() };
    assert_eq!(fields(admin.control().rotate_key(strange).await), ["algorithm"]);
    let listed = keys(&daemon).await;
    daemon.terminate().await;
    daemon.up().await;
    assert_eq!(keys(&daemon).await, listed, "a restart changes no key");
    assert!(is_active(&daemon.at("services/orders-api"), "orders", &before).await);
}

/// Takes a minute: the shortest lead that a configuration may have.
#[tokio::test]
async fn a_published_key_takes_over_after_its_lead_and_the_old_one_still_verifies() {
    let site = Site::new();
    site.edit("locumd.toml", "publish_ahead = \"1h\"", "publish_ahead = \"1m\"");
    let daemon = Daemon::start(LOCUMD, site).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let ask = || task.ask("orders:read", &["order/1"]);
    let before = issue(&daemon, &refunder, ask()).await.expect("issued").token;
    let made = daemon.operator("admin").control().rotate_key(RotateKeyRequest::default()).await;
    let made = made.expect("made").into_inner();
    let (key, takes_over) = (made.key.expect("a key").kid, made.activate_time.expect("a time").seconds);
    let after = loop {
        let token = issue(&daemon, &refunder, ask()).await.expect("issued").token;
        let waited = now() - takes_over;
        match kid_of(&token) == key {
            true => {
                assert!(waited >= 0, "it signs {} s before its time", -waited);
                break token;
            }
            false => assert!(waited < 20, "it does not sign {waited} s after its time"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    for token in [&before, &after] {
        assert!(is_active(&orders, "orders", token).await);
    }
    let published = kids(&plain_http::get(&daemon, JWKS, &[]).await.body);
    assert!(published.contains(&key) && published.contains(&kid_of(&before)), "{published:?}");
}

#[tokio::test]
async fn every_key_has_its_purpose_and_only_token_keys_are_in_the_jwks() {
    let daemon = Daemon::shared(LOCUMD);
    let listed = keys(&daemon).await;
    for (purpose, algorithm) in
        [("token", "ES256"), ("token", "EdDSA"), ("feed", "ES256"), ("keyset-root", "ES256")]
    {
        let active =
            |key: &&Key| key.purpose == purpose && key.algorithm == algorithm && key.state == "active";
        assert_eq!(listed.iter().filter(active).count(), 1, "{purpose} {algorithm}: {listed:?}");
    }
    let published = kids(&plain_http::get(&daemon, JWKS, &[]).await.body);
    let mut of_tokens: Vec<_> = listed.iter().filter(|key| key.purpose == "token").collect();
    assert_eq!(published.len(), of_tokens.len());
    of_tokens.retain(|key| !published.contains(&key.kid));
    assert!(of_tokens.is_empty(), "{of_tokens:?}");
}

#[tokio::test]
async fn the_key_set_is_cached_and_asked_for_conditionally() {
    let daemon = Daemon::shared(LOCUMD);
    let first = plain_http::get(&daemon, JWKS, &[]).await;
    assert_eq!((first.status, first.header("cache-control")), (200, Some("public, max-age=1800")));
    assert_eq!(first.header("content-type"), Some("application/jwk-set+json"));
    let tag = first.header("etag").expect("a tag").to_owned();
    let known = plain_http::get(&daemon, JWKS, &[&format!("if-none-match: {tag}")]).await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    assert_eq!(known.header("etag"), Some(tag.as_str()));
    let other = plain_http::get(&daemon, JWKS, &["if-none-match: \"0\""]).await;
    assert_eq!((other.status, other.body), (200, first.body));
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/", 404), ("/metrics", 404)] {
        assert_eq!(plain_http::get(&daemon, path, &[]).await.status, status, "{path}");
    }
    let metadata = plain_http::get(&daemon, "/.well-known/oauth-authorization-server", &[]).await;
    let metadata: serde_json::Value = serde_json::from_str(&metadata.body).expect("JSON");
    assert_eq!(metadata["jwks_uri"], "https://locum.acme.test/.well-known/jwks.json");
}
