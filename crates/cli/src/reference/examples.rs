//! What is shown of `locum` has to be a command of it: in the examples of the help, and on every page.

use clap::{CommandFactory as _, Parser as _};

use super::commands;
use super::shown::{known, lines_of, pages, shown_on, words};
use crate::args::Cli;
use crate::help;

#[test]
fn every_example_of_the_help_is_a_command() {
    let mut seen = 0;
    let of_commands =
        commands().into_iter().filter_map(|(_, command)| command.get_after_help().map(ToString::to_string));
    let of_topics = help::topics().into_iter().map(|(_, text)| text.to_string());
    for text in of_commands.chain(of_topics) {
        let examples = text.split_once("Example").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        for line in lines_of("locum", &examples) {
            let words = words(&line).expect("an example is complete");
            if let Err(error) = Cli::try_parse_from(&words) {
                assert!(!error.use_stderr(), "`{line}`:\n{error}");
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} examples");
}

#[test]
fn every_command_that_a_page_names_is_there() {
    let mut root = Cli::command();
    root.build();
    let mut seen = 0;
    for (page, text) in pages() {
        for line in shown_on("locum", &text) {
            seen += 1;
            if let Err(why) = known(&root, &line) {
                panic!("{page}: `{line}`: {why}");
            }
        }
    }
    assert!(seen > 80, "{seen} commands on pages");
}

#[test]
fn what_is_no_command_is_noticed() {
    let mut root = Cli::command();
    root.build();
    for (line, fine) in [
        ("locum task list --own -o name | xargs -n 1 locum task show", true),
        ("locum revoke --token JTI …", true),
        ("locum exec --purpose p --scope s -- curl --nonsense", true),
        ("locum task lists", false),
        ("locum tokens", false),
        ("locum revoke --nonsense", false),
        ("locum status -Z", false),
    ] {
        assert_eq!(known(&root, line).is_ok(), fine, "{line}");
    }
    assert_eq!(lines_of("locum", "x=1 locum status\ntask=$(locum task list)\n# not locum status\n").len(), 2);
}
