//! The reference pages, made from the grammar itself, and what has to hold for every command of it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;
use crate::{exit, help};

mod examples;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/");
const AGAIN: &str = "run `cargo test -p locum-cli -- --ignored write_the_reference_pages`";

/// Every command with its words, parents before children.
fn commands() -> Vec<(String, Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    walk(&root, "locum", &mut found);
    found
}

fn walk(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    found.push((words.to_owned(), command.clone()));
    for child in command.get_subcommands().filter(|child| child.get_name() != "help" || words == "locum") {
        walk(child, &format!("{words} {}", child.get_name()), found);
    }
}

fn pages() -> [(&'static str, String); 2] {
    [("cli.md", cli_page()), ("exit-codes.md", exit::page())]
}

fn cli_page() -> String {
    let mut page = String::from(
        "# `locum`: every command\n\nMade from the command line's own grammar; the same is told by `locum help` and `--help`.\n\
         What a code of exit means stands in [exit codes](exit-codes.md).\n",
    );
    for (topic, text) in help::topics().iter().filter(|(topic, _)| *topic != "exit-codes") {
        let _fits = write!(page, "\n## {topic}\n\n```text\n{text}\n```\n");
    }
    let root = Cli::command();
    let globals: Vec<&Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).collect();
    page.push_str("\n## Flags of every command\n\n");
    arguments(&mut page, &globals);
    for (words, command) in commands() {
        section(&mut page, &words, &command);
    }
    page
}

fn section(page: &mut String, words: &str, command: &Command) {
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

fn arguments(page: &mut String, arguments: &[&Arg]) {
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

#[test]
fn the_pages_say_what_the_grammar_says() {
    for (name, page) in pages() {
        let written = std::fs::read_to_string(format!("{FOLDER}{name}")).unwrap_or_default();
        assert!(written == page, "docs/reference/{name} is out of date: {AGAIN}");
    }
}

#[test]
#[ignore = "rewrites docs/reference/cli.md and exit-codes.md"]
fn write_the_reference_pages() {
    for (name, page) in pages() {
        std::fs::write(format!("{FOLDER}{name}"), page).expect("docs/reference can be written");
    }
}

#[test]
fn every_command_has_an_example_of_itself() {
    for (words, command) in
        commands().iter().filter(|(_, command)| !command.has_subcommands() || command.get_name() == "lock")
    {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains("Example:") || help.contains("Examples:"), "`{words}` has no example:\n{help}");
        assert!(help.contains(&format!("  {words}")), "the example of `{words}` is not one of it:\n{help}");
        assert!(command.get_about().is_some(), "`{words}` does not say what it does");
    }
}

#[test]
fn every_argument_says_what_it_means_and_none_takes_a_secret() {
    for (words, command) in commands() {
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "`{words}`: `{}` says nothing", arg.get_id());
            let secret = ["secret", "password", "assertion", "bearer", "private"];
            let name = arg.get_long().unwrap_or_default();
            // `--token` names a token by its id; what is secret is read from a file or standard input.
            let is_file = name.ends_with("-file");
            assert!(is_file || !secret.iter().any(|word| name.contains(word)), "`{words} --{name}`");
        }
    }
}

#[test]
fn the_grammar_is_sound_and_every_exit_code_is_in_the_help() {
    Cli::command().debug_assert();
    let help = Cli::command().render_long_help().to_string();
    for exit in exit::ALL {
        assert!(help.contains(&format!("{} ", exit.code)), "{exit:?}");
    }
}
