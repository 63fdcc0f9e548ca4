//! Metrics and logs: numbers that add up, and never a secret.

use std::collections::{BTreeMap, BTreeSet};

use locum_api::admin::v1::RevokeRequest;
use locum_api::admin::v1::selector::Target;
use locum_model::feed::Body;
use locum_tests::follower::Follower;
use locum_tests::work::{begin, grant, introspect, issue, revoke, seconds};
use locum_tests::{Daemon, Party, Site, eventually, plain_http};

use crate::LOCUMD;

/// The value of the one sample whose line begins with `name`, and whose labels have all of `labels`.
fn sample(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let mut found = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let line = found.next()?;
    line.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn what_was_done_is_counted() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, orders) = (daemon.at("agents/refunder"), daemon.at("services/orders-api"));
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let mut token = String::new();
    for _ in 0..3 {
        token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    }
    for _ in 0..5 {
        introspect(&orders, "orders", &token).await.expect("an answer");
    }
    introspect(&orders, "orders", "nonsense").await.expect("an answer");
    refunder.tokens().issue_token(task.ask("orders:refund", &[])).await.expect_err("beyond the intent");
    eventually("the live counts", || async {
        let text = plain_http::metrics(&daemon).await.body;
        (sample(&text, "locum_tokens_live", &[]) == Some(3.0)).then_some(())
    })
    .await;
    let answer = plain_http::metrics(&daemon).await;
    assert_eq!(answer.status, 200);
    let text = answer.body;
    let handled = |method: &str, code: &str| {
        sample(
            &text,
            "grpc_server_handled_total",
            &[&format!("grpc_method=\"{method}\""), &format!("grpc_code=\"{code}\"")],
        )
    };
    assert_eq!(handled("IssueToken", "OK"), Some(3.0), "{text}");
    assert_eq!(handled("IntrospectToken", "OK"), Some(6.0), "{text}");
    assert_eq!(handled("IssueToken", "PERMISSION_DENIED"), Some(1.0), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= 0.0), "{line}");
    }
    assert!(!text.contains(&token) && !text.contains("refunder"), "no secret, and no name from outside");
}

/// Whose caller gives up, or gives less time than it takes, is counted as who is answered is.
#[tokio::test]
async fn a_request_without_an_answer_is_counted() {
    let site = Site::new();
    // No lease ends by itself here.
    let audience = "audience = \"https://mail.acme.test\"";
    site.edit("registry.toml", audience, &format!("{audience}\nstaleness_bound = \"60s\""));
    let daemon = Daemon::start(LOCUMD, site).await;
    let count = async |codes: &[&str]| {
        let text = plain_http::metrics(&daemon).await.body;
        let of = |code: &&str| {
            let labels = ["grpc_method=\"Revoke\"", &format!("grpc_code=\"{code}\"")];
            sample(&text, "grpc_server_handled_total", &labels).unwrap_or_default()
        };
        codes.iter().map(of).sum::<f64>()
    };
    // A verifier that never says what it has applied: a revocation waits for it.
    let mut silent = Follower::new(&daemon, &daemon.at("services/mail-api"), "mail").await.expect("served");
    silent.beat().await;
    let operator = daemon.operator("operator");
    let waits = |party: &Party| {
        let mut revocation = party.revocation();
        let target = Target::Workload("reader".to_owned());
        let request = RevokeRequest { wait: seconds(20), ..revoke(target) };
        tokio::spawn(async move { revocation.revoke(request).await.map(drop) })
    };
    let gives_up = waits(&operator);
    // It has come when its revocation has.
    while !matches!(silent.next().await.body, Body::Delta { .. }) {}
    gives_up.abort();
    eventually("the count of who gave up", || async { (count(&["CANCELLED"]).await == 1.0).then_some(()) })
        .await;
    let hurried = waits(&operator.header("grpc-timeout", "500m")).await.expect("it ends");
    hurried.expect_err("too late");
    // The caller looks at its own watch as well: which of the two is first is chance.
    eventually("the count of who was too late", || async {
        (count(&["CANCELLED", "DEADLINE_EXCEEDED"]).await == 2.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_served_is_what_the_reference_lists() {
    let page = include_str!("../../docs/reference/metrics.md");
    let listed: BTreeMap<&str, bool> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.contains("| `")))
        .collect();
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let text = plain_http::metrics(&daemon).await.body;
    let declared = |line: &str| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned);
    let served: BTreeSet<String> = text.lines().filter_map(declared).collect();
    for name in &served {
        assert!(listed.contains_key(name.as_str()), "`{name}` is not in docs/reference/metrics.md");
    }
    // What has labels begins when there is something to count.
    for (name, _) in listed.iter().filter(|(_, has_labels)| !**has_labels) {
        assert!(served.contains(*name), "`{name}` is listed and not served:\n{text}");
    }
    assert!(served.len() >= 20, "{}", served.len());
}

#[tokio::test]
async fn nothing_secret_is_ever_said() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let refunder = daemon.at("agents/refunder");
    let task = begin(&daemon, &refunder, vec![grant("orders:read", &[])]).await.expect("allowed");
    let token = issue(&daemon, &refunder, task.ask("orders:read", &["order/1"])).await.expect("issued").token;
    // Into every field that takes text, and into a header.
    let mut odd = task.ask("orders:read", &["order/1"]);
    odd.task_id.clone_from(&token);
    refunder.tokens().issue_token(odd).await.expect_err("not a task");
    refunder
        .clone()
        .bearer(&token)
        .tokens()
        .issue_token(task.ask("orders:read", &[]))
        .await
        .expect_err("no assertion");
    introspect(&refunder, &token, &token).await.expect_err("not a connector");
    for key in std::fs::read_dir(daemon.site.path("data/keys")).expect("a folder") {
        let bytes = std::fs::read(key.expect("an entry").path()).expect("readable");
        // The private part stands in the middle of a PKCS#8 document.
        daemon.secret(&bytes[bytes.len() / 3..bytes.len() / 3 + 24]);
        daemon.secret(bytes);
    }
    assert!(!daemon.log().is_empty());
    // The log is searched when the daemon goes.
}

#[tokio::test]
#[should_panic(expected = "a secret stands in the log")]
async fn the_search_finds_what_stands_there() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    daemon.secret("listening");
}
