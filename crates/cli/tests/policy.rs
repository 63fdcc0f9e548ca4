//! `locum policy` on files, as an author runs it: no broker is there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies");
const REGISTRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies/tests/registry.toml");

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
    command.arg("policy").args(args).env_clear().output().expect("the binary runs")
}

fn shown(output: &Output) -> (i32, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it exits"), text(&output.stdout) + &text(&output.stderr))
}

fn check(args: &[&str], code: i32, parts: &[&str]) {
    let (found, text) = shown(&run(args));
    assert_eq!(found, code, "{args:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{args:?}: no {part:?} in\n{text}");
    }
}

/// A copy of the sample policies with one file changed.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(POLICIES).expect("the samples") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let text = fs::read_to_string(&path).expect("readable");
            let name = path.file_name().expect("a file");
            let text = if name == file {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            } else {
                text
            };
            fs::write(dir.path().join(name), text).expect("written");
        }
    }
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn the_sample_policies_are_valid_and_pass_their_cases() {
    check(&["check", POLICIES], 0, &["policies, all good"]);
    check(&["test", POLICIES], 0, &["ok    one order, for one refund", " passed, 0 failed"]);
    let (_, json) = shown(&run(&["test", POLICIES, "-o", "json"]));
    let report: Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(report["test"]["failed"], 0);
    assert!(report["test"]["passed"].as_u64().expect("a count") >= 30);
}

/// Every sample policy decides some case: without it, a case fails.
#[test]
fn every_sample_policy_is_needed_by_a_case() {
    let (_, json) = shown(&run(&["test", POLICIES, "-o", "json"]));
    let report: Value = serde_json::from_str(&json).expect("one document");
    let mut unused: Vec<String> = Vec::new();
    for entry in fs::read_dir(POLICIES).expect("the samples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let policies = fs::read_to_string(&path).expect("readable");
            let ids = policies.split("@id(\"").skip(1).filter_map(|rest| rest.split('"').next());
            unused.extend(ids.map(str::to_owned));
        }
    }
    let seen = report["test"].to_string();
    unused.retain(|id| !seen.contains(&format!("\"{id}\"")));
    // It cannot come to bear: a request for another tenant's connector is refused before policies are asked.
    assert_eq!(unused, ["tenants-stay-apart"]);
}

#[test]
fn a_case_that_fails_says_what_was_found_and_which_rule_is_nearest() {
    let dir = changed("refunds.cedar", "context.resources_exact", "context.depth == 7");
    let parts = [
        "FAIL  one order, for one refund",
        "refunds.test.toml:3",
        "`policies`: expected readers-read, refunder-reads-orders, refunder-refunds-orders, writers-write; found readers-read, refunder-reads-orders, writers-write",
        "2 passed, 1 failed",
    ];
    let case = dir.path().join("refunds.test.toml");
    check(&["test", text(&case), "--registry", REGISTRY], 4, &parts);
    let dir = changed("writers.cedar", "context.purpose != \"explore\"", "context.purpose == \"explore\"");
    let parts = [
        "FAIL  an agent writes to a medium tier",
        "expected a permit",
        "denied, POLICY_DENIED: `orders:refund` is not permitted for purpose `plan`",
        "permit `writers-write` would apply, had this been so:",
        ": context.purpose == \"explore\"   [context.purpose is \"plan\"]",
    ];
    check(&["test", text(dir.path()), "--registry", REGISTRY], 4, &parts);
}

#[test]
fn policies_and_files_that_are_wrong_are_told_with_their_place() {
    let dir = changed("hours.cedar", "resource.effect", "resource.effects");
    check(&["check", text(dir.path())], 4, &["hours.cedar:13:", "not valid"]);
    check(&["test", text(dir.path()), "--registry", REGISTRY], 4, &["hours.cedar:13:"]);
    let dir = changed("hours.test.toml", "purpose = \"report\"", "purpose = \"Report\"");
    check(&["test", text(dir.path()), "--registry", REGISTRY], 2, &["hours.test.toml:", "case[4].purpose"]);
    check(&["test", POLICIES, "--registry", "/nowhere.toml"], 2, &["/nowhere.toml"]);
    check(&["test", "/nowhere"], 2, &["/nowhere"]);
    let dir = changed("hours.test.toml", "workload = \"acme/reporter\"", "workload = \"acme/nobody\"");
    check(
        &["test", text(dir.path()), "--registry", REGISTRY],
        4,
        &["FAIL  reading has no hours", "the registry has no workload `acme/nobody`"],
    );
}

#[test]
fn a_case_is_explained_by_its_name() {
    let parts = [
        "issue_token by `acme/planner` for `rotate-keys`: vault:rotate",
        "decision: denied, POLICY_DENIED: `vault:rotate` is forbidden for purpose `rotate-keys` (by no-models-on-admin)",
        "forbid `no-models-on-admin` applies, since",
        "guardrails.cedar:12: principal has model",
        "resource.effect is Locum::Effect::\"admin\"",
    ];
    let name = "no model administers, whoever answers for it";
    check(&["explain", name, "--policies", POLICIES], 0, &parts);
    check(&["explain", "no such case", "--policies", POLICIES], 2, &["`--registry`"]);
}

