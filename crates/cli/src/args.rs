//! The grammar of the command line: nouns, verbs and flags, a file for each noun. Decides nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::input::span;

mod audit;
mod key;
mod lock;
mod policy;
mod revoke;
mod task;
mod token;

pub(crate) use audit::{AuditCommand, TailArgs};
pub(crate) use key::KeyCommand;
pub(crate) use lock::{LockArgs, LockCommand, UnlockArgs};
pub(crate) use policy::{CheckArgs, PolicyCommand};
pub(crate) use revoke::RevokeArgs;
pub(crate) use task::{EndArgs, HeldArgs, ListArgs, OutcomeArg, ShowArgs, StartArgs, TaskCommand};
pub(crate) use token::{DecodeArgs, IntrospectArgs, RequestArgs, TokenCommand};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 denied, 5 not authenticated,
6 unavailable or timeout, 7 partly done, 130 interrupted.

Data goes to standard output, everything else to standard error.

Example:
  export LOCUM_ADDR=https://locum.internal:7443 LOCUM_CA_FILE=ca.pem
  locum status";

/// Credentials that live exactly as long as the task, and reach no further than it.
#[derive(Debug, Parser)]
#[command(name = "locum", version, after_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker and output")]
pub(crate) struct Global {
    /// The broker's address, `https://host:port`.
    #[arg(long, global = true, env = "LOCUM_ADDR", value_name = "URL")]
    pub(crate) addr: Option<String>,
    /// PEM file with the authorities that vouch for the broker.
    #[arg(long, global = true, env = "LOCUM_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with the client certificate to show.
    #[arg(long, global = true, env = "LOCUM_CERT_FILE", value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file with that certificate's key.
    #[arg(long, global = true, env = "LOCUM_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the bearer assertion to show.
    #[arg(long, global = true, env = "LOCUM_ASSERTION_FILE", value_name = "FILE")]
    pub(crate) assertion_file: Option<PathBuf>,
    /// The deadline of each call.
    #[arg(long, global = true, default_value = "10s", value_parser = span, value_name = "SPAN")]
    pub(crate) timeout: Duration,
    /// How to print: for people, or one JSON document (per line where there are many).
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Prints without colours; so does a set `NO_COLOR`.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Every noun, and the verbs that need none.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts, holds, ends and shows tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Asks for tokens and about tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Revokes everything that a selector covers.
    #[command(after_help = "Example:\n  locum revoke --workload refunder --reason 'stolen laptop' --dry-run")]
    Revoke(RevokeArgs),
    /// Refuses anything new for what a selector covers, until the lock ends; `lock list` shows locks.
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Example:\n  locum lock --model gpt-x --ttl 2h --reason 'under review'\n  locum lock list"
    )]
    Lock(LockArgs),
    /// Lifts the locks that were made with a selector. Revives nothing.
    #[command(after_help = "Example:\n  locum unlock --model gpt-x --reason 'review passed'")]
    Unlock(UnlockArgs),
    /// Checks policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Lists and rotates signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Reads the record.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Shows health and live counts.
    #[command(after_help = "Example:\n  locum status -o json")]
    Status,
}
