//! `locum exec`: its flags.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::input::{scope_written, span};

/// `exec`.
#[derive(Args, Debug)]
pub(crate) struct ExecArgs {
    /// The purpose code of the task.
    #[arg(long, value_name = "CODE")]
    pub(crate) purpose: String,
    /// A connector that the program calls; may be given more than once. Without it: those of the scopes.
    #[arg(long = "connector", value_name = "NAME")]
    pub(crate) connectors: Vec<String>,
    /// What it may do: `connector:action[=resource,…]`, or `action[=resource,…]` with one connector; may
    /// be given more than once.
    #[arg(long = "scope", required = true, value_parser = scope_written, value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// Why, in free text: evidence for people, never a reason to allow.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) justification: String,
    /// The longest that the program may take.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) deadline: Option<Duration>,
    /// The life wished for each token.
    #[arg(long, value_parser = span, value_name = "SPAN")]
    pub(crate) ttl: Option<Duration>,
    /// Where the token is written, for one connector. Without it: a folder that only its owner can enter.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Binds the tokens to the client certificate.
    #[arg(long)]
    pub(crate) bind_to_certificate: bool,
    /// The program and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) program: Vec<OsString>,
}
