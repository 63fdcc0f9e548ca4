//! In a pipe: data alone on standard output, one language of selectors, nothing secret, nothing hostile.

use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

#[tokio::test]
async fn what_is_listed_is_what_is_revoked() {
    let desk = Desk::new().await;
    let (task, tokens) = desk.busy(REFUNDER, 2);
    desk.busy("agents/reader", 1);
    let selector = "workload=refunder";
    let listed = desk.document(OPERATOR, &["token", "list", selector]);
    let jtis: Vec<&str> =
        listed["tokens"].as_array().expect("tokens").iter().filter_map(|t| t["jti"].as_str()).collect();
    assert_eq!((listed["schema_version"].as_u64(), jtis.len()), (Some(1), 2));
    assert_eq!(desk.says(OPERATOR, &["token", "list", selector, "-o", "name"]), jtis.join("\n"));
    assert_eq!(
        desk.says(OPERATOR, &["token", "list", "--workload", "refunder", "--field", "task"]),
        [task.as_str(); 2].join("\n")
    );
    let lines = desk.says(OPERATOR, &["token", "list", selector, "-o", "jsonl"]);
    for (line, jti) in lines.lines().zip(&jtis) {
        let one: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&one["token"]["jti"], &one["schema_version"]), (&Value::from(*jti), &Value::from(1)));
    }
    assert_eq!(desk.says(OPERATOR, &["task", "list", selector, "-o", "name"]), task);
    assert_eq!(
        desk.says(OPERATOR, &["task", "list", "workload=spiffe://acme.test/agents/*", "-o", "name"])
            .lines()
            .count(),
        2
    );
    assert_eq!(desk.says(REFUNDER, &["task", "list", "--own", "--field", "state"]), "active");
    for format in ["table", "wide", "json", "jsonl", "name"] {
        for command in [&["token", "list"][..], &["task", "list"], &["task", "show", &task]] {
            let shown = desk.says(OPERATOR, &[command, &["-o", format]].concat());
            assert!(!shown.contains(&tokens[0]) && !shown.contains("eyJ"), "{command:?} {format}: {shown}");
        }
    }
    let first = desk.document(OPERATOR, &["token", "list", "-n", "1"]);
    assert_eq!((first["tokens"].as_array().map(Vec::len), &first["more"]), (Some(1), &Value::Bool(true)));
    let dry = desk.document(OPERATOR, &["revoke", selector, "--reason", "a drill", "--dry-run"]);
    assert_eq!((&dry["preview"]["tokens"], &dry["preview"]["tasks"]), (&Value::from(2), &Value::from(1)));
    assert_eq!(dry["preview"]["by_workload"][0]["name"], "refunder");
    let revoked = desk.run(OPERATOR, &["revoke", selector, "--reason", "a drill", "--yes"]);
    let (out, err) = (text(&revoked.stdout), text(&revoked.stderr));
    assert!(
        out.starts_with("revoked workload=refunder: 2 live tokens and 1 live task, in force since "),
        "{out}"
    );
    assert!(
        err.contains("covers workload refunder of acme") && err.contains("locum lock workload=refunder"),
        "{err}"
    );
    assert_eq!(desk.document(OPERATOR, &["token", "list", selector])["tokens"], Value::Array(vec![]));
    assert_eq!(desk.says(OPERATOR, &["task", "show", &task, "--field", "state"]), "revoked");
    let none = desk.run(OPERATOR, &["token", "list", selector]);
    assert_eq!(
        (text(&none.stdout).as_str(), text(&none.stderr).as_str()),
        ("", "there is nothing to show\n")
    );
}

#[tokio::test]
async fn locks_take_the_same_words_and_say_what_they_came_to() {
    let desk = Desk::new().await;
    let agents = "workload=spiffe://acme.test/agents/*";
    let lock = |more: &[&str]| {
        desk.run(OPERATOR, &[&["lock", agents, "--ttl", "1h", "--reason", "a drill"], more].concat())
    };
    let dry = lock(&["--dry-run"]);
    assert!(text(&dry.stdout).contains("covers workload reader of acme"), "{}", text(&dry.stdout));
    assert_eq!(desk.document(OPERATOR, &["lock", "list"])["locks"], Value::Array(vec![]));
    let made = lock(&[]);
    let told = text(&made.stderr);
    assert!(
        told.contains("covers workload reader of acme") && told.contains("covers workload refunder"),
        "{told}"
    );
    // The hint can be pasted: the pattern is quoted.
    assert!(told.contains(&format!("locum revoke '{agents}'")), "{told}");
    for (selector, count) in [("workload=reader", 1), ("workload=orders-api", 0)] {
        let found = desk.document(OPERATOR, &["lock", "list", selector]);
        assert_eq!(found["locks"].as_array().map(Vec::len), Some(count), "{selector}");
    }
    assert_eq!(desk.says(OPERATOR, &["lock", "list", "-o", "name"]), agents);
    let other = desk.run(OPERATOR, &["unlock", "workload=reader", "--reason", "over"]);
    assert_eq!(other.status.code(), Some(3), "{}", text(&other.stderr));
    assert!(text(&other.stderr).contains(&format!("locum unlock '{agents}'")), "{}", text(&other.stderr));
    let dry = desk.says(OPERATOR, &["unlock", agents, "--reason", "over", "--dry-run", "-o", "name"]);
    assert_eq!(dry, agents);
    desk.says(OPERATOR, &["unlock", agents, "--reason", "over"]);
    assert_eq!(desk.document(OPERATOR, &["lock", "list"])["locks"], Value::Array(vec![]));
}

