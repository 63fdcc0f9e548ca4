//! `Lock`, `Unlock` and `ListLocks`: refusing what would be new, until told otherwise.

use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{By, Locked, Unlocked};
use locum_model::limits::{LOCK_MAX, LOCKS_MAX};
use locum_model::{Event, Reason, Selector, TenantNo};

use crate::broker::Broker;
use crate::operator::{Operator, Tenants};
use crate::refusal::Refusal;
use crate::revoke::check_reason;
use crate::select::{Match, selector_text};

impl Broker {
    /// Locks; durable on return.
    ///
    /// # Errors
    ///
    /// SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN, REQUEST_MALFORMED, QUOTA_EXCEEDED.
    pub async fn lock(
        &self,
        operator: &Operator,
        selector: Selector,
        reason: &str,
        ttl: Duration,
    ) -> Result<Arc<Locked>, Refusal> {
        let noted = |refusal| self.denied_operator(&operator.name, "Lock", refusal);
        let locked = self.lock_event(operator, selector, reason, ttl).map_err(noted)?;
        self.commits.commit(Event::Locked(Box::new(locked.clone()))).await?;
        Ok(Arc::new(locked))
    }

    fn lock_event(
        &self,
        operator: &Operator,
        selector: Selector,
        reason: &str,
        ttl: Duration,
    ) -> Result<Locked, Refusal> {
        check_reason(reason)?;
        if matches!(selector, Selector::Token(_) | Selector::PolicyRevision(_)) {
            let detail = "a token or a policy revision cannot be locked: revoke it";
            return Err(Refusal::new(Reason::RequestMalformed, detail));
        }
        if ttl < Duration::from_secs(1) || ttl > LOCK_MAX {
            let detail = format!("a lock lasts 1 s to {} days", LOCK_MAX.as_secs() / 86_400);
            return Err(Refusal::new(Reason::RequestMalformed, detail));
        }
        if self.fold.state.read().locks.len() >= LOCKS_MAX {
            return Err(Refusal::new(
                Reason::QuotaExceeded,
                format!("{LOCKS_MAX} locks are known, the limit"),
            ));
        }
        let now = self.now()?;
        let registry = Arc::clone(&self.fold.pin().world.registry);
        let matches = self.select(operator, &registry, &selector)?;
        let tenants: Vec<Option<TenantNo>> = matches.iter().map(|found| found.tenant).collect();
        let one = tenants.first().copied().flatten().filter(|one| tenants.iter().all(|t| *t == Some(*one)));
        Ok(Locked {
            lock: self.new_lock_number(),
            tenant: one,
            selector,
            targets: matches.into_iter().map(|found| found.target).collect(),
            reason: reason.into(),
            by: By::Operator(operator.name.clone()),
            at: now,
            until: now.plus(ttl),
        })
    }

    /// Lifts the locks in force that were made with this selector; durable on return.
    ///
    /// # Errors
    ///
    /// LOCK_UNKNOWN, REQUEST_MALFORMED.
    pub async fn unlock(
        &self,
        operator: &Operator,
        selector: &Selector,
        reason: &str,
    ) -> Result<Vec<Arc<Locked>>, Refusal> {
        let noted = |refusal| self.denied_operator(&operator.name, "Unlock", refusal);
        check_reason(reason).map_err(noted)?;
        let now = self.now()?;
        let mut locks = self.locks_of(operator)?;
        locks.retain(|lock| lock.selector == *selector);
        if locks.is_empty() {
            let detail = format!("no lock on `{}` is in force", selector_text(selector));
            return Err(noted(Refusal::new(Reason::LockUnknown, detail)));
        }
        let unlocked = Unlocked {
            locks: locks.iter().map(|lock| lock.lock).collect(),
            reason: reason.into(),
            by: By::Operator(operator.name.clone()),
            at: now,
        };
        self.commits.commit(Event::Unlocked(unlocked)).await?;
        Ok(locks)
    }

    /// The locks in force that concern the operator's tenants, oldest first.
    ///
    /// # Errors
    ///
    /// CLOCK_UNSETTLED.
    pub fn locks_of(&self, operator: &Operator) -> Result<Vec<Arc<Locked>>, Refusal> {
        let now = self.now()?;
        let registry = Arc::clone(&self.fold.pin().world.registry);
        let reached = |lock: &&Arc<Locked>| match lock.tenant {
            Some(tenant) => operator.reaches(&registry, tenant),
            None => operator.tenants == Tenants::All || lock.by == operator.by(),
        };
        let state = self.fold.state.read();
        Ok(state.locks.in_force(now).filter(reached).cloned().collect())
    }

    /// Of these, the locks that refuse some of what `selector` covers, however they were made.
    ///
    /// # Errors
    ///
    /// CLOCK_UNSETTLED, SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN.
    pub fn locks_on(&self, operator: &Operator, selector: &Selector) -> Result<Vec<Arc<Locked>>, Refusal> {
        let pinned = self.fold.pin();
        let found = self.select(operator, &pinned.world.registry, selector)?;
        let mut locks = self.locks_of(operator)?;
        locks.retain(|lock| found.iter().any(|one| lock.targets.contains(&one.target)));
        Ok(locks)
    }

    /// What a lock's selector came to, by the names of today.
    pub fn locked_matches(&self, lock: &Locked) -> Vec<Match> {
        let pinned = self.fold.pin();
        lock.targets
            .iter()
            .map(|target| self.named(&pinned.world.registry, *target, &lock.selector))
            .collect()
    }
}
