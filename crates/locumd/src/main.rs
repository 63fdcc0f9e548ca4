//! `locumd`: the broker's process. Arguments and exit codes; everything else is in `server`.
//!
//! Standard output carries results, standard error everything else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use locum_server::config::Flags;
use locum_server::{daemon, journal_accept, journal_check};

mod check_config;
mod demo;
mod show_config;

/// The answer is no: settings are wrong, a journal is damaged.
const FOUND_BAD: u8 = 1;

/// The credential broker.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done, all well
  1  something is wrong; standard error says what
  2  the arguments are wrong";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT; SIGHUP reads certificates, bundles, registry and policies again.
    ///
    /// Logs go to standard error; the line `listening` names the addresses.
    #[command(after_help = EXIT_CODES)]
    Serve {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
        /// Sets one key over every other layer, `server.grpc=127.0.0.1:8443` for example.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
        set: Vec<(String, String)>,
    },
    /// Reads the settings and everything they point at, and tells every problem at once.
    ///
    /// Variables LOCUM_SECTION__KEY count as they would at a start. Nothing is changed.
    #[command(after_help = EXIT_CODES)]
    CheckConfig {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
        /// Sets one key over every other layer, `server.grpc=127.0.0.1:8443` for example.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
        set: Vec<(String, String)>,
    },
    /// Shows the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Asks the server that runs by these settings, on this machine, whether it takes traffic.
    ///
    /// For health checks inside a container. Needs `server.http`.
    #[command(after_help = EXIT_CODES)]
    Probe {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
        /// Sets one key over every other layer, `server.http=127.0.0.1:8444` for example.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
        set: Vec<(String, String)>,
    },
    /// Tells the story of a token with a real server, a plugin, an API and an operator.
    ///
    /// Needs no files: loopback, free ports and a temporary directory that is removed at the end.
    #[command(after_help = EXIT_CODES)]
    Demo(demo::DemoArgs),
    /// Takes the machine's clock for right although it lies behind what was seen. Stop the server first.
    ///
    /// For a clock that was ahead and was set back: a server then knows no time and refuses everything.
    /// Time still does not go back; it stands still until the clock has caught up.
    #[command(after_help = EXIT_CODES)]
    AcceptClock {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
    },
    /// Works on a journal while no broker runs on it.
    #[command(subcommand)]
    Journal(JournalCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints every key with its value, in the order of the reference file. Changes nothing.
    ///
    /// Values are shown as they stand; `check-config` judges them. Secrets are paths, so none is shown.
    #[command(after_help = EXIT_CODES)]
    Show {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
        /// Sets one key over every other layer, `server.grpc=127.0.0.1:8443` for example.
        #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
        set: Vec<(String, String)>,
        /// Says of each where it came from: default, file and line, variable, or flag.
        #[arg(long)]
        sources: bool,
    },
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Checks every segment and snapshot from the first on. Changes nothing.
    #[command(after_help = EXIT_CODES)]
    Verify {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// Takes a restored copy for the journal from now on. Stop the server first.
    ///
    /// A copy has forgotten what was revoked and ended since it was made. So everything that was ever issued
    /// is revoked, every key that signs tokens is retired, and a new epoch begins. It cannot be undone.
    #[command(after_help = EXIT_CODES)]
    AcceptRestore {
        /// The journal's directory.
        dir: PathBuf,
        /// Who accepts, for the record.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

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

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[expect(clippy::print_stderr, reason = "the answer of a command line tool, not a log")]
fn tell(said: &str) -> ExitCode {
    eprintln!("{said}");
    ExitCode::from(FOUND_BAD)
}
