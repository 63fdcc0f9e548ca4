//! `Authorize`: may this action happen to this resource, now? Spends a use, durably, first.

use locum_model::event::{By, TokenUsed};
use locum_model::scope::Operation;
use locum_model::{Caller, Event, Reason, ResourcePattern};
use locum_table::Applied;

use crate::broker::Broker;
use crate::fold::Verdict;
use crate::introspect_token::{ActiveToken, Checked, Presentation};
use crate::refusal::Refusal;

/// The answer.
#[derive(Clone, Debug)]
pub enum Authorized {
    /// It may happen; a use was spent where uses are limited.
    Permitted(Box<ActiveToken>),
    /// The token is active but does not cover this. Nothing was spent.
    Insufficient(Box<ActiveToken>),
    /// The token must not be believed.
    Inactive(Reason),
}

impl Broker {
    /// Whether `operation` may be done to `resource` with this token, by a caller that serves the
    /// operation's connector. `turn` is awaited before a signature is verified, and only then; what it gives is
    /// dropped once that is done.
    ///
    /// # Errors
    ///
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, REQUEST_MALFORMED, CLOCK_UNSETTLED, and what
    /// keeps a use from being written down.
    pub async fn authorize(
        &self,
        caller: &Caller,
        operation: &Operation,
        resource: Option<&ResourcePattern>,
        shown: Presentation<'_>,
        turn: impl Future + Send,
    ) -> Result<Authorized, Refusal> {
        if resource.is_some_and(|resource| !resource.is_exact()) {
            return Err(Refusal::new(Reason::RequestMalformed, "the resource has to be one, not a pattern"));
        }
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        let connector = pinned.served(workload, &operation.connector)?;
        let now = self.now()?;
        let checked = match self.check_recognised(connector, shown, now) {
            Some(checked) => checked?,
            None => {
                let _turn = turn.await;
                // Waiting takes time.
                self.check(&pinned, connector, shown, self.now()?)?
            }
        };
        let mut token = match checked {
            Checked::Active(token) => token,
            Checked::Inactive(reason) => return Ok(Authorized::Inactive(reason)),
        };
        if !token.says.scope().is_some_and(|scope| scope.allows(operation, resource)) {
            return Ok(Authorized::Insufficient(Box::new(token)));
        }
        if token.uses_left.is_none() {
            return Ok(Authorized::Permitted(Box::new(token)));
        }
        let id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?;
        let used = TokenUsed {
            jti: token.says.jti().parse().or(Err(Reason::Internal))?,
            task: token.says.task(),
            operation: operation.clone(),
            resource: resource.cloned(),
            by: By::Workload { number: workload.number, id: id.clone() },
            at: now,
        };
        match self.commits.commit(Event::TokenUsed(used)).await?.verdict {
            Verdict::Applied(Applied::Used { left }) => {
                token.uses_left = Some(left);
                Ok(Authorized::Permitted(Box::new(token)))
            }
            Verdict::Applied(Applied::TooLate(reason)) => Ok(Authorized::Inactive(reason)),
            Verdict::Applied(_) | Verdict::Repeated => Err(Reason::Internal.into()),
        }
    }
}
