//! `locum revoke`: its flags.

use std::time::Duration;

use clap::Args;

use crate::input::wait;
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
    /// Waits until no verifier on the feed can take a dead token for live any more, at most so long, or 20s
    /// where nothing follows; who is missing then is named, and the exit code is 7.
    #[arg(long, value_name = "SPAN", value_parser = wait, num_args = 0..=1, default_missing_value = "20s")]
    pub(crate) wait: Option<Duration>,
    /// Shows what would die, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}
