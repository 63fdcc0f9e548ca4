//! The archive behind the broker, where there is one, and how it does.
//!
//! Nothing that decides or commits ever waits for it. What the commit path does is to leave a text
//! in memory; everything else happens in [`Broker::index_archive`](crate::Broker::index_archive), which
//! somebody calls in a loop, and in the questions of operators.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use locum_archive::{Archive, ArchiveError};
use locum_model::limits::{ARCHIVE_BEHIND_MAX, ARCHIVE_TEXTS_WAITING_MAX};
use locum_model::{Position, Reason};

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::shelf::Feeding;

/// How the archive does. Cheap to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveHealth {
    /// There is to be one.
    pub enabled: bool,
    /// It is open.
    pub open: bool,
    /// The newest sequence that is indexed.
    pub indexed: u64,
    /// Events that are committed and not yet indexed.
    pub behind: u64,
    /// How often the index was begun again since the start.
    pub rebuilds: u64,
    /// Texts that wait.
    pub texts_waiting: u64,
    /// Texts that were dropped because they waited for too long.
    pub texts_dropped: u64,
    /// What is wrong now.
    pub trouble: Option<String>,
}

impl Broker {
    /// Says that an archive will be attached: from now on texts are left for it.
    pub fn expect_archive(&self) {
        self.shelf.expected.store(true, Ordering::Relaxed);
    }

    /// Whether texts wait that are lost when the process ends.
    pub fn archive_has_texts(&self) -> bool {
        !self.shelf.waiting.is_empty()
    }

    /// Whether feeding the archive can wait for others: few texts wait for it, of which it has to drop some when they are many.
    pub fn archive_can_wait(&self) -> bool {
        self.shelf.waiting.len() < ARCHIVE_TEXTS_WAITING_MAX / 4
    }

    /// Attaches the archive, once it is open; so many of its files were found damaged.
    pub fn attach_archive(&self, archive: Arc<Archive>, set_aside: u64) {
        self.expect_archive();
        self.shelf.rebuilds.fetch_add(set_aside, Ordering::Relaxed);
        *self.shelf.feed.lock() = Feeding::default();
        self.shelf.archive.store(Some(archive));
    }

    /// Says why there is no archive although there should be one.
    pub fn archive_refused(&self, why: String) {
        self.shelf.note_trouble(Some(why));
    }

    /// How the archive does.
    pub fn archive_health(&self) -> ArchiveHealth {
        let shelf = &self.shelf;
        let head: Position = self.journal.head().position;
        let indexed = shelf.indexed.load(Ordering::Relaxed);
        let open = shelf.archive.load().is_some();
        ArchiveHealth {
            enabled: shelf.is_expected(),
            open,
            indexed,
            behind: if shelf.is_expected() { head.sequence.saturating_sub(indexed) } else { 0 },
            rebuilds: shelf.rebuilds.load(Ordering::Relaxed),
            texts_waiting: shelf.waiting.len() as u64,
            texts_dropped: shelf.waiting.dropped(),
            trouble: shelf.trouble.lock().clone(),
        }
    }

    /// What operators have to know about the archive.
    pub(crate) fn archive_warnings(&self) -> Vec<String> {
        let health = self.archive_health();
        if !health.enabled {
            return Vec::new();
        }
        let mut warnings: Vec<_> = health.trouble.iter().map(|line| format!("the archive: {line}")).collect();
        if health.behind > ARCHIVE_BEHIND_MAX {
            warnings.push(format!("the archive is {} events behind", health.behind));
        }
        if health.texts_dropped > 0 {
            warnings.push(format!("{} justifications were lost before they were kept", health.texts_dropped));
        }
        warnings
    }

    /// The archive, for a question.
    ///
    /// # Errors
    ///
    /// ARCHIVE_UNAVAILABLE.
    pub(crate) fn archive(&self) -> Result<Arc<Archive>, Refusal> {
        let why = if self.shelf.is_expected() { "it is being opened" } else { "it is off" };
        self.shelf.get().ok_or_else(|| Refusal::new(Reason::ArchiveUnavailable, why))
    }

    /// A failure of the archive as a refusal. Damage that a reader met is looked into by the feeder.
    pub(crate) fn archive_failed(&self, cause: ArchiveError) -> Refusal {
        tracing::error!(%cause, "the archive did not answer");
        if cause.is_damage() {
            self.shelf.suspect.store(true, Ordering::Relaxed);
        }
        Reason::ArchiveUnavailable.into()
    }
}
