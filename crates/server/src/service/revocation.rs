//! `locum.admin.v1.RevocationService`.

use std::sync::Arc;
use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::revocation_service_server::RevocationService;
use locum_api::convert::time::{duration_from_wire, optional_timestamp_from_wire, timestamp_to_wire};
use locum_api::convert::{page, selector, text};
use locum_api::violation::Malformed;
use locum_broker::{Broker, Missing, Operator};
use locum_model::event::Locked;
use locum_model::limits::PAGE_SIZE_MAX;
use locum_model::{Level, Position, Selector};
use tonic::{Request, Response, Status};

use super::asked::operator;
use super::{show, verifiers};
use crate::metrics::Metrics;
use crate::tasks::Stopping;

/// Forced revocation and locks.
pub(crate) struct Revocation {
    pub broker: Arc<Broker>,
    pub metrics: Arc<Metrics>,
    pub stopping: Stopping,
}

#[tonic::async_trait]
impl RevocationService for Revocation {
    async fn preview_revoke(
        &self,
        request: Request<wire::PreviewRevokeRequest>,
    ) -> Result<Response<wire::PreviewRevokeResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let before = optional_timestamp_from_wire(message.issued_before.as_ref(), "issued_before")?;
            Ok((selector::from_wire(message.selector.as_ref(), "selector")?, before))
        };
        let (selector, before) = read().map_err(|malformed| asked.malformed(malformed))?;
        let previewed = self.broker.preview_revoke(&asked.who, &selector, before);
        let previewed = previewed.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::PreviewRevokeResponse {
            matches: show::matches(&previewed.matches),
            tokens: previewed.preview.tokens as u64,
            tasks: previewed.preview.tasks as u64,
            by_workload: show::counts(&previewed.by_workload),
            by_connector: show::counts(&previewed.by_connector),
            oldest_issue_time: previewed.preview.oldest_issued_at.map(timestamp_to_wire),
            newest_issue_time: previewed.preview.newest_issued_at.map(timestamp_to_wire),
            partial: !previewed.preview.complete,
        }))
    }

    async fn revoke(
        &self,
        request: Request<wire::RevokeRequest>,
    ) -> Result<Response<wire::RevokeResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let before = optional_timestamp_from_wire(message.issued_before.as_ref(), "issued_before")?;
            let reason = text::reason_from_wire(&message.reason, "reason")?;
            let wait = verifiers::wait_of(&message)?;
            Ok((selector::from_wire(message.selector.as_ref(), "selector")?, reason, before, wait))
        };
        let (selector, reason, before, wait) = read().map_err(|malformed| asked.malformed(malformed))?;
        let level = level_of(&selector);
        asked.notes.put("locum.level", || level.as_str());
        let revoked = self.broker.revoke(&asked.who, selector, &reason, before).await;
        let done = revoked.map_err(|refusal| asked.refuse(refusal))?;
        self.metrics.revoked(level);
        asked.notes.put("locum.position", || done.position.to_string());
        tracing::info!(request_id = %asked.request_id, operator = %asked.who.name, position = %done.position, "revoked");
        let waited = self.wait_for_verifiers(&asked.who, done.position, wait).await;
        Ok(Response::new(wire::RevokeResponse {
            matches: show::matches(&done.matches),
            position: done.position.to_string(),
            residual_until: done.residual_until.map(timestamp_to_wire),
            everywhere: waited.is_everywhere(),
            missing: waited.verifiers.iter().take(PAGE_SIZE_MAX).map(verifiers::shown).collect(),
        }))
    }

    async fn lock(
        &self,
        request: Request<wire::LockRequest>,
    ) -> Result<Response<wire::LockResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let selector = selector::from_wire(message.selector.as_ref(), "selector")?;
            let reason = text::reason_from_wire(&message.reason, "reason")?;
            let ttl = message.ttl.as_ref().ok_or_else(|| Malformed::of("ttl", "is required"))?;
            Ok((selector, reason, duration_from_wire(ttl, "ttl")?))
        };
        let (selector, reason, ttl) = read().map_err(|malformed| asked.malformed(malformed))?;
        let locked = self.broker.lock(&asked.who, selector, &reason, ttl).await;
        let locked = locked.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::LockResponse { lock: Some(self.show(&locked)) }))
    }

    async fn unlock(
        &self,
        request: Request<wire::UnlockRequest>,
    ) -> Result<Response<wire::UnlockResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let reason = text::reason_from_wire(&message.reason, "reason")?;
            Ok((selector::from_wire(message.selector.as_ref(), "selector")?, reason))
        };
        let (selector, reason) = read().map_err(|malformed| asked.malformed(malformed))?;
        let lifted = self.broker.unlock(&asked.who, &selector, &reason).await;
        let lifted = lifted.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::UnlockResponse { locks: lifted.iter().map(|lock| self.show(lock)).collect() }))
    }

    async fn list_locks(
        &self,
        request: Request<wire::ListLocksRequest>,
    ) -> Result<Response<wire::ListLocksResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let size = page::size_from_wire(message.page_size, "page_size")?;
            let after = match message.page_token.as_str() {
                "" => 0,
                token => {
                    token.parse().map_err(|_not_ours| Malformed::of("page_token", "is not one of ours"))?
                }
            };
            Ok((size, after, selector::optional_from_wire(message.selector.as_ref(), "selector")?))
        };
        let (size, after, selector): (usize, u64, _) =
            read().map_err(|malformed| asked.malformed(malformed))?;
        let locks = match selector {
            None => self.broker.locks_of(&asked.who),
            Some(selector) => self.broker.locks_on(&asked.who, &selector),
        };
        let locks = locks.map_err(|refusal| asked.refuse(refusal))?;
        let mut locks: Vec<_> = locks.into_iter().filter(|lock| lock.lock > after).take(size + 1).collect();
        let more = locks.len() > size;
        locks.truncate(size);
        let next = locks.last().filter(|_| more).map(|lock| lock.lock.to_string()).unwrap_or_default();
        Ok(Response::new(wire::ListLocksResponse {
            locks: locks.iter().map(|lock| self.show(lock)).collect(),
            next_page_token: next,
        }))
    }
}

