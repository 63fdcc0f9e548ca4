//! What the permits of a decision demand together, and whether the request meets it.

use locum_model::scope::Operation;
use locum_model::{Obligations, Reason};

use crate::candidates::PolicyNo;
use crate::denial::Denial;
use crate::request::{Ask, Justification, Proof, Request};
use crate::set::PolicySet;

/// A permit that decided, and for which operation.
pub(crate) struct Decided<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) policy: PolicyNo,
}

/// The strictest of all that the permits demand, when the request meets it.
///
/// A task is not bound to a key and is never refused for want of one; its tokens are.
///
/// # Errors
///
/// `JUSTIFICATION_REQUIRED` or `PROOF_REQUIRED`, with the first operation whose permit demands it.
pub(crate) fn met(
    set: &PolicySet,
    request: &Request<'_>,
    permits: &[Decided<'_>],
) -> Result<Obligations, Denial> {
    let mut all = Obligations::default();
    for permit in permits {
        all = all.and(&set.terms(permit.policy).obligations);
    }
    if all.justification && request.justification == Justification::Missing {
        let what = (Reason::JustificationRequired, "a justification");
        return Err(unmet(set, permits, what, |obligations| obligations.justification));
    }
    if all.proof_of_possession && request.proof == Proof::Unproved && request.ask != Ask::StartTask {
        let what = (Reason::ProofRequired, "proof of possession of a key");
        return Err(unmet(set, permits, what, |obligations| obligations.proof_of_possession));
    }
    Ok(all)
}

fn unmet(
    set: &PolicySet,
    permits: &[Decided<'_>],
    (reason, what): (Reason, &str),
    demands: fn(&Obligations) -> bool,
) -> Denial {
    let demanding = || permits.iter().filter(|permit| demands(&set.terms(permit.policy).obligations));
    let mut policies: Vec<PolicyNo> = demanding().map(|permit| permit.policy).collect();
    policies.sort_unstable();
    policies.dedup();
    let denial = |detail| Denial::new(reason, detail).by(set.names(&policies));
    match demanding().map(|permit| permit.operation).min() {
        Some(operation) => denial(format!("`{operation}` demands {what}")).of(operation),
        None => denial(format!("policy demands {what}")),
    }
}
