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
    /// How long.
    #[arg(long, value_parser = span, value_name = "SPAN", required = true)]
    pub(crate) ttl: Option<Duration>,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: Option<String>,
    /// Shows what would be locked, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Says what is so in any case: a lock is not asked about, for `unlock` lifts it.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}

/// What else can be done with locks.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Lists the locks in force, oldest first; with a selector those that refuse some of it.
    #[command(after_help = "Examples:\n  locum lock list\n  locum lock list workload=refunder -o json")]
    List(LockListArgs),
}

/// `lock list`.
#[derive(Args, Debug)]
pub(crate) struct LockListArgs {
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}

/// `unlock`.
#[derive(Args, Debug)]
pub(crate) struct UnlockArgs {
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Shows the locks that would be lifted, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Says what is so in any case: lifting a lock is not asked about, for nothing is revived by it.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}
