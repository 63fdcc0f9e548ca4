//! The loop that keeps the archive: opens it, feeds it behind the commit, and lets it forget.
//!
//! Nothing waits for it, and where cores are short it waits for everybody else, unless texts of people would be
//! lost by that. What fails is told (log, metric, status) and tried again; this loop never ends the process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use locum_archive::Archive;
use locum_broker::{Broker, IndexStep};
use locum_model::{Clock, Entropy};

use crate::config::Settings;
use crate::tasks::{Stopping, behind, blocking};

/// Between two looks when nothing was committed, and between two tries of what failed.
const PERIOD: Duration = Duration::from_secs(1);
/// Commits that come close together are indexed together.
const GATHER: Duration = Duration::from_millis(20);
/// Between two looks for what is too old; a step that took something away is followed at once by
/// another after [`PERIOD`].
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// What the loop works with.
pub(crate) struct Keeper {
    pub broker: Arc<Broker>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// The folder `archive` below the data directory.
    pub dir: PathBuf,
    /// For how long entries are kept; none for ever.
    pub retention: Option<Duration>,
}

impl Keeper {
    /// What keeps the archive of these settings; none where there is to be none.
    pub(crate) fn of(
        settings: &Settings,
        broker: &Arc<Broker>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    ) -> Option<Self> {
        settings.archive.enabled.then(|| {
            broker.expect_archive();
            let broker = Arc::clone(broker);
            let (dir, retention) = (settings.data_dir.join("archive"), settings.archive.retention);
            Self { broker, clock, entropy, dir, retention }
        })
    }

    /// Keeps the archive until the server stops.
    pub(crate) async fn run(self, mut stopping: Stopping) -> Result<(), String> {
        let mut head = self.broker.tail_from(0).1;
        let mut next_retention = Duration::ZERO;
        while !self.open().await {
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
        loop {
            // What is committed from here on wakes the loop.
            head.borrow_and_update();
            // A step that hangs on the disk is left behind when the server stops.
            let step = tokio::select! {
                () = stopping.wait() => return Ok(()),
                step = self.step() => step,
            };
            let pause = match step {
                IndexStep::More => continue,
                IndexStep::CaughtUp | IndexStep::Off => {
                    if self.clock.elapsed() >= next_retention {
                        let more = self.forget().await;
                        let period = if more { PERIOD } else { RETENTION_PERIOD };
                        next_retention = self.clock.elapsed() + period;
                    }
                    GATHER
                }
                IndexStep::Failed => PERIOD,
            };
            tokio::select! {
                () = stopping.wait() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            if step == IndexStep::CaughtUp {
                tokio::select! {
                    () = stopping.wait() => return Ok(()),
                    _changed = head.changed() => {}
                    () = tokio::time::sleep(PERIOD) => {}
                }
            }
        }
    }

    /// Opens the archive; says whether it is open.
    async fn open(&self) -> bool {
        let (dir, entropy) = (self.dir.clone(), Arc::clone(&self.entropy));
        let opened = behind(move || open_in(&dir, entropy)).await;
        match opened.and_then(|opened| opened) {
            Ok((archive, set_aside)) => {
                self.broker.attach_archive(Arc::new(archive), set_aside);
                true
            }
            Err(cause) => {
                self.broker.archive_refused(cause);
                false
            }
        }
    }

    async fn step(&self) -> IndexStep {
        let broker = Arc::clone(&self.broker);
        let step = if broker.archive_can_wait() {
            behind(move || broker.index_archive()).await
        } else {
            blocking(move || broker.index_archive()).await
        };
        match step {
            Ok(step) => step,
            Err(cause) => {
                self.broker.archive_refused(cause);
                IndexStep::Failed
            }
        }
    }

    /// Forgets a bounded number of what is too old; says whether there is more.
    async fn forget(&self) -> bool {
        let (Some(keep), Ok(now)) = (self.retention, self.clock.now()) else { return false };
        let broker = Arc::clone(&self.broker);
        behind(move || broker.retain_archive(keep, now)).await.unwrap_or(false)
    }
}

/// The archive, and how many of its files were set aside.
fn open_in(dir: &Path, entropy: Arc<dyn Entropy>) -> Result<(Archive, u64), String> {
    let mut set_aside = 0;
    let mut lost = |name: &'static str, cause: &locum_archive::ArchiveError| {
        set_aside += 1;
        tracing::error!(%cause, file = name, "a file of the archive is damaged: set aside, and begun again");
    };
    let archive = Archive::open(dir, entropy, &mut lost).map_err(|cause| cause.to_string())?;
    Ok((archive, set_aside))
}
