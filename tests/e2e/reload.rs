//! Reload and SIGHUP: files come into force whole, or not at all.

use locum_api::admin::v1::{
    CheckPolicyRequest, GetStatusRequest, GetStatusResponse, PolicyFile, ReloadRequest,
};
use locum_api::broker::v1::ListTasksRequest;
use locum_model::Reason;
use locum_sdk::{Client, Options};
use locum_tests::refused::reason;
use locum_tests::work::{begin, grant, is_active, issue};
use locum_tests::{Authority, Daemon, Identity, Party, Site, eventually};

use crate::LOCUMD;

async fn status(daemon: &Daemon) -> GetStatusResponse {
    let answer = daemon.operator("viewer").inspection().get_status(GetStatusRequest {}).await;
    answer.expect("shown").into_inner()
}

#[tokio::test]
async fn what_is_taken_out_of_the_registry_is_revoked() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, reader) = (daemon.at("agents/refunder"), daemon.at("agents/reader"));
    let (orders, admin) = (daemon.at("services/orders-api"), daemon.operator("admin"));
    let mut tokens = Vec::new();
    for party in [&refunder, &reader] {
        let task = begin(&daemon, party, vec![grant("orders:read", &[])]).await.expect("allowed");
        let issued = issue(&daemon, party, task.ask("orders:read", &["order/1"])).await.expect("issued");
        tokens.push(issued.token);
    }
    let unchanged = admin.control().reload(ReloadRequest {}).await.expect("valid").into_inner();
    assert_eq!(unchanged.changes, Vec::<String>::new());
    daemon.site.unregister("reader");
    let changed = admin.control().reload(ReloadRequest {}).await.expect("valid").into_inner();
    assert_eq!(changed.registry_revision, unchanged.registry_revision + 1);
    assert!(changed.changes.iter().any(|line| line.contains("reader")), "{:?}", changed.changes);
    assert!(is_active(&orders, "orders", &tokens[0]).await);
    assert!(!is_active(&orders, "orders", &tokens[1]).await);
    let gone = begin(&daemon, &reader, vec![grant("orders:read", &[])]).await;
    assert_eq!(reason(gone), Reason::WorkloadUnregistered);
}

#[tokio::test]
async fn invalid_files_leave_the_last_good_ones_in_force() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, admin) = (daemon.at("agents/refunder"), daemon.operator("admin"));
    let before = status(&daemon).await;
    assert_eq!(before.warnings, Vec::<String>::new());
    let (registry, policies) = (daemon.site.text("registry.toml"), daemon.site.text("policies/all.cedar"));
    for bad in [
        "[[workload]]\nname = 1\n",
        "surprise = true\n",
        "[[model]]\ntenant = \"none\"\nname = \"m\"\nowner = \"o\"\n",
    ] {
        daemon.site.put("registry.toml", &format!("{registry}\n{bad}"));
        assert_eq!(reason(admin.control().reload(ReloadRequest {}).await), Reason::RegistryInvalid, "{bad}");
    }
    daemon.site.put("registry.toml", &registry);
    for bad in [
        "permit (principal, action, resource) when { principal.wings };",
        "permit",
        "@surprise(\"x\")\npermit (principal, action, resource);",
    ] {
        daemon.site.put("policies/all.cedar", &format!("{policies}\n{bad}"));
        assert_eq!(reason(admin.control().reload(ReloadRequest {}).await), Reason::PolicyInvalid, "{bad}");
    }
    let after = status(&daemon).await;
    assert_eq!(
        (after.registry_revision, after.policy_revision),
        (before.registry_revision, before.policy_revision)
    );
    begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("still allowed");
    // Even over a restart, loudly.
    daemon.terminate().await;
    daemon.up().await;
    let (refunder, degraded) = (daemon.at("agents/refunder"), status(&daemon).await);
    assert!(degraded.ready && degraded.warnings.len() == 1, "{:?}", degraded.warnings);
    assert_eq!(degraded.policy_revision, before.policy_revision);
    begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("still allowed");
    daemon.site.put("policies/all.cedar", &policies);
    daemon.operator("admin").control().reload(ReloadRequest {}).await.expect("valid again");
    assert_eq!(status(&daemon).await.warnings, Vec::<String>::new(), "nothing is wrong any more");
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let other = Authority::new("acme.test");
    let Identity { cert_pem, key_pem, .. } = other.localhost();
    let refunder = daemon.site.authority.workload("spiffe://acme.test/agents/refunder");
    let who = |ca: String| Party::new(daemon.addresses().grpc.port(), &ca, Some(&refunder));
    let listed = |party: Party| async move {
        party.tasks().list_tasks(ListTasksRequest::default()).await.map(|_| ()).ok()
    };
    let connected = who(daemon.site.authority.pem());
    assert_eq!(listed(connected.clone()).await, Some(()));
    assert_eq!(listed(who(other.pem())).await, None, "it has the first certificate");
    daemon.site.put("server.pem", &cert_pem);
    daemon.site.put("server.key", &key_pem);
    daemon.hang_up();
    eventually("the new certificate", || listed(who(other.pem()))).await;
    assert_eq!(listed(who(daemon.site.authority.pem())).await, None, "the first certificate is gone");
    assert_eq!(listed(connected).await, Some(()), "whoever is connected notices nothing");
}

