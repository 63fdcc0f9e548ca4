//! `locum token`: its verbs and flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::HeldArgs;
use crate::input::{scope_written, span};
use crate::selector::SelectorArgs;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Asks for a token and prints it, alone, on standard output.
    #[command(
        after_help = "Forms for other programs: -o file, header, env-file, credential-process, exec-credential (see \
                      `locum help output`).\n\n\
                      Examples:\n  \
                      locum token request task-1-42 orders --scope orders:read \\\n      -o file --to token\n  \
                      locum token request task-1-42 orders --scope orders:read -o header |\n      \
                      curl -H @- https://orders.internal/"
    )]
    Request(RequestArgs),
    /// Asks the broker whether a token is active; reads it from standard input.
    #[command(after_help = "Example:\n  locum token introspect orders < token")]
    Introspect(IntrospectArgs),
    /// Lists live tokens, oldest first: what revoking the same selector would kill. Never a token itself.
    #[command(
        after_help = "Examples:\n  locum token list workload=refunder\n  locum token list connector=orders -o wide\n  \
                      locum token list task=task-1-42 -o name"
    )]
    List(TokenListArgs),
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
    /// What it may do: `[connector:]action[=resource,…]`; may be given more than once.
    #[arg(long = "scope", required = true, value_parser = scope_written, value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The life wished for.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) ttl: Option<Duration>,
    /// How often it may be used; unlimited when 0.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) uses_max: u32,
    /// Writes to this file, mode 0600, instead of standard output; replaces it whole.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Binds the token to the client certificate.
    #[arg(long)]
    pub(crate) bind_to_certificate: bool,
}

/// `token list`.
#[derive(Args, Debug)]
pub(crate) struct TokenListArgs {
    /// At most this many.
    #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) selector: SelectorArgs,
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
