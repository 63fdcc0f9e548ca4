//! The grammar of the command line: nouns, verbs and flags, a file for each noun. Decides nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::input::span;
use crate::output::{Format, Output};

mod audit;
mod context;
mod exec;
mod key;

mod lock;
mod policy;
mod revoke;
mod task;
mod token;
mod top;
mod verifier;

pub(crate) use audit::{
    AuditCommand, CriteriaArgs, ExportArgs, ExportFormat, RetentionArgs, SearchArgs, TailArgs,
};
pub(crate) use context::{ContextAddArgs, ContextCommand};
pub(crate) use exec::ExecArgs;
pub(crate) use key::KeyCommand;
pub(crate) use lock::{LockArgs, LockCommand, UnlockArgs};
pub(crate) use policy::{
    CheckArgs, DiffArgs, ExplainArgs, PolicyCommand, RecordArgs, SimulateArgs, TestArgs,
};
pub(crate) use revoke::RevokeArgs;
pub(crate) use task::{EndArgs, HeldArgs, ListArgs, OutcomeArg, ShowArgs, StartArgs, TaskCommand};
pub(crate) use token::{DecodeArgs, IntrospectArgs, RequestArgs, TokenCommand, TokenListArgs};
pub(crate) use top::{CompletionsArgs, HelpArgs, ShellArg, TopArgs};
pub(crate) use verifier::{VerifierCommand, VerifierListArgs};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 internal, 2 usage, 3 not found, 4 denied,
5 not authenticated, 6 unavailable or timeout, 7 partly done, 8 not confirmed,
126 program cannot run (exec), 127 program not found (exec), 130 interrupted,
141 broken pipe.

Data goes to standard output, everything else to standard error.
More: `locum help selectors|output|exit-codes|environment`.

Example:
  locum context add prod --addr https://locum.internal:8443 --ca-file ca.pem \\
      --cert-file me.pem --key-file me.key
  locum status";

/// Credentials that live exactly as long as the task, and reach no further than it.
#[derive(Debug, Parser)]
#[command(
    name = "locum",
    bin_name = "locum",
    version,
    after_help = EXIT_CODES,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
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
    /// The context to use, instead of the current one [env: LOCUM_CONTEXT].
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The broker's address, `https://host:port` [env: LOCUM_ADDR].
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) addr: Option<String>,
    /// PEM file with the authorities that vouch for the broker [env: LOCUM_CA_FILE].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with the client certificate to show [env: LOCUM_CERT_FILE].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file with that certificate's key [env: LOCUM_KEY_FILE].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the bearer assertion to show [env: LOCUM_ASSERTION_FILE].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) assertion_file: Option<PathBuf>,
    /// The deadline of each call.
    #[arg(long, global = true, default_value = "10s", value_parser = span, value_name = "SPAN")]
    pub(crate) timeout: Duration,
    /// How to print: table, wide, json, jsonl or name (see `locum help output`).
    #[arg(
        short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub(crate) output: Format,
    /// Prints one value alone, by its path in the JSON document: `state`, `matches.0.name`.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "output")]
    pub(crate) field: Option<String>,
    /// Prints without colours; so does a set `NO_COLOR`.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

impl Global {
    /// Where and how to print.
    pub(crate) fn printing(&self) -> Output {
        let output = Output::new(self.output, self.field.clone());
        if self.no_color { output.without_colours() } else { output }
    }
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
    /// Runs a program in a task of its own, with its tokens in files; the task ends with the program.
    #[command(
        after_help = "The program finds its token in the file that LOCUM_TOKEN_FILE names (with several connectors: \
                      in LOCUM_TOKEN_DIR, one file each), its task in LOCUM_TASK. The file is replaced before the \
                      token expires: read it for each call. Signals are passed on; the exit code is the program's.\n\n\
                      Example:\n  locum exec --purpose refund-order --scope orders:refund=order/1881 \\\n      \
                      -- ./refund.sh 1881"
    )]
    Exec(Box<ExecArgs>),
    /// Revokes everything that a selector covers: shows it, asks, and does it.
    #[command(
        after_help = "Examples:\n  locum revoke workload=refunder --reason 'stolen laptop' --dry-run\n  \
                      locum revoke 'workload=spiffe://acme.test/agents/*' --reason 'INC-412'\n  \
                      locum revoke --model gpt-x --issued-before 10m --reason 'bad prompt' --yes\n  \
                      locum revoke workload=refunder --reason 'INC-412' --yes --wait 5s"
    )]
    Revoke(RevokeArgs),
    /// Refuses anything new for what a selector covers, until the lock ends; `lock list` shows locks.
    #[command(
        args_conflicts_with_subcommands = true,
        subcommand_negates_reqs = true,
        after_help = "Examples:\n  locum lock model=gpt-x --ttl 2h --reason 'under review'\n  \
                      locum lock workload=refunder --ttl 1d --reason 'stolen laptop' --dry-run\n  locum lock list"
    )]
    Lock(Box<LockArgs>),
    /// Lifts the locks that were made with a selector. Revives nothing.
    #[command(after_help = "Example:\n  locum unlock model=gpt-x --reason 'review passed'")]
    Unlock(UnlockArgs),
    /// Checks, tests, explains, compares and replays policies; no broker is needed.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Lists and rotates signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Shows who checks tokens by the revocation feed.
    #[command(subcommand)]
    Verifier(VerifierCommand),
    /// Reads the record.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Shows health, counts and key ages; the exit code says whether the broker serves.
    #[command(after_help = "Examples:\n  locum status\n  locum status --field tokens")]
    Status,
    /// Shows what goes on, again and again, until interrupted (or `q`).
    #[command(after_help = "Examples:\n  locum top\n  locum top --every 5s --count 12 > load.txt")]
    Top(TopArgs),
    /// Has the broker read registry and policies again; what is refused leaves what was in force.
    #[command(after_help = "Examples:\n  locum reload\n  locum reload -o json | jq .reloaded.changes")]
    Reload,
    /// Shows for whom the broker takes you.
    #[command(after_help = "Example:\n  locum whoami --field spiffe_id")]
    Whoami,
    /// Keeps several brokers by name.
    #[command(subcommand)]
    Context(ContextCommand),
    /// Prints the completion script of a shell.
    #[command(
        after_help = "Examples:\n  locum completions bash > ~/.local/share/bash-completion/completions/locum\n  \
                      locum completions zsh > ~/.zfunc/_locum\n  \
                      locum completions fish > ~/.config/fish/completions/locum.fish"
    )]
    Completions(CompletionsArgs),
    /// Explains a command, or one of: selectors, output, exit-codes, environment.
    #[command(after_help = "Examples:\n  locum help exit-codes\n  locum help task list")]
    Help(HelpArgs),
}

impl Command {
    /// Whether what it tells of has a name that other commands take. Known before anything is done: a
    /// command that cannot answer in the form that is asked for must not act.
    pub(crate) fn has_names(&self) -> bool {
        match self {
            Self::Token(TokenCommand::Decode(_)) => false,
            Self::Task(_) | Self::Token(_) | Self::Lock(_) | Self::Unlock(_) => true,
            Self::Key(_) | Self::Verifier(_) | Self::Context(_) => true,
            Self::Audit(command) => {
                matches!(command, AuditCommand::Tail(_) | AuditCommand::Search(_))
            }
            // What they print is not theirs to form.
            Self::Exec(_) | Self::Completions(_) | Self::Help(_) => true,
            Self::Revoke(_) | Self::Policy(_) | Self::Status | Self::Top(_) => false,
            Self::Reload | Self::Whoami => false,
        }
    }
}
