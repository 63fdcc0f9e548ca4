//! `locumd demo` as people and scripts run it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A folder for the temporary files of one run, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("made");
        Self(path)
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).expect("listed").next().is_none()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("removed");
    }
}

fn demo(scratch: &Scratch, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_locumd"));
    command.arg("demo").args(args).env("TMPDIR", &scratch.0);
    command.output().expect("it ran")
}

#[test]
fn once_as_json_is_one_object_with_every_step_ok() {
    let scratch = Scratch::new("json");
    let output = demo(&scratch, &["--once", "-o", "json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{told}{errors}");
    let document: Value = serde_json::from_str(&told).expect("exactly one value");
    let steps = document["steps"].as_array().expect("an array");
    for step in steps {
        assert_eq!(step["outcome"], "ok", "{step}");
        assert!(step["micros"].is_u64(), "{step}");
        assert_eq!(step.as_object().map(serde_json::Map::len), Some(3), "{step}");
    }
    let mut names = steps.iter().filter_map(|step| step["name"].as_str());
    for promised in [
        "start_task",
        "issue_token",
        "call_accepted",
        "end_task",
        "call_refused",
        "revoke",
        "revoked_call_refused",
    ] {
        assert!(names.any(|name| name == promised), "`{promised}` is missing or out of order: {told}");
    }
    assert_eq!(errors, "", "nothing to warn about");
    assert!(scratch.is_empty(), "nothing is left behind");
}

#[test]
fn once_as_text_tells_a_line_a_step_and_no_token() {
    let scratch = Scratch::new("text");
    let output = demo(&scratch, &["--once"]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.matches("→ 200").count(), 2, "{told}");
    assert_eq!(told.matches("→ 401 invalid_token").count(), 2, "{told}");
    let wide: Vec<&str> = told.lines().filter(|line| line.trim_end().chars().count() > 80).collect();
    assert!(wide.is_empty(), "on 80 columns: {wide:#?}");
    assert!(!told.contains("FAILED") && !told.contains("eyJ") && !told.contains("export"), "{told}");
    assert!(scratch.is_empty(), "nothing is left behind");
}
