//! Refusals, coalesced: one record for a workload, method and reason over ten seconds.
//!
//! They stand in their own bounded map and nobody waits for them, so that a flood of refused
//! requests costs the journal one line each ten seconds.

use std::collections::HashMap;

use locum_model::event::{By, DenialsSummed};
use locum_model::limits::{DENIAL_SPAN, DENIALS_MAX};
use locum_model::number::PolicyRevision;
use locum_model::{Reason, TaskId, TenantNo, Timestamp};
use parking_lot::Mutex;

use crate::refusal::Refusal;

/// One refused request.
pub(crate) struct Denial<'a> {
    pub tenant: TenantNo,
    pub by: By,
    pub task: Option<TaskId>,
    pub method: &'static str,
    pub refusal: &'a Refusal,
    pub policy_revision: PolicyRevision,
    pub at: Timestamp,
}

type Key = (TenantNo, By, &'static str, Reason);

/// The refusals of the last seconds.
#[derive(Default)]
pub(crate) struct Denials(Mutex<HashMap<Key, DenialsSummed>>);

impl Denials {
    /// Counts a refusal; forgotten when there are too many different ones.
    pub(crate) fn note(&self, denial: Denial<'_>) {
        let mut sums = self.0.lock();
        let reason = denial.refusal.reason();
        let key = (denial.tenant, denial.by.clone(), denial.method, reason);
        if let Some(sum) = sums.get_mut(&key) {
            sum.count = sum.count.saturating_add(1);
            sum.last = sum.last.max(denial.at);
            if sum.task != denial.task {
                sum.task = None;
            }
        } else if sums.len() < DENIALS_MAX {
            let sum = DenialsSummed {
                tenant: denial.tenant,
                by: denial.by,
                task: denial.task,
                method: denial.method.into(),
                reason,
                detail: denial.refusal.detail().into(),
                policy_revision: denial.policy_revision,
                count: 1,
                first: denial.at,
                last: denial.at,
                asked: denial.refusal.asked().cloned(),
            };
            sums.insert(key, sum);
        }
    }

    /// Takes the sums whose span is over, or all of them at the end; ordered.
    pub(crate) fn take(&self, now: Option<Timestamp>) -> Vec<DenialsSummed> {
        let due = |sum: &DenialsSummed| now.is_none_or(|now| sum.first.plus(DENIAL_SPAN) <= now);
        let mut taken: Vec<_> = self.0.lock().extract_if(|_, sum| due(sum)).map(|(_, sum)| sum).collect();
        taken.sort_by(|a, b| (a.first, &a.method, a.reason).cmp(&(b.first, &b.method, b.reason)));
        taken
    }
}
