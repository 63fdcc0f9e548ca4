//! `locum verifier`: its verbs and flags.

use clap::{Args, Subcommand};

/// What can be asked about verifiers.
#[derive(Debug, Subcommand)]
pub(crate) enum VerifierCommand {
    /// Lists the verifiers that follow the revocation feed, and those that are gone and may still answer.
    #[command(after_help = "Example:\n  locum verifier list -o wide")]
    List(VerifierListArgs),
}

/// `verifier list`.
#[derive(Args, Debug)]
pub(crate) struct VerifierListArgs {
    /// Verifiers at most.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}
