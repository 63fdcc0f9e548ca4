//! What a command answers: text for people or, with `-o json`, one document for programs.
//!
//! Data goes to standard output, a failure to standard error; the shapes are those of `locum -o json`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, ValueEnum};
use serde_json::{Value, json};

use crate::args::Arguments;

/// The answer is no: settings are wrong, a journal is damaged.
const FOUND_BAD: u8 = 1;
/// The arguments are wrong.
const USAGE: u8 = 2;
/// Nobody reads the answer (128 + SIGPIPE).
const BROKEN_PIPE: u8 = 141;

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Format {
    /// Prints what was found, under `name`, or as `text` has it.
    pub(crate) fn answer(self, name: &str, value: Value, text: &str) -> ExitCode {
        let told = match self {
            Self::Text => line(text),
            Self::Json => line(&json!({ "schema_version": 1, name: value }).to_string()),
        };
        match told {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever read it went away, as `head` does: their choice.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(BROKEN_PIPE),
            Err(error) => self.failed("NOT_TOLD", &error.to_string()),
        }
    }

    /// Tells why it did not work, each problem on a line of `said`.
    pub(crate) fn failed(self, reason: &str, said: &str) -> ExitCode {
        self.refuse(FOUND_BAD, reason, said)
    }

    #[expect(clippy::print_stderr, reason = "the answer of a command line tool, not a log")]
    fn refuse(self, code: u8, reason: &str, said: &str) -> ExitCode {
        match self {
            Self::Text => eprintln!("{said}"),
            Self::Json => eprintln!("{}", document(reason, said)),
        }
        ExitCode::from(code)
    }
}

/// Prints a line of data.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A failure as `locum` tells one, and the problems one by one.
fn document(reason: &str, said: &str) -> Value {
    let problems: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    json!({
        "schema_version": 1,
        "error": {
            "reason": reason,
            "message": said,
            "help": null,
            "request_id": null,
            "retryable": false,
            "problems": problems,
        },
    })
}

/// Tells that the command line is not one, in the format that it seems to ask for; or shows the help.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return error.print().map_or(ExitCode::from(FOUND_BAD), |()| ExitCode::SUCCESS);
    }
    let as_far_as_it_goes = Arguments::command().ignore_errors(true).try_get_matches();
    if as_far_as_it_goes.is_ok_and(|matches| asks_for_json(&matches)) {
        let text = error.render().to_string();
        let first: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        return Format::Json.refuse(USAGE, "USAGE", first.join(" ").trim_start_matches("error: "));
    }
    // That nobody listens is no other failure.
    let _printed = error.print();
    ExitCode::from(USAGE)
}

fn asks_for_json(matches: &ArgMatches) -> bool {
    let here = matches.try_get_one::<Format>("output").ok().flatten() == Some(&Format::Json);
    here || matches.subcommand().is_some_and(|(_, below)| asks_for_json(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_document_with_each_problem() {
        let told = document("CONFIG_INVALID", "a.toml:3: unknown key `x`\n\na.toml:9: `y` is missing\n");
        assert_eq!(
            told["error"]["problems"],
            json!(["a.toml:3: unknown key `x`", "a.toml:9: `y` is missing"])
        );
        assert_eq!(
            (&told["schema_version"], &told["error"]["reason"]),
            (&json!(1), &json!("CONFIG_INVALID"))
        );
        assert_eq!(told.to_string().lines().count(), 1, "on one line: {told}");
    }
}
