//! Forced revocation and locks (`locum.admin.v1.RevocationService`).

use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::revocation_service_client::RevocationServiceClient;
use locum_api::convert;
use locum_model::{Selector, Timestamp};

use crate::admin::Admin;
use crate::admin::named_count::{NamedCount, counts};
use crate::admin::page::{Page, page_size};
use crate::admin::verifier::{Verifier, verifier};
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::{required_time, time};

/// What a selector came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The level, for instance `workload`.
    pub level: String,
    /// The name or id.
    pub name: String,
    /// The tenant; empty where the level has none.
    pub tenant: String,
}

/// What a revocation would kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// What the selector came to.
    pub matches: Vec<Match>,
    /// Live tokens.
    pub tokens: u64,
    /// Live tasks.
    pub tasks: u64,
    /// Live tokens by workload, most first.
    pub by_workload: Vec<NamedCount>,
    /// Live tokens by connector, most first.
    pub by_connector: Vec<NamedCount>,
    /// When the oldest was issued.
    pub oldest: Option<Timestamp>,
    /// When the newest was issued.
    pub newest: Option<Timestamp>,
    /// The counts are a lower bound.
    pub partial: bool,
}

/// A revocation that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What the selector came to.
    pub matches: Vec<Match>,
    /// Where it stands, `home.epoch.sequence`.
    pub position: String,
    /// Until when backends that check by signature alone may still believe; none when there is none.
    pub residual_until: Option<Timestamp>,
    /// Whether no verifier on the feed can answer *active* any more for what is dead.
    pub everywhere: bool,
    /// The verifiers that have not acknowledged it and may still answer. None although it is not
    /// everywhere: another tenant's, or those that held a lease before the broker started.
    pub missing: Vec<Verifier>,
}

/// A lock in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its number.
    pub number: u64,
    /// As it was made.
    pub selector: Selector,
    /// What the selector came to.
    pub matches: Vec<Match>,
    /// Why.
    pub reason: String,
    /// Who.
    pub locked_by: String,
    /// When.
    pub lock_time: Timestamp,
    /// When it ends by itself.
    pub end_time: Timestamp,
}

/// A selector as people type it: `level=id`, for instance `workload=refunder`.
///
/// # Errors
///
/// [`Error::Malformed`] when there is no such level, or the id is not one of it.
pub fn parse_selector(text: &str) -> Result<Selector, Error> {
    convert::selector::from_text(text, "selector").map_err(|malformed| {
        let told: Vec<String> = malformed.violations().iter().map(ToString::to_string).collect();
        Error::Malformed(told.join("; "))
    })
}

/// The selector as people type it: what [`parse_selector`] takes.
pub fn selector_text(selector: &Selector) -> String {
    convert::selector::to_text(selector)
}

