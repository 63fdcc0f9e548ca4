//! Safety list D 68, A 1 to 24 and C 57, as far as an assertion can carry them.
//!
//! The RS256 and ES384 tokens in `fixtures` were signed by another implementation (OpenSSL through
//! Python's `cryptography`) with keys that exist no more; `NOW` is the second they were issued at.

use locum_jose::digest::{sha256, sha256_of_parts};
use locum_jose::{base64url, provider};
use locum_model::limits::ASSERTION_BYTES_MAX;
use locum_model::registry::Algorithm;
use locum_model::{Reason, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Asserted, verify};
use crate::authority::{
    AUDIENCE, Authority, NOW, REFUNDER, Signer, domain, key_set, logins, reason, signing_input, trust,
    workloads,
};
use crate::{IssuerOptions, IssuerRole, Refusal, Trust};

const GITHUB: &str = "https://ci.acme.test";
const PEOPLE: &str = "https://people.acme.test";
const KUBERNETES: &str = "https://kubernetes.default.svc.cluster.local";
const KUBERNETES_TEMPLATE: &str =
    "spiffe://k8s.acme.test/ns/{kubernetes.io.namespace}/sa/{kubernetes.io.serviceaccount.name}";

/// Two trust domains, an issuer of workloads and one of logins; each with its own key.
struct World {
    acme: Signer,
    other: Signer,
    ci: Signer,
    people: Signer,
    trust: Trust,
}

fn world() -> World {
    provider::install().expect("ours alone");
    let [acme, other, ci, people] =
        ["acme", "other", "ci", "people"].map(|kid| Signer::new(Algorithm::Es256, kid));
    let of = |name: &str, signer: &Signer| {
        let mut options = domain(name, &Authority::root(name));
        options.jwt_keys = Some(signer.jwks("jwt-svid"));
        options
    };
    let domains = vec![
        of("acme.test", &acme),
        of("other.test", &other),
        domain("mute.test", &Authority::root("mute.test")),
    ];
    let issuers =
        vec![workloads(GITHUB, &ci, "spiffe://ci.acme.test/{team}/{job.name}"), logins(PEOPLE, &people)];
    World { trust: trust(domains, issuers), acme, other, ci, people }
}

fn at(seconds: i64) -> i64 {
    NOW.as_seconds() + seconds
}

fn svid_claims() -> Value {
    json!({"sub": REFUNDER, "aud": [AUDIENCE], "exp": at(300), "iat": at(0)})
}

fn ci_claims() -> Value {
    json!({"iss": GITHUB, "sub": "repo:acme/shop", "aud": AUDIENCE, "exp": at(300), "team": "shop",
        "job": {"name": "deploy"}})
}

/// `claims` with one of them changed, or gone when `null` is wanted as absence.
fn with(mut claims: Value, name: &str, value: Option<Value>) -> Value {
    let object = claims.as_object_mut().expect("an object");
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    claims
}

fn judged(world: &World, bearer: &str) -> Option<Reason> {
    reason(verify(&world.trust, bearer, NOW))
}

fn good(result: Result<Asserted, Refusal>) -> (Option<String>, Option<(String, String)>, i64) {
    let asserted = result.expect("a good assertion");
    let login = asserted.login.map(|login| (login.issuer, login.subject));
    (asserted.spiffe_id.map(|id| id.as_str().to_owned()), login, asserted.expires_at.as_seconds())
}

#[test]
fn a_jwt_svid_names_its_workload() {
    let world = world();
    let expected = (Some(REFUNDER.to_owned()), None, at(300));
    let verified = |bearer: &str| good(verify(&world.trust, bearer, NOW));
    assert_eq!(verified(&world.acme.sign(&svid_claims())), expected);
    for header in
        [json!({"alg": "ES256", "kid": "acme"}), json!({"alg": "ES256", "kid": "acme", "typ": "JOSE"})]
    {
        assert_eq!(verified(&world.acme.sign_as(&header, &svid_claims().to_string())), expected);
    }
    // SPIRE may name an issuer that nobody configured; it picks nothing.
    let claims = with(svid_claims(), "iss", Some(json!("https://spire.acme.test")));
    assert_eq!(verified(&world.acme.sign(&claims)), expected);
}

