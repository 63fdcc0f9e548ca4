//! Who follows the feed, and a revocation that waits for them.

use locum_sdk::CheckAnswer;
use locum_tests::backend::{orders, ready};
use locum_tests::follower::Follower;
use locum_tests::{Relay, Site, eventually};
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

/// Where a verifier of mail may answer for a minute, so that no lease ends by itself here.
async fn patient() -> Desk {
    let site = Site::new();
    site.edit(
        "registry.toml",
        "audience = \"https://mail.acme.test\"",
        "audience = \"https://mail.acme.test\"\nstaleness_bound = \"60s\"",
    );
    Desk::on(site).await
}

/// The verifier runs here while the command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_everybody_has_it() {
    let desk = Desk::new().await;
    let relay = Relay::to(desk.daemon.addresses().grpc.port()).await;
    let verifier = ready(orders(&desk.daemon, &relay).await).await;
    let (_, tokens) = desk.busy(REFUNDER, 1);
    assert!(matches!(verifier.check(&*tokens[0]), CheckAnswer::Active(_)));
    let listed = desk.document("operators/viewer", &["verifier", "list"]);
    let [shown] = listed["verifiers"].as_array().expect("verifiers").as_slice() else {
        unreachable!("one follows: {listed}")
    };
    assert_eq!((&listed["more"], &shown["connected"]), (&Value::Bool(false), &Value::Bool(true)));
    for (member, is) in [("workload", "orders-api"), ("connector", "orders"), ("version", "orders-api/1")] {
        assert_eq!(shown[member], is, "{member}");
    }
    // Two seconds, and by how much the verifier's clock may be slower: a fiftieth and 100 ms.
    assert!(shown["lease_left_millis"].as_u64().is_some_and(|left| left <= 2_140), "{shown}");
    let instance = desk.says(OPERATOR, &["verifier", "list", "-o", "name"]);
    assert_eq!(shown["instance"], instance);
    assert_eq!(desk.document(OPERATOR, &["status"])["status"]["oldest_verifier"]["instance"], instance);
    let told = desk.says(OPERATOR, &["status"]);
    assert!(told.contains("orders-api of orders: "), "{told}");
    // As soon as it returns, the verifier refuses: nothing is left to be waited for.
    let wait = ["revoke", "workload=refunder", "--reason", "a drill", "--yes", "--wait", "20s"];
    let revoked = desk.run(OPERATOR, &wait);
    assert!(matches!(verifier.check(&*tokens[0]), CheckAnswer::Inactive(_)));
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    assert!(text(&revoked.stderr).contains("it is everywhere"), "{}", text(&revoked.stderr));
    let revocation = &desk.document(OPERATOR, &wait)["revocation"];
    assert_eq!(
        (&revocation["everywhere"], &revocation["missing"]),
        (&Value::Bool(true), &Value::Array(vec![]))
    );
}

#[tokio::test]
async fn who_is_missing_is_named() {
    let desk = patient().await;
    let nobody = desk.run(OPERATOR, &["verifier", "list"]);
    assert_eq!(text(&nobody.stderr), "there is nothing to show\n");
    assert_eq!(desk.document(OPERATOR, &["status"])["status"]["oldest_verifier"], Value::Null);
    // It hears everything and acknowledges nothing.
    let mut follower =
        Follower::new(&desk.daemon, &desk.daemon.at("services/mail-api"), "mail").await.expect("served");
    follower.beat().await;
    let instance: String = follower.instance.iter().map(|byte| format!("{byte:02x}")).collect();
    let revoke = ["revoke", "workload=reader", "--reason", "a drill", "--yes"];
    let unwaited = desk.run(OPERATOR, &revoke);
    assert!(unwaited.status.success(), "who does not ask to wait is done: {}", text(&unwaited.stderr));
    let waited = [&revoke[..], &["--wait", "100ms"]].concat();
    let table = desk.run(OPERATOR, &waited);
    let told = text(&table.stderr);
    assert_eq!(table.status.code(), Some(7), "{told}");
    assert!(text(&table.stdout).contains("in force since"), "it is done all the same");
    for named in ["mail-api", "mail", instance.as_str(), "it is in force, and 1 verifier may not have it yet"]
    {
        assert!(told.contains(named), "{named}: {told}");
    }
    let json = desk.run(OPERATOR, &[&waited[..], &["-o", "json"]].concat());
    let done: Value = serde_json::from_slice(&json.stdout).expect("a document");
    let missing = &done["revocation"]["missing"][0];
    assert_eq!(
        (&done["revocation"]["everywhere"], &missing["instance"]),
        (&Value::Bool(false), &instance.into())
    );
    let error: Value =
        serde_json::from_str(text(&json.stderr).lines().last().expect("an error")).expect("a document");
    assert_eq!((json.status.code(), &error["error"]["reason"]), (Some(7), &"PARTLY_DONE".into()));
    let oldest = &desk.document(OPERATOR, &["status"])["status"]["oldest_verifier"];
    assert!(oldest["behind"].as_u64().is_some_and(|behind| behind > 0), "{oldest}");
    assert!(oldest["lease_left_millis"].as_u64().is_some_and(|left| left > 2_000), "{oldest}");
    let told = desk.says(OPERATOR, &["status"]);
    assert!(told.contains("mail-api of mail: behind by "), "{told}");
    drop(follower);
    eventually("its leaving", || {
        let listed = desk.document(OPERATOR, &["verifier", "list"]);
        std::future::ready((listed["verifiers"][0]["connected"] == false).then_some(()))
    })
    .await;
    let told = desk.says(OPERATOR, &["verifier", "list"]);
    assert!(told.contains("gone") && told.contains("follower 1.0"), "{told}");
    // Another tenant's operator sees neither it nor its name.
    let globex = desk.document("operators/globex-operator", &["verifier", "list"]);
    assert_eq!(globex["verifiers"], Value::Array(vec![]));
    let status = desk.document("operators/globex-operator", &["status"]);
    assert_eq!(status["status"]["oldest_verifier"], Value::Null);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_refused_before_anything_is_done() {
    let desk = Desk::new().await;
    let (_, _tokens) = desk.busy(REFUNDER, 1);
    let wait = ["revoke", "workload=refunder", "--reason", "x", "--yes", "--wait", "21s"];
    let refused = desk.run(OPERATOR, &wait);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("20s"), "{}", text(&refused.stderr));
    let left = desk.document(OPERATOR, &["token", "list"]);
    assert_eq!(left["tokens"].as_array().map(Vec::len), Some(1));
}
