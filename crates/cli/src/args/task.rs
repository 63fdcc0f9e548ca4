//! `locum task`: its verbs and flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::input::{scope_written, span};
use crate::selector::SelectorArgs;

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Starts a task, writes its holder secret to a file and prints its id.
    #[command(
        after_help = "Example:\n  locum task start refund-order --scope orders:refund=order/1881 --lease 5m"
    )]
    Start(StartArgs),
    /// Keeps a task's lease until interrupted; leaves when the task is over.
    #[command(after_help = "Example:\n  locum task hold task-1-42")]
    Hold(HeldArgs),
    /// Ends a task and everything below it; its tokens die at once.
    #[command(
        after_help = "Example:\n  locum task end task-1-42\n  locum task end task-1-42 --reason 'runaway' # as an operator"
    )]
    End(EndArgs),
    /// Lists tasks, oldest first: those of the operator's tenants, or one's own with `--own`.
    #[command(
        after_help = "Examples:\n  locum task list workload=refunder --state active\n  locum task list --own -o name"
    )]
    List(ListArgs),
    /// Shows one task.
    #[command(after_help = "Example:\n  locum task show task-1-42")]
    Show(ShowArgs),
}

/// `task start`.
#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    /// The purpose, a short code that policy knows.
    pub(crate) purpose: String,
    /// What the task may do: `connector:action[=resource,…]`; may be given more than once.
    #[arg(long = "scope", required = true, value_parser = scope_written, value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The longest that the task may take.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) deadline: Option<Duration>,
    /// How long the task outlives the loss of its holder.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) lease: Option<Duration>,
    /// Why, in free text: evidence for people; it grants nothing.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub(crate) justification: String,
    /// The task that this one is part of; its holder secret has to be at hand.
    #[arg(long, value_name = "TASK")]
    pub(crate) parent: Option<String>,
    /// Where the parent's holder secret is.
    #[arg(long, value_name = "FILE", requires = "parent")]
    pub(crate) parent_holder_file: Option<PathBuf>,
    /// Where to write the holder secret; it must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub(crate) holder_file: Option<PathBuf>,
}

/// A task and where its holder secret is.
#[derive(Args, Debug)]
pub(crate) struct HeldArgs {
    /// The task, `task-<home>-<count>`.
    pub(crate) task: String,
    /// Where the holder secret is.
    #[arg(long, value_name = "FILE")]
    pub(crate) holder_file: Option<PathBuf>,
}

/// `task end`.
#[derive(Args, Debug)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    pub(crate) held: HeldArgs,
    /// How the task came out.
    #[arg(long, value_enum, default_value_t = OutcomeArg::Completed)]
    pub(crate) outcome: OutcomeArg,
    /// Ends it as an operator, without the holder secret, and says why.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["holder_file", "outcome"])]
    pub(crate) reason: Option<String>,
}

/// How a task came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeArg {
    Completed,
    Failed,
    Cancelled,
}

/// `task list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only tasks in this state: active, ended, lapsed or revoked.
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Lists the calling workload's own tasks; needs no operator's role.
    #[arg(long, conflicts_with = "SelectorArgs")]
    pub(crate) own: bool,
    /// At most this many.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
}

/// `task show`.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The task, `task-<home>-<count>`.
    pub(crate) task: String,
    /// Shows one of the calling workload's own tasks; needs no operator's role.
    #[arg(long)]
    pub(crate) own: bool,
}
