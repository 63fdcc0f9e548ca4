//! [`Denial`]: why not, as a value.

use locum_model::Reason;
use locum_model::scope::Operation;

/// A decision against a request.
///
/// Its text names the operation, purpose or demand that was missing and no policy: it may go to a
/// caller who knows its own request. Names of policies are for records and operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Denial {
    reason: Reason,
    operation: Option<Operation>,
    policies: Vec<String>,
    detail: String,
}

impl Denial {
    pub(crate) fn new(reason: Reason, detail: String) -> Self {
        Self { reason, operation: None, policies: Vec::new(), detail }
    }

    pub(crate) fn of(self, operation: &Operation) -> Self {
        Self { operation: Some(operation.clone()), ..self }
    }

    pub(crate) fn by(self, policies: Vec<String>) -> Self {
        Self { policies, ..self }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The first operation, in the scope's order, that was not allowed.
    pub fn operation(&self) -> Option<&Operation> {
        self.operation.as_ref()
    }

    /// The ids of the policies that decided, ordered: the forbids; with `POLICY_ERROR` those that
    /// could not be evaluated; with an unmet demand the permits that make it.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// One bounded sentence for callers who may know which intent, scope or demand was missing.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}
