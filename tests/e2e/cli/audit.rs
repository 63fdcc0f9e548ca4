//! `locum audit` from outside: every criterion, every verb, in a pipe and on a terminal.

use std::collections::BTreeSet;

use locum_tests::{Terminal, eventually};
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

const CANARY: &str = "customer 4711 rang twice";
const ADMIN: &str = "operators/admin";

/// A task with a justification and a token, a neighbour of the reader's, a denial, a revocation with a reason and a
/// lock; all of it indexed.
struct Story {
    desk: Desk,
    task: String,
    jti: String,
    neighbour: String,
}

impl Story {
    async fn new() -> Self {
        let mut desk = Desk::new().await;
        desk.daemon.secret(CANARY);
        let start = ["task", "start", "refund-order", "--scope", "orders:read", "--justification", CANARY];
        let task = desk.says(REFUNDER, &start);
        let request = ["token", "request", &task, "orders", "--scope", "orders:read=order/1"];
        let token = desk.says(REFUNDER, &request);
        desk.daemon.secret(&token);
        let jti = desk.says(OPERATOR, &["token", "list", &format!("task={task}"), "--field", "jti"]);
        let (neighbour, _) = desk.busy("agents/reader", 1);
        let denied = desk.run(REFUNDER, &["task", "start", "mischief", "--scope", "orders:refund=order/7"]);
        assert_eq!(denied.status.code(), Some(4), "{}", text(&denied.stderr));
        desk.says(OPERATOR, &["revoke", &format!("token={jti}"), "--reason", "INC-412 bad prompt", "--yes"]);
        desk.says(ADMIN, &["lock", "model=support-llm", "--ttl", "1h", "--reason", "under review"]);
        // Denials are summed up for a while; an orderly end writes them down.
        desk.daemon.terminate().await;
        desk.daemon.up().await;
        let story = Self { desk, task, jti, neighbour };
        eventually("a current archive", || async {
            (story.desk.says(OPERATOR, &["audit", "status", "--field", "behind"]) == "0").then_some(())
        })
        .await;
        story
    }

    /// The events and tasks that a search finds, sums left out: they come when they come.
    fn found(&self, criteria: &[&str]) -> Vec<(String, String)> {
        let args = [&["audit", "search", "--oldest-first", "-o", "jsonl"], criteria].concat();
        let lines = self.desk.says(OPERATOR, &args);
        let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let of = |entry: &Value, name: &str| entry["entry"][name].as_str().expect(name).to_owned();
        let all = entries.map(|entry| (of(&entry, "event"), of(&entry, "task")));
        all.filter(|(event, _)| event != "checks-summed").collect()
    }

    fn events(&self, criteria: &[&str]) -> Vec<String> {
        self.found(criteria).into_iter().map(|(event, _)| event).collect()
    }
}

