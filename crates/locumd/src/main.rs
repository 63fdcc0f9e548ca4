//! `locumd`: the broker's process. Arguments and exit codes; everything else is in `server`.
//!
//! Standard output carries results, standard error everything else.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use locum_server::config::Flags;
use locum_server::{daemon, journal_accept, journal_check};

mod args;
mod check_config;
mod demo;
#[cfg(test)]
mod reference;
mod show_config;

use crate::args::{Arguments, Command, ConfigCommand, JournalCommand};

/// The answer is no: settings are wrong, a journal is damaged.
const FOUND_BAD: u8 = 1;

fn main() -> ExitCode {
    let well = |()| ExitCode::SUCCESS;
    let outcome = match Arguments::parse().command {
        Command::Serve { config, set } => serve(&config, set).map(well),
        Command::CheckConfig { config, set } => check_config(&config, set).map(well),
        Command::Config(ConfigCommand::Show { config, set, sources }) => {
            show_config::run(&config, &set.into_iter().collect(), sources).map(well)
        }
        Command::Probe { config, set } => probe(&config, set).map(well),
        Command::Demo(args) => demo::run(args),
        Command::AcceptClock { config } => {
            daemon::accept_clock(&config, &Flags::new()).map(well).map_err(|error| error.to_string())
        }
        Command::Journal(JournalCommand::Verify { dir }) => journal_verify(&dir).map(well),
        Command::Journal(JournalCommand::AcceptRestore { dir, by }) => accept_restore(&dir, &by).map(well),
    };
    outcome.unwrap_or_else(|said| tell(&said))
}

fn serve(config: &Path, set: Vec<(String, String)>) -> Result<(), String> {
    #[cfg(bug_zoo)]
    locum_server::plant_named(&std::env::var("PLANTED_BUG").unwrap_or_default());
    daemon::run(config, &set.into_iter().collect::<Flags>()).map_err(|error| error.to_string())
}

fn check_config(config: &Path, set: Vec<(String, String)>) -> Result<(), String> {
    check_config::run(config, &set.into_iter().collect::<Flags>())
}

fn probe(config: &Path, set: Vec<(String, String)>) -> Result<(), String> {
    let flags = set.into_iter().collect::<Flags>();
    let settings = locum_server::config::load(config, &flags).map_err(|problems| problems.to_string())?;
    locum_server::probe::probe(settings.server.http).map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "the answer of a command line tool")]
fn journal_verify(dir: &Path) -> Result<(), String> {
    let report = journal_check::verify(dir, &mut |line| println!("{line}"));
    report.map(|told| println!("{told}")).map_err(|error| error.to_string())
}

#[expect(clippy::print_stdout, reason = "the answer of a command line tool")]
fn accept_restore(dir: &Path, by: &str) -> Result<(), String> {
    let accepted = journal_accept::accept_restore_now(dir, by);
    accepted.map(|told| println!("{told}")).map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "the answer of a command line tool, not a log")]
fn tell(said: &str) -> ExitCode {
    eprintln!("{said}");
    ExitCode::from(FOUND_BAD)
}