#[tokio::test]
async fn renewed_files_come_into_force_without_anybodys_doing() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let other = Authority::new("acme.test");
    let ours = daemon.site.authority.workload("spiffe://acme.test/agents/refunder");
    let theirs = other.workload("spiffe://acme.test/agents/refunder");
    let port = daemon.addresses().grpc.port();
    let listed = move |ca: &str, identity: &Identity| {
        let party = Party::new(port, ca, Some(identity));
        async move { party.tasks().list_tasks(ListTasksRequest::default()).await.is_ok() }
    };
    // A program that runs on, with its files: it shows what stands in them when it connects.
    let put_identity = |identity: &Identity, ca: &str| {
        let put = |name: &str, text: &str| daemon.site.put(name, text);
        (
            put("client-ca.pem", ca),
            put("refunder.pem", &identity.cert_pem),
            put("refunder.key", &identity.key_pem),
        )
    };
    let (old, new) = (daemon.site.authority.pem(), other.pem());
    let (ca_file, cert, key) = put_identity(&ours, &old);
    let address = format!("https://localhost:{port}");
    let options = Options::new(address, ca_file).certificate(cert, key);
    let client = Client::connect(&options).expect("good files");
    client.who_am_i().await.expect("known by the first authority");
    // Another authority beside the first; then a certificate of it, and the first goes.
    daemon.site.put("ca.pem", &format!("{old}{new}"));
    eventually("the new authority", || async { listed(&old, &theirs).await.then_some(()) }).await;
    let renewed = other.localhost();
    daemon.site.put("server.pem", &renewed.cert_pem);
    daemon.site.put("server.key", &renewed.key_pem);
    eventually("the new certificate", || async { listed(&new, &ours).await.then_some(()) }).await;
    assert!(!listed(&old, &ours).await, "the first certificate is gone");
    daemon.site.put("ca.pem", "half of");
    eventually("the refusal in the log", || {
        let said = daemon.log().contains("certificates or bundles were refused; what was in force stays");
        std::future::ready(said.then_some(()))
    })
    .await;
    assert!(listed(&new, &theirs).await, "what was in force stays");
    client.who_am_i().await.expect("whoever is connected notices nothing");
    put_identity(&theirs, &new);
    daemon.site.put("ca.pem", &new);
    eventually("the end of the first authority", || async { (!listed(&new, &ours).await).then_some(()) })
        .await;
    // Its connection rests on the first authority; what is called later goes over another.
    eventually("the program's renewed certificate", || async { client.who_am_i().await.ok() }).await;
}

#[tokio::test]
async fn sighup_reads_everything_again() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let before = status(&daemon).await;
    daemon.site.edit("policies/all.cedar", "\"mischief\"", "\"refund-order\"");
    daemon.site.put_certificate();
    daemon.hang_up();
    eventually("the new policies", || async {
        (status(&daemon).await.policy_revision > before.policy_revision).then_some(())
    })
    .await;
    let refused = begin(&daemon, &daemon.at("agents/refunder"), vec![grant("orders:read", &[])]).await;
    assert_eq!(reason(refused), Reason::IntentNotAllowed);
    daemon.site.put("policies/all.cedar", "nonsense");
    daemon.hang_up();
    eventually("the refusal in the log", || {
        let said = daemon.log().contains("the files were refused; what was in force stays");
        std::future::ready(said.then_some(()))
    })
    .await;
    assert_eq!(status(&daemon).await.policy_revision, before.policy_revision + 1);
}

#[tokio::test]
async fn policies_are_checked_without_being_put_in_force() {
    let daemon = Daemon::shared(LOCUMD);
    let policy = daemon.operator("policy");
    let check =
        |text: String| CheckPolicyRequest { files: vec![PolicyFile { name: "a.cedar".to_owned(), text }] };
    let good = policy.control().check_policy(check(daemon.site.text("policies/all.cedar"))).await;
    let good = good.expect("a verdict").into_inner();
    assert!(good.valid && good.policies == 5, "{good:?}");
    let bad = policy.control().check_policy(check("permit (principal, action, resource)".to_owned())).await;
    let bad = bad.expect("a verdict").into_inner();
    assert!(!bad.valid && bad.problems[0].file == "a.cedar", "{bad:?}");
    // Larger than any other message may be.
    let large = policy.control().check_policy(check(format!("// {}\n", "x".repeat(3 * 1024 * 1024)))).await;
    assert!(large.expect("a verdict").into_inner().problems.len() <= 1);
}
