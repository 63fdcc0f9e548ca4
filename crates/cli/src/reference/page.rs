//! A page of the reference from a grammar: for each command what it does, its arguments, its examples.
//!
//! Used for `locum` and for `locumd`.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// Every command of a grammar with its words, parents before children.
pub(crate) fn commands(mut root: Command, name: &str) -> Vec<(String, Command)> {
    root.build();
    let mut found = Vec::new();
    walk(&root, name, &mut found);
    found
}

fn walk(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    found.push((words.to_owned(), command.clone()));
    for child in command.get_subcommands().filter(|child| !is_builtin(child)) {
        walk(child, &format!("{words} {}", child.get_name()), found);
    }
}

/// The command that a grammar has by itself, and that says what `--help` says.
fn is_builtin(command: &Command) -> bool {
    command.get_name() == "help"
        && command.get_about().is_some_and(|about| about.to_string().starts_with("Print this"))
}

/// Adds what there is to say of one command.
pub(crate) fn section(page: &mut String, words: &str, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _fits = write!(page, "\n## {words}\n\n{}\n", cell(&about));
    let own = |arg: &&Arg| !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let own: Vec<&Arg> = command.get_arguments().filter(own).collect();
    if !own.is_empty() {
        page.push('\n');
        arguments(page, &own);
    }
    if let Some(examples) = command.get_after_help() {
        let _fits = write!(page, "\n```text\n{examples}\n```\n");
    }
}

/// Adds a table of arguments.
pub(crate) fn arguments(page: &mut String, arguments: &[&Arg]) {
    page.push_str("| argument | default | meaning |\n|---|---|---|\n");
    for arg in arguments {
        let values: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let takes_value = arg.get_action().takes_values() && !arg.is_hide_default_value_set();
        let default =
            if takes_value && !values.is_empty() { format!("`{}`", values.join(" ")) } else { String::new() };
        let possible: Vec<String> =
            arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if !possible.is_empty() && arg.get_action().takes_values() {
            let _fits = write!(meaning, " One of {}.", possible.join(", "));
        }
        let _fits = writeln!(page, "| `{}` | {default} | {} |", cell(&signature(arg)), cell(&meaning));
    }
}

/// `-n, --limit <COUNT>`, `<TASK>`.
fn signature(arg: &Arg) -> String {
    let names: Vec<String> =
        [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|l| format!("--{l}"))]
            .into_iter()
            .flatten()
            .collect();
    let values = arg.get_value_names().unwrap_or_default();
    let values = values.iter().map(|value| format!("<{value}>")).collect::<Vec<_>>().join(" ");
    match (names.is_empty(), arg.get_action().takes_values()) {
        (true, _) => values,
        (false, true) => format!("{} {values}", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

/// A text within a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
