//! The built binary: usage, formats, exit codes, offline decoding.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Runs `locum` in an environment of its own, with `input` on standard input.
fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_locum"))
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // A command that does not read its input may be gone already.
    let _written = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn error_document(output: &Output) -> Value {
    serde_json::from_slice(&output.stderr).expect("one JSON document on standard error")
}

fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn usage_errors_are_2_and_leave_standard_output_alone() {
    for args in [
        &["nonsense"][..],
        &["task", "start", "refund-order"],
        &["task", "show"],
        &["revoke", "--reason", "x"],
        &["revoke", "--task", "task-1-1"],
        &["revoke", "--task", "task-1-1", "--tenant", "acme", "--reason", "x", "--yes"],
        &["revoke", "--task", "task-1-1", "--reason", "x", "--yes", "--dry-run"],
        &["revoke", "--task", "one", "--reason", "x", "--yes"],
        &["revoke", "--tenant", "acme", "--reason", "x"],
        &["lock"],
        &["lock", "--tenant", "acme", "--reason", "x"],
        &["lock", "--ttl", "2h", "--reason", "x"],
        &["lock", "list", "--tenant", "acme"],
        &["lock", "--tenant", "acme", "--reason", "x", "--ttl", "-1s"],
        &["unlock", "--tenant", "acme"],
        &["status"],
        &["status", "--addr", "http://b:1", "--ca-file", "/nowhere"],
        &["status", "--addr", "https://b:1"],
        &["status", "--addr", "https://b:1", "--ca-file", "/nowhere"],
        &["status", "-o", "yaml"],
        &["status", "--timeout", "5"],
        &["audit", "tail", "-n", "1001"],
        &["policy", "check"],
        &["policy", "check", "/nowhere.cedar"],
        &["token", "request", "task-1-1", "orders", "--scope", "orders:read", "--holder-file", "/nowhere"],
        &["task", "end", "task-1-1"],
        &["task", "end", "task-1-1", "--reason", "x", "--holder-file", "/f"],
        &["token", "decode"],
    ] {
        let output = run(args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_good_command_line_gets_as_far_as_the_broker() {
    for args in [
        &["status"][..],
        &["lock", "list"],
        &["lock", "--tenant", "acme", "--reason", "x", "--ttl", "2h"],
        &["unlock", "--signing-key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "--reason", "x"],
        &["revoke", "--workload", "spiffe://td/a/**", "--reason", "x", "--dry-run"],
        &["revoke", "--policy-revision", "7", "--reason", "x", "--yes"],
        &["task", "start", "refund-order", "--scope", "orders:refund=order/1881,order/9", "--lease", "5m"],
        &["task", "list", "--state", "active", "--own"],
        &["task", "show", "task-1-1"],
        &["task", "end", "task-1-1", "--reason", "x"],
        &["key", "rotate", "--algorithm", "EdDSA"],
        &["audit", "tail", "-f", "-n", "0"],
        &["audit", "show", "task-1-1"],
    ] {
        let output = run(args, "");
        let told = text(&output.stderr);
        assert_eq!(
            (output.status.code(), told.contains("name `--addr`")),
            (Some(2), true),
            "{args:?}: {told}"
        );
    }
}

#[test]
fn with_json_errors_are_json_too() {
    for (args, reason) in [
        (&["status", "-o", "json"][..], "USAGE"),
        (&["-o", "json", "nonsense"], "USAGE"),
        (&["revoke", "--output=json"], "USAGE"),
        (&["revoke", "-ojson", "--tenant", "acme", "--reason", "x"], "USAGE"),
    ] {
        let output = run(args, "");
        let document = error_document(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["error"]["reason"], reason);
        assert!(document["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{document}");
        assert!(document["error"].as_object().is_some_and(|e| e.contains_key("request_id")));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_broker_that_is_not_there_is_6() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&ca, made.cert.pem()).expect("written");
    let ca = ca.to_str().expect("UTF-8");
    let output = run(
        &["status", "--addr", "https://127.0.0.1:1", "--ca-file", ca, "--timeout", "300ms", "-o", "json"],
        "",
    );
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
    assert_eq!(error_document(&output)["error"]["reason"], "UNAVAILABLE");
}

#[test]
fn a_revocation_that_nobody_confirms_is_refused_before_anything_is_asked() {
    let output = run(&["revoke", "--tenant", "acme", "--reason", "x"], "12\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--yes"), "{}", text(&output.stderr));
}

#[test]
fn decode_shows_and_says_that_it_proves_nothing() {
    let good = token(r#"{"alg":"ES256","typ":"at+jwt"}"#, r#"{"sub":"alice","exp":1}"#);
    let output = run(&["token", "decode"], &format!("{good}\n"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("NOT VERIFIED"));
    let shown = text(&output.stdout);
    assert!(shown.contains("alice") && shown.contains("UNVERIFIED"), "{shown}");

    let output = run(&["-o", "json", "token", "decode"], &good);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["token"]["verified"], false);
    assert_eq!(document["token"]["claims"]["sub"], "alice");
    assert_eq!(text(&output.stderr), "", "the document says it to machines");
}

#[test]
fn a_hostile_token_cannot_steer_the_terminal() {
    let hostile =
        token(r#"{"kid":"\u001b[2J\u0007"}"#, "{\"sub\":\"a\u{202e}b\u{200b}\",\"x\\u0000\":\"\\n\"}");
    for format in ["table", "json"] {
        let output = run(&["token", "decode", "-o", format], &hostile);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0));
        for steering in ['\u{1b}', '\u{7}', '\u{202e}', '\u{200b}', '\0'] {
            assert!(!shown.contains(steering), "{format}: {shown:?}");
        }
    }
}

#[test]
fn what_is_no_token_is_refused_and_not_repeated() {
    let long = "x".repeat(8 * 1024 + 1);
    for bad in ["hush", "hush.hush", "a.b.c.d", "...", long.as_str()] {
        let output = run(&["token", "decode"], bad);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("hush"), "{}", text(&output.stderr));
    }
}

#[test]
fn help_is_for_commands_and_topics() {
    let top = run(&["help"], "");
    assert_eq!((top.status.code(), text(&top.stdout)), (Some(0), text(&run(&["--help"], "").stdout)));
    for (words, seen) in [
        (&["help", "exit-codes"][..], "BROKEN_PIPE"),
        (&["help", "selectors"], "workload=spiffe://"),
        (&["help", "output"], "jsonl"),
        (&["help", "environment"], "LOCUM_CONTEXT"),
        (&["help", "task", "list"], "locum task list workload=refunder"),
    ] {
        let output = run(words, "");
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(text(&output.stdout).contains(seen), "{words:?}: {}", text(&output.stdout));
    }
    assert_eq!(run(&["help", "nonsense"], "").status.code(), Some(2));
}

#[test]
fn shells_take_their_completions() {
    for (shell, seen) in [("bash", "complete -F"), ("zsh", "#compdef locum"), ("fish", "complete -c locum")] {
        let output = run(&["completions", shell], "");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = text(&output.stdout);
        assert!(script.contains(seen) && script.contains("revoke"), "{shell}: {script}");
    }
    assert_eq!(run(&["completions", "tcsh"], "").status.code(), Some(2));
    // The one shell that is everywhere believes it, and completes with it.
    let ask =
        "COMP_WORDS=(locum lo); COMP_CWORD=1; _locum locum lo locum; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let script = format!("{}\n{ask}", text(&run(&["completions", "bash"], "").stdout));
    let bash = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert!(bash.status.success(), "{}", text(&bash.stderr));
    assert!(text(&bash.stdout).lines().any(|word| word == "lock"), "{}", text(&bash.stdout));
}

/// Runs `locum` in the folder, which is its home too.
fn at_home(home: &std::path::Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locum"));
    command.args(args).env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
    command.envs(variables.iter().copied()).output().expect("it runs")
}

#[test]
fn contexts_are_kept_used_and_forgotten() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a folder");
    let locum = |args: &[&str]| at_home(home.path(), &[], args);
    let add =
        |name: &str, addr: &str| locum(&["context", "add", name, "--addr", addr, "--ca-file", "ca.pem"]);
    assert_eq!(locum(&["context", "show"]).status.code(), Some(2), "none is in use");
    assert!(text(&locum(&["context", "list"]).stdout).is_empty());
    assert_eq!(add("prod", "https://prod:7443").status.code(), Some(0));
    assert_eq!(add("lab", "https://lab:7443").status.code(), Some(0));
    assert_eq!(add("lab", "https://lab:7443").status.code(), Some(2), "never replaced unasked");
    assert_eq!(add("lax", "http://lax:7443").status.code(), Some(2), "never without TLS");
    assert_eq!(add("No Name", "https://b:1").status.code(), Some(2));
    let file = home.path().join(".config/locum/contexts.toml");
    assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let list = text(&locum(&["context", "list", "-o", "name"]).stdout);
    assert_eq!(list, "lab\nprod\n");
    let field = |name: &str, field: &str| text(&locum(&["context", "show", name, "--field", field]).stdout);
    assert_eq!((field("lab", "current"), field("prod", "current")), ("true\n".into(), "false\n".into()));
    let ca = format!("{}\n", home.path().join("ca.pem").display());
    assert_eq!(field("prod", "ca_file"), ca, "whole, wherever it is used from");
    assert_eq!(locum(&["context", "use", "prod"]).status.code(), Some(0));
    assert_eq!(text(&locum(&["context", "show", "--field", "addr"]).stdout), "https://prod:7443\n");
    // A command takes the context in use, the one that is named, or the environment's.
    let named = |args: &[&str], variables: &[(&str, &str)]| {
        text(&at_home(home.path(), variables, &[&["status"], args].concat()).stderr)
    };
    assert!(named(&[], &[]).contains("ca.pem"), "{}", named(&[], &[]));
    assert!(named(&["--context", "nowhere"], &[]).contains("there is no context `nowhere`"));
    assert!(named(&[], &[("LOCUM_CONTEXT", "nowhere")]).contains("there is no context `nowhere`"));
    assert!(named(&[], &[("LOCUM_ADDR", "https://b:1")]).contains("--ca-file"), "no mixture");
    assert_eq!(locum(&["context", "remove", "prod"]).status.code(), Some(0));
    assert_eq!(locum(&["context", "use", "prod"]).status.code(), Some(2));
    assert_eq!(locum(&["context", "show"]).status.code(), Some(2), "the one in use is gone");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("set");
    assert_eq!(locum(&["context", "list"]).status.code(), Some(2), "others can write it");
}

#[test]
fn no_flag_takes_a_secret() {
    for command in
        ["task start", "task hold", "task end", "token request", "token introspect", "token decode"]
    {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let shown = text(&run(&args, "").stdout);
        for flag in ["--secret", "--holder-secret", "--token ", "--assertion ", "--password"] {
            assert!(!shown.contains(flag), "{command} {flag}");
        }
    }
}

#[test]
fn a_token_in_place_of_a_connector_is_told_where_it_belongs_and_not_shown() {
    let token = token("{}", r#"{"sub":"alice"}"#);
    let output = run(&["token", "introspect", &token], "");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("that is a token") && said.contains("--token-file"), "{said}");
    assert!(!said.contains(&token), "{said}");
}

#[test]
fn a_reader_that_goes_away_hears_nothing_more() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_locum"))
        .args(["token", "decode"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(token("{}", r#"{"sub":"alice"}"#).as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141), "as a shell reports SIGPIPE");
    assert_eq!(text(&output.stderr).lines().filter(|line| !line.starts_with("NOT VERIFIED")).count(), 0);
}
