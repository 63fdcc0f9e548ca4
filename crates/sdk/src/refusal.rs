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

    /// What would help, in a sentence for people; none where the message says it, or nothing would.
    pub fn advice(&self) -> Option<&'static str> {
        self.reason.and_then(advice)
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
        match self.advice() {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

/// What the caller can do. Every reason is weighed: a new one does not compile until it is.
#[rustfmt::skip] // a table is read in columns
fn advice(reason: Reason) -> Option<&'static str> {
    use Reason as R;
    Some(match reason {
        R::IdentityMissing => "set LOCUM_CERT_FILE and LOCUM_KEY_FILE, or LOCUM_ASSERTION_FILE",
        R::IdentityInvalid => "show a certificate with one SPIFFE ID, or an assertion as the platform wrote it",
        R::IdentityUntrustedIssuer => "an operator has to name this trust domain or issuer in the configuration",
        R::IdentityExpired => "the certificate or assertion has to be renewed by the platform",
        R::IdentityAudienceMismatch => "have the platform address the assertion to the broker's issuer",
        R::IdentityMismatch => "show the certificate and the assertion of one workload",
        R::WorkloadUnregistered => "an operator has to register this SPIFFE ID",
        R::RoleMissing => "this is for another role; `locum whoami` says whom the broker takes you for",
        R::RequestIdReused => "use a request id for one request and its retries alone",
        R::IntentNotAllowed | R::PolicyDenied => "talk to who owns the policy; `locum policy explain` names the nearest rule that would allow it",
        R::PolicyError => "who owns the policy has to correct it",
        R::PolicyInvalid => "`locum policy check` tells what is wrong, without a broker",
        R::RegistryInvalid => "`locumd check-config` tells what is wrong",
        R::ConnectorUnknown => "use a connector's registered name; an operator registers them",
        R::ConnectorNotServed => "an operator has to name this connector in the workload's `serves`",
        R::ScopeUnknown => "ask for actions and resources that the registry lists for the connector",
        R::ScopeBeyondIntent => "a task's intent cannot grow: declare this scope when the task is started",
        R::ScopeBeyondParent => "a child task can only have what its parent has",
        R::ScopeInsufficient => "get a token for this very action and resource",
        R::TtlTooLong => "ask for a shorter life, or for none in particular",
        R::DeadlineTooLate => "ask for an earlier deadline, or for none in particular",
        R::ChainTooLong => "start the task further up the chain",
        R::JustificationRequired => "start the task with a justification",
        R::ProofRequired => "bind the token to a client certificate or to a DPoP key",
        R::ProofInvalid => "make each proof anew, for this very request, by a clock that is right",
        R::Locked => "an operator holds a lock; it has an end",
        R::TaskNotHeld => "only the holder secret made at the task's start opens it",
        R::TaskEnded | R::TaskLapsed | R::TaskRevoked => "start a new task",
        R::TokenTooLarge => "ask for fewer operations and resources at once",
        R::SelectorForbidden => "an operator of that tenant, or of all tenants, may do this",
        R::TimeInFuture => "name a time that has passed",
        R::KeyWaiting => "it takes over by itself; revoke the key that signs, if it has to go at once",
        R::TaskNotFound => "`locum task list` shows which there are",
        R::SelectorUnknown => "`locum help selectors` has every form; names are those of the registry",
        R::LockUnknown => "`locum lock list` shows which are in force",
        R::KeyUnknown => "`locum key list` shows which there are",
        R::QuotaExceeded => "make room: end what is done with, or wait for what is under way",
        // The message is the advice, or there is nothing that the caller could do but try again.
        R::RequestMalformed | R::FeedPositionInvalid | R::FollowerTooSlow | R::TokenIdRepeated | R::Overloaded
        | R::ReaperBehind | R::ClockUnsettled | R::StorageFull | R::JournalUnavailable | R::ArchiveUnavailable | R::Draining
        | R::Internal => return None,
        // Told alike for every cause: see the table of reasons.
        R::TokenMalformed | R::TokenUnknownKey | R::TokenSignatureInvalid | R::TokenUnknown
        | R::TokenWrongIssuer | R::TokenWrongAudience | R::TokenNotYetValid | R::TokenExpired
        | R::TokenRevoked | R::TokenUnproved | R::TokenSpent => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reason: Reason) -> Refusal {
        Refusal::of(&status::status(reason, None, "req-1", &[]))
    }

    /// Whoever is refused hears what to do, or that the same may work later.
    #[test]
    fn a_refusal_that_is_no_end_says_what_would_help() {
        for reason in Reason::ALL {
            let refusal = told(*reason);
            let Some(advice) = refusal.advice() else { continue };
            assert!(refusal.to_string().ends_with(&format!(" ({advice})")), "{refusal}");
            assert!(advice.len() < 120 && !advice.ends_with('.'), "{advice}");
        }
        let final_without_a_word = |reason: &&Reason| {
            let refusal = told(**reason);
            let known = refusal.reason() == Some(**reason);
            known && refusal.advice().is_none() && refusal.retry_after().is_none()
        };
        let silent: Vec<&str> = Reason::ALL.iter().filter(final_without_a_word).map(|r| r.as_str()).collect();
        // Their messages name the field, the thing or the way out.
        assert_eq!(silent, ["REQUEST_MALFORMED", "TOKEN_UNKNOWN", "FEED_POSITION_INVALID", "INTERNAL"]);
    }

    /// Advice about a token would tell why it is not believed.
    #[test]
    fn about_a_token_nothing_is_advised() {
        for reason in Reason::ALL.iter().filter(|reason| status::public_reason(**reason) == "TOKEN_UNKNOWN") {
            assert_eq!(advice(*reason), None, "{reason}");
        }
    }

    #[test]
    fn a_refusal_without_details_still_says_something() {
        let refusal = Refusal::of(&Status::permission_denied(""));
        assert_eq!(refusal.to_string(), "refused: PermissionDenied");
    }
}
