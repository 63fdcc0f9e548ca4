//! The grammar of the command line: nouns, verbs and flags. Decides nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::input::span;
use crate::selector::SelectorArgs;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 denied, 5 not authenticated,
6 unavailable or timeout, 7 partly done, 130 interrupted.

Data goes to standard output, everything else to standard error.

Example:
  export LOCUM_ADDR=https://locum.internal:7443 LOCUM_CA_FILE=ca.pem
  locum status";

/// Credentials that live exactly as long as the task, and reach no further than it.
#[derive(Debug, Parser)]
#[command(name = "locum", version, after_help = EXIT_CODES, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker and output")]
pub(crate) struct Global {
    /// The broker's address, `https://host:port`.
    #[arg(long, global = true, env = "LOCUM_ADDR", value_name = "URL")]
    pub(crate) addr: Option<String>,
    /// PEM file with the authorities that vouch for the broker.
    #[arg(long, global = true, env = "LOCUM_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with the client certificate to show.
    #[arg(long, global = true, env = "LOCUM_CERT_FILE", value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file with that certificate's key.
    #[arg(long, global = true, env = "LOCUM_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the bearer assertion to show.
    #[arg(long, global = true, env = "LOCUM_ASSERTION_FILE", value_name = "FILE")]
    pub(crate) assertion_file: Option<PathBuf>,
    /// The deadline of each call.
    #[arg(long, global = true, default_value = "10s", value_parser = span, value_name = "SPAN")]
    pub(crate) timeout: Duration,
    /// How to print: for people, or one JSON document (per line where there are many).
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    /// Prints without colours; so does a set `NO_COLOR`.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Every noun, and the verbs that need none.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts, holds, ends and shows tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Asks for tokens and about tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Revokes everything that a selector covers.
    #[command(after_help = "Example:\n  locum revoke --workload refunder --reason 'stolen laptop' --dry-run")]
    Revoke(RevokeArgs),
    /// Refuses anything new for what a selector covers, until the lock ends; `lock list` shows locks.
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Example:\n  locum lock --model gpt-x --ttl 2h --reason 'under review'\n  locum lock list"
    )]
    Lock(LockArgs),
    /// Lifts the locks that were made with a selector. Revives nothing.
    #[command(after_help = "Example:\n  locum unlock --model gpt-x --reason 'review passed'")]
    Unlock(UnlockArgs),
    /// Checks policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Lists and rotates signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Reads the record.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Shows health and live counts.
    #[command(after_help = "Example:\n  locum status -o json")]
    Status,
}

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
    #[command(after_help = "Example:\n  locum task list --state active --workload refunder")]
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
    #[arg(long = "scope", required = true, value_name = "SCOPE")]
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
    /// Only tasks of this workload.
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "own")]
    pub(crate) workload: String,
    /// Lists the calling workload's own tasks; needs no operator's role.
    #[arg(long)]
    pub(crate) own: bool,
    /// At most this many.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u32,
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

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Asks for a token and prints it, alone, on standard output.
    #[command(
        after_help = "Example:\n  locum token request task-1-42 orders --scope orders:refund=order/1881 > token"
    )]
    Request(RequestArgs),
    /// Asks the broker whether a token is active; reads it from standard input.
    #[command(after_help = "Example:\n  locum token introspect orders < token")]
    Introspect(IntrospectArgs),
    /// Shows what a token says, offline. VERIFIES NOTHING.
    #[command(after_help = "Example:\n  locum token decode < token")]
    Decode(DecodeArgs),
}

/// `token request`.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) held: HeldArgs,
    /// The connector that the token is for.
    pub(crate) connector: String,
    /// What it may do: `connector:action[=resource,…]`; may be given more than once.
    #[arg(long = "scope", required = true, value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The life wished for.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) ttl: Option<Duration>,
    /// How often it may be used; unlimited when 0.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) uses_max: u32,
    /// Binds the token to the client certificate.
    #[arg(long)]
    pub(crate) bind_to_certificate: bool,
}

/// `token introspect`.
#[derive(Args, Debug)]
pub(crate) struct IntrospectArgs {
    /// The connector that the token is expected to be for.
    pub(crate) connector: String,
    #[command(flatten)]
    pub(crate) token: DecodeArgs,
}

/// Where a token is read from.
#[derive(Args, Debug)]
pub(crate) struct DecodeArgs {
    /// Reads the token from this file instead of standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

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

/// `lock`, or `lock list`.
#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LockCommand>,
    #[command(flatten)]
    pub(crate) selector: Option<SelectorArgs>,
    /// How long.
    #[arg(long, value_parser = span, value_name = "SPAN", required = true)]
    pub(crate) ttl: Option<Duration>,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: Option<String>,
}

/// What else can be done with locks.
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Lists the locks in force, oldest first.
    #[command(after_help = "Example:\n  locum lock list -o json")]
    List,
}

/// `unlock`.
#[derive(Args, Debug)]
pub(crate) struct UnlockArgs {
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
    /// Why; it stands in the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

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
