//! WhoAmI: everybody who proves something hears who they are; nobody else does.

use locum_api::broker::v1::{WhoAmIRequest, WhoAmIResponse};
use locum_model::Reason;
use locum_tests::refused::reason;
use locum_tests::work::now;
use locum_tests::{Daemon, Party};

use crate::LOCUMD;

async fn who(party: &Party) -> WhoAmIResponse {
    party.identities().who_am_i(WhoAmIRequest {}).await.expect("told").into_inner()
}

#[tokio::test]
async fn workloads_and_operators_hear_who_they_are() {
    let daemon = Daemon::shared(LOCUMD);
    let refunder = who(&daemon.at("agents/refunder")).await;
    assert_eq!(refunder.spiffe_id, "spiffe://acme.test/agents/refunder");
    assert_eq!((refunder.role.as_str(), refunder.name.as_str()), ("workload", "refunder"));
    assert_eq!((refunder.owner.as_str(), refunder.model.as_str()), ("support", "support-llm"));
    assert!(refunder.tenants == ["acme"] && !refunder.all_tenants && refunder.can_bind);
    assert!(refunder.proof_end_time.is_some_and(|end| end.seconds > now()));
    let backend = who(&daemon.at("services/orders-api")).await;
    assert_eq!(backend.serves, ["orders", "ledger"]);
    let stranger = who(&daemon.at("agents/unknown")).await;
    assert_eq!((stranger.role.as_str(), stranger.name.as_str()), ("workload", ""));
    assert_eq!(stranger.spiffe_id, "spiffe://acme.test/agents/unknown");
    let operator = who(&daemon.operator("acme-operator")).await;
    assert_eq!((operator.role.as_str(), operator.name.as_str()), ("operator", "acme-operator"));
    assert!(operator.tenants == ["acme"] && !operator.all_tenants);
    let admin = who(&daemon.operator("admin")).await;
    assert!(admin.role == "admin" && admin.tenants.is_empty() && admin.all_tenants);
    let alice = who(&daemon.party(None).bearer(&daemon.site.login("alice", now()))).await;
    assert_eq!((alice.role.as_str(), alice.login_subject.as_str()), ("admin", "alice"));
    assert!(alice.spiffe_id.is_empty() && !alice.can_bind);
}

#[tokio::test]
async fn who_proves_nothing_hears_nothing() {
    let daemon = Daemon::shared(LOCUMD);
    let nobody = daemon.party(None).identities().who_am_i(WhoAmIRequest {}).await;
    assert_eq!(reason(nobody), Reason::IdentityMissing);
    let forged = daemon.party(None).bearer("a.b.c").identities().who_am_i(WhoAmIRequest {}).await;
    assert_eq!(reason(forged), Reason::IdentityInvalid);
}
