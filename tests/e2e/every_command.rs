//! Every command of `locum` and of `locumd`, as the programs themselves name them, against a running server.
//!
//! Nothing here lists the commands: the programs' own help is walked, so a new command is held to all of this on
//! the day that it is made. What cannot be guessed, arguments with which a command succeeds, stands in [`rows`];
//! a command without a row there is a failure.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use locum_tests::follower::Follower;
use locum_tests::wait::within;
use locum_tests::{Site, Terminal, eventually};
use serde_json::Value;

use crate::cli::{Desk, OPERATOR, REFUNDER, text};
use crate::{LOCUM, LOCUMD};

mod grammar;
mod locumd;
mod rows;

use grammar::Leaf;
use rows::{Data, Row};

const COLUMNS: u16 = 80;
const ERRORS: &str = include_str!("../../docs/reference/errors.md");
const EXIT_CODES: &str = include_str!("../../docs/reference/exit-codes.md");

/// The exit codes and the reasons that the reference pages know.
fn documented() -> (BTreeSet<i32>, BTreeSet<String>) {
    let rows = |page: &'static str| {
        let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
        rows.map(|row| {
            row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        })
    };
    let codes = rows(EXIT_CODES).map(|row| row[1].parse().expect("a code")).collect();
    let reasons = rows(EXIT_CODES).map(|row| row[2].clone()).chain(rows(ERRORS).map(|row| row[1].clone()));
    (codes, reasons.collect())
}

/// A failure as programs read it: a documented code, one document on standard error, nothing else anywhere.
fn judge_failure(what: &str, output: &Output) {
    let (codes, reasons) = documented();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code().unwrap_or_else(|| unreachable!("{what}: {:?}", output.status));
    assert!(code != 0 && codes.contains(&code), "{what} ends with {code}: {err}");
    assert_eq!(out, "", "{what}: failed, and there is data");
    let document: Value =
        serde_json::from_str(&err).unwrap_or_else(|_| unreachable!("{what}: no document: {err}"));
    assert_eq!(document["schema_version"], 1, "{what}: {document}");
    let error = document["error"].as_object().unwrap_or_else(|| unreachable!("{what}: {document}"));
    let fields: BTreeSet<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["help", "message", "reason", "request_id", "retryable"]), "{what}");
    assert!(error["reason"].as_str().is_some_and(|reason| reasons.contains(reason)), "{what}: {document}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {document}");
    assert!(error["retryable"].is_boolean(), "{what}: {document}");
    assert!(error["help"].is_null() || error["help"].is_string(), "{what}: {document}");
    let (message, help) = (error["message"].as_str(), error["help"].as_str());
    assert!(
        !help.is_some_and(|help| message.is_some_and(|m| m.contains(help))),
        "{what}: said twice: {document}"
    );
    judge_plain(what, output);
}

/// Nothing in a pipe steers a terminal.
fn judge_plain(what: &str, output: &Output) {
    for stream in [&output.stdout, &output.stderr] {
        assert!(!stream.contains(&0x1b), "{what}: an escape in a pipe: {}", text(stream));
    }
}

/// Runs it. Whatever it asks, it comes to an end.
async fn run(what: &str, command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    within(what, command.output()).await.expect("it runs")
}

/// The lines that are wider than the terminal.
fn too_wide(what: &str, shown: &str) -> Vec<String> {
    let lines = grammar::plain(shown).into_iter().filter(|line| line.chars().count() > usize::from(COLUMNS));
    lines.map(|line| format!("{what}: {line}")).collect()
}

fn bare(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).env_clear().env("TERM", "xterm").stdin(Stdio::null());
    command
}

async fn on_a_terminal(command: Command) -> (Option<i32>, String) {
    let (status, shown) = Terminal::start(command, COLUMNS, 50).ends().await;
    (status.code(), shown)
}

