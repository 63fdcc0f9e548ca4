//! Which configurations are consistent.

use locum_model::registry::Algorithm;

use super::{Trust, TrustProblem};
use crate::authority::{AUDIENCE, Authority, NOW, Signer, domain, logins, try_trust, workloads};
use crate::{IssuerOptions, TrustOptions};

const ISSUER: &str = "https://ci.acme.test";

fn signer() -> Signer {
    Signer::new(Algorithm::Es256, "k")
}

fn templates(all: &[&str]) -> Result<Trust, TrustProblem> {
    let root = Authority::root("acme root");
    let of = |(at, template): (usize, &&str)| workloads(&format!("https://{at}.test"), &signer(), template);
    try_trust(vec![domain("acme.test", &root)], all.iter().enumerate().map(of).collect())
}

#[test]
fn a_trust_can_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Trust>();
}

#[test]
fn no_two_can_produce_the_same_id() {
    for disjoint in [
        &["spiffe://k8s.test/ns/{a}", "spiffe://k8s.test/sa/{a}"][..],
        &["spiffe://k8s.test/{a}", "spiffe://k8s.test/{a}/{b}"],
        &["spiffe://one.test/{a}", "spiffe://two.test/{a}"],
        &["spiffe://acme.test.evil/{a}"],
    ] {
        assert!(templates(disjoint).is_ok(), "{disjoint:?}");
    }
    for overlapping in [
        &["spiffe://k8s.test/ns/{a}", "spiffe://k8s.test/ns/{b}"][..],
        &["spiffe://k8s.test/{a}/x", "spiffe://k8s.test/y/{b}"],
        &["spiffe://k8s.test/{a}/{b}", "spiffe://k8s.test/y/{b}"],
        &["spiffe://acme.test/ns/{a}"],
    ] {
        let refused = templates(overlapping).err();
        assert!(matches!(refused, Some(TrustProblem::Overlap(..))), "{overlapping:?}: {refused:?}");
    }
    assert!(matches!(templates(&["spiffe://k8s.test/a"]), Err(TrustProblem::Template { .. })));
}

#[test]
fn nobody_stands_twice() {
    let (root, signer) = (Authority::root("acme root"), signer());
    let twice = try_trust(vec![domain("acme.test", &root), domain("acme.test", &root)], Vec::new());
    assert!(matches!(twice, Err(TrustProblem::DomainRepeated(_))), "{twice:?}");
    let twice = try_trust(
        Vec::new(),
        vec![logins(ISSUER, &signer), logins(ISSUER, &Signer::new(Algorithm::Es256, "l"))],
    );
    assert!(matches!(twice, Err(TrustProblem::IssuerRepeated(_))), "{twice:?}");
}

#[test]
fn no_key_belongs_to_two() {
    let (root, signer) = (Authority::root("acme root"), signer());
    let shared = try_trust(vec![domain("acme.test", &root), domain("other.test", &root)], Vec::new());
    assert!(matches!(shared, Err(TrustProblem::CaShared(..))), "{shared:?}");
    let shared = try_trust(Vec::new(), vec![logins(ISSUER, &signer), logins("https://b.test", &signer)]);
    assert!(matches!(shared, Err(TrustProblem::KeyShared(..))), "{shared:?}");
    let mut with_keys = domain("acme.test", &root);
    with_keys.jwt_keys = Some(signer.jwks("jwt-svid"));
    let shared = try_trust(vec![with_keys], vec![logins(ISSUER, &signer)]);
    assert!(matches!(shared, Err(TrustProblem::KeyShared(..))), "{shared:?}");
}

#[test]
fn an_issuer_is_a_plain_https_url() {
    let signer = signer();
    let long = format!("https://a.test/{}", "x".repeat(1_024));
    for bad in [
        "",
        "https://",
        "https:///a",
        "http://a.test",
        "HTTPS://a.test",
        "https://A.test",
        "a.test",
        "spiffe://a.test/b",
        "https://a.test?b",
        "https://a.test#b",
        "https://u@a.test",
        "https://a.test/\n",
        "https://a.test/é",
        "https://:1",
        "https://a.test\\@b",
        &long,
    ] {
        let refused = try_trust(Vec::new(), vec![logins(bad, &signer)]).err();
        assert!(matches!(refused, Some(TrustProblem::IssuerUrl(_))), "{bad:?}: {refused:?}");
    }
    for good in [
        "https://a.test",
        "https://a.test/",
        "https://a.test:8443/tenant/A",
        "https://10.0.0.1",
        "https://[::1]:1",
    ] {
        assert!(try_trust(Vec::new(), vec![logins(good, &signer)]).is_ok(), "{good}");
    }
}

#[test]
fn what_vouches_has_to_be_whole() {
    let root = Authority::root("acme root");
    let mut empty = domain("acme.test", &root);
    empty.bundle_pem.clear();
    assert!(matches!(try_trust(vec![empty], Vec::new()), Err(TrustProblem::Bundle { .. })));
    let mut keyless = domain("acme.test", &root);
    keyless.jwt_keys = Some(b"{}".to_vec());
    assert!(matches!(try_trust(vec![keyless], Vec::new()), Err(TrustProblem::Keys { .. })));
    let keyless = IssuerOptions { jwks: Vec::new(), ..logins(ISSUER, &signer()) };
    assert!(matches!(try_trust(Vec::new(), vec![keyless]), Err(TrustProblem::Keys { .. })));
    for audience in ["", "a b", "a\n", &"x".repeat(200)] {
        let options =
            TrustOptions { domains: Vec::new(), issuers: Vec::new(), audience: audience.to_owned() };
        assert!(matches!(Trust::of(options, NOW), Err(TrustProblem::Audience { .. })), "{audience:?}");
        let options = IssuerOptions { audience: Some(audience.to_owned()), ..logins(ISSUER, &signer()) };
        assert!(
            matches!(try_trust(Vec::new(), vec![options]), Err(TrustProblem::Audience { .. })),
            "{audience:?}"
        );
    }
    let options = IssuerOptions { audience: Some("client-7".to_owned()), ..logins(ISSUER, &signer()) };
    let trust = try_trust(Vec::new(), vec![options]).expect("a good configuration");
    assert_eq!(trust.issuer(ISSUER).map(|issuer| issuer.audience.as_str()), Some("client-7"));
    assert_eq!(trust.audience(), AUDIENCE);
}

#[test]
fn a_problem_is_told_without_raw_text() {
    let refused = try_trust(Vec::new(), vec![logins("https://a\u{1b}[31m", &signer())]).expect_err("refused");
    assert!(refused.to_string().is_ascii() && !refused.to_string().contains('\u{1b}'), "{refused}");
}