#[test]
fn an_openid_assertion_names_a_workload_or_a_login() {
    let world = world();
    let workload = good(verify(&world.trust, &world.ci.sign(&ci_claims()), NOW));
    let id = "spiffe://ci.acme.test/shop/deploy".to_owned();
    assert_eq!(workload, (Some(id), Some((GITHUB.to_owned(), "repo:acme/shop".to_owned())), at(300)));
    // A login stays one, even if its subject looks like a workload.
    let claims = json!({"iss": PEOPLE, "sub": REFUNDER, "aud": AUDIENCE, "exp": at(60)});
    let login = good(verify(&world.trust, &world.people.sign(&claims), NOW));
    assert_eq!(login, (None, Some((PEOPLE.to_owned(), REFUNDER.to_owned())), at(60)));
    // A platform's certificate thumbprint in the header is not looked at.
    let header = json!({"alg": "ES256", "kid": "people", "typ": "JWT", "x5t": "AAAA"});
    assert!(verify(&world.trust, &world.people.sign_as(&header, &claims.to_string()), NOW).is_ok());
}

#[test]
fn a_projected_kubernetes_token_of_an_hour_holds() {
    provider::install().expect("ours alone");
    let role = IssuerRole::Workloads { subject_template: KUBERNETES_TEMPLATE.to_owned() };
    let jwks = include_bytes!("fixtures/kubernetes.jwks.json").to_vec();
    let issuer = IssuerOptions { issuer: KUBERNETES.to_owned(), audience: None, jwks, role };
    let trust = trust(Vec::new(), vec![issuer]);
    let token = include_str!("fixtures/kubernetes.jwt");
    let (id, login, end) = good(verify(&trust, token, NOW));
    assert_eq!(id.as_deref(), Some("spiffe://k8s.acme.test/ns/shop/sa/refunder"));
    assert_eq!(login, Some((KUBERNETES.to_owned(), "system:serviceaccount:shop:refunder".to_owned())));
    assert_eq!(end, at(3_600));
    let expired = verify(&trust, token, Timestamp::from_seconds(at(3_600)));
    assert_eq!(reason(expired), Some(Reason::IdentityExpired));
}

#[test]
fn a_spiffe_bundle_with_a_p384_key_holds() {
    provider::install().expect("ours alone");
    let mut options = domain("acme.test", &Authority::root("acme root"));
    options.jwt_keys = Some(include_bytes!("fixtures/es384.jwks.json").to_vec());
    let trust = trust(vec![options], Vec::new());
    let (id, _, _) = good(verify(&trust, include_str!("fixtures/es384.jwt"), NOW));
    assert_eq!(id.as_deref(), Some(REFUNDER));
}

#[test]
fn a_header_that_is_not_plain_is_refused() {
    let world = world();
    let header = json!({"alg": "ES256", "kid": "acme", "typ": "JWT"});
    let mut headers: Vec<Value> = Vec::new();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS256", "RS256", "ES384", "ES512", "PS256", "EdDSA", "Ed25519"]
    {
        headers.push(with(header.clone(), "alg", Some(json!(alg))));
    }
    for alg in [json!(null), json!(1), json!(["ES256"]), json!("x".repeat(4_000))] {
        headers.push(with(header.clone(), "alg", Some(alg)));
    }
    for typ in
        [json!("at+jwt"), json!("jwt"), json!("dpop+jwt"), json!("application/jwt"), json!(""), json!(null)]
    {
        headers.push(with(header.clone(), "typ", Some(typ)));
    }
    for kid in [
        json!("other"),
        json!("ACME"),
        json!("../acme"),
        json!("acme\u{0}"),
        json!(""),
        json!(1),
        json!(null),
    ] {
        headers.push(with(header.clone(), "kid", Some(kid)));
    }
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jku", json!("https://evil.test/keys")),
        ("x5u", json!("http://169.254.169.254/")),
        ("x5c", json!(["AAAA"])),
        ("cty", json!("JWT")),
        ("jwk", world.other.jwk("jwt-svid")),
        ("zip", json!("DEF")),
        ("nonce", json!("n")),
    ] {
        headers.push(with(header.clone(), name, Some(value)));
    }
    headers.push(with(header.clone(), "alg", None));
    headers.push(with(header, "kid", None));
    for header in headers {
        let token = world.acme.sign_as(&header, &svid_claims().to_string());
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid), "{header}");
        let header = with(header, "kid", Some(json!("ci")));
        if header["alg"] != "ES256"
            || header["typ"] != "JWT"
            || header.as_object().map(serde_json::Map::len) != Some(3)
        {
            let token = world.ci.sign_as(&header, &ci_claims().to_string());
            assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid), "{header}");
        }
    }
    // What an OpenID issuer may write, a JWT-SVID may not.
    let header = json!({"alg": "ES256", "kid": "acme", "typ": "JWT", "x5t": "AAAA"});
    let token = world.acme.sign_as(&header, &svid_claims().to_string());
    assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid));
}

