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

/// For how long an orderly end keeps texts that wait for the archive.
const TEXTS_WITHIN: Duration = Duration::from_secs(2);
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

    /// Keeps the archive until the server stops. A step that is under way then is left behind.
    pub(crate) async fn run(self, mut stopping: Stopping) -> Result<(), String> {
        tokio::select! {
            () = stopping.wait() => {}
            () = self.keep() => {}
        }
        self.keep_texts().await;
        Ok(())
    }

    /// Feeds it and lets it forget, for ever.
    async fn keep(&self) {
        let mut head = self.broker.tail_from(0).1;
        let mut next_retention = Duration::ZERO;
        while !self.open().await {
            tokio::time::sleep(PERIOD).await;
        }
        loop {
            // What is committed from here on wakes the loop.
            head.borrow_and_update();
            let step = self.step().await;
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
            tokio::time::sleep(pause).await;
            if step == IndexStep::CaughtUp {
                tokio::select! {
                    _changed = head.changed() => {}
                    () = tokio::time::sleep(PERIOD) => {}
                }
            }
        }
    }

    /// Texts of people are in memory until their events are indexed: that is done before the process ends.
    async fn keep_texts(&self) {
        let step = async || {
            let broker = Arc::clone(&self.broker);
            blocking(move || broker.index_archive()).await
        };
        let all = async { while self.broker.archive_has_texts() && step().await == Ok(IndexStep::More) {} };
        // What is not kept by then is lost with the process, as by a crash.
        let _ = tokio::time::timeout(TEXTS_WITHIN, all).await;
    }

    /// Opens the archive; says whether it is open.
    async fn open(&self) -> bool {
        let (dir, entropy) = (self.dir.clone(), Arc::clone(&self.entropy));
        match self.aside(move || open_in(&dir, entropy)).await.and_then(|opened| opened) {
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
        match self.aside(move || broker.index_archive()).await {
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
        self.aside(move || broker.retain_archive(keep, now)).await.unwrap_or(false)
    }

    /// Does something that others go before, as long as nothing is lost by that.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        if self.broker.archive_can_wait() { behind(work).await } else { blocking(work).await }
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
