//! `locum context`: its verbs and flags.

use clap::{Args, Subcommand};

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Lists the contexts; `*` marks the current one.
    #[command(after_help = "Example:\n  locum context list")]
    List,
    /// Makes a context the current one.
    #[command(after_help = "Example:\n  locum context use prod")]
    Use(ContextNameArgs),
    /// Adds a context from `--addr`, `--ca-file` and the files that say who you are, and uses it.
    #[command(
        after_help = "Example:\n  locum context add prod --addr https://locum.internal:8443 --ca-file ca.pem \\\n      \
                      --cert-file me.pem --key-file me.key"
    )]
    Add(ContextAddArgs),
    /// Forgets a context. Its files stay.
    #[command(after_help = "Example:\n  locum context remove lab")]
    Remove(ContextNameArgs),
    /// Shows a context, the current one when none is named.
    #[command(after_help = "Example:\n  locum context show prod")]
    Show(ContextShowArgs),
}

/// `context use`, `context remove`.
#[derive(Args, Debug)]
pub(crate) struct ContextNameArgs {
    /// The context.
    pub(crate) name: String,
}

/// `context add`.
#[derive(Args, Debug)]
pub(crate) struct ContextAddArgs {
    /// Its name: lower-case letters, digits, `.`, `-` and `_`.
    pub(crate) name: String,
    /// Puts it in the place of one of the same name.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Goes on using the context in use.
    #[arg(long)]
    pub(crate) keep_current: bool,
}

/// `context show`.
#[derive(Args, Debug)]
pub(crate) struct ContextShowArgs {
    /// The context.
    pub(crate) name: Option<String>,
}
