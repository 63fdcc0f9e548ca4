//! [`Error`]: why something did not work, told so that the caller can act on it.
//!
//! No secret is ever part of an error. Text of others is bounded and escaped (see [`Refusal`]).

use std::time::Duration;

use locum_api::status::{Retry, public};
use locum_model::scope::NotAScope;
use locum_model::{EntropyFailed, Reason};
use tonic::{Code, Status};

use crate::ending::Ending;
use crate::refusal::Refusal;
use crate::untrusted::bounded;

/// Why a call did not work.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The broker gave no answer: not there, not trusted, or gone in between.
    #[error("the broker cannot be reached: {0}{hint}", hint = in_brackets(about_tls(.0)))]
    Unreachable(String),
    /// The offline verifier cannot say; the caller may come again.
    #[error("the token cannot be checked offline: {0}")]
    Stale(String),
    /// The deadline passed.
    #[error("no answer from the broker within {0:?}")]
    TimedOut(Duration),
    /// The task is over, so nothing was asked.
    #[error("the task is over: {0}; start a new one")]
    TaskOver(Ending),
    /// The options do not make a client.
    #[error("{0}")]
    Options(String),
    /// What was asked for is not well formed; nothing was sent.
    #[error("{0}")]
    Malformed(String),
    /// The assertion's file is of no use.
    #[error("the assertion in `{file}` cannot be used: {why}")]
    Assertion {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The answer does not follow the contract.
    #[error("the broker's answer does not follow the contract: {0}")]
    Unexpected(&'static str),
    /// The source of randomness failed.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
}

/// What an error calls for, coarsely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request or the options have to change.
    Usage,
    /// There is no such thing, or not for this caller.
    NotFound,
    /// It is not allowed, or not any more.
    Denied,
    /// The broker does not know who is calling.
    Unauthenticated,
    /// Later may be better.
    Unavailable,
    /// A failure of Locum itself.
    Internal,
}

impl Error {
    /// Reads a status: a refusal where the broker answered, else that it did not.
    pub(crate) fn of(status: &Status) -> Self {
        let refusal = Refusal::of(status);
        if refusal.reason.is_none() && std::error::Error::source(status).is_some() {
            return Self::Unreachable(bounded(&chain(status)));
        }
        Self::Refused(Box::new(refusal))
    }

    /// The reason, where the broker gave one that this version knows.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => refusal.reason,
            Self::TaskOver(Ending::Ended) => Some(Reason::TaskEnded),
            Self::TaskOver(Ending::Lapsed) => Some(Reason::TaskLapsed),
            Self::TaskOver(Ending::Revoked) => Some(Reason::TaskRevoked),
            Self::TaskOver(Ending::Lost) => Some(Reason::TaskNotFound),
            _ => None,
        }
    }

    /// What exactly, without advice: bounded, escaped, without secrets.
    pub fn detail(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.detail.clone().unwrap_or_else(|| refusal.message.clone()),
            other => other.to_string(),
        }
    }

    /// What would help, where that is known; it stands in the error's text too.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::Unreachable(why) => about_tls(why),
            Self::TaskOver(_) => Some("start a new task, if the work should go on"),
            _ => None,
        }
    }

    /// What to quote when asking the broker's operators.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.request_id(),
            _ => None,
        }
    }

    /// Whether the same request may work a little later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal.reason {
                Some(reason) => matches!(public(reason).retryable, Retry::After(_)),
                None => matches!(refusal.code, Code::Unavailable | Code::DeadlineExceeded | Code::Aborted),
            },
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Stale(_) => true,
            _ => false,
        }
    }

    /// What the error calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(refusal) => kind_of(refusal.code),
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Stale(_) => ErrorKind::Unavailable,
            Self::TaskOver(Ending::Lost) => ErrorKind::NotFound,
            Self::TaskOver(_) => ErrorKind::Denied,
            Self::Options(_) | Self::Malformed(_) => ErrorKind::Usage,
            Self::Assertion { .. } => ErrorKind::Unauthenticated,
            Self::Unexpected(_) | Self::Entropy(_) => ErrorKind::Internal,
        }
    }
}

impl From<NotAScope> for Error {
    fn from(error: NotAScope) -> Self {
        Self::Malformed(error.to_string())
    }
}

fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::Usage,
        Code::NotFound => ErrorKind::NotFound,
        Code::PermissionDenied | Code::FailedPrecondition | Code::AlreadyExists => ErrorKind::Denied,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Cancelled => ErrorKind::Unavailable,
        Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => {
            ErrorKind::Internal
        }
    }
}

/// What is wrong when TLS does not come about, by rustls' names for it.
fn about_tls(why: &str) -> Option<&'static str> {
    if why.contains("UnknownIssuer") {
        Some("LOCUM_CA_FILE does not hold the authority of the broker's certificate")
    } else if why.contains("NotValidForName") {
        Some("the broker's certificate is not for the name in LOCUM_ADDR")
    } else {
        None
    }
}

fn in_brackets(advice: Option<&str>) -> String {
    advice.map(|advice| format!(" ({advice})")).unwrap_or_default()
}

/// The causes of a failed connection, outermost first, each once.
fn chain(status: &Status) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        cause = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_codes() {
        for (status, kind, retryable) in [
            (Status::not_found("x"), ErrorKind::NotFound, false),
            (Status::permission_denied("x"), ErrorKind::Denied, false),
            (Status::unauthenticated("x"), ErrorKind::Unauthenticated, false),
            (Status::unavailable("x"), ErrorKind::Unavailable, true),
            (Status::invalid_argument("x"), ErrorKind::Usage, false),
            (Status::internal("x"), ErrorKind::Internal, false),
        ] {
            let error = Error::of(&status);
            assert_eq!((error.kind(), error.retryable()), (kind, retryable), "{status}");
        }
    }

    #[test]
    fn who_is_not_let_in_by_tls_hears_which_file_it_is() {
        for (why, named) in [
            ("transport error: invalid peer certificate: UnknownIssuer", Some("LOCUM_CA_FILE")),
            ("invalid peer certificate: certificate not valid: NotValidForName", Some("LOCUM_ADDR")),
            ("Connection refused (os error 111)", None),
        ] {
            let error = Error::Unreachable(why.to_owned());
            assert_eq!(error.advice().is_some(), named.is_some(), "{why}");
            assert!(named.is_none_or(|named| error.to_string().contains(named)), "{error}");
        }
    }

    #[test]
    fn a_task_that_is_over_has_its_reason() {
        assert_eq!(Error::TaskOver(Ending::Revoked).reason(), Some(Reason::TaskRevoked));
        assert!(!Error::TaskOver(Ending::Revoked).retryable());
    }
}
