//! A copy of the data directory is put back: what it forgot, and what accepting it makes of that.

use std::fs;
use std::future::ready as ready_now;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use locum_api::admin::v1::GetStatusRequest;
use locum_api::admin::v1::selector::Target;
use locum_model::Reason;
use locum_sdk::CheckAnswer;
use locum_tests::backend::{orders, ready};
use locum_tests::refused::reason;
use locum_tests::work::{begin, grant, is_active, issue, revoke};
use locum_tests::{Daemon, Relay, Site, eventually, plain_http};
use serde_json::Value;

use crate::LOCUMD;

/// Copies a tree of folders and files with their modes, over whatever is there.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("removed");
    }
    fs::create_dir(to).expect("made");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("set");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn accept(site: &Site) -> Output {
    let mut command = Command::new(LOCUMD);
    command.args(["journal", "accept-restore", "--by", "alice"]).arg(site.path("data/journal")).env_clear();
    command.output().expect("started")
}

async fn kids(daemon: &Daemon) -> Vec<String> {
    let body = plain_http::get(daemon, "/.well-known/jwks.json", &[]).await.body;
    let set: Value = serde_json::from_str(&body).expect("a key set");
    set["keys"].as_array().expect("keys").iter().map(|key| key["kid"].to_string()).collect()
}

#[tokio::test]
async fn an_accepted_copy_revives_nothing_and_gives_no_id_twice() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let reading = || vec![grant("orders:read", &[])];
    let refunder = daemon.at("agents/refunder");
    let old = begin(&daemon, &refunder, reading()).await.expect("allowed");
    let token = issue(&daemon, &refunder, old.ask("orders:read", &["order/1"])).await.expect("issued").token;
    daemon.terminate().await;
    copy(&daemon.site.path("data"), &daemon.site.path("backup"));

    // What the copy will not know.
    daemon.up().await;
    let refunder = daemon.at("agents/refunder");
    refunder.tasks().end_task(old.end()).await.expect("ended");
    let lost = begin(&daemon, &refunder, reading()).await.expect("allowed");
    let forgotten =
        issue(&daemon, &refunder, lost.ask("orders:read", &["order/1"])).await.expect("issued").token;
    let signed_with = kids(&daemon).await;
    assert!(!is_active(&daemon.at("services/orders-api"), "orders", &token).await);
    daemon.kill().await;
    copy(&daemon.site.path("backup"), &daemon.site.path("data"));

    // Nothing on this disk says that it is a copy: unaccepted, it believes what it last knew.
    daemon.up().await;
    assert!(is_active(&daemon.at("services/orders-api"), "orders", &token).await, "the danger is real");
    let running = accept(&daemon.site);
    assert!(!running.status.success(), "a broker runs on it");
    daemon.kill().await;
    copy(&daemon.site.path("backup"), &daemon.site.path("data"));

    let accepted = accept(&daemon.site);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let told = String::from_utf8_lossy(&accepted.stdout).into_owned();
    assert!(told.contains("accepted: epoch 1 became ") && told.contains(" 2 signing keys retired"), "{told}");
    daemon.up().await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    for dead in [&token, &forgotten] {
        assert!(!is_active(&orders, "orders", dead).await);
    }
    let asked = issue(&daemon, &refunder, old.ask("orders:read", &["order/1"])).await;
    assert_eq!(reason(asked), Reason::TaskRevoked);
    let now = kids(&daemon).await;
    assert!(now.iter().all(|kid| !signed_with.contains(kid)), "{now:?} of {signed_with:?}");
    let fresh = begin(&daemon, &refunder, reading()).await.expect("allowed");
    assert!(![&old.task_id, &lost.task_id].contains(&&fresh.task_id), "{} again", fresh.task_id);
    let good = issue(&daemon, &refunder, fresh.ask("orders:read", &["order/1"])).await.expect("issued").token;
    assert!(is_active(&orders, "orders", &good).await);
    let status = daemon.operator("viewer").inspection().get_status(GetStatusRequest {}).await.expect("shown");
    assert_eq!(status.into_inner().warnings, Vec::<String>::new());

    // And over another restart: the acceptance is history like any other.
    daemon.kill().await;
    daemon.up().await;
    let orders = daemon.at("services/orders-api");
    assert!(is_active(&orders, "orders", &good).await);
    assert!(!is_active(&orders, "orders", &token).await);
}