#[test]
fn a_public_key_is_no_shared_secret_and_nothing_is_no_signature() {
    let world = world();
    let header = json!({"alg": "HS256", "kid": "acme", "typ": "JWT"});
    let input = signing_input(&header, &svid_claims().to_string());
    let point = world.acme.key.public().as_bytes();
    for secret in [point.to_vec(), world.acme.key.public().to_jwk().into_bytes()] {
        let token = format!("{input}.{}", base64url::encode(hmac(&secret, input.as_bytes())));
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid));
    }
    let none = signing_input(&json!({"alg": "none", "kid": "acme"}), &svid_claims().to_string());
    for token in [none.clone(), format!("{none}."), format!("{none}.AA")] {
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid));
    }
    let zero = signing_input(&json!({"alg": "ES256", "kid": "acme"}), &svid_claims().to_string());
    let zero = format!("{zero}.{}", base64url::encode([0; 64]));
    assert_eq!(judged(&world, &zero), Some(Reason::IdentityInvalid));
}

/// RFC 2104 with SHA-256.
fn hmac(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut key = [0_u8; 64];
    if secret.len() > 64 {
        key[..32].copy_from_slice(&sha256(secret))
    } else {
        key[..secret.len()].copy_from_slice(secret)
    }
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    sha256_of_parts(&[&padded(0x5c), &sha256_of_parts(&[&padded(0x36), message])])
}

#[test]
fn an_ed25519_key_signs_no_assertion() {
    let (ed, es) = (Signer::new(Algorithm::Ed25519, "ed"), Signer::new(Algorithm::Es256, "es"));
    let mut options = domain("acme.test", &Authority::root("acme root"));
    options.jwt_keys = Some(key_set(&[ed.jwk("jwt-svid"), es.jwk("jwt-svid")]));
    let mut people = logins(PEOPLE, &es);
    let another = Signer::new(Algorithm::Es256, "another");
    people.jwks = key_set(&[ed.jwk("sig"), another.jwk("sig")]);
    provider::install().expect("ours alone");
    let trust = trust(vec![options], vec![people]);
    let login = json!({"iss": PEOPLE, "sub": "ann", "aud": AUDIENCE, "exp": at(60)});
    for claims in [svid_claims(), login] {
        for alg in ["EdDSA", "Ed25519", "ES256"] {
            let token = ed.sign_as(&json!({"alg": alg, "kid": "ed"}), &claims.to_string());
            assert_eq!(reason(verify(&trust, &token, NOW)), Some(Reason::IdentityInvalid), "{alg}");
        }
    }
    assert!(verify(&trust, &es.sign(&svid_claims()), NOW).is_ok());
}