#[tokio::test]
async fn each_criterion_finds_what_it_says() {
    let story = Story::new().await;
    let Story { task, jti, neighbour, .. } = &story;
    let of_task = ["task-started", "token-issued", "revoked"];
    assert_eq!(story.events(&["--task", task]), of_task);
    assert_eq!(story.events(&["--token", jti]), of_task[1..]);
    assert_eq!(story.events(&["--denied"]), ["denials-summed"]);
    assert_eq!(story.events(&["--reason", "INTENT_NOT_ALLOWED", "--denied"]), ["denials-summed"]);
    assert_eq!(story.events(&["--text", "bad prompt"]), ["revoked"]);
    assert_eq!(story.events(&["--text", "prompt bad"]), [""; 0], "words stand one after the other");
    assert_eq!(story.events(&["--operator", "admin"]), ["locked"]);
    assert_eq!(story.events(&["--event", "locked", "--event", "revoked"]), ["revoked", "locked"]);
    assert_eq!(story.events(&["--tenant", "globex"]), [""; 0]);
    assert_eq!(story.events(&["--until", "1h"]), [""; 0], "nothing is so old");
    assert_eq!(story.events(&["--since", "2999-01-01T00:00:00Z"]), [""; 0]);
    let tasks = |criteria: &[&str]| -> BTreeSet<String> {
        let found = story.found(criteria).into_iter().map(|(_, task)| task);
        found.filter(|task| !task.is_empty()).collect()
    };
    let both = BTreeSet::from([task.clone(), neighbour.clone()]);
    for (criteria, expected) in [
        (&["--workload", "refunder"][..], &BTreeSet::from([task.clone()])),
        (&["--workload", "spiffe://acme.test/agents/reader"], &BTreeSet::from([neighbour.clone()])),
        (&["--owner", "research"], &BTreeSet::from([neighbour.clone()])),
        (&["--model", "support-llm"], &BTreeSet::from([task.clone()])),
        (
            &["--subject", "spiffe://acme.test/agents/refunder", "--tenant", "acme"],
            &BTreeSet::from([task.clone()]),
        ),
        (&["--subject", "spiffe://acme.test/agents/refunder", "--tenant", "globex"], &BTreeSet::new()),
        (&["--connector", "orders"], &both),
        (&["--connector", "orders", "--since", "1h", "--permitted"], &both),
        (&["--connector", "wiki"], &BTreeSet::new()),
    ] {
        assert_eq!(&tasks(criteria), expected, "{criteria:?}");
    }
    // The newest first, as many as wished for, and that there is more.
    let one = story.desk.run(OPERATOR, &["audit", "search", "--connector", "orders", "-n", "1"]);
    assert_eq!(text(&one.stdout).lines().count(), 1);
    assert!(text(&one.stderr).contains("there is more"), "{}", text(&one.stderr));
    for wrong in [
        &["--denied", "--permitted"][..],
        &["--since", "soon"],
        &["--task", "task-x"],
        &["--reason", "NO_SUCH"],
        &["-n", "0"],
        // Whoever has all tenants has to say of which.
        &["--subject", "alice"],
    ] {
        let refused = story.desk.run(OPERATOR, &[&["audit", "search"], wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {}", text(&refused.stderr));
    }
}

#[tokio::test]
async fn a_justification_is_shown_to_whoever_asks_for_it_and_to_nobody_else() {
    let story = Story::new().await;
    let shown = |args: &[&str]| story.desk.says(OPERATOR, &[args, &["--task", &story.task]].concat());
    for args in [&["audit", "search"][..], &["audit", "search", "-o", "json"], &["audit", "export"]] {
        assert!(!shown(args).contains(CANARY), "{args:?}");
    }
    for args in [
        &["audit", "search", "-o", "json"][..],
        &["audit", "export"],
        &["audit", "export", "--format", "ocsf"],
    ] {
        assert!(shown(&[args, &["--with-justifications"]].concat()).contains(CANARY), "{args:?}");
    }
    for args in [&["audit", "tail", "-n", "50", "-o", "json"][..], &["audit", "show", &story.task]] {
        assert!(!story.desk.says(OPERATOR, args).contains(CANARY), "{args:?}");
    }
}

#[tokio::test]
async fn an_export_is_whole_in_both_forms_and_goes_on() {
    let story = Story::new().await;
    let export = |args: &[&str]| story.desk.run(OPERATOR, &[&["audit", "export"], args].concat());
    let lines = |bytes: &[u8]| -> Vec<Value> {
        text(bytes).lines().map(|line| serde_json::from_str(line).expect("a document on each line")).collect()
    };
    let (plain, ocsf) = (export(&[]), export(&["--format", "ocsf"]));
    let (entries, events) = (lines(&plain.stdout), lines(&ocsf.stdout));
    assert!(entries.len() > 6 && entries.len() == events.len());
    for (entry, event) in entries.iter().zip(&events) {
        assert_eq!(entry["entry"]["position"], event["metadata"]["uid"]);
        assert_eq!(event["metadata"]["version"], "1.5.0");
    }
    let said = text(&plain.stderr);
    let end = said.trim_end().rsplit(' ').next().expect("a position").to_owned();
    assert!(said.contains(&format!("{} entries, up to position", entries.len())), "{said}");
    // Into a file, before somebody's eyes: how far it is, wiped at the end.
    let file = story.desk.site_file("export.jsonl", "");
    let program = story.desk.command(OPERATOR, &[]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "\"$0\" audit export > \"$1\""]).arg(program.get_program()).arg(&file).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (status, shown) = Terminal::start(shell, 80, 24).ends().await;
    assert!(status.success() && shown.contains("\u{1b}[2K1 entry\r\u{1b}[2K"), "{shown:?}");
    assert_eq!(std::fs::read(&file).expect("written"), plain.stdout);
    let again = export(&["--after", &end]);
    assert_eq!((text(&again.stdout).as_str(), again.status.code()), ("", Some(0)));
    story.desk.busy("agents/reader", 1);
    eventually("what came since", || async {
        let then = lines(&export(&["--after", &end]).stdout);
        (then.len() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_index_is_made_anew_before_ones_eyes_and_nothing_goes_without_a_plan() {
    let story = Story::new().await;
    let before = story.events(&[]);
    let desk = &story.desk;
    let reindexed = desk.run(ADMIN, &["audit", "reindex", "-o", "json"]);
    let document: Value = serde_json::from_slice(&reindexed.stdout).expect("one document");
    assert!(document["reindexed"]["total"].as_u64().is_some_and(|total| total > 6), "{document}");
    assert_eq!(text(&reindexed.stderr), "", "progress is for terminals");
    let (status, shown) = Terminal::start(desk.command(ADMIN, &["audit", "reindex"]), 80, 24).ends().await;
    assert!(status.success() && shown.contains("100 %") && shown.contains("events indexed"), "{shown:?}");
    assert_eq!(story.events(&[]), before);
    assert_eq!(desk.run("operators/viewer", &["audit", "reindex"]).status.code(), Some(4));

    let without = desk.run(OPERATOR, &["audit", "retention"]);
    assert_eq!(without.status.code(), Some(2), "there is no other mode than a dry run");
    let unset = desk.says(OPERATOR, &["audit", "retention", "--dry-run"]);
    assert_eq!(unset, "no retention is set: nothing goes");
    let plan = desk.document(OPERATOR, &["audit", "retention", "--dry-run", "--keep", "7d"]);
    let plan = &plan["retention"];
    assert_eq!(
        (&plan["retention_days"], &plan["entries"]),
        (&Value::from(7), &Value::from(0)),
        "all is young"
    );
    assert_eq!(
        desk.run(OPERATOR, &["audit", "retention", "--dry-run", "--keep", "1h"]).status.code(),
        Some(2)
    );
    assert_eq!(story.events(&[]), before, "a plan takes nothing away");
    let status = desk.document(OPERATOR, &["audit", "status"])["archive"].clone();
    assert_eq!((&status["texts"], &status["texts_lost"]), (&Value::from(1), &Value::from(0)), "{status}");
}
