//! [`Failure`]: why a command did not do what was asked, and the exit code that says so.
//!
//! Told once, on standard error: a line for people, or one JSON document with `-o json`.

use std::io;

use locum_sdk::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::document;
use crate::output::Output;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, a file or an answer at the prompt is not right.
    #[error("{0}")]
    Usage(String),
    /// What was asked about is not so: an inactive token, an invalid policy.
    #[error("{0}")]
    Denied(String),
    /// Some of it was done.
    #[error("{0}")]
    Partly(String),
    /// The client or the broker.
    #[error(transparent)]
    Client(#[from] Error),
    /// A file or a stream of this machine.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The person said stop.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// The exit code, as `--help` lists them.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Denied(_) => 4,
            Self::Partly(_) => 7,
            Self::Io(_) => 1,
            Self::Interrupted => 130,
            Self::Client(error) => match error.kind() {
                ErrorKind::Internal => 1,
                ErrorKind::Usage => 2,
                ErrorKind::NotFound => 3,
                ErrorKind::Denied => 4,
                ErrorKind::Unauthenticated => 5,
                ErrorKind::Unavailable => 6,
            },
        }
    }

    /// Tells it and gives the exit code. A closed standard output is the reader's choice: silence.
    pub(crate) fn tell(&self, output: &Output) -> u8 {
        if let Self::Io(error) = self
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            return 0;
        }
        output.error(&self.document());
        self.code()
    }

    fn document(&self) -> Value {
        let (reason, request_id, retryable) = match self {
            Self::Client(error) => {
                let reason = error.reason().map_or_else(|| own_reason(self.code()), |r| r.as_str());
                (reason, error.request_id().map(str::to_owned), error.retryable())
            }
            _ => (own_reason(self.code()), None, false),
        };
        let message = self.to_string();
        document::of(
            "error",
            json!({ "reason": reason, "message": message, "request_id": request_id, "retryable": retryable }),
        )
    }
}

/// What stands for a reason where the broker gave none.
fn own_reason(code: u8) -> &'static str {
    match code {
        2 => "USAGE",
        3 => "NOT_FOUND",
        4 => "DENIED",
        5 => "NOT_AUTHENTICATED",
        6 => "UNAVAILABLE",
        7 => "PARTLY_DONE",
        130 => "INTERRUPTED",
        _ => "INTERNAL",
    }
}

/// Tells that the command line is not one, in the format that it seems to ask for.
pub(crate) fn usage(error: &clap::Error) -> std::process::ExitCode {
    // A help or version text is an answer, and whether anybody still reads it is not our business.
    if !error.use_stderr() {
        let _printed = error.print();
        return std::process::ExitCode::SUCCESS;
    }
    if crate::output::wants_json(std::env::args_os()) {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let failure = Failure::Usage(crate::output::escaped(message));
        return std::process::ExitCode::from(failure.tell(&Output::json()));
    }
    let _printed = error.print();
    std::process::ExitCode::from(2)
}