#[tokio::test]
async fn the_help_of_each_has_examples_and_fits_a_terminal() {
    let mut wide = Vec::new();
    for (program, name) in [(LOCUM, "locum"), (LOCUMD, "locumd")] {
        let leaves = grammar::leaves(program);
        assert!(leaves.len() > 7, "{name}: {leaves:?}");
        for Leaf { words, help } in &leaves {
            let what = format!("{name} {} --help", words.join(" "));
            let (_, examples) =
                help.rsplit_once("Example").unwrap_or_else(|| unreachable!("{what}: no example:\n{help}"));
            let itself = format!("{name} {}", words.join(" "));
            assert!(examples.contains(&itself), "{what}: no example of itself:\n{help}");
            assert!(!help.contains('\u{1b}'), "{what}");
        }
        let groups = grammar::groups(program);
        for words in leaves.iter().map(|leaf| &leaf.words).chain(&groups) {
            let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
            for flag in ["--help", "-h"] {
                words.push(flag);
                let (code, shown) = on_a_terminal(bare(program, &words)).await;
                assert_eq!(code, Some(0), "{words:?}: {shown}");
                wide.extend(too_wide(&format!("{name} {}", words.join(" ")), &shown));
                words.pop();
            }
        }
    }
    for topic in ["selectors", "output", "exit-codes", "environment"] {
        let (_, shown) = on_a_terminal(bare(LOCUM, &["help", topic])).await;
        wide.extend(too_wide(&format!("locum help {topic}"), &shown));
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

#[tokio::test]
async fn locumd_says_no_in_its_documented_codes_and_keeps_its_voice_down() {
    for Leaf { words, help } in grammar::leaves(LOCUMD) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let codes: BTreeSet<i32> = help
            .split("Exit codes:")
            .nth(1)
            .unwrap_or_else(|| unreachable!("{words:?}: no exit codes"))
            .lines()
            .filter_map(|line| line.trim().split("  ").next()?.parse().ok())
            .collect();
        let what = format!("locumd {}", words.join(" "));
        for (more, expected) in [(&["--nonsense"][..], 2), (&["--config", "/nowhere.toml"], 1)] {
            // What works on a journal takes its folder instead.
            let more =
                if help.contains("--config") || expected == 2 { more } else { &["/nowhere", "--by", "x"] };
            let more = if help.contains("--by") || help.contains("--config") { more } else { &more[..1] };
            if expected == 1 && !help.contains("--config") && !help.contains("<DIR>") {
                continue;
            }
            let output = bare(LOCUMD, &[&words[..], more].concat()).output().expect("it runs");
            assert_eq!(output.status.code(), Some(expected), "{what} {more:?}: {}", text(&output.stderr));
            assert!(codes.contains(&expected), "{what}: {codes:?}");
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{what}");
            judge_plain(&what, &output);
            let asked = [&words[..], &["-o", "json"], more].concat();
            let output = bare(LOCUMD, &asked).output().expect("it runs");
            assert_eq!(output.status.code(), Some(expected), "{asked:?}: {}", text(&output.stderr));
            let told: Value = serde_json::from_slice(&output.stderr)
                .unwrap_or_else(|_| unreachable!("{asked:?}: no document: {}", text(&output.stderr)));
            let error = &told["error"];
            assert_eq!((&told["schema_version"], output.stdout.len()), (&Value::from(1), 0), "{asked:?}");
            assert_eq!(error["reason"] == "USAGE", expected == 2, "{asked:?}: {told}");
            assert!(error["problems"].as_array().is_some_and(|each| !each.is_empty()), "{asked:?}: {told}");
        }
    }
}

#[tokio::test]
async fn what_is_called_otherwise_elsewhere_is_said_where_it_is_here_and_never_done() {
    let servers = grammar::leaves(LOCUMD).into_iter().map(|leaf| leaf.words[0].clone());
    let servers: BTreeSet<String> = servers.filter(|word| word != "config").collect();
    assert!(servers.len() > 4, "{servers:?}");
    let mut said: Vec<(String, String)> =
        servers.into_iter().map(|word| (word.clone(), format!("try 'locumd {word}'"))).collect();
    for (line, tip) in [
        ("list", "try 'locum token list'"),
        ("get", "try 'locum task list'"),
        ("delete workload=refunder --reason x --yes", "try 'locum revoke'"),
        ("lock remove workload=refunder", "try 'locum unlock'"),
        ("task ls", "try 'locum task list'"),
        ("revok workload=refunder --reason x --yes", "'revoke'"),
        ("help tokn", "'token'"),
        ("help task ls", "try 'locum task list'"),
    ] {
        said.push((line.to_owned(), tip.to_owned()));
    }
    for (line, tip) in said {
        let words: Vec<&str> = line.split(' ').collect();
        let what = format!("locum {line}");
        let output = bare(LOCUM, &[&["-o", "json"], &words[..]].concat()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{what}");
        judge_failure(&what, &output);
        let told: Value = serde_json::from_slice(&output.stderr).expect("a document");
        let help = told["error"]["help"].as_str().unwrap_or_default();
        assert!(help.contains(&tip), "{what}: {told}");
        let (code, shown) = on_a_terminal(bare(LOCUM, &words)).await;
        let shown = grammar::plain(&shown).join("\n");
        assert_eq!(code, Some(2), "{what}: {shown}");
        assert!(shown.contains("error: ") && shown.contains(&tip), "{what}: {shown}");
        assert_eq!(too_wide(&what, &shown), Vec::<String>::new());
    }
}

/// Everything that a row may need, at hand.
pub(crate) struct World {
    pub(crate) desk: Desk,
    tokens: Vec<String>,
    _follower: Follower,
}

impl World {
    async fn new() -> Self {
        let mut desk = Desk::on(Site::new()).await;
        let (_, tokens) = desk.busy(REFUNDER, 3);
        desk.busy("agents/reader", 1);
        desk.site_file("token", &tokens[0]);
        let addr = format!("https://localhost:{}", desk.daemon.addresses().grpc.port());
        let ca = desk.daemon.site.path("ca.pem").display().to_string();
        for name in ["lab", "prod"] {
            desk.says(OPERATOR, &["context", "add", name, "--addr", &addr, "--ca-file", &ca]);
        }
        desk.says(OPERATOR, &["lock", "workload=platform", "--ttl", "1h", "--reason", "a drill"]);
        // Denials are summed up for a while; an orderly end writes them down.
        let denied = desk.run(REFUNDER, &["task", "start", "mischief", "--scope", "orders:refund=order/7"]);
        assert_eq!(denied.status.code(), Some(4), "{}", text(&denied.stderr));
        desk.daemon.terminate().await;
        desk.daemon.up().await;
        eventually("a current archive", || async {
            (desk.says(OPERATOR, &["audit", "status", "--field", "behind"]) == "0").then_some(())
        })
        .await;
        let api = desk.daemon.at("services/mail-api");
        let follower = Follower::new(&desk.daemon, &api, "mail").await.expect("served");
        Self { desk, tokens, _follower: follower }
    }

    fn command(&self, row: &Row, more: &[&str]) -> Command {
        let args = (row.good)(self);
        // What stands after `--` is somebody else's.
        let (own, program) = args.split_at(args.iter().position(|arg| arg == "--").unwrap_or(args.len()));
        let own = row.command.split(' ').chain(own.iter().map(String::as_str)).chain(more.iter().copied());
        let all: Vec<&str> = own.chain(program.iter().map(String::as_str)).collect();
        self.desk.command(row.who, &all)
    }

    /// Nothing that a command says holds a token or a secret, unless that is what it is for.
    fn judge_secrets(&self, what: &str, row: &Row, output: &Output) {
        self.judge_said(what, row, &(text(&output.stdout) + &text(&output.stderr)));
    }

    fn judge_said(&self, what: &str, row: &Row, said: &str) {
        assert!(row.data == Data::Token || !said.contains("eyJ"), "{what}: something signed: {said}");
        assert!(!self.tokens.iter().any(|token| said.contains(token.as_str())), "{what}: a token: {said}");
        assert!(!said.contains("PRIVATE KEY"), "{what}: {said}");
    }
}

/// Every leaf with its row. Neither may be without the other.
fn paired() -> Vec<Row> {
    let leaves: BTreeSet<String> = grammar::leaves(LOCUM).iter().map(|leaf| leaf.words.join(" ")).collect();
    let rows = rows::rows();
    let named: BTreeSet<String> = rows.iter().map(|row| row.command.to_owned()).collect();
    assert_eq!(leaves, named, "every command has a row in every_command/rows.rs, and every row a command");
    rows
}

/// What goes wrong for anybody, whatever the command: its name, what is said besides, and the exit code of a
/// command that asks the broker.
const MISFORTUNES: [(&str, &[&str], i32); 4] = [
    ("a flag that is not there", &["--nonsense"], 2),
    ("no broker", &["--addr", "https://127.0.0.1:1", "--timeout", "500ms"], 6),
    ("a context that is not there", &["--context", "nowhere"], 2),
    (NOBODY, &[], 5),
];
const NOBODY: &str = "no identity";

/// Holder secrets are kept for each broker apart. The one that is not there gets those of the one that is, so
/// that it is asked for.
fn share_secrets_with_nobody(desk: &Desk) {
    let tasks = desk.daemon.site.path("home/.local/state/locum/tasks");
    std::fs::create_dir_all(&tasks).expect("made");
    let theirs = format!("localhost_{}", desk.daemon.addresses().grpc.port());
    symlink(theirs, tasks.join("127.0.0.1_1")).expect("linked");
}

#[tokio::test]
async fn each_fails_as_programs_can_read_it() {
    let world = World::new().await;
    share_secrets_with_nobody(&world.desk);
    for row in paired() {
        for (name, more, code) in MISFORTUNES {
            if row.command == "context add" && more.contains(&"--addr") {
                continue; // That is what it keeps.
            }
            let mut command = world.command(&row, &[more, &["-o", "json"]].concat());
            if name == NOBODY {
                command.env_remove("LOCUM_CERT_FILE").env_remove("LOCUM_KEY_FILE");
            }
            let what = format!("locum {} with {name}", row.command);
            let output = run(&what, command).await;
            world.judge_secrets(&what, &row, &output);
            let is_hit = row.asks_broker || code == 2 && !more[0].starts_with("--context");
            assert_eq!(output.status.code(), Some(if is_hit { code } else { 0 }), "{what}: {output:?}");
            if is_hit {
                judge_failure(&what, &output);
            }
        }
        let mut command = world.command(&row, &["-o", "json"]);
        let full = OpenOptions::new().write(true).open("/dev/full").expect("it is always full");
        let output = command.stdout(full).stderr(Stdio::piped()).output().expect("it runs");
        let what = format!("locum {} onto a full disk", row.command);
        assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
        if row.data != Data::Program {
            judge_failure(&what, &output);
        }
    }
}

#[tokio::test]
async fn each_answers_in_every_form_that_it_offers() {
    let world = World::new().await;
    for row in paired() {
        for form in ["table", "wide", "json", "jsonl", "name"] {
            let what = format!("locum {} -o {form}", row.command);
            let output = run(&what, world.command(&row, &["-o", form])).await;
            judge_plain(&what, &output);
            world.judge_secrets(&what, &row, &output);
            let is_offered = form != "name" || row.has_name;
            assert_eq!(output.status.code(), Some(if is_offered { 0 } else { 2 }), "{what}: {output:?}");
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(out.is_empty(), !is_offered, "{what}: {out}");
            if matches!(row.data, Data::Script | Data::Program) {
                continue;
            }
            match form {
                "json" | "jsonl" => judge_documents(&what, row.data, form, &out, &err),
                "name" => {
                    assert!(out.lines().all(|name| !name.is_empty() && !name.contains(' ')), "{what}: {out}")
                }
                _ => {}
            }
        }
    }
}

/// Documents on lines, one alone where there is no listing, and no notes beside them.
fn judge_documents(what: &str, data: Data, form: &str, out: &str, err: &str) {
    assert_eq!(err, "", "{what}: notes are for people");
    let mut count = 0;
    for line in out.lines() {
        let document: Value = serde_json::from_str(line).unwrap_or_else(|_| unreachable!("{what}: {line}"));
        assert_eq!(document["schema_version"], 1, "{what}: {line}");
        count += 1;
    }
    let is_one = form == "json" && !matches!(data, Data::Lines | Data::View);
    assert!(!is_one || count == 1, "{what}: {out}");
}

#[tokio::test]
async fn each_fits_a_terminal_and_is_coloured_only_where_that_is_welcome() {
    let world = World::new().await;
    let mut wide = Vec::new();
    for row in paired() {
        let what = format!("locum {}", row.command);
        for (name, value) in [("TERM", "xterm"), ("NO_COLOR", "1"), ("TERM", "dumb")] {
            let mut command = world.command(&row, &[]);
            command.env(name, value);
            let (code, shown) = on_a_terminal(command).await;
            let what = format!("{what} with {name}={value}");
            assert_eq!(code, Some(0), "{what}: {shown}");
            world.judge_said(&what, &row, &shown);
            let is_coloured = grammar::styles(&shown).iter().any(|style| !style.is_empty());
            match value {
                "xterm" => {
                    assert!(row.data != Data::Table || is_coloured, "{what}: {shown}");
                    wide.extend(too_wide(&what, &shown).into_iter().filter(|_| row.data.is_for_people()));
                }
                "dumb" => assert!(!shown.contains('\u{1b}'), "{what}: {shown:?}"),
                _ => assert!(!is_coloured, "{what}: {shown:?}"),
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}
