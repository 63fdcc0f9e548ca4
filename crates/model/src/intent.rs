//! [`Intent`]: the structured purpose that a task declares before it may do anything.

use crate::name::Name;
use crate::scope::Scope;

/// Why a task exists and the most it will ever ask for.
///
/// Authority comes from these fields alone. Free text is a justification: evidence for people,
/// never an input to a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// A short code that policy knows, for instance `refund-order`.
    pub purpose: Name,
    /// The most that any token of this task, or of a task below it, can be given.
    pub scope: Scope,
}