#[test]
fn a_claim_that_breaks_one_rule_is_refused() {
    let world = world();
    let (invalid, expired) = (Reason::IdentityInvalid, Reason::IdentityExpired);
    let (elsewhere, untrusted) = (Reason::IdentityAudienceMismatch, Reason::IdentityUntrustedIssuer);
    let both = [
        ("aud", None, elsewhere),
        ("aud", Some(json!([])), elsewhere),
        ("aud", Some(json!("https://other.test")), elsewhere),
        ("aud", Some(json!("https://locum.acme.test/")), elsewhere),
        ("aud", Some(json!({"a": AUDIENCE})), invalid),
        ("exp", None, invalid),
        ("exp", Some(json!(at(0))), expired),
        ("exp", Some(json!(at(-1))), expired),
        ("exp", Some(json!(at(3_606))), invalid),
        ("exp", Some(json!(at(300).to_string())), invalid),
        ("nbf", Some(json!(at(6))), expired),
        ("iat", Some(json!(at(6))), expired),
        ("sub", None, invalid),
        ("sub", Some(json!(1)), invalid),
        ("sub", Some(json!(null)), invalid),
    ];
    for (name, value, expected) in &both {
        let svid = world.acme.sign(&with(svid_claims(), name, value.clone()));
        assert_eq!(judged(&world, &svid), Some(*expected), "JWT-SVID {name} {value:?}");
        let openid = world.ci.sign(&with(ci_claims(), name, value.clone()));
        assert_eq!(judged(&world, &openid), Some(*expected), "OpenID {name} {value:?}");
    }
    for (sub, expected) in [
        ("refunder", untrusted),
        ("", untrusted),
        ("https://acme.test/agents/refunder", untrusted),
        ("spiffe://acme.test", untrusted),
        ("spiffe://acme.test/", untrusted),
        ("spiffe://acme.test/a/../b", untrusted),
        ("spiffe://ACME.test/a", untrusted),
        ("spiffe://mute.test/a", untrusted),
        ("spiffe://unknown.test/a", untrusted),
        ("spiffe://ci.acme.test/shop/deploy", untrusted),
        ("spiffe://other.test/a", invalid),
    ] {
        let token = world.acme.sign(&with(svid_claims(), "sub", Some(json!(sub))));
        assert_eq!(judged(&world, &token), Some(expected), "{sub}");
    }
}

#[test]
fn one_speaks_for_oneself_alone() {
    let world = world();
    let invalid = Some(Reason::IdentityInvalid);
    let signers = [&world.acme, &world.other, &world.ci, &world.people];
    let people = json!({"iss": PEOPLE, "sub": "ann", "aud": AUDIENCE, "exp": at(60)});
    let other = with(svid_claims(), "sub", Some(json!("spiffe://other.test/a")));
    let said = [svid_claims(), other, ci_claims(), people];
    for (owner, claims) in said.iter().enumerate() {
        for (signed, signer) in signers.iter().enumerate() {
            let kids = signers.map(|theirs| theirs.kid.clone());
            for kid in kids {
                let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"});
                let token = signer.sign_as(&header, &claims.to_string());
                let own = owner == signed && kid == signer.kid;
                assert_eq!(judged(&world, &token), if own { None } else { invalid }, "{claims} by {kid}");
            }
        }
    }
}

#[test]
fn an_issuer_is_compared_character_by_character() {
    let world = world();
    for iss in [
        "https://ci.acme.test/",
        "https://CI.acme.test",
        "http://ci.acme.test",
        "https://ci.acme.test ",
        "ci",
    ] {
        let token = world.ci.sign(&with(ci_claims(), "iss", Some(json!(iss))));
        assert_eq!(judged(&world, &token), Some(Reason::IdentityUntrustedIssuer), "{iss}");
    }
    for iss in [json!(1), json!(null), json!([GITHUB]), json!(""), json!("x".repeat(2_000))] {
        let token = world.ci.sign(&with(ci_claims(), "iss", Some(iss.clone())));
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid), "{iss}");
    }
    let missing = world.ci.sign(&with(ci_claims(), "iss", None));
    assert_eq!(judged(&world, &missing), Some(Reason::IdentityUntrustedIssuer));
}

#[test]
fn a_template_claim_fills_one_segment() {
    let world = world();
    for team in [
        json!("a/b"),
        json!(".."),
        json!("."),
        json!(""),
        json!("a b"),
        json!("*"),
        json!(7),
        json!(null),
        json!(["shop"]),
        json!({"shop": "shop"}),
        json!("shop\u{202e}"),
        json!("x".repeat(2_048)),
    ] {
        let token = world.ci.sign(&with(ci_claims(), "team", Some(team.clone())));
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid), "{team}");
    }
    let missing = world.ci.sign(&with(ci_claims(), "team", None));
    assert_eq!(judged(&world, &missing), Some(Reason::IdentityInvalid));
    let twice = world.ci.sign(&with(ci_claims(), "job.name", Some(json!("admin"))));
    assert_eq!(judged(&world, &twice), Some(Reason::IdentityInvalid), "two readings");
}

