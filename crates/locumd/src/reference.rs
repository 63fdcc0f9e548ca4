//! The reference page of `locumd`, made from the grammar itself, and what has to hold for every command of it.

use clap::{Command, CommandFactory as _, Parser as _};

use crate::args::Arguments;

#[path = "../../cli/src/reference/page.rs"]
mod page;
#[path = "../../cli/src/reference/shown.rs"]
mod shown;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/locumd.md");
const AGAIN: &str = "run `cargo test -p locumd -- --ignored write_the_reference_page`";

fn commands() -> Vec<(String, Command)> {
    page::commands(Arguments::command(), "locumd")
}

fn text() -> String {
    let mut text = String::from(
        "# `locumd`: every command\n\nMade from the server's own grammar; the same is told by `--help`.\n\
         What the settings file holds stands in [configuration](configuration.md).\n",
    );
    for (words, command) in commands() {
        page::section(&mut text, &words, &command);
    }
    text
}

#[test]
fn the_page_says_what_the_grammar_says() {
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == text(), "docs/reference/locumd.md is out of date: {AGAIN}");
}

#[test]
#[ignore = "rewrites docs/reference/locumd.md"]
fn write_the_reference_page() {
    std::fs::write(PAGE, text()).expect("docs/reference can be written");
}

#[test]
fn every_command_has_examples_and_each_of_them_is_a_command() {
    Arguments::command().debug_assert();
    for (words, command) in commands().iter().filter(|(_, command)| !command.has_subcommands()) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split_once("Examples:").map(|(_, examples)| examples).unwrap_or_default();
        let lines = shown::lines_of("locumd", examples);
        assert!(
            lines.iter().any(|line| line.starts_with(words)),
            "`{words}` has no example of itself: {help}"
        );
        for line in lines {
            let parsed = Arguments::try_parse_from(shown::words(&line).expect("an example is complete"));
            assert!(parsed.is_ok(), "`{line}`: {parsed:?}");
        }
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "`{words}`: `{}` says nothing", arg.get_id());
        }
    }
}

#[test]
fn every_command_that_a_page_names_is_there() {
    let mut root = Arguments::command();
    root.build();
    let mut seen = 0;
    for (page, text) in shown::pages() {
        for line in shown::shown_on("locumd", &text) {
            seen += 1;
            if let Err(why) = shown::known(&root, &line) {
                panic!("{page}: `{line}`: {why}");
            }
        }
    }
    assert!(seen > 20, "{seen} commands on pages");
}
