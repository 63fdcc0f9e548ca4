//! [`Failure`]: why a command did not do what was asked, and the exit code that says so.
//!
//! Told once, on standard error: a line for people, or one JSON document with `-o json`.

use std::io;

use locum_sdk::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::misread::Misread;
use crate::{document, exit};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is not one.
    #[error(transparent)]
    Misread(#[from] Box<Misread>),
    /// What the command line says, a file or an answer at the prompt is not right.
    #[error("{0}")]
    Usage(String),
    /// What was asked about is not so: an inactive token, an invalid policy.
    #[error("{0}")]
    Denied(String),
    /// Some of it was done.
    #[error("{0}")]
    Partly(String),
    /// The person at the terminal did not confirm.
    #[error("not confirmed: nothing was changed")]
    NotConfirmed,
    /// The client or the broker.
    #[error(transparent)]
    Client(#[from] Error),
    /// A file or a stream of this machine.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The program that was to run could not be started.
    #[error("{message}")]
    NotRun {
        /// Which, and why.
        message: String,
        /// The exit code that shells have for it.
        code: u8,
    },
    /// The program that was run ended with this code, and has said itself what there was to say.
    #[error("the program ended with {0}")]
    Program(u8),
    /// The person said stop.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// The exit code (see [`crate::exit::ALL`]).
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Misread(_) | Self::Usage(_) => 2,
            Self::Denied(_) => 4,
            Self::Partly(_) => 7,
            Self::NotConfirmed => 8,
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::BROKEN_PIPE,
            Self::Io(_) => 1,
            Self::NotRun { code, .. } | Self::Program(code) => *code,
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

    /// What is told of it, as a document.
    pub(crate) fn document(&self) -> Value {
        let (reason, request_id, retryable) = match self {
            Self::Client(error) => {
                let reason = error.reason().map_or_else(|| exit::reason(self.code()), |r| r.as_str());
                (reason, error.request_id().map(str::to_owned), error.retryable())
            }
            _ => (exit::reason(self.code()), None, false),
        };
        let (message, help) = self.told();
        document::of(
            "error",
            json!({
                "reason": reason,
                "message": message,
                "help": help,
                "request_id": request_id,
                "retryable": retryable,
            }),
        )
    }

    /// What happened, and apart from it what would help.
    fn told(&self) -> (String, Option<String>) {
        let mut message = self.to_string();
        let error = match self {
            Self::Client(error) => error,
            Self::Misread(misread) => return (message, misread.help.clone()),
            _ => return (message, None),
        };
        let help = error.advice();
        // An error's own text ends with it, for whoever has nothing but the text.
        if let Some(length) = help.and_then(|help| message.strip_suffix(&format!(" ({help})"))).map(str::len)
        {
            message.truncate(length);
        }
        (message, help.map(str::to_owned))
    }
}
