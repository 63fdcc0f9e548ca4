//! [`Refusal`]: what the broker said when it said no, made fit for a log and a terminal.
//!
//! Everything in it came over the wire, so it is bounded and escaped once, here.

use std::fmt;
use std::time::Duration;

use locum_api::{Violation, status};
use locum_model::Reason;
use tonic::{Code, Status};

use crate::untrusted::bounded;

/// The broker answered, and the answer was no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads what a status says.
    pub(crate) fn of(answer: &Status) -> Self {
        let violation = |v: Violation| format!("{}: {}", bounded(&v.field), bounded(&v.message));
        let violations: Vec<_> = status::violations_of(answer).into_iter().map(violation).collect();
        let detail = status::detail_of(answer).map(|detail| bounded(&detail));
        Self {
            code: answer.code(),
            reason: status::reason_of(answer),
            message: bounded(answer.message()),
            detail: detail.or_else(|| (!violations.is_empty()).then(|| violations.join("; "))),
            request_id: status::request_id_of(answer).map(|id| bounded(&id)),
            retry_after: status::retry_after_of(answer),
        }
    }

    /// The broker's sentence, escaped and bounded.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What exactly, where the broker said so: escaped and bounded.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The reason by its code; absent when this version does not know it.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// What to quote when asking the broker's operators.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// When to try again, where the broker said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// The broker's sentence, and what to do about it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.as_str(), self.reason) {
            ("", Some(reason)) => write!(f, "refused: {reason}")?,
            ("", None) => write!(f, "refused: {:?}", self.code)?,
            (message, _) => f.write_str(message)?,
        }
        if let Some(detail) = &self.detail
            && !self.message.contains(detail)
        {
            write!(f, ": {detail}")?;
        }
        match self.reason.and_then(advice) {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

/// What the caller can do, where that is not plain from the reason.
fn advice(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ScopeBeyondIntent => {
            "a task's intent cannot grow: declare this scope when the task is started"
        }
        Reason::ScopeBeyondParent => "a child task can only have what its parent has",
        Reason::IdentityMissing => "set LOCUM_CERT_FILE and LOCUM_KEY_FILE, or LOCUM_ASSERTION_FILE",
        Reason::IdentityExpired => "the certificate or assertion has to be renewed by the platform",
        Reason::WorkloadUnregistered => "an operator has to register this SPIFFE ID",
        Reason::JustificationRequired => "start the task with a justification",
        Reason::ProofRequired => "connect with a client certificate and bind the token to it",
        Reason::TaskNotHeld => "only the holder secret made at the task's start opens it",
        Reason::TaskEnded | Reason::TaskLapsed | Reason::TaskRevoked => "start a new task",
        Reason::TtlTooLong => "ask for a shorter life, or for none in particular",
        Reason::Locked => "an operator holds a lock; it has an end",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_details_still_says_something() {
        let refusal = Refusal::of(&Status::permission_denied(""));
        assert_eq!(refusal.to_string(), "refused: PermissionDenied");
    }
}
