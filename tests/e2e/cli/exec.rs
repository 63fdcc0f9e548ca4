//! `locum exec` and the forms of a token: a program gets its token in a file, and nothing else.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

const EXEC: [&str; 7] =
    ["exec", "--purpose", "refund-order", "--connector", "orders", "--scope", "read=order/1"];

fn exec<'a>(flags: &[&'a str], program: &[&'a str]) -> Vec<&'a str> {
    [&EXEC[..], flags, &["--"], program].concat()
}

/// Starts it and gives the lines that it prints.
fn started(desk: &Desk, script: &str) -> (Child, impl Iterator<Item = String>) {
    let args = exec(&[], &["sh", "-c", script]);
    let mut command = desk.command(REFUNDER, &args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines.map(|line| line.expect("text")))
}

#[tokio::test]
async fn a_program_finds_its_token_and_the_task_ends_with_it() {
    let desk = Desk::new().await;
    let script = "echo $LOCUM_TASK; stat -c %a $LOCUM_TOKEN_FILE; echo $LOCUM_TOKEN_FILE; cat $LOCUM_TOKEN_FILE; \
                  echo; env | grep ^LOCUM_ | cut -d= -f1 | sort | tr '\\n' ' '; exit 7";
    let output = desk.run(REFUNDER, &exec(&[], &["sh", "-c", script]));
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "the program speaks for itself");
    let printed = text(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let [task, mode, file, token, variables] = lines[..] else { panic!("{printed}") };
    desk.daemon.secret(token);
    assert_eq!(mode, "600");
    assert_eq!(variables.trim(), "LOCUM_TASK LOCUM_TOKEN_DIR LOCUM_TOKEN_FILE", "not our identity");
    assert!(!std::path::Path::new(file).exists(), "the file goes with the program");
    assert_eq!(desk.says(OPERATOR, &["task", "show", task, "--field", "state"]), "ended");
    let checked = desk.site_file("spent", token);
    let checked =
        desk.run("services/orders-api", &["token", "introspect", "orders", "--token-file", &checked]);
    assert_eq!((text(&checked.stdout).trim(), checked.status.code()), ("inactive", Some(4)));
}

#[tokio::test]
async fn a_program_that_cannot_run_leaves_no_task() {
    let desk = Desk::new().await;
    for (program, code) in [("no-such-program", 127), ("/etc/passwd", 126)] {
        assert_eq!(desk.run(REFUNDER, &exec(&[], &[program])).status.code(), Some(code), "{program}");
    }
    let taken = desk.site_file("taken", "mine");
    let refused = desk.run(REFUNDER, &exec(&["--token-file", &taken], &["true"]));
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&taken).expect("there"), "mine", "never written over");
    let states = desk.says(REFUNDER, &["task", "list", "--own", "--state", "active", "--field", "state"]);
    assert_eq!(states, "", "all were ended");
    let refused =
        desk.run(REFUNDER, &["exec", "--purpose", "mischief", "--scope", "orders:read", "--", "true"]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
}

#[tokio::test]
async fn signals_reach_the_program_and_a_revoked_task_stops_it() {
    let desk = Desk::new().await;
    let script = "trap 'echo stopped; exit 3' TERM; echo $LOCUM_TASK; while :; do sleep 0.05; done";
    let (mut child, mut lines) = started(&desk, script);
    let task = lines.next().expect("its task");
    let pid = rustix::process::Pid::from_raw(child.id().try_into().expect("a pid")).expect("not 0");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    assert_eq!(lines.next().as_deref(), Some("stopped"));
    assert_eq!(child.wait().expect("over").code(), Some(3));
    assert_eq!(desk.says(OPERATOR, &["task", "show", &task, "--field", "state"]), "ended");

    let (mut child, mut lines) = started(&desk, script);
    let task = lines.next().expect("its task");
    desk.says(OPERATOR, &["revoke", &format!("task={task}"), "--reason", "runaway", "--yes"]);
    assert_eq!(lines.next().as_deref(), Some("stopped"), "nobody but the broker stopped it");
    assert_eq!(child.wait().expect("over").code(), Some(3));
}

#[tokio::test]
async fn a_token_comes_in_the_form_that_programs_take() {
    let desk = Desk::new().await;
    let (task, _) = desk.busy(REFUNDER, 0);
    let request = |more: &[&str]| {
        [&["token", "request", &task, "orders", "--scope", "orders:read"], more].concat().join(" ")
    };
    let says = |more: &[&str]| {
        let line = request(more);
        let said = desk.says(REFUNDER, &line.split(' ').collect::<Vec<_>>());
        said.split(['"', ' ', '=', '\n'])
            .filter(|word| word.starts_with("eyJ"))
            .for_each(|t| desk.daemon.secret(t));
        said
    };
    assert!(says(&["-o", "header"]).starts_with("Authorization: Bearer eyJ"));
    let variables = says(&["-o", "env-file"]);
    assert!(variables.starts_with("LOCUM_TOKEN=eyJ") && variables.contains("\nLOCUM_TOKEN_EXPIRE_TIME=20"));
    let process: Value = serde_json::from_str(&says(&["-o", "credential-process"])).expect("JSON");
    assert_eq!(process["Version"], 1);
    assert!(process["Token"].is_string() && process["Expiration"].as_str().expect("a time").ends_with('Z'));
    let exec: Value = serde_json::from_str(&says(&["-o", "exec-credential"])).expect("JSON");
    assert_eq!(exec["kind"], "ExecCredential");
    assert!(exec["status"]["token"].is_string() && exec["status"]["expirationTimestamp"].is_string());
    let file = desk.site_file("token", "older");
    assert_eq!(says(&["-o", "file", "--to", &file]), "");
    let token = std::fs::read_to_string(&file).expect("written");
    desk.daemon.secret(&token);
    assert!(token.starts_with("eyJ") && token.split('.').count() == 3);
    assert_eq!(desk.run(OPERATOR, &["status", "-o", "header"]).status.code(), Some(2), "tokens alone");
}
