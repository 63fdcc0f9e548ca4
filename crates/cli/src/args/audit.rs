//! `locum audit`: its verbs and flags.

use clap::{Args, Subcommand};

/// What can be read of the record.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Shows the newest entries, and what comes with `-f`.
    #[command(after_help = "Example:\n  locum audit tail -f -n 20")]
    Tail(TailArgs),
    /// Tells the whole story of one task.
    #[command(after_help = "Example:\n  locum audit show task-1-42")]
    Show(StoryArgs),
}

/// `audit tail`.
#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    /// Goes on with what comes.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begins with this many from before, 0 to 1000.
    #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) last: u32,
}

/// `audit show`.
#[derive(Args, Debug)]
pub(crate) struct StoryArgs {
    /// The task, `task-<home>-<count>`.
    pub(crate) task: String,
}
