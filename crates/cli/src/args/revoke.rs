//! `locum revoke`: its flags.

use clap::Args;

use crate::selector::SelectorArgs;

/// `revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Only what was issued before: a span ago (`10m`), or an RFC 3339 time.
    #[arg(long, value_name = "WHEN")]
    pub(crate) issued_before: Option<String>,
    /// Shows what would die, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}
