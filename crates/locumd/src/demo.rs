//! `locumd demo`: the story of a token, told by a real server on loopback.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::Args;
use locum_demo::{Afterwards, Format, Options, Streams};

use crate::answer;

/// `demo`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DemoArgs {
    /// Ends when the story is over instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Gives the demo; the exit code says whether every step came out as promised.
pub(crate) fn run(args: DemoArgs, output: answer::Format) -> Result<ExitCode, String> {
    let format = match output {
        answer::Format::Text => Format::Text,
        answer::Format::Json => Format::Json,
    };
    let afterwards = if args.once { Afterwards::End } else { Afterwards::Stay };
    let streams = Streams { data: &mut stdout(), notes: &mut stderr() };
    locum_demo::run(Options { format, afterwards }, streams).map_err(|error| error.to_string())
}
