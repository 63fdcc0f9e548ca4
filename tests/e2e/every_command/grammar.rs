//! The commands of a program, read from its own help.

use std::process::{Command, Stdio};

use crate::cli::text;

/// A command that does something, and its help.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) words: Vec<String>,
    pub(crate) help: String,
}

/// Every command that does something.
pub(crate) fn leaves(program: &str) -> Vec<Leaf> {
    all(program).into_iter().filter(|leaf| does_something(&leaf.help)).collect()
}

/// The words of every command that only leads to others, the program's own name as none.
pub(crate) fn groups(program: &str) -> Vec<Vec<String>> {
    all(program).into_iter().filter(|leaf| !does_something(&leaf.help)).map(|leaf| leaf.words).collect()
}

fn all(program: &str) -> Vec<Leaf> {
    let mut found = Vec::new();
    let mut left = vec![Vec::new()];
    while let Some(words) = left.pop() {
        let help = help(program, &words);
        for name in names(&help) {
            left.push(words.iter().cloned().chain([name]).collect());
        }
        found.push(Leaf { words, help });
    }
    found
}

fn help(program: &str, words: &[String]) -> String {
    let output = Command::new(program)
        .args(words)
        .arg("--help")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The names below `Commands:`. The grammar's own `help`, which says nothing new, is none.
fn names(help: &str) -> Vec<String> {
    let below = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let rows = below.lines().take_while(|line| !line.is_empty());
    let names = rows.filter(|row| row.starts_with("  ") && !row.starts_with("   "));
    let row = |row: &str| {
        (row.split_whitespace().next().expect("a name").to_owned(), row.contains("Print this message"))
    };
    names.map(row).filter(|(_, is_builtin)| !is_builtin).map(|(name, _)| name).collect()
}

/// Whether some usage of it needs no further command.
fn does_something(help: &str) -> bool {
    let usage = help.split("Usage:").nth(1).unwrap_or_default();
    let mut forms = usage.lines().take_while(|line| !line.trim().is_empty());
    forms.any(|form| !form.contains("<COMMAND>"))
}

/// The lines without escapes.
pub(crate) fn plain(shown: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.split('\n').flat_map(|line| line.split('\r')).map(str::to_owned).collect()
}

/// The parameters of every escape that sets a colour or a weight.
pub(crate) fn styles(shown: &str) -> Vec<String> {
    let sequences = shown.split("\u{1b}[").skip(1);
    let ends = sequences
        .filter_map(|rest| rest.find(|c: char| c.is_ascii_alphabetic()).map(|end| rest.split_at(end)));
    ends.filter(|(_, end)| end.starts_with('m')).map(|(parameters, _)| parameters.to_owned()).collect()
}
