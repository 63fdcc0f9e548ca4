//! `locumd demo`: the story of a token, told by a real server on loopback.

use std::io::{stderr, stdout};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use locum_demo::{Afterwards, Format, Options, Streams};

/// `demo`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DemoArgs {
    /// Ends when the story is over instead of staying up.
    #[arg(long)]
    once: bool,
    /// How to tell it: a line a step, or one JSON object at the end.
    #[arg(short, long, value_enum, default_value_t = FormatArg::Text, value_name = "FORMAT")]
    output: FormatArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Text,
    Json,
}

/// Gives the demo; the exit code says whether every step came out as promised.
pub(crate) fn run(args: DemoArgs) -> Result<ExitCode, String> {
    let format = match args.output {
        FormatArg::Text => Format::Text,
        FormatArg::Json => Format::Json,
    };
    let afterwards = if args.once { Afterwards::End } else { Afterwards::Stay };
    let streams = Streams { data: &mut stdout(), notes: &mut stderr() };
    locum_demo::run(Options { format, afterwards }, streams).map_err(|error| error.to_string())
}
