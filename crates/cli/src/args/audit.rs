//! `locum audit`: its verbs and flags.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::input::span;

/// What can be read of the record.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Shows the newest entries, and what comes with `-f`.
    #[command(after_help = "Example:\n  locum audit tail -f -n 20")]
    Tail(TailArgs),
    /// Tells the whole story of one task.
    #[command(after_help = "Example:\n  locum audit show task-1-42")]
    Show(StoryArgs),
    /// Finds entries that meet all criteria, the newest first.
    #[command(
        after_help = "Examples:\n  locum audit search --workload refunder --since 2h\n  locum audit search --denied --reason POLICY_DENIED --since 1d\n  locum audit search --text 'INC-412' -o json"
    )]
    Search(SearchArgs),
    /// Writes entries as lines of JSON, the oldest first.
    #[command(
        after_help = "Examples:\n  locum audit export --since 30d > record.jsonl\n  locum audit export --format ocsf --after 1.1.4711 > new.ocsf.jsonl"
    )]
    Export(ExportArgs),
    /// Has the archive's index made anew from the journal, and shows how far it is.
    #[command(after_help = "Example:\n  locum audit reindex")]
    Reindex,
    /// Shows what the archive's retention would take away now. The server alone takes it away.
    #[command(
        after_help = "Examples:\n  locum audit retention --dry-run\n  locum audit retention --dry-run --keep 90d"
    )]
    Retention(RetentionArgs),
    /// Shows how the archive does.
    #[command(after_help = "Example:\n  locum audit status")]
    Status,
}

/// What an entry has to be: all that is given.
#[derive(Args, Debug)]
#[command(next_help_heading = "Criteria")]
pub(crate) struct CriteriaArgs {
    /// About this task or what is below it.
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// About this token, by its `jti`.
    #[arg(long, value_name = "JTI")]
    pub(crate) token: Option<String>,
    /// About this workload, by its registered name or SPIFFE ID.
    #[arg(long, value_name = "NAME")]
    pub(crate) workload: Option<String>,
    /// About this connector.
    #[arg(long, value_name = "NAME")]
    pub(crate) connector: Option<String>,
    /// About what this owner answers for.
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
    /// About what this model stands behind.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Done by this operator.
    #[arg(long, value_name = "NAME")]
    pub(crate) operator: Option<String>,
    /// About the request with this id of a caller.
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// On behalf of this subject; with more than one tenant, `--tenant` says of which.
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: Option<String>,
    /// Of this tenant.
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Only what was allowed.
    #[arg(long)]
    pub(crate) permitted: bool,
    /// Only what was refused.
    #[arg(long, conflicts_with = "permitted")]
    pub(crate) denied: bool,
    /// Refused for this reason, for instance `POLICY_DENIED`.
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: Option<String>,
    /// This event, for instance `token-issued`; may be given more than once.
    #[arg(long = "event", value_name = "EVENT")]
    pub(crate) events: Vec<String>,
    /// Not before: a time, or so long ago.
    #[arg(long, value_name = "TIME|SPAN")]
    pub(crate) since: Option<String>,
    /// Before: a time, or so long ago.
    #[arg(long, value_name = "TIME|SPAN")]
    pub(crate) until: Option<String>,
    /// With an operator's reason that holds these words, one after the other.
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
    /// Shows justifications as they were given, while they are kept.
    #[arg(long)]
    pub(crate) with_justifications: bool,
}

/// `audit search`.
#[derive(Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) criteria: CriteriaArgs,
    /// The oldest first.
    #[arg(long)]
    pub(crate) oldest_first: bool,
    /// At most this many.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// `audit export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) criteria: CriteriaArgs,
    /// How each line is written.
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,
    /// Only what stands after this position; an export says where it ended.
    #[arg(long, value_name = "POSITION")]
    pub(crate) after: Option<String>,
}

/// How a line of an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// As `audit tail -o jsonl` writes it.
    Jsonl,
    /// As an event of OCSF 1.5.
    Ocsf,
}

/// `audit retention`.
#[derive(Args, Debug)]
pub(crate) struct RetentionArgs {
    /// Takes nothing away. There is no other mode: the server takes away by its own setting.
    #[arg(long, required = true)]
    pub(crate) dry_run: bool,
    /// Instead of the retention that is set.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) keep: Option<Duration>,
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
