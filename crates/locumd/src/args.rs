//! The grammar of `locumd`: commands and flags. Decides nothing.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::answer::Format;
use crate::demo;

const EXIT_CODES: &str = "Exit codes:
  0  done, all well
  1  something is wrong; standard error says what (with -o json, one document)
  2  the arguments are wrong
  141  nobody reads the answer";

/// What stands below each help: the exit codes, and examples.
fn told(examples: &[&str]) -> String {
    format!("{EXIT_CODES}\n\nExamples:\n  {}", examples.join("\n  "))
}

/// The credential broker.
#[derive(Debug, Parser)]
#[command(version, about, after_help = told(&["locumd demo --once", "locumd check-config --config /etc/locum/locumd.toml", "locumd serve --config /etc/locum/locumd.toml"]))]
pub(crate) struct Arguments {
    /// How to answer: text, or one JSON document; a failure is one too, on standard error.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves until SIGTERM or SIGINT; SIGHUP reads certificates, bundles, registry and policies again.
    ///
    /// Logs go to standard error; the line `listening` names the addresses. With -o json a document on standard
    /// output does so too, once.
    #[command(after_help = told(&["locumd serve --config /etc/locum/locumd.toml", "locumd serve --set server.grpc=127.0.0.1:8443 --set log.level=debug"]))]
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
    #[command(after_help = told(&["locumd check-config --config /etc/locum/locumd.toml"]))]
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
    #[command(after_help = told(&["locumd probe --config /etc/locum/locumd.toml"]))]
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
    #[command(after_help = told(&["locumd demo", "locumd demo --once -o json"]))]
    Demo(demo::DemoArgs),
    /// Takes the machine's clock for right although it lies behind what was seen. Stop the server first.
    ///
    /// For a clock that was ahead and was set back: a server then knows no time and refuses everything.
    /// Time still does not go back; it stands still until the clock has caught up.
    #[command(after_help = told(&["systemctl stop locumd", "locumd accept-clock --config /etc/locum/locumd.toml", "systemctl start locumd"]))]
    AcceptClock {
        /// The settings file.
        #[arg(long, default_value = "/etc/locum/locumd.toml")]
        config: PathBuf,
    },
    /// Works on a journal while no broker runs on it.
    #[command(subcommand)]
    Journal(JournalCommand),
}

impl Command {
    /// The reason that stands in the document of its failure.
    pub(crate) fn failure(&self) -> &'static str {
        match self {
            Self::Serve { .. } => "NOT_SERVED",
            Self::CheckConfig { .. } | Self::Config(_) => "CONFIG_INVALID",
            Self::Probe { .. } => "NOT_READY",
            Self::Demo(_) => "DEMO_FAILED",
            Self::AcceptClock { .. } => "CLOCK_NOT_ACCEPTED",
            Self::Journal(JournalCommand::Verify { .. }) => "JOURNAL_DAMAGED",
            Self::Journal(JournalCommand::AcceptRestore { .. }) => "RESTORE_NOT_ACCEPTED",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints every key with its value, in the order of the reference file. Changes nothing.
    ///
    /// Values are shown as they stand; `check-config` judges them. Secrets are paths, so none is shown.
    #[command(after_help = told(&["locumd config show", "locumd config show --sources --config /etc/locum/locumd.toml"]))]
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
pub(crate) enum JournalCommand {
    /// Checks every segment and snapshot from the first on. Changes nothing.
    #[command(after_help = told(&["locumd journal verify /var/lib/locum/journal"]))]
    Verify {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// Takes a restored copy for the journal from now on. Stop the server first.
    ///
    /// A copy has forgotten what was revoked and ended since it was made. So everything that was ever issued
    /// is revoked, every key that signs tokens is retired, and a new epoch begins. It cannot be undone.
    #[command(after_help = told(&["locumd journal accept-restore /var/lib/locum/journal --by alice"]))]
    AcceptRestore {
        /// The journal's directory.
        dir: PathBuf,
        /// Who accepts, for the record.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
