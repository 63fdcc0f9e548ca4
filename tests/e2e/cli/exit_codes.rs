//! Every exit code that is documented, seen from outside.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use locum_tests::Terminal;
use locum_tests::follower::Follower;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

const PAGE: &str = include_str!("../../../docs/reference/exit-codes.md");

/// The codes and their reasons as the page has them.
fn documented() -> Vec<(i32, String)> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|row| (row[1].parse().expect("a code"), row[2].trim_matches('`').to_owned())).collect()
}

#[tokio::test]
async fn each_documented_code_is_what_happens() {
    let desk = Desk::new().await;
    let (task, _) = desk.busy(REFUNDER, 1);
    let mut seen = BTreeSet::new();
    for (who, args, code, reason) in [
        (OPERATOR, &["status"][..], 0, ""),
        (OPERATOR, &["status", "--timeout", "5"], 2, "USAGE"),
        (OPERATOR, &["status", "--context", "nowhere"], 2, "USAGE"),
        (OPERATOR, &["revoke", "nonsense", "--reason", "x", "--yes"], 2, "USAGE"),
        (OPERATOR, &["revoke", &format!("task={task}"), "--reason", "x"], 2, "USAGE"),
        (OPERATOR, &["revoke", "workload=nobody", "--reason", "x", "--yes"], 3, "SELECTOR_UNKNOWN"),
        (OPERATOR, &["task", "show", "task-1-999999"], 3, "TASK_NOT_FOUND"),
        ("operators/viewer", &["revoke", "workload=refunder", "--reason", "x", "--yes"], 4, "ROLE_MISSING"),
        ("operators/acme-operator", &["token", "list", "policy-revision=1"], 4, "SELECTOR_FORBIDDEN"),
        (OPERATOR, &["status", "--addr", "https://127.0.0.1:1", "--timeout", "500ms"], 6, "UNAVAILABLE"),
    ] {
        let output = desk.run(who, &[args, &["-o", "json"]].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        if code != 0 {
            let error: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
            assert_eq!(error["error"]["reason"], reason, "{args:?}");
            assert!(output.stdout.is_empty(), "{args:?}");
        }
        seen.insert(code);
    }
    let nobody = desk
        .command(OPERATOR, &["status"])
        .env_remove("LOCUM_CERT_FILE")
        .env_remove("LOCUM_KEY_FILE")
        .output();
    seen.insert(nobody.expect("it runs").status.code().expect("a code"));
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it is always full");
    let full =
        desk.command(OPERATOR, &["status"]).stdout(full).stderr(Stdio::null()).status().expect("it runs");
    seen.insert(full.code().expect("a code"));
    for program in ["/nowhere/program", "/dev/null"] {
        let flags = ["exec", "--purpose", "refund-order", "--connector", "orders", "--scope", "orders:read"];
        let output = desk.run(REFUNDER, &[&flags[..], &["--", program]].concat());
        seen.insert(output.status.code().expect("a code"));
    }
    seen.insert(declined(&desk).await);
    seen.insert(interrupted(&desk));
    seen.insert(unread(&desk));
    seen.insert(unheard(&desk).await);
    let documented = documented();
    assert_eq!(seen, documented.iter().map(|(code, _)| *code).collect());
    let help = desk.says(OPERATOR, &["help", "exit-codes"]);
    for (code, reason) in documented {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{code}  {reason}"))),
            "{reason}: {help}"
        );
    }
}

/// Somebody says no.
async fn declined(desk: &Desk) -> i32 {
    let command = desk.command(OPERATOR, &["revoke", "workload=refunder", "--reason", "x"]);
    let mut terminal = Terminal::start(command, 80, 24);
    terminal.shows("[y/N]").await;
    terminal.type_in("n\n");
    terminal.ends().await.0.code().expect("a code")
}

/// Somebody on the feed does not say that it heard.
async fn unheard(desk: &Desk) -> i32 {
    let api = desk.daemon.at("services/mail-api");
    let mut follower = Follower::new(&desk.daemon, &api, "mail").await.expect("served");
    follower.beat().await;
    let wait = ["revoke", "workload=reader", "--reason", "x", "--yes", "--wait", "1ms"];
    desk.run(OPERATOR, &wait).status.code().expect("a code")
}

/// Somebody interrupts.
fn interrupted(desk: &Desk) -> i32 {
    let mut child = desk
        .command(OPERATOR, &["audit", "tail", "-f", "-n", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("an entry");
    kill_process(Pid::from_child(&child), Signal::INT).expect("signalled");
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), None, "it ends by itself");
    status.code().expect("a code")
}

/// The reader goes away.
fn unread(desk: &Desk) -> i32 {
    let mut child = desk
        .command(OPERATOR, &["audit", "tail", "-n", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "", "nothing is said");
    output.status.code().expect("a code")
}
