//! `locum lock` and `locum unlock`: their verbs and flags.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::input::span;
use crate::selector::SelectorArgs;

/// `lock`, or `lock list`.
#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LockCommand>,
    #[command(flatten)]
    pub(crate) selector: Option<SelectorArgs>,
    /// How long.
    #[arg(long, value_parser = span, value_name = "SPAN", required = true)]
    pub(crate) ttl: Option<Duration>,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: Option<String>,
}

/// What else can be done with locks.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Lists the locks in force, oldest first.
    #[command(after_help = "Example:\n  locum lock list -o json")]
    List,
}

/// `unlock`.
#[derive(Args, Debug)]
pub(crate) struct UnlockArgs {
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