#[test]
fn a_member_that_stands_twice_is_refused_under_a_good_signature() {
    let world = world();
    let header = json!({"alg": "ES256", "kid": "acme"});
    let claims = svid_claims().to_string();
    for payload in [
        claims.replacen('{', &format!("{{\"sub\":\"{REFUNDER}\","), 1),
        claims.replacen('{', "{\"x\":{\"a\":1,\"a\":1},", 1),
        format!("{claims} x"),
        format!("[{claims}]"),
        "null".to_owned(),
        String::from("{"),
    ] {
        let token = world.acme.sign_as(&header, &payload);
        assert_eq!(judged(&world, &token), Some(Reason::IdentityInvalid), "{payload}");
    }
    let twice = base64url::encode(r#"{"alg":"ES256","alg":"ES256","kid":"acme"}"#);
    let input = format!("{twice}.{}", base64url::encode(&claims));
    let signature = world.acme.key.sign(input.as_bytes()).expect("a signature");
    assert_eq!(
        judged(&world, &format!("{input}.{}", base64url::encode(signature))),
        Some(Reason::IdentityInvalid)
    );
}

#[test]
fn a_mangled_assertion_is_refused() {
    let world = world();
    let good = world.acme.sign(&svid_claims());
    let invalid = Some(Reason::IdentityInvalid);
    assert_eq!(judged(&world, &good), None);
    for length in 0..good.len() {
        assert_eq!(judged(&world, &good[..length]), invalid, "cut at {length}");
    }
    for mangled in [
        format!("Bearer {good}"),
        format!(" {good}"),
        format!("{good}\n"),
        format!(".{good}"),
        format!("{good}."),
        format!("{good}.{good}"),
        good.replace('.', "。"),
        good.replace('.', ".."),
        format!("{good}="),
    ] {
        assert_eq!(judged(&world, &mangled), invalid, "{mangled}");
    }
    // Header and payload of two good ones, signature of either.
    let other = world.acme.sign(&with(svid_claims(), "sub", Some(json!("spiffe://acme.test/admin"))));
    let (parts, others): (Vec<_>, Vec<_>) = (good.split('.').collect(), other.split('.').collect());
    assert_eq!(judged(&world, &[parts[0], others[1], parts[2]].join(".")), invalid);
    assert_eq!(judged(&world, &[parts[0], parts[1], others[2]].join(".")), invalid);
}

#[test]
fn the_longest_assertion_is_read_and_a_longer_one_is_not() {
    let world = world();
    let padded = |size: usize| world.acme.sign(&with(svid_claims(), "pad", Some(json!("x".repeat(size)))));
    let fits =
        (5_000..6_200).rev().map(padded).find(|token| token.len() <= ASSERTION_BYTES_MAX).expect("one");
    assert_eq!(judged(&world, &fits), None);
    let beyond = padded(6_200);
    assert!(beyond.len() > ASSERTION_BYTES_MAX);
    let refused = verify(&world.trust, &beyond, NOW).expect_err("too long");
    assert_eq!(refused.detail(), "the token is too long");
}

#[test]
fn no_refusal_shows_the_assertion() {
    let world = world();
    let token = world.other.sign(&with(svid_claims(), "secret", Some(json!("canary-5309"))));
    let refused = verify(&world.trust, &token, NOW).expect_err("another's key");
    let shown = format!("{refused} {refused:?}");
    assert!(!shown.contains("canary") && token.split('.').all(|part| !shown.contains(part)), "{shown}");
}

#[test]
fn one_character_changed_refuses() {
    let world = world();
    let good = world.acme.sign(&svid_claims());
    for at in 0..good.len() {
        for letter in ["A", "z", "7", "_", "."] {
            let mut changed = good.clone();
            changed.replace_range(at..=at, letter);
            assert!(changed == good || judged(&world, &changed).is_some(), "{letter} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        provider::install().expect("ours alone");
        let trust = trust(Vec::new(), Vec::new());
        prop_assert!(verify(&trust, &text, NOW).is_err());
    }
}
