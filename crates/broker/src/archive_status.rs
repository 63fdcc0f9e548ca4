//! `GetArchiveStatus`, `PlanRetention` and `ReindexArchive`: how the archive does, what it would
//! forget, and making its index anew.

use std::sync::atomic::Ordering;
use std::time::Duration;

use locum_archive::texts::Forgotten;
use locum_archive::{Indexed, RetentionPlan, Size};
use locum_model::limits::ARCHIVE_FORGOTTEN_SHOWN_MAX;
use locum_model::{Position, Timestamp};

use crate::archive::ArchiveHealth;
use crate::broker::Broker;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::search_audit::reach;
use crate::shown_name::tenant_name;

/// How the archive does, in full.
#[derive(Clone, Debug)]
pub struct ArchiveStatus {
    /// In short.
    pub health: ArchiveHealth,
    /// The newest event that is indexed.
    pub indexed: Option<Indexed>,
    /// The newest that is committed.
    pub head: Position,
    /// How large it is; none while it cannot be read.
    pub size: Option<Size>,
    /// What retentions took away, a day each, the newest first.
    pub forgotten: Vec<Forgotten>,
}

/// What a retention would take away now, within an operator's tenants.
#[derive(Clone, Debug)]
pub struct PlannedRetention {
    /// Everything older goes.
    pub before: Timestamp,
    /// What goes.
    pub plan: RetentionPlan,
    /// The keys that go, each as tenant's name and day.
    pub keys: Vec<(String, String)>,
}

impl Broker {
    /// How the archive does. Blocks on the disk.
    pub fn archive_status(&self) -> ArchiveStatus {
        // First: where this says that nothing is behind, the position that is read after it says so too.
        let health = self.archive_health();
        let archive = self.shelf.get();
        let indexed = archive.as_ref().and_then(|archive| archive.reached().ok().flatten());
        let size = archive.as_ref().and_then(|archive| archive.size().ok());
        let forgotten =
            archive.as_ref().and_then(|archive| archive.forgotten(ARCHIVE_FORGOTTEN_SHOWN_MAX).ok());
        ArchiveStatus {
            health,
            indexed,
            head: self.journal.head().position,
            size,
            forgotten: forgotten.unwrap_or_default(),
        }
    }

    /// What keeping entries for `keep` alone would take away now. Takes nothing away. Blocks.
    ///
    /// # Errors
    ///
    /// ARCHIVE_UNAVAILABLE, CLOCK_UNSETTLED.
    pub fn plan_retention(&self, operator: &Operator, keep: Duration) -> Result<PlannedRetention, Refusal> {
        let now = self.now()?;
        let registry = self.registry();
        let archive = self.archive()?;
        let plan = archive.plan(keep, now, &reach(operator, &registry, None));
        let plan = plan.map_err(|cause| self.archive_failed(cause))?;
        let named = |(tenant, day): &(_, locum_archive::texts::Day)| {
            (tenant_name(&registry, *tenant), day.to_string())
        };
        let keys = plan.keys.iter().map(named).collect();
        Ok(PlannedRetention { before: now.minus(keep), plan, keys })
    }

    /// Has the index made anew; says up to where it has to get. It is searched meanwhile as far as
    /// it is.
    ///
    /// # Errors
    ///
    /// ARCHIVE_UNAVAILABLE, SELECTOR_FORBIDDEN without all tenants.
    pub fn reindex_archive(&self, operator: &Operator) -> Result<Position, Refusal> {
        operator.needs_all()?;
        self.archive()?;
        tracing::info!(operator = %operator.name, "the archive's index is to be made anew");
        // Zero first: who watches must not take the index of before for the new one.
        self.shelf.indexed.store(0, Ordering::Relaxed);
        self.shelf.again.store(true, Ordering::Relaxed);
        Ok(self.journal.head().position)
    }
}