impl Admin {
    /// Shows what [`Admin::revoke`] would kill now. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `SELECTOR_UNKNOWN`, `SELECTOR_FORBIDDEN` or `TIME_IN_FUTURE`.
    pub async fn preview_revoke(
        &self,
        selector: &Selector,
        issued_before: Option<Timestamp>,
    ) -> Result<Preview, Error> {
        let message = wire::PreviewRevokeRequest {
            selector: Some(convert::selector::to_wire(selector)),
            issued_before: issued_before.map(convert::time::timestamp_to_wire),
        };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            RevocationServiceClient::new(channel).preview_revoke(request).await
        });
        let answer = answer.await?;
        Ok(Preview {
            matches: matches(answer.matches),
            tokens: answer.tokens,
            tasks: answer.tasks,
            by_workload: counts(answer.by_workload),
            by_connector: counts(answer.by_connector),
            oldest: time(answer.oldest_issue_time)?,
            newest: time(answer.newest_issue_time)?,
            partial: answer.partial,
        })
    }

    /// Revokes everything that the selector covers and that was decided before. Durable on return.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `SELECTOR_UNKNOWN`, `SELECTOR_FORBIDDEN`, `REQUEST_MALFORMED` or
    /// `TIME_IN_FUTURE`.
    pub async fn revoke(
        &self,
        selector: &Selector,
        reason: &str,
        issued_before: Option<Timestamp>,
    ) -> Result<Revocation, Error> {
        self.revoke_everywhere(selector, reason, issued_before, Duration::ZERO).await
    }

    /// As [`Admin::revoke`], and waits until every verifier on the feed has acknowledged it or cannot
    /// answer any more, at most for `wait` (20 s). The call's deadline is longer by that.
    ///
    /// # Errors
    ///
    /// As [`Admin::revoke`]. That somebody is missing is no error: it is in force, and
    /// [`Revocation::missing`] names them.
    pub async fn revoke_everywhere(
        &self,
        selector: &Selector,
        reason: &str,
        issued_before: Option<Timestamp>,
        wait: Duration,
    ) -> Result<Revocation, Error> {
        let message = wire::RevokeRequest {
            wait: Some(convert::time::duration_to_wire(wait)),
            selector: Some(convert::selector::to_wire(selector)),
            reason: reason.to_owned(),
            issued_before: issued_before.map(convert::time::timestamp_to_wire),
        };
        // A revocation only grows what is dead: again is as good as once.
        let client = self.client.waiting(wait);
        let answer = client.ask(Repeat::Safe, message, |channel, request| async move {
            RevocationServiceClient::new(channel).revoke(request).await
        });
        let answer = answer.await?;
        Ok(Revocation {
            everywhere: answer.everywhere,
            missing: answer.missing.into_iter().map(verifier).collect::<Result<_, _>>()?,
            matches: matches(answer.matches),
            position: bounded(&answer.position),
            residual_until: time(answer.residual_until)?,
        })
    }

    /// Refuses anything new for what the selector covers, for `ttl`. Durable on return.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `SELECTOR_UNKNOWN`, `SELECTOR_FORBIDDEN`, `REQUEST_MALFORMED` or
    /// `QUOTA_EXCEEDED`.
    pub async fn lock(&self, selector: &Selector, reason: &str, ttl: Duration) -> Result<Lock, Error> {
        let message = wire::LockRequest {
            selector: Some(convert::selector::to_wire(selector)),
            reason: reason.to_owned(),
            ttl: Some(convert::time::duration_to_wire(ttl)),
        };
        let answer = self.client.ask(Repeat::Never, message, |channel, request| async move {
            RevocationServiceClient::new(channel).lock(request).await
        });
        lock(answer.await?.lock)
    }

    /// Lifts the locks that were made with this selector. Durable on return. Revives nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `LOCK_UNKNOWN`, `SELECTOR_FORBIDDEN` or `REQUEST_MALFORMED`.
    pub async fn unlock(&self, selector: &Selector, reason: &str) -> Result<Vec<Lock>, Error> {
        let message = wire::UnlockRequest {
            selector: Some(convert::selector::to_wire(selector)),
            reason: reason.to_owned(),
        };
        let answer = self.client.ask(Repeat::Never, message, |channel, request| async move {
            RevocationServiceClient::new(channel).unlock(request).await
        });
        answer.await?.locks.into_iter().map(|one| lock(Some(one))).collect()
    }

    /// Lists the locks in force, oldest first; `page` is empty for the first page. With a selector only
    /// those that refuse some of what it covers, however they were made.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `SELECTOR_UNKNOWN` or `SELECTOR_FORBIDDEN`.
    pub async fn list_locks(
        &self,
        on: Option<&Selector>,
        size: u32,
        page: &str,
    ) -> Result<Page<Lock>, Error> {
        let message = wire::ListLocksRequest {
            page_size: page_size(size),
            page_token: page.to_owned(),
            selector: on.map(convert::selector::to_wire),
        };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            RevocationServiceClient::new(channel).list_locks(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.locks.into_iter().map(|one| lock(Some(one))).collect();
        Ok(Page { items: items?, next: answer.next_page_token })
    }
}

fn matches(matches: Vec<wire::Match>) -> Vec<Match> {
    let one = |m: wire::Match| Match {
        level: bounded(&m.level),
        name: bounded(&m.name),
        tenant: bounded(&m.tenant),
    };
    matches.into_iter().map(one).collect()
}

fn lock(lock: Option<wire::ActiveLock>) -> Result<Lock, Error> {
    let lock = lock.ok_or(Error::Unexpected("a lock is missing"))?;
    let Ok(selector) = convert::selector::from_wire(lock.selector.as_ref(), "selector") else {
        return Err(Error::Unexpected("a lock's selector is malformed"));
    };
    Ok(Lock {
        number: lock.lock_id,
        selector,
        matches: matches(lock.matches),
        reason: bounded(&lock.reason),
        locked_by: bounded(&lock.locked_by),
        lock_time: required_time(lock.lock_time)?,
        end_time: required_time(lock.end_time)?,
    })
}
