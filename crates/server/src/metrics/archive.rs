//! What is told about the archive.

use locum_broker::ArchiveHealth;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::added;

/// The archive's figures.
#[derive(Debug)]
pub(super) struct Archive {
    behind: Gauge,
    up: Gauge,
    rebuilds: Counter,
    texts_lost: Counter,
}

impl Archive {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            behind: added(
                r,
                "locum_archive_behind_events",
                "Events that are committed and not yet indexed",
                Gauge::default(),
            ),
            up: added(r, "locum_archive_up", "Whether the archive works: 1 or 0", Gauge::default()),
            rebuilds: added(
                r,
                "locum_archive_rebuilds",
                "How often a file of the archive was begun again",
                Counter::default(),
            ),
            texts_lost: added(
                r,
                "locum_archive_texts_lost",
                "Justifications that were dropped before they were kept",
                Counter::default(),
            ),
        }
    }

    pub(super) fn set(&self, health: &ArchiveHealth) {
        self.behind.set(i64::try_from(health.behind).unwrap_or(i64::MAX));
        self.up.set(i64::from(health.open && health.trouble.is_none()));
        raise(&self.rebuilds, health.rebuilds);
        raise(&self.texts_lost, health.texts_dropped);
    }
}

/// Counters only grow, and so do these figures.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
