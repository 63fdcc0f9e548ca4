//! `PreviewRevoke`, `Revoke` and `RevokeToken`: taking back what was given.
//!
//! A revocation is one event with a watermark for each target; what it costs does not depend on
//! how much dies.

use locum_model::event::{By, Revoked};
use locum_model::limits::PREVIEW_ROWS_MAX;
use locum_model::limits::{JWKS_TOKEN_TTL_MAX, REASON_TEXT_BYTES_MAX};
use locum_model::registry::{Check, Registry};
use locum_model::{Caller, Event, Position, Reason, Selector, Target, TenantNo, Timestamp};
use locum_table::{LiveToken, Preview};

use crate::broker::Broker;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::select::Match;

/// What a revocation would do.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// What the selector came to.
    pub matches: Vec<Match>,
    /// What would die.
    pub preview: Preview,
    /// Names for the numbers in the preview.
    pub by_workload: Vec<(String, usize)>,
    /// Names for the numbers in the preview.
    pub by_connector: Vec<(String, usize)>,
}

/// What a revocation did.
#[derive(Clone, Debug)]
pub struct RevokeDone {
    /// What the selector came to.
    pub matches: Vec<Match>,
    /// Where it stands.
    pub position: Position,
    /// Until when backends that check by signature alone may still believe what is dead.
    pub residual_until: Option<Timestamp>,
}

impl Broker {
    /// Shows what [`Broker::revoke`] would kill now; changes nothing.
    ///
    /// # Errors
    ///
    /// SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN, TIME_IN_FUTURE.
    pub fn preview_revoke(
        &self,
        operator: &Operator,
        selector: &Selector,
        issued_before: Option<Timestamp>,
    ) -> Result<Previewed, Refusal> {
        let pinned = self.fold.pin();
        let registry = &pinned.world.registry;
        let matches = self.select(operator, registry, selector)?;
        let until = self.until(issued_before, self.now()?)?;
        let targets: Vec<_> = matches.iter().map(|found| found.target).collect();
        let preview = self.fold.table.preview(&targets, until, PREVIEW_ROWS_MAX);
        let workload = |number| crate::shown_name::workload_name(registry, number);
        let connector = |number| crate::shown_name::connector_name(registry, number);
        Ok(Previewed {
            by_workload: preview.by_workload.iter().map(|(no, count)| (workload(*no), *count)).collect(),
            by_connector: preview.by_connector.iter().map(|(no, count)| (connector(*no), *count)).collect(),
            matches,
            preview,
        })
    }

    /// Revokes everything that the selector covers; durable on return.
    ///
    /// # Errors
    ///
    /// SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN, TIME_IN_FUTURE, REQUEST_MALFORMED without a reason.
    pub async fn revoke(
        &self,
        operator: &Operator,
        selector: Selector,
        reason: &str,
        issued_before: Option<Timestamp>,
    ) -> Result<RevokeDone, Refusal> {
        let noted = |refusal| self.denied_operator(&operator.name, "Revoke", refusal);
        check_reason(reason).map_err(noted)?;
        let pinned = self.fold.pin();
        let now = self.now()?;
        let matches = self.select(operator, &pinned.world.registry, &selector).map_err(noted)?;
        let until = self.until(issued_before, now).map_err(noted)?;
        let targets: Vec<_> = matches.iter().map(|found| found.target).collect();
        let residual_until = residual(&pinned.world.registry, &matches, now);
        let event = Event::Revoked(Box::new(Revoked {
            selector,
            targets,
            until,
            reason: reason.into(),
            by: By::Operator(operator.name.clone()),
            at: now,
        }));
        let position = self.commits.commit(event).await?.position;
        Ok(RevokeDone { matches, position, residual_until })
    }

    /// Revokes one token of the caller's own; unknown or dead already is success (RFC 7009).
    ///
    /// # Errors
    ///
    /// WORKLOAD_UNREGISTERED, and what keeps the revocation from being written down.
    pub async fn revoke_token(&self, caller: &Caller, token: &str) -> Result<(), Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        let id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?;
        let now = self.now()?;
        // Dead already: nothing to write down, and nothing to fill the urgent lane with.
        let Ok(LiveToken { jti, .. }) = self.find_live(&pinned, token, now) else { return Ok(()) };
        if self.fold.table.workload_of(jti) != Some(workload.number) {
            return Ok(());
        }
        let event = Event::Revoked(Box::new(Revoked {
            selector: Selector::Token(jti),
            targets: vec![Target::Token(jti)],
            until: None,
            reason: "revoked by its holder".into(),
            by: By::Workload { number: workload.number, id: id.clone() },
            at: now,
        }));
        self.commits.commit(event).await?;
        Ok(())
    }

    /// Turns "issued before T" into a position.
    fn until(&self, issued_before: Option<Timestamp>, now: Timestamp) -> Result<Option<Position>, Refusal> {
        match issued_before {
            None => Ok(None),
            Some(moment) if moment > now => {
                Err(Refusal::new(Reason::TimeInFuture, format!("{moment} is in the future")))
            }
            Some(moment) => Ok(self.fold.state.read().timeline.before(moment)),
        }
    }
}

/// Refuses a reason that says nothing or too much.
pub(crate) fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() || reason.len() > REASON_TEXT_BYTES_MAX {
        let detail = format!("a reason of 1 to {REASON_TEXT_BYTES_MAX} bytes is needed");
        return Err(Refusal::new(Reason::RequestMalformed, detail));
    }
    Ok(())
}

/// Until when a backend that checks by signature alone may believe what was just revoked.
fn residual(registry: &Registry, matches: &[Match], now: Timestamp) -> Option<Timestamp> {
    let tenants: Vec<TenantNo> = matches.iter().filter_map(|found| found.tenant).collect();
    let deaf = registry.entries().connectors.values().any(|connector| {
        connector.check == Check::Jwks
            && (tenants.is_empty() || tenants.contains(&connector.tenant))
            && matches.iter().all(|found| match found.target {
                Target::Connector(number) => number == connector.number,
                _ => true,
            })
    });
    deaf.then(|| now.plus(JWKS_TOKEN_TTL_MAX))
}
