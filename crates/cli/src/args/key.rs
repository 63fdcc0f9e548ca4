//! `locum key`: its verbs and flags.

use clap::{Args, Subcommand};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Lists the keys that are published, newest first.
    #[command(after_help = "Example:\n  locum key list")]
    List,
    /// Publishes a new key; it signs once verifiers know it.
    #[command(after_help = "Example:\n  locum key rotate --algorithm ES256")]
    Rotate(RotateArgs),
}

/// `key rotate`.
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// `ES256` or `EdDSA`.
    #[arg(long)]
    pub(crate) algorithm: Option<String>,
}