#[tokio::test]
async fn only_what_was_issued_before_dies() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 1);
    let count = |when: &str| {
        let args = ["revoke", "workload=refunder", "--issued-before", when, "--reason", "x", "--dry-run"];
        desk.document(OPERATOR, &args)["preview"]["tokens"].as_u64()
    };
    assert_eq!((count("1h"), count("2020-01-01T00:00:00Z")), (Some(0), Some(0)));
    let future = [
        "revoke",
        "workload=refunder",
        "--issued-before",
        "2999-01-01T00:00:00Z",
        "--reason",
        "x",
        "--dry-run",
    ];
    let refused = desk.run(OPERATOR, &future);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("future"),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn what_others_wrote_steers_nothing() {
    let desk = Desk::new().await;
    let reason = "x\u{202e}gnihtemos\u{200b}\u{9b}2J\u{1b}]0;pwned\u{7}";
    let lock =
        |reason: &str| desk.run(OPERATOR, &["lock", "workload=reader", "--ttl", "1h", "--reason", reason]);
    if !lock(reason).status.success() {
        // Controls do not get past the broker; directions and invisibles do.
        assert!(lock("x\u{202e}gnihtemos\u{200b}").status.success());
    }
    for command in
        [&["lock", "list"][..], &["lock", "list", "--field", "reason"], &["audit", "tail", "-n", "50"]]
    {
        for format in [&[][..], &["-o", "wide"], &["-o", "json"], &["-o", "jsonl"]] {
            if command.contains(&"--field") && !format.is_empty() {
                continue;
            }
            let output = desk.run("operators/admin", &[command, format].concat());
            let shown = text(&output.stdout) + &text(&output.stderr);
            assert!(shown.contains("gnihtemos"), "{command:?} {format:?}: {shown}");
            for steering in ['\u{202e}', '\u{200b}', '\u{9b}', '\u{1b}', '\u{7}'] {
                assert!(!shown.contains(steering), "{command:?} {format:?}: {shown:?}");
            }
        }
    }
}

#[tokio::test]
async fn status_top_and_whoami_tell_how_things_stand() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 3);
    let status = &desk.document(OPERATOR, &["status"])["status"];
    assert_eq!((&status["ready"], &status["tokens"]), (&Value::Bool(true), &Value::from(3)));
    assert_eq!(status["rows_by_workload"][0]["name"], "refunder");
    assert_eq!(status["activity"]["tokens_issued"], 3);
    assert!(status["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["state"] == "active")));
    let told = desk.says(OPERATOR, &["status"]);
    assert!(told.contains("token rows") && told.contains("key") && told.contains("reaper lag"), "{told}");
    let lines = desk.says(OPERATOR, &["top", "--every", "20ms", "--count", "3"]);
    assert!(lines.starts_with("TIME") && lines.lines().count() == 4 && !lines.contains('\u{1b}'), "{lines}");
    let looks = desk.says(OPERATOR, &["top", "--every", "20ms", "-n", "2", "-o", "json"]);
    assert!(looks.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|look| look["status"]["ready"] == true)));
    assert_eq!(desk.says(REFUNDER, &["whoami", "--field", "name"]), "refunder");
    assert_eq!(desk.says(OPERATOR, &["whoami", "--field", "role"]), "operator");
    let stranger = desk.run("agents/unknown", &["whoami"]);
    assert!(
        text(&stranger.stdout).contains("spiffe://acme.test/agents/unknown"),
        "{}",
        text(&stranger.stdout)
    );
    assert!(text(&stranger.stderr).contains("register"), "{}", text(&stranger.stderr));
}

#[tokio::test]
async fn a_context_stands_for_the_flags() {
    let desk = Desk::new().await;
    let site = &desk.daemon.site;
    let addr = format!("https://localhost:{}", desk.daemon.addresses().grpc.port());
    desk.run(OPERATOR, &["status"]);
    let file = |name: &str| site.path(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("operators-operator.pem"), file("operators-operator.key"));
    let flags = ["--addr", &addr, "--ca-file", &ca, "--cert-file", &cert, "--key-file", &key];
    let bare = |args: &[&str]| {
        let mut command = desk.command(OPERATOR, args);
        command.env_clear().env("HOME", site.path("home")).output().expect("it runs")
    };
    assert_eq!(bare(&["status"]).status.code(), Some(2));
    assert!(bare(&[&["context", "add", "drill"][..], &flags].concat()).status.success());
    let status = bare(&["status", "--field", "ready"]);
    assert_eq!(text(&status.stdout), "true\n", "{}", text(&status.stderr));
}
