//! Who calls: certificates, JWT-SVIDs, OpenID assertions, and everything that only looks like one.

use locum_api::admin::v1::{GetStatusRequest, ListKeysRequest};
use locum_api::broker::v1::ListTasksRequest;
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::site::{ISSUER, LOGIN, PLATFORM};
use locum_tests::work::{begin, grant, issue, now};
use locum_tests::{Asserter, Authority, Daemon, Party};
use serde_json::json;

use crate::LOCUMD;

/// The reason why `party` may not even list its own tasks; none when it may.
async fn refusal(party: &Party) -> Option<Reason> {
    match party.tasks().list_tasks(ListTasksRequest::default()).await {
        Ok(_) => None,
        Err(status) => Some(reason::<()>(Err(status))),
    }
}

#[tokio::test]
async fn certificates_are_believed_when_their_authority_is() {
    let daemon = Daemon::shared(LOCUMD);
    assert_eq!(refusal(&daemon.at("agents/refunder")).await, None);
    assert_eq!(refusal(&daemon.party(None)).await, Some(Reason::IdentityMissing));
    assert_eq!(refusal(&daemon.at("agents/stranger")).await, Some(Reason::WorkloadUnregistered));
    let other = Authority::new("acme.test").workload("spiffe://acme.test/agents/refunder");
    let forged = daemon.party(Some(&other)).tasks().list_tasks(ListTasksRequest::default()).await;
    let status = forged.expect_err("nobody vouches for it");
    assert!(
        locum_api::status::reason_of(&status).is_none_or(|reason| reason == Reason::IdentityUntrustedIssuer)
    );
    let foreign = daemon.site.authority.workload("spiffe://other.test/agents/refunder");
    let status = daemon.party(Some(&foreign)).tasks().list_tasks(ListTasksRequest::default()).await;
    assert!(status.is_err(), "a CA vouches for its own trust domain alone");
}

#[tokio::test]
async fn a_jwt_svid_is_as_good_as_a_certificate() {
    let daemon = Daemon::shared(LOCUMD);
    let svid = daemon.site.jwt_svid("spiffe://acme.test/agents/refunder", now());
    daemon.secret(&svid);
    let party = daemon.party(None).bearer(&svid);
    let task = begin(&daemon, &party, vec![grant("orders:read", &[])]).await.expect("allowed");
    // The same workload by certificate: the same task.
    let token = issue(&daemon, &daemon.at("agents/refunder"), task.ask("orders:read", &["order/1"])).await;
    token.expect("issued");
    let stranger = daemon.site.jwt_svid("spiffe://acme.test/agents/stranger", now());
    assert_eq!(refusal(&daemon.party(None).bearer(&stranger)).await, Some(Reason::WorkloadUnregistered));
}

#[tokio::test]
async fn an_assertion_of_the_platform_fills_the_template() {
    let daemon = Daemon::shared(LOCUMD);
    let party = daemon.party(None).bearer(&daemon.site.platform_token("platform", now()));
    begin(&daemon, &party, vec![grant("orders:read", &[])]).await.expect("allowed");
    let other = daemon.party(None).bearer(&daemon.site.platform_token("other", now()));
    assert_eq!(refusal(&other).await, Some(Reason::WorkloadUnregistered));
    let escape = daemon.party(None).bearer(&daemon.site.platform_token("../platform", now()));
    assert_eq!(refusal(&escape).await, Some(Reason::IdentityInvalid));
}

#[tokio::test]
async fn assertions_that_only_look_good_are_refused() {
    let daemon = Daemon::shared(LOCUMD);
    let (site, at) = (&daemon.site, now());
    let id = "spiffe://acme.test/agents/refunder";
    let claims = |aud: &str, exp: i64| json!({"sub": id, "aud": [aud], "exp": exp, "iat": at});
    let good = site.jwt_svid(id, at);
    let (body, signature) = good.rsplit_once('.').expect("three parts");
    let flipped = format!("{body}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    for (assertion, expected) in [
        (site.svids.sign(&claims(ISSUER, at - 1)), Reason::IdentityExpired),
        (site.svids.sign(&claims(ISSUER, at + 90_000)), Reason::IdentityInvalid),
        (site.svids.sign(&claims("https://other.test", at + 60)), Reason::IdentityAudienceMismatch),
        (Asserter::svids().sign(&claims(ISSUER, at + 60)), Reason::IdentityInvalid),
        (site.platform.sign(&claims(ISSUER, at + 60)), Reason::IdentityInvalid),
        (
            site.svids.sign(&json!({"sub": "spiffe://other.test/a", "aud": ISSUER, "exp": at + 60})),
            Reason::IdentityUntrustedIssuer,
        ),
        (
            site.svids.sign(&json!({"iss": PLATFORM, "sub": id, "aud": ISSUER, "exp": at + 60})),
            Reason::IdentityInvalid,
        ),
        (flipped, Reason::IdentityInvalid),
        (format!("{good}."), Reason::IdentityInvalid),
        ("a.b.c".to_owned(), Reason::IdentityInvalid),
        ("x".repeat(8193), Reason::IdentityInvalid),
    ] {
        let party = daemon.party(None).bearer(&assertion);
        assert_eq!(refusal(&party).await, Some(expected), "{:.200}", assertion);
    }
    // Our own access token is no assertion.
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    assert_eq!(refusal(&daemon.party(None).bearer(&token)).await, Some(Reason::IdentityInvalid));
}

