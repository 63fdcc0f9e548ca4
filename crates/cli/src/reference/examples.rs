//! What is shown of `locum` has to be a command of it: in the examples of the help, and on every page.

use std::path::Path;

use clap::{Command, CommandFactory as _, Parser as _};

use super::commands;
use crate::args::Cli;
use crate::help;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The words of one simple command of a shell; none of an open quotation or a substitution.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | '&' | ';' | ')' | '#') => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Every command line of `locum` in a text, a continued one as one line.
fn lines_of(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let begin = |line: &str| {
        let line = line.trim_start();
        let at = ["locum ", "$(locum ", "| locum "].iter().find_map(|start| {
            let at = line.find(start)?;
            // What stands before it is a variable of the environment or another command.
            let plain = line[..at].split(' ').all(|word| word.is_empty() || word.contains('='));
            (plain || *start != "locum ").then_some(at + start.len() - "locum ".len())
        })?;
        Some(line[at..].to_owned())
    };
    joined.lines().filter_map(begin).collect()
}

#[test]
fn every_example_of_the_help_is_a_command() {
    let mut seen = 0;
    let of_commands =
        commands().into_iter().filter_map(|(_, command)| command.get_after_help().map(ToString::to_string));
    let of_topics = help::topics().into_iter().map(|(_, text)| text.to_string());
    for text in of_commands.chain(of_topics) {
        let examples = text.split_once("Example").map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        for line in lines_of(&examples) {
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
        for line in shown_on(&text) {
            seen += 1;
            if let Err(why) = known(&root, &line) {
                panic!("{page}: `{line}`: {why}");
            }
        }
    }
    assert!(seen > 80, "{seen} commands on pages");
}

/// The pages that people follow, and those of the reference.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(ROOT);
    let mut pages = vec![root.join("README.md"), root.join("deploy/kubernetes/README.md")];
    for folder in ["docs", "docs/operating", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("a folder of pages");
        pages.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    pages.retain(|page| page.extension().is_some_and(|end| end == "md"));
    pages.sort();
    let read = |page: &Path| std::fs::read_to_string(page).expect("a page");
    pages.iter().map(|page| (page.display().to_string(), read(page))).collect()
}

/// The command lines in blocks, and those between backquotes in the prose.
fn shown_on(text: &str) -> Vec<String> {
    let (mut shown, mut prose, mut block) = (Vec::new(), String::new(), None::<String>);
    for line in text.lines() {
        match (&mut block, line.starts_with("```")) {
            (Some(lines), true) => {
                shown.extend(lines_of(lines));
                block = None;
            }
            (None, true) => block = Some(String::new()),
            (Some(lines), false) => lines.extend([line, "\n"]),
            (None, false) => prose.extend([line, "\n"]),
        }
    }
    let quoted = prose.split('`').skip(1).step_by(2);
    shown.extend(quoted.filter(|text| text.starts_with("locum ")).map(|text| text.replace('\n', " ")));
    shown
}

/// Its words lead to a command, and its flags are flags of that command.
fn known(root: &Command, line: &str) -> Result<(), String> {
    let Some(words) = words(line) else { return Ok(()) };
    let mut command = root;
    let mut flags_end = false;
    let mut takes_value = false;
    let mut arguments = 0;
    for word in words.iter().skip(1) {
        if flags_end || std::mem::take(&mut takes_value) {
            continue;
        }
        flags_end = word == "--";
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, joined) = name.split_once('=').map_or((name, false), |(name, _)| (name, true));
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name));
            let arg = arg.ok_or_else(|| format!("`{}` has no flag `--{name}`", command.get_name()))?;
            takes_value = arg.get_action().takes_values() && !joined;
        } else if let Some(short) =
            word.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(|c| *c != '-')
        {
            let arg = command.get_arguments().find(|arg| arg.get_short() == Some(short));
            let arg = arg.ok_or_else(|| format!("`{}` has no flag `-{short}`", command.get_name()))?;
            takes_value = arg.get_action().takes_values() && word.len() == 2;
        } else if let Some(found) = command.find_subcommand(word).filter(|_| arguments == 0) {
            command = found;
        } else if command.is_subcommand_required_set()
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        {
            return Err(format!("`{}` has no command `{word}`", command.get_name()));
        } else {
            arguments += 1;
        }
    }
    Ok(())
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
    assert_eq!(lines_of("x=1 locum status\ntask=$(locum task list)\n# not locum status\n").len(), 2);
}
