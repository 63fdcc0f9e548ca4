//! `locumd`: the broker's process. Arguments and exit codes; everything else is in `server`.
//!
//! Standard output carries results, standard error everything else.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use locum_server::config::Flags;
use locum_server::{daemon, journal_accept, journal_check};
use serde_json::json;

mod answer;
mod args;
mod check_config;
mod demo;
#[cfg(test)]
mod reference;
mod show_config;

use crate::answer::Format;
use crate::args::{Arguments, Command, ConfigCommand, JournalCommand};

fn main() -> ExitCode {
    let Arguments { output, command } = match Arguments::try_parse() {
        Ok(asked) => asked,
        Err(error) => return answer::usage(&error),
    };
    let reason = command.failure();
    run(command, output).unwrap_or_else(|said| output.failed(reason, &said))
}

fn run(command: Command, output: Format) -> Result<ExitCode, String> {
    match command {
        Command::Serve { config, set } => serve(&config, set).map(|()| ExitCode::SUCCESS),
        Command::CheckConfig { config, set } => check_config::run(&config, &flags(set), output),
        Command::Config(ConfigCommand::Show { config, set, sources }) => {
            show_config::run(&config, &flags(set), sources, output)
        }
        Command::Probe { config, set } => probe(&config, set).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args, output),
        Command::AcceptClock { config } => daemon::accept_clock(&config, &Flags::new())
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string()),
        Command::Journal(JournalCommand::Verify { dir }) => journal_verify(&dir, output),
        Command::Journal(JournalCommand::AcceptRestore { dir, by }) => {
            let accepted =
                journal_accept::accept_restore_now(&dir, &by).map_err(|error| error.to_string())?;
            let told = accepted.to_string();
            Ok(output.answer("accepted", json!({ "said": lines(&told) }), &told))
        }
    }
}

fn flags(set: Vec<(String, String)>) -> Flags {
    set.into_iter().collect()
}

fn serve(config: &Path, set: Vec<(String, String)>) -> Result<(), String> {
    #[cfg(bug_zoo)]
    locum_server::plant_named(&std::env::var("PLANTED_BUG").unwrap_or_default());
    daemon::run(config, &flags(set)).map_err(|error| error.to_string())
}

fn probe(config: &Path, set: Vec<(String, String)>) -> Result<(), String> {
    let settings =
        locum_server::config::load(config, &flags(set)).map_err(|problems| problems.to_string())?;
    locum_server::probe::probe(settings.server.http).map_err(|error| error.to_string())
}

/// People see each finding when it is made; that nobody looks is told in the end.
fn journal_verify(dir: &Path, output: Format) -> Result<ExitCode, String> {
    let mut found = Vec::new();
    let mut tell = |line: &str| match output {
        Format::Text => drop(answer::line(line)),
        Format::Json => found.push(line.to_owned()),
    };
    let report = journal_check::verify(dir, &mut |line| tell(&line.to_string()));
    let told = report.map_err(|error| error.to_string())?.to_string();
    found.extend(told.lines().map(str::to_owned));
    Ok(output.answer("journal", json!({ "said": found }), &told))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}