#[test]
fn two_directories_are_compared_with_the_cases_that_flip() {
    let dir = changed("writers.cedar", "@ttl_max(\"2m\")", "@ttl_max(\"1m\")");
    fs::write(
        dir.path().join("more.cedar"),
        "@id(\"more\") forbid(principal, action, resource) when { context.delegated };",
    )
    .expect("written");
    fs::remove_file(dir.path().join("hours.cedar")).expect("removed");
    let new = text(dir.path());
    let parts = [
        "added more",
        "removed no-admin-out-of-hours",
        "changed writers-write",
        "  @ttl_max: \"2m\" → \"1m\"",
        "case and on a Saturday at noon",
        "  was: denied, POLICY_DENIED",
        "  now: permitted by platform-administers; at most 30 s; proof of possession; justification",
        "3 policies changed, ",
    ];
    check(&["diff", POLICIES, new, "--registry", REGISTRY], 0, &parts);
    check(
        &["diff", POLICIES, new, "--registry", REGISTRY, "--fail-on-flips"],
        4,
        &["cases come out otherwise"],
    );
    check(&["diff", POLICIES, POLICIES, "--fail-on-flips"], 0, &["0 policies changed, 0 cases"]);
}

const RECORD: &str = r#"{"schema_version":1,"entry":{"position":"1.1.5","time":"2026-01-05T12:00:00.000Z","event":"task-started","tenant":"acme","task":"task-1-1","jti":"","policies":["writers-write"],"reason":"","facts":{"purpose":"refund-order","asked":"orders:read orders:refund=order/7","workload":"refunder"}}}
{"schema_version":1,"entry":{"position":"1.1.6","time":"2026-01-05T12:00:01.000Z","event":"token-issued","tenant":"acme","task":"task-1-1","jti":"0f","policies":["writers-write"],"reason":"","facts":{"asked":"orders:refund=order/7","workload":"refunder"}}}
{"schema_version":1,"entry":{"position":"1.1.7","time":"2026-01-05T12:00:02.000Z","event":"token-issued","tenant":"acme","task":"task-1-9","jti":"1f","policies":["x"],"reason":"","facts":{"asked":"orders:read","workload":"refunder"}}}
{"schema_version":1,"entry":{"position":"1.1.8","time":"2026-01-05T12:00:03.000Z","event":"denials-summed","tenant":"acme","task":"task-1-1","jti":"","policies":[],"reason":"POLICY_DENIED","facts":{"count":"2","ask":"issue_token","purpose":"advertise","asked":"mail:send=mailbox/1","workload":"refunder","depth":"0","justified":"no","proved":"yes","delegated":"no"}}}
"#;

#[test]
fn the_record_is_replayed_under_proposed_policies() {
    let record = tempfile::NamedTempFile::new().expect("a file");
    fs::write(record.path(), RECORD).expect("written");
    let record = text(record.path());
    let args = ["simulate", POLICIES, "--registry", REGISTRY, "--record", record, "--fail-on-flips"];
    check(&args, 0, &["3 decisions replayed, 0 come out otherwise, 1 left out"]);

    let dir = changed("writers.cedar", "[\"notify-customer\", \"refund-order\"]", "[\"advertise\"]");
    let parts = [
        "1.1.8  issue_token by `acme/refunder` for `advertise`: mail:send=mailbox/1",
        "  was: denied, POLICY_DENIED",
        "  now: permitted by senders-send-once; at most 60 s; single use",
        "3 decisions replayed, 1 comes out otherwise, 1 left out",
    ];
    let args = ["simulate", text(dir.path()), "--registry", REGISTRY, "--record", record];
    check(&args, 0, &parts);
    check(&[&args[..], &["--fail-on-flips"]].concat(), 4, &parts);
    let diff = ["diff", POLICIES, text(dir.path()), "--registry", REGISTRY, "--record", record];
    check(
        &diff,
        0,
        &["changed writers-write", parts[3]]
            .map(|part| part.replace("writers-write", "senders-send-once"))
            .each_ref()
            .map(String::as_str),
    );

    let explain =
        |what| ["explain", what, "--policies", POLICIES, "--registry", REGISTRY, "--record", record];
    check(
        &explain("1.1.8"),
        0,
        &["recorded: denied, POLICY_DENIED", "permit `senders-send-once` would apply"],
    );
    check(&explain("0f"), 0, &["whether a key was proved is not in the record", "now: permitted by"]);
    check(&explain("task-1-1"), 0, &["start_task by `acme/refunder`"]);
    check(&explain("1.1.7"), 2, &["no decision that the record tells of whole"]);
}