impl Revocation {
    fn show(&self, locked: &Locked) -> wire::ActiveLock {
        show::lock(locked, &self.broker.locked_matches(locked))
    }

    /// Waits until a position is everywhere, at most for `wait`; who is missing then.
    async fn wait_for_verifiers(&self, who: &Operator, position: Position, wait: Duration) -> Missing {
        // The shortest sleep takes a millisecond.
        if wait.is_zero() {
            return self.broker.missing(who, position);
        }
        let mut acknowledged = self.broker.acknowledgements();
        let mut stopping = self.stopping.clone();
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        let mut verifier = None;
        loop {
            acknowledged.mark_unchanged();
            let Some(awaited) = self.broker.awaited(position, verifier) else { return Missing::default() };
            verifier = awaited.verifier;
            tokio::select! {
                biased;
                () = &mut over => break,
                () = stopping.wait() => break,
                // The sender lives as long as the broker.
                _ = acknowledged.changed() => {}
                () = tokio::time::sleep(awaited.again_in) => {}
            }
        }
        self.broker.missing(who, position)
    }
}

/// The level that a selector names.
fn level_of(selector: &Selector) -> Level {
    match selector {
        Selector::Token(_) => Level::Token,
        Selector::Task(_) => Level::Task,
        Selector::Subject(_) => Level::Subject,
        Selector::Workload(_) | Selector::WorkloadPattern(_) => Level::Workload,
        Selector::Connector(_) => Level::Connector,
        Selector::Tenant(_) => Level::Tenant,
        Selector::Owner(_) => Level::Owner,
        Selector::Model(_) => Level::Model,
        Selector::SigningKey(_) => Level::SigningKey,
        Selector::PolicyRevision(_) => Level::PolicyRevision,
    }
}
