//! What runs beside the listeners for as long as the server does: the reaper, the writer of snapshots, and upkeep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_broker::{Broker, NextTick};
use locum_journal::SnapshotReport;
use locum_model::{Clock, Timestamp};

use crate::clock::SystemClock;
use crate::metrics::Metrics;
use crate::pace::paced;
use crate::reload::Reload;
use crate::renewal::Renewal;
use crate::tasks::{Stopping, Tasks, blocking};

/// How often the reaper looks.
const REAPER_PERIOD: Duration = Duration::from_millis(50);
/// How often the clock's mark is written, certificates and bundles are looked at, and whether a snapshot is due.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// Events between two snapshots, at least.
const EVENTS_PER_SNAPSHOT: u64 = 200_000;
/// And at least one for so many rows and tasks: a large one takes long to write, and what came since makes the next start
/// longer by no more than about this part, and by what comes while it is written.
const PART_PER_SNAPSHOT: u64 = 4;

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
        tasks.start("snapshots", self.clone().write_snapshots(tasks.stopping()));
        tasks.start("upkeep", self.upkeep(tasks.stopping()));
        turns
    }

    async fn reap(self, turns: Arc<AtomicU64>, mut stopping: Stopping) -> Result<(), String> {
        let Self { broker, clock, metrics, .. } = self;
        loop {
            // Without a time nothing is due; checks refuse meanwhile.
            let next = clock.now().map_or(NextTick::Later, |now| broker.tick(now).next);
            let status = broker.status();
            metrics.set_live(status.tokens, status.tasks);
            metrics.set_reaper_lag(status.reaper_lag);
            metrics.set_archive(&broker.archive_health());
            metrics.set_health(status.warnings.len(), status.followers);
            turns.fetch_add(1, Ordering::Relaxed);
            let pause = async {
                match next {
                    // Whatever is ready goes first, and all that it makes ready: a check takes several turns
                    // of the scheduler.
                    NextTick::AtOnce => tokio::task::yield_now().await,
                    // A disk that hangs holds up what is written down, and nothing else that is due.
                    NextTick::WhenWritten => tokio::select! {
                        () = broker.reaped_is_written() => {}
                        () = tokio::time::sleep(REAPER_PERIOD) => {}
                    },
                    NextTick::Later => tokio::time::sleep(REAPER_PERIOD).await,
                }
            };
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = pause => {}
            }
        }
    }

    async fn upkeep(self, mut stopping: Stopping) -> Result<(), String> {
        let Self { clock, metrics, reload, .. } = self;
        let mut renewal = Renewal::new(Arc::clone(&reload));
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
        }
    }

    /// Writes a snapshot whenever so much was committed that one is worth it.
    async fn write_snapshots(self, mut stopping: Stopping) -> Result<(), String> {
        let Self { broker, clock, .. } = self;
        let mut tried = 0;
        loop {
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = tokio::time::sleep(UPKEEP_PERIOD) => {}
            }
            let status = broker.status();
            let (head, rows) = (status.position.sequence, (status.tokens + status.tasks) as u64);
            let Ok(now) = clock.now() else { continue };
            // What cannot be written is not tried again at once.
            let covered = broker.snapshot_covers().max(tried);
            if head.saturating_sub(covered) < EVENTS_PER_SNAPSHOT.max(rows / PART_PER_SNAPSHOT) {
                continue;
            }
            tried = head;
            let (broker, clock) = (Arc::clone(&broker), Arc::clone(&clock));
            // One that is under way is left behind when the server stops: the next start takes it away.
            let written = tokio::select! {
                () = stopping.wait() => return Ok(()),
                written = blocking(move || compact(&broker, &clock, now)) => written,
            };
            match written {
                Ok(Ok(SnapshotReport { bytes: 0, .. })) => {}
                Ok(Ok(SnapshotReport { covers, kept, bytes, .. })) => {
                    tracing::info!(position = covers.sequence, kept, bytes, "snapshot written");
                }
                Ok(Err(cause)) | Err(cause) => tracing::error!(%cause, "no snapshot was written"),
            }
        }
    }
}

/// Rests again and again: the system gives a thread that never sleeps some milliseconds at a time, which checks and
/// commits on the same core would wait for.
fn compact(broker: &Broker, clock: &SystemClock, now: Timestamp) -> Result<SnapshotReport, String> {
    broker.compact(now, &paced(clock, std::thread::sleep)).map_err(|cause| cause.to_string())
}