#[tokio::test]
async fn certificate_and_assertion_have_to_agree() {
    let daemon = Daemon::shared(LOCUMD);
    let (site, refunder) = (&daemon.site, daemon.at("agents/refunder"));
    let same = site.jwt_svid("spiffe://acme.test/agents/refunder", now());
    assert_eq!(refusal(&refunder.clone().bearer(&same)).await, None);
    for other in [
        site.jwt_svid("spiffe://acme.test/agents/reader", now()),
        site.platform_token("platform", now()),
        site.login("alice", now()),
    ] {
        assert_eq!(refusal(&refunder.clone().bearer(&other)).await, Some(Reason::IdentityMismatch));
    }
    // A bad assertion is not saved by a good certificate.
    assert_eq!(refusal(&refunder.clone().bearer("a.b.c")).await, Some(Reason::IdentityInvalid));
}

#[tokio::test]
async fn an_assertion_is_bound_to_the_first_key_proved_with_it() {
    let daemon = Daemon::shared(LOCUMD);
    let assertion = daemon.site.jwt_svid("spiffe://acme.test/agents/refunder", now());
    let (bare, own) = (daemon.party(None), daemon.at("agents/refunder"));
    assert_eq!(refusal(&bare.clone().bearer(&assertion)).await, None, "no key was proved with it yet");
    assert_eq!(refusal(&own.clone().bearer(&assertion)).await, None, "bound");
    assert_eq!(refusal(&bare.bearer(&assertion)).await, Some(Reason::IdentityMismatch), "stolen");
    let replica = daemon.site.authority.workload("spiffe://acme.test/agents/refunder");
    let replica = daemon.party(Some(&replica)).bearer(&assertion);
    assert_eq!(
        refusal(&replica).await,
        Some(Reason::IdentityMismatch),
        "with another key of the same workload"
    );
    assert_eq!(refusal(&own.bearer(&assertion)).await, None, "its own key goes on");
}

#[tokio::test]
async fn headers_by_which_others_vouch_are_not_looked_at() {
    let daemon = Daemon::shared(LOCUMD);
    let vouched = "By=spiffe://acme.test/gateway;URI=spiffe://acme.test/agents/refunder";
    for name in ["x-forwarded-client-cert", "x-client-cert", "x-spiffe-id", "forwarded"] {
        let party = daemon.party(None).header(name, vouched);
        assert_eq!(refusal(&party).await, Some(Reason::IdentityMissing), "{name}");
        let stranger = daemon.at("agents/stranger").header(name, vouched);
        assert_eq!(refusal(&stranger).await, Some(Reason::WorkloadUnregistered), "{name}");
    }
}

#[tokio::test]
async fn one_authorization_header_of_one_scheme() {
    let daemon = Daemon::shared(LOCUMD);
    let svid = daemon.site.jwt_svid("spiffe://acme.test/agents/refunder", now());
    let invalid = Some(Reason::IdentityInvalid);
    assert_eq!(refusal(&daemon.party(None).bearer(&svid).bearer(&svid)).await, invalid);
    for value in
        [format!("Basic {svid}"), svid.clone(), format!("Bearer  {svid}"), format!("Bearer {svid} x")]
    {
        let party = daemon.party(None).header("authorization", &value);
        assert_eq!(refusal(&party).await, invalid, "{:.20}", value);
    }
    let lower = daemon.party(None).header("authorization", &format!("bearer {svid}"));
    assert_eq!(refusal(&lower).await, None);
}

#[tokio::test]
async fn a_login_is_an_operator_and_never_a_workload() {
    let daemon = Daemon::shared(LOCUMD);
    let alice = daemon.party(None).bearer(&daemon.site.login("alice", now()));
    alice.inspection().get_status(GetStatusRequest {}).await.expect("an operator");
    alice.control().list_keys(ListKeysRequest {}).await.expect("an operator");
    assert_eq!(refusal(&alice).await, Some(Reason::RoleMissing));
    let bob = daemon.party(None).bearer(&daemon.site.login("bob", now()));
    assert_eq!(refusal(&bob).await, Some(Reason::WorkloadUnregistered));
    assert_eq!(reason(bob.inspection().get_status(GetStatusRequest {}).await), Reason::RoleMissing);
    // The same subject at another issuer is somebody else.
    let claims = json!({"iss": LOGIN, "sub": "alice", "aud": ISSUER, "exp": now() + 60});
    let forged = daemon.party(None).bearer(&daemon.site.platform.sign(&claims));
    let refused = forged.inspection().get_status(GetStatusRequest {}).await;
    assert_eq!(reason(refused), Reason::IdentityInvalid);
}
