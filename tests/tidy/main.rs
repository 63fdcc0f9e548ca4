//! The house rules as tests: what may import what, what only one place may do, how files look.
//!
//! Each rule is a function from the [`workspace::Workspace`] to the list of its violations, with
//! file and line. Each is tried twice: on the tree as it is, where it must find nothing, and on a
//! planted snippet, where it must find exactly what was planted.
//!
//! The rules read text. They do not expand macros and do not follow types: what they cannot see,
//! the crate boundaries and clippy's lints have to hold.

mod evidence;
mod hygiene;
mod layout;
mod manifests;
mod reach;
mod rooms;
mod scan;
mod source;
mod workspace;

use workspace::{Violation, Workspace};

/// Fails with one line for each violation.
fn assert_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}", lines.len(), lines.join("\n"));
}

/// Runs a rule on planted files and compares `path:line` of what it finds.
fn assert_caught(rule: fn(&Workspace) -> Vec<Violation>, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = rule(&Workspace::of(files)).iter().map(Violation::place).collect();
    assert_eq!(found, expected, "planted: {files:?}");
}
