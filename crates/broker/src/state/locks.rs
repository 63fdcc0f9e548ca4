//! Locks in force: standing refusals for a selector, until they end or are lifted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::Locked;
use locum_model::{Target, TenantNo, Timestamp};

/// For how long after its end a lifted lock is remembered as such: as long as its events may be kept.
const LIFTED_KEPT: Duration = Duration::from_secs(48 * 60 * 60);

/// For how long after its end a lock is known: far longer than an event can wait to be committed.
const ENDED_KEPT: Duration = Duration::from_secs(60 * 60);

/// The locks, oldest first. A lock ends by the clock; freeing it is housekeeping.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    by_number: BTreeMap<u64, Arc<Locked>>,
    /// Lifted before their end: the event that says so matters for as long as the lock's own does.
    lifted: BTreeMap<u64, Lifted>,
    number_max: u64,
}

/// What is still known of a lock that was lifted.
#[derive(Debug)]
struct Lifted {
    /// Its end, had it not been lifted.
    until: Timestamp,
    /// Whose targets it refused, when all were one tenant's.
    tenant: Option<TenantNo>,
}

impl Locks {
    /// Puts a lock in force.
    pub(crate) fn lock(&mut self, locked: &Locked) {
        self.number_max = self.number_max.max(locked.lock);
        self.by_number.insert(locked.lock, Arc::new(locked.clone()));
    }

    /// Lifts locks.
    pub(crate) fn unlock(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(lock) = self.by_number.remove(number) {
                self.lifted.insert(*number, Lifted { until: lock.until, tenant: lock.tenant });
            }
        }
    }

    /// The first lock in force at `now` that covers any of `targets`, which are listed only where there is one.
    pub(crate) fn covering(
        &self,
        targets: impl FnOnce() -> Vec<Target>,
        now: Timestamp,
    ) -> Option<&Arc<Locked>> {
        self.in_force(now).next()?;
        let targets = targets();
        self.in_force(now).find(|lock| lock.targets.iter().any(|target| targets.contains(target)))
    }

    /// The locks in force at `now`, oldest first.
    pub(crate) fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Locked>> {
        self.by_number.values().filter(move |lock| now < lock.until)
    }

    /// Whether any of these locks was lifted and would otherwise still matter at `since` or later.
    pub(crate) fn any_lifted(&self, numbers: &[u64], since: Timestamp) -> bool {
        numbers.iter().any(|number| self.lifted.get(number).is_some_and(|lifted| since < lifted.until))
    }

    /// The tenant whose locks these were; none when there are several, or one is not known any more.
    pub(crate) fn tenant_of_lifted(&self, numbers: &[u64]) -> Option<TenantNo> {
        let mut tenants = numbers.iter().map(|number| self.lifted.get(number)?.tenant);
        let first = tenants.next()??;
        tenants.all(|tenant| tenant == Some(first)).then_some(first)
    }

    /// Notes that numbers up to this one were given.
    pub(crate) fn given(&mut self, number: u64) {
        self.number_max = self.number_max.max(number);
    }

    /// The largest number ever given.
    pub(crate) fn number_max(&self) -> u64 {
        self.number_max
    }

    /// How many are known, in force or not yet freed.
    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Frees locks whose time has been over for longer than any event can have been under way.
    ///
    /// INVARIANT: an event is judged by its own time. Were a lock freed sooner, one that was decided
    /// before its end and waited for the disk would be judged otherwise by a replay, which has no reaper.
    pub(crate) fn free(&mut self, now: Timestamp) {
        self.by_number.retain(|_, lock| now < lock.until.plus(ENDED_KEPT));
        self.lifted.retain(|_, lifted| now < lifted.until.plus(LIFTED_KEPT));
    }
}
