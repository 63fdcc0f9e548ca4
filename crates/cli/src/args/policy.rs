//! `locum policy`: its verbs and flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Checks policies as they would be checked before going live. Changes nothing.
    #[command(
        after_help = "Example:\n  locum policy check policies\n  locum policy check policies --on-broker"
    )]
    Check(CheckArgs),
    /// Runs the cases beside the policies (`*.test.toml`), without a broker.
    #[command(
        after_help = "Example:\n  locum policy test policies --registry registry\n  locum policy test policies/refunds.test.toml --policies policies"
    )]
    Test(TestArgs),
    /// Tells why a decision came out as it did: a case by its name, or a recorded decision by its
    /// position, token or task.
    #[command(
        after_help = "Example:\n  locum policy explain 'not just to look around' --policies policies\n  locum policy explain 1.1.42 --policies policies --registry registry"
    )]
    Explain(ExplainArgs),
    /// Tells what changed between two directories of policies, and which cases and recorded decisions
    /// come out otherwise.
    #[command(
        after_help = "Example:\n  locum policy diff policies policies.next --registry registry\n  locum policy diff policies policies.next --registry registry \\\n      --record record.jsonl"
    )]
    Diff(DiffArgs),
    /// Replays recorded decisions under proposed policies and lists those that come out otherwise.
    #[command(
        after_help = "Example:\n  locum policy simulate policies.next --registry registry --last 1000\n  locum audit tail -n 1000 -o jsonl > record.jsonl\n  locum policy simulate policies.next --registry registry --record record.jsonl"
    )]
    Simulate(SimulateArgs),
}

/// `policy check`.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// The whole policy set: a directory, or files.
    #[arg(required = true, value_name = "PATHS")]
    pub(crate) paths: Vec<PathBuf>,
    /// Asks the broker, whose version may judge otherwise than this one.
    #[arg(long)]
    pub(crate) on_broker: bool,
}

/// `policy test`.
#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// A directory with case files, or one of them.
    #[arg(default_value = ".", value_name = "CASES")]
    pub(crate) cases: PathBuf,
    /// The directory of the policies, where the cases do not stand beside them.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// The registry to test with: a file or a directory, instead of the one that a case file names.
    #[arg(long, value_name = "PATH")]
    pub(crate) registry: Option<PathBuf>,
}

/// `policy explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// The name of a case; or the position `home.epoch.sequence` of a recorded decision, the id of its
    /// token, or the id of the task that it started.
    #[arg(value_name = "DECISION")]
    pub(crate) decision: String,
    /// The directory of the policies, and of the cases.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// The registry: a file or a directory. A case may name its own.
    #[arg(long, value_name = "PATH")]
    pub(crate) registry: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

/// `policy diff`.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The directory of the policies as they are.
    pub(crate) old: PathBuf,
    /// The directory of the policies as proposed.
    pub(crate) new: PathBuf,
    /// The registry to decide with; without it only the texts are compared, and cases that name theirs.
    #[arg(long, value_name = "PATH")]
    pub(crate) registry: Option<PathBuf>,
    /// Recorded decisions to compare too: JSON lines of `locum audit tail -o jsonl` or `audit export`.
    #[arg(long, value_name = "FILE", requires = "registry")]
    pub(crate) record: Option<PathBuf>,
    /// Fails when anything comes out otherwise.
    #[arg(long)]
    pub(crate) fail_on_flips: bool,
}

/// `policy simulate`.
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The directory of the policies as proposed.
    pub(crate) policies: PathBuf,
    /// The registry to decide with: a file or a directory.
    #[arg(long, value_name = "PATH")]
    pub(crate) registry: PathBuf,
    #[command(flatten)]
    pub(crate) record: RecordArgs,
    /// Fails when anything comes out otherwise.
    #[arg(long)]
    pub(crate) fail_on_flips: bool,
}

/// Where recorded decisions come from.
#[derive(Args, Debug)]
pub(crate) struct RecordArgs {
    /// JSON lines of `locum audit tail -o jsonl` or `audit export`, instead of asking the broker.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Asks the broker for this many of its newest entries, 1 to 1000.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", conflicts_with = "record", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) last: u32,
}
