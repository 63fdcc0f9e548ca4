//! [`Refusal`]: why a use case said no.

use locum_model::event::DeniedAsk;
use locum_model::{ClockUnsettled, EntropyFailed, Reason};
use locum_policy::{Denial, Justification, Proof, Request, Subject};

/// A reason from the closed list, and a sentence for callers who may know what was missing.
///
/// The detail never holds a secret, and nothing of the caller's own text that is not bounded and
/// of a plain alphabet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    reason: Reason,
    detail: String,
    /// For the record and never for the caller.
    asked: Option<Box<DeniedAsk>>,
}

impl Refusal {
    /// Refuses for `reason`, saying `detail`.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), asked: None }
    }

    /// What policies denied, with what they were asked.
    pub(crate) fn denied(denial: &Denial, request: &Request<'_>) -> Self {
        let asked = DeniedAsk {
            purpose: request.purpose.clone(),
            scope: request.scope.clone(),
            depth: request.depth,
            justified: request.justification == Justification::Given,
            proved: request.proof == Proof::Proved,
            delegated: request.subject == Subject::Other,
            policies: denial.policies().to_vec(),
        };
        Self { asked: Some(Box::new(asked)), ..Self::new(denial.reason(), denial.detail()) }
    }

    /// What policies were asked, where the refusal was theirs.
    pub(crate) fn asked(&self) -> Option<&DeniedAsk> {
        self.asked.as_deref()
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What was missing; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason, String::new())
    }
}

impl From<ClockUnsettled> for Refusal {
    fn from(unsettled: ClockUnsettled) -> Self {
        Self::new(Reason::ClockUnsettled, unsettled.to_string())
    }
}

impl From<EntropyFailed> for Refusal {
    fn from(failed: EntropyFailed) -> Self {
        Self::new(Reason::Internal, failed.to_string())
    }
}
