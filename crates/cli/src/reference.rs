//! The reference pages, made from the grammar itself, and what has to hold for every command of it.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::args::Cli;
use crate::{exit, help};

mod examples;
mod page;
mod shown;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/");
const AGAIN: &str = "run `cargo test -p locum-cli -- --ignored write_the_reference_pages`";

/// Every command with its words, parents before children.
fn commands() -> Vec<(String, Command)> {
    page::commands(Cli::command(), "locum")
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
    page::arguments(&mut page, &globals);
    for (words, command) in commands() {
        page::section(&mut page, &words, &command);
    }
    page
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
