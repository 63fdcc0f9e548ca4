//! `locum revoke`: its flags.

use clap::Args;

use crate::selector::SelectorArgs;

/// `revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Shows what would die, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
}