/// Nobody said that this is a copy; a verifier that followed what it forgot can prove it.
#[tokio::test]
async fn a_copy_that_nobody_accepted_is_quarantined_by_a_verifier() {
    quarantined_after(0).await;
}

/// The same where the copy has gone on for longer than what it forgot: its positions are those that the verifier
/// knows, and beyond, with other contents.
#[tokio::test]
async fn a_copy_that_has_overtaken_a_verifier_is_quarantined_by_it() {
    quarantined_after(60).await;
}

/// The copy has made so many revocations of its own before a verifier comes back.
async fn quarantined_after(own: usize) {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    daemon.terminate().await;
    copy(&daemon.site.path("data"), &daemon.site.path("backup"));
    daemon.up().await;
    revoke_often(&daemon, 20).await;
    // Its first lease is for more than the copy will have.
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&daemon, &relay).await).await;
    daemon.kill().await;
    copy(&daemon.site.path("backup"), &daemon.site.path("data"));
    daemon.up().await;
    revoke_often(&daemon, own).await;
    relay.lead_to(daemon.addresses().grpc.port());
    let status = daemon.ended().await;
    assert!(!status.success(), "{status}");
    assert!(daemon.log().contains("it was put back to an earlier state"), "it says why");
    // And stays so.
    let (status, told) = Daemon::refused(LOCUMD, &daemon.site, &[]).await;
    assert!(!status.success() && told.contains("is quarantined: a verifier was told"), "{status}: {told}");
    let fresh = accepted(&mut daemon, &relay).await;
    eventually("the new epoch to be followed", || {
        ready_now(matches!(verifier.check(&*fresh), CheckAnswer::Active(_)).then_some(()))
    })
    .await;
}

async fn revoke_often(daemon: &Daemon, times: usize) {
    for _ in 0..times {
        let target = Target::Workload("reader".to_owned());
        daemon.operator("operator").revocation().revoke(revoke(target)).await.expect("revoked");
    }
}

/// Accepts the copy and serves it where the relay leads: a token that was issued then.
async fn accepted(daemon: &mut Daemon, relay: &Relay) -> String {
    let accepted = accept(&daemon.site);
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    daemon.up().await;
    relay.lead_to(daemon.addresses().grpc.port());
    let refunder = daemon.at("agents/refunder");
    let task = begin(daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    issue(daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token
}

/// The witness that outlives the disk: a verifier that followed what the copy forgot.
#[tokio::test]
async fn verifiers_that_followed_what_was_forgotten_go_on_after_the_acceptance() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    daemon.terminate().await;
    copy(&daemon.site.path("data"), &daemon.site.path("backup"));
    daemon.up().await;
    let relay = Relay::to(daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&daemon, &relay).await).await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let mut forgotten = String::new();
    for _ in 0..20 {
        forgotten =
            issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    }
    let is_active = |token: &str| matches!(verifier.check(token), CheckAnswer::Active(_));
    eventually("the token to be active", || ready_now(is_active(&forgotten).then_some(()))).await;
    daemon.kill().await;
    copy(&daemon.site.path("backup"), &daemon.site.path("data"));
    let fresh = accepted(&mut daemon, &relay).await;
    eventually("the new epoch to be followed", || {
        let followed = is_active(&fresh);
        assert!(!followed || !is_active(&forgotten), "what was forgotten is dead in the new epoch");
        ready_now(followed.then_some(()))
    })
    .await;
    assert!(matches!(verifier.check(&*forgotten), CheckAnswer::Inactive(_)));
}
