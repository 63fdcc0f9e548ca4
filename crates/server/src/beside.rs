//! What runs beside the listeners for as long as the server does: the reaper and upkeep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_broker::Broker;
use locum_model::Clock;

use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::renewal::Renewal;
use crate::tasks::{Stopping, Tasks, blocking};

/// How often the reaper looks.
const REAPER_PERIOD: Duration = Duration::from_millis(50);
/// How often the clock's mark is written, and certificates and bundles are looked at.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// Events between two snapshots.
const EVENTS_PER_SNAPSHOT: u64 = 200_000;

/// What the loops look after. Clones share.
#[derive(Clone)]
pub(crate) struct Beside {
    broker: Arc<Broker>,
    clock: Arc<SystemClock>,
    metrics: Arc<Metrics>,
    reload: Arc<Reload>,
}

impl Beside {
    pub(crate) fn of(
        broker: &Arc<Broker>,
        clock: &Arc<SystemClock>,
        metrics: &Arc<Metrics>,
        reload: &Arc<Reload>,
    ) -> Self {
        let (broker, clock) = (Arc::clone(broker), Arc::clone(clock));
        Self { broker, clock, metrics: Arc::clone(metrics), reload: Arc::clone(reload) }
    }

    /// Starts them. The number that comes back grows with every look of the reaper, also when no time
    /// is known.
    pub(crate) fn start(self, tasks: &mut Tasks) -> Arc<AtomicU64> {
        let turns = Arc::new(AtomicU64::new(0));
        tasks.start("reaper", self.clone().reap(Arc::clone(&turns), tasks.stopping()));
        tasks.start("upkeep", self.upkeep(tasks.stopping()));
        turns
    }

    async fn reap(self, turns: Arc<AtomicU64>, mut stopping: Stopping) -> Result<(), String> {
        let Self { broker, clock, metrics, .. } = self;
        loop {
            // Without a time nothing is due; checks refuse meanwhile.
            let more = clock.now().is_ok_and(|now| broker.tick(now).more);
            let status = broker.status();
            metrics.set_live(status.tokens, status.tasks);
            metrics.set_reaper_lag(status.reaper_lag);
            metrics.set_archive(&broker.archive_health());
            metrics.set_health(status.warnings.len(), status.followers);
            turns.fetch_add(1, Ordering::Relaxed);
            // With more to do, whatever is ready goes first, and all that it makes ready: a check takes
            // several turns of the scheduler.
            let pause = async {
                if more { tokio::task::yield_now().await } else { tokio::time::sleep(REAPER_PERIOD).await }
            };
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = pause => {}
            }
        }
    }

    async fn upkeep(self, mut stopping: Stopping) -> Result<(), String> {
        let Self { broker, clock, metrics, reload } = self;
        let mut renewal = Renewal::new(Arc::clone(&reload));
        let mut covered = broker.status().position.sequence;
        loop {
            // A certificate that was loaded has been parsed by TLS; what cannot be told is left as it was.
            if let Ok(until) = locum_identity::holds_until(&reload.own.leaf()) {
                metrics.set_certificate_expiry(until);
            }
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = tokio::time::sleep(UPKEEP_PERIOD) => {}
            }
            if let Err(cause) = clock.persist() {
                tracing::error!(%cause, "the clock's mark could not be written");
            }
            renewal = blocking(move || renewal.look()).await?;
            let head = broker.status().position.sequence;
            let Ok(now) = clock.now() else { continue };
            if head - covered >= EVENTS_PER_SNAPSHOT {
                covered = head;
                let broker = Arc::clone(&broker);
                match blocking(move || broker.compact(now).map_err(|cause| cause.to_string())).await {
                    Ok(Ok(_report)) => tracing::info!(position = head, "snapshot written"),
                    Ok(Err(cause)) | Err(cause) => tracing::error!(%cause, "no snapshot was written"),
                }
            }
        }
    }
}
