//! [`Refusal`]: why a use case said no.

use locum_model::{ClockUnsettled, EntropyFailed, Reason};

/// A reason from the closed list, and a sentence for callers who may know what was missing.
///
/// The detail never holds a secret, and nothing of the caller's own text that is not bounded and
/// of a plain alphabet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    reason: Reason,
    detail: String,
}

impl Refusal {
    /// Refuses for `reason`, saying `detail`.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
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
        Self { reason, detail: String::new() }
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
