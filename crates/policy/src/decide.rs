//! [`decide`]: one request against one policy set.
//!
//! In order: the caller is who the registry says, every operation is registered with its
//! resources, policies permit every operation, the request meets what the permits demand. The
//! permit covers the scope that was asked, whole: nothing is narrowed quietly.

use locum_model::registry::{Connector, Tenant};
use locum_model::scope::{Operation, Resources};
use locum_model::{Permit, Reason, Registry, ResourcePattern};

use crate::candidates::{Answer, PolicyNo};
use crate::case::{Asked, Case};
use crate::demand::{Decided, met};
use crate::denial::Denial;
use crate::entities::{RegistryEntities, Unaskable};
use crate::request::{Ask, Request};
use crate::set::PolicySet;

/// Judges a request: a permit for exactly its scope, or why not.
///
/// Every operation of the scope has to be registered and permitted, and what the permits demand
/// is merged to the strictest. Cost: the operations of the scope times the policies whose scope
/// is about the caller and the operation; not the size of the registry, nor the other policies.
///
/// # Errors
///
/// A [`Denial`]: `WORKLOAD_UNREGISTERED` when request and registry disagree about the caller;
/// `CONNECTOR_UNKNOWN`, `SCOPE_UNKNOWN`; `POLICY_ERROR` when any policy cannot be evaluated;
/// `INTENT_NOT_ALLOWED` for a task, else `POLICY_DENIED`; `JUSTIFICATION_REQUIRED`;
/// `PROOF_REQUIRED`, not for a task.
pub fn decide(set: &PolicySet, known: &RegistryEntities, request: &Request<'_>) -> Result<Permit, Denial> {
    let registry = known.registry();
    let tenant = tenant_of(registry, request)?;
    let lines = request.scope.grants();
    // What is not registered is told before what is not allowed.
    let asked = lines.map(|line| registered(registry, tenant, line)).collect::<Result<Vec<_>, _>>()?;
    let case = Case::of(known, request).map_err(unaskable)?;
    let mut permits = Vec::new();
    for asked in &asked {
        let answer = case.answer(set, asked).map_err(unaskable)?;
        let policies = permitted(set, request, asked.operation, answer)?;
        permits.extend(policies.into_iter().map(|policy| Decided { operation: asked.operation, policy }));
    }
    let obligations = met(set, request, &permits)?;
    let mut policies: Vec<PolicyNo> = permits.into_iter().map(|permit| permit.policy).collect();
    policies.sort_unstable();
    policies.dedup();
    Ok(Permit::assertion(request.scope.clone(), obligations, set.names(&policies), request.world))
}

/// The tenant of the caller's registration, when all that the request says of the caller is so.
pub(crate) fn tenant_of<'a>(registry: &'a Registry, request: &Request<'_>) -> Result<&'a Tenant, Denial> {
    let workload = request.workload;
    let agreed = || {
        let tenant = registry.tenant(workload.tenant).filter(|tenant| tenant.name == *request.tenant)?;
        registry.workload(workload.number).filter(|registered| *registered == workload)?;
        registry.owner(workload.owner).filter(|owner| owner.name == *request.owner)?;
        let model = workload.model.map(|number| registry.model(number).map(|model| &model.name));
        (model == request.model.map(Some)).then_some(tenant)
    };
    let detail = || format!("workload `{}` is not registered as the request says", workload.name);
    agreed().ok_or_else(|| Denial::new(Reason::WorkloadUnregistered, detail()))
}

/// The line of the scope as registered, when its resources are among those of its action.
pub(crate) fn registered<'a>(
    registry: &'a Registry,
    tenant: &Tenant,
    (operation, resources): (&'a Operation, &'a Resources),
) -> Result<Asked<'a>, Denial> {
    let refuse = |reason, detail| Denial::new(reason, detail).of(operation);
    let connector: &Connector =
        registry.connector_named(tenant.number, &operation.connector).ok_or_else(|| {
            let detail = format!("no connector `{}` in tenant `{}`", operation.connector, tenant.name);
            refuse(Reason::ConnectorUnknown, detail)
        })?;
    let action = connector.actions.get(&operation.action).ok_or_else(|| {
        let detail = format!("connector `{}` has no action `{}`", connector.name, operation.action);
        refuse(Reason::ScopeUnknown, detail)
    })?;
    let within = |pattern: &&ResourcePattern| action.resources.iter().any(|wider| pattern.is_within(wider));
    match resources.patterns().find(|pattern| !within(pattern)) {
        None => Ok(Asked { operation, resources, connector, action }),
        Some(_) if action.resources.is_empty() => {
            Err(refuse(Reason::ScopeUnknown, format!("`{operation}` takes no resource")))
        }
        Some(beyond) => {
            Err(refuse(Reason::ScopeUnknown, format!("`{operation}` has no resource `{beyond}`")))
        }
    }
}

fn unaskable(error: Unaskable) -> Denial {
    Denial::new(Reason::PolicyError, error.to_string())
}

/// The permits for an operation, or the denial that its answer is.
fn permitted(
    set: &PolicySet,
    request: &Request<'_>,
    operation: &Operation,
    answer: Answer,
) -> Result<Vec<PolicyNo>, Denial> {
    let not_allowed = match request.ask {
        Ask::StartTask => Reason::IntentNotAllowed,
        Ask::IssueToken | Ask::Authorize => Reason::PolicyDenied,
    };
    let purpose = request.purpose;
    // Cedar skips a policy that fails. A forbid that was skipped forbade nothing, so any failure
    // is a denial, whatever else was satisfied.
    let (reason, detail, policies) = if !answer.failed.is_empty() {
        (Reason::PolicyError, format!("a policy about `{operation}` could not be evaluated"), answer.failed)
    } else if !answer.forbids.is_empty() {
        (not_allowed, format!("`{operation}` is forbidden for purpose `{purpose}`"), answer.forbids)
    } else if answer.permits.is_empty() {
        (not_allowed, format!("`{operation}` is not permitted for purpose `{purpose}`"), Vec::new())
    } else {
        return Ok(answer.permits);
    };
    Err(Denial::new(reason, detail).of(operation).by(set.names(&policies)))
}
