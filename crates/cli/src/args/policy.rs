//! `locum policy`: its verbs and flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Checks policy files as they would be checked before going live. Changes nothing.
    #[command(after_help = "Example:\n  locum policy check policies/*.cedar")]
    Check(CheckArgs),
}

/// `policy check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The whole policy set.
    #[arg(required = true, value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
}
