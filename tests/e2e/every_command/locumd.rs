//! What each command of `locumd` answers to programs: fields, with `-o json`, also where people are told nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use locum_tests::{Daemon, Site};
use serde_json::Value;

use super::grammar;
use crate::LOCUMD;
use crate::cli::text;

/// What the answer stands under, and the fields of it that have to be there.
type Expected = (&'static str, &'static [&'static str]);

/// The arguments with which the command succeeds on this site, and what it then answers. Commands that ask a server
/// find one; the others find that it was stopped in order.
fn row(command: &str, site: &Site) -> (Vec<String>, bool, Expected) {
    let config = || vec!["--config".to_owned(), site.config().display().to_string()];
    let journal = || site.path("data/journal").display().to_string();
    let probed = |http: &str| [config(), vec!["--set".to_owned(), format!("server.http={http}")]].concat();
    match command {
        "serve" => (config(), false, ("listening", &["grpc", "http", "metrics"])),
        "check-config" => (config(), false, ("config", &["file", "workloads", "connectors", "policy_files"])),
        "config show" => (config(), false, ("settings", &[])),
        "probe" => (probed("HTTP"), true, ("probe", &["ready", "address"])),
        "demo" => (vec!["--once".to_owned()], false, ("", &[])),
        "accept-clock" => (config(), false, ("clock", &["now"])),
        "journal verify" => (
            vec![journal()],
            false,
            ("journal", &["events", "batches", "sealed", "torn_bytes", "head", "files"]),
        ),
        "journal accept-restore" => {
            let by = ["--by".to_owned(), "alice".to_owned()];
            let fields = &["epoch_before", "epoch", "tenants_revoked", "signing_keys_retired", "head"];
            ([vec![journal()], by.to_vec()].concat(), false, ("accepted", fields))
        }
        other => unreachable!("`locumd {other}` has no row here"),
    }
}

/// Its first document; whatever serves on is ended then.
fn answer(words: &[String], args: &[String]) -> Value {
    let mut command = Command::new(LOCUMD);
    command.args(words).args(args).args(["-o", "json"]).env_clear();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("read");
    if words == ["serve"] {
        child.kill().expect("killed");
    }
    let output = child.wait_with_output().expect("ended");
    let told = text(&output.stderr);
    assert!(words == ["serve"] || output.status.success(), "{words:?}: {told}");
    serde_json::from_str(&line).unwrap_or_else(|_| unreachable!("{words:?}: no document: {line}{told}"))
}

#[tokio::test]
async fn each_of_locumd_answers_programs_with_fields() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let http = daemon.addresses().http.to_string();
    let mut leaves: Vec<Vec<String>> = grammar::leaves(LOCUMD).into_iter().map(|leaf| leaf.words).collect();
    // Those that need a server first, the one that changes the journal last.
    leaves.sort_by_key(|words| {
        let (_, asks_server, _) = row(&words.join(" "), &daemon.site);
        (!asks_server, words.last().is_some_and(|word| word == "accept-restore"))
    });
    let mut is_up = true;
    for words in leaves {
        let what = words.join(" ");
        let (args, asks_server, (name, fields)) = row(&what, &daemon.site);
        if is_up && !asks_server {
            daemon.terminate().await;
            is_up = false;
        }
        let args: Vec<String> = args.iter().map(|arg| arg.replace("HTTP", &http)).collect();
        let document = answer(&words, &args);
        assert_eq!(document["schema_version"], 1, "{what}: {document}");
        let members = document.as_object().expect("an object").len();
        assert!(members > 1, "{what}: nothing is said: {document}");
        for field in fields {
            assert!(!document[name][field].is_null(), "{what}: no `{field}`: {document}");
        }
    }
}
