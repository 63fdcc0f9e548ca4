//! `locumd`: the broker's process. Arguments and exit codes; everything else is in `server`.
//!
//! Standard output carries results, standard error everything else.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use locum_server::config::Flags;
use locum_server::daemon::{self, Listening};
use serde_json::json;

mod answer;
mod args;
mod check_config;
mod demo;
mod journal;
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
        Command::Serve { config, set } => serve(&config, set, output).map(|()| ExitCode::SUCCESS),
        Command::CheckConfig { config, set } => check_config::run(&config, &flags(set), output),
        Command::Config(ConfigCommand::Show { config, set, sources }) => {
            show_config::run(&config, &flags(set), sources, output)
        }
        Command::Probe { config, set } => probe(&config, set, output),
        Command::Demo(args) => demo::run(args, output),
        Command::AcceptClock { config } => accept_clock(&config, output),
        Command::Journal(JournalCommand::Verify { dir }) => journal::verify(&dir, output),
        Command::Journal(JournalCommand::AcceptRestore { dir, by }) => {
            journal::accept_restore(&dir, &by, output)
        }
    }
}

fn flags(set: Vec<(String, String)>) -> Flags {
    set.into_iter().collect()
}

/// Programs are told where it listens, once; that nobody reads it does not end a server.
fn serve(config: &Path, set: Vec<(String, String)>, output: Format) -> Result<(), String> {
    #[cfg(bug_zoo)]
    locum_server::plant_named(&std::env::var("PLANTED_BUG").unwrap_or_default());
    let show = |Listening { grpc, http, metrics }: Listening| {
        let value = json!({ "grpc": grpc, "http": http, "metrics": metrics });
        if output == Format::Json {
            let _told = output.answer("listening", value, "");
        }
    };
    daemon::run(config, &flags(set), &show).map_err(|error| error.to_string())
}

fn probe(config: &Path, set: Vec<(String, String)>, output: Format) -> Result<ExitCode, String> {
    let settings =
        locum_server::config::load(config, &flags(set)).map_err(|problems| problems.to_string())?;
    let asked = locum_server::probe::probe(settings.server.http).map_err(|error| error.to_string())?;
    let text = format!("{asked} takes traffic");
    Ok(output.answer("probe", json!({ "ready": true, "address": asked }), &text))
}

fn accept_clock(config: &Path, output: Format) -> Result<ExitCode, String> {
    let now = daemon::accept_clock(config, &Flags::new()).map_err(|error| error.to_string())?.to_string();
    let text = format!("accepted: a server that starts now goes on from {now}");
    Ok(output.answer("clock", json!({ "now": now }), &text))
}
