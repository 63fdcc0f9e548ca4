//! `locum top`, `locum completions` and `locum help`: their flags.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::input::span;

/// `top`.
#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    /// How often to look.
    #[arg(long, default_value = "2s", value_parser = span, value_name = "SPAN")]
    pub(crate) every: Duration,
    /// Ends after so many looks.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

/// `completions`.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: ShellArg,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellArg {
    Bash,
    Zsh,
    Fish,
}

/// `help`.
#[derive(Args, Debug)]
pub(crate) struct HelpArgs {
    /// A command's words, or a topic.
    #[arg(value_name = "COMMAND|TOPIC")]
    pub(crate) words: Vec<String>,
}
