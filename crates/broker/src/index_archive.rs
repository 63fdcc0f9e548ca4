//! Feeding the archive: from the journal, behind the commit, in bounded steps.
//!
//! The position stands in the archive, in the same transaction as what it covers; so a step that
//! fails or is cut off is done again, and nothing is skipped. An index that does not belong to this
//! journal, is damaged or was removed is begun again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use locum_archive::texts::Given;
use locum_archive::{Archive, ArchiveError, Indexed, Retained};
use locum_model::limits::ARCHIVE_BATCH_EVENTS_MAX;
use locum_model::{Committed, Event, Timestamp};

use crate::broker::Broker;
use crate::shelf::Feeding;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexStep {
    /// There is no archive.
    Off,
    /// More is there to be indexed.
    More,
    /// Everything that was committed when the step began is indexed.
    CaughtUp,
    /// It failed: it is told, and to be tried again after a while.
    Failed,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepFailed {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("the journal could not be read: {0}")]
    Journal(#[from] locum_journal::ReadError),
}

impl Broker {
    /// Indexes a bounded number of events that are committed and not yet indexed. Blocks on the disk;
    /// holds up nobody but itself. One caller at a time.
    pub fn index_archive(&self) -> IndexStep {
        let Some(archive) = self.shelf.get() else { return IndexStep::Off };
        let mut feeding = self.shelf.feed.lock();
        match self.index_some(&archive, &mut feeding) {
            Ok(step) => {
                self.shelf.note_trouble(None);
                step
            }
            Err(failed) => {
                *feeding = Feeding::default();
                self.repair(&archive, &failed);
                IndexStep::Failed
            }
        }
    }

    /// Takes one bounded step of keeping only what is younger than `keep`; says whether there is more
    /// to take away.
    pub fn retain_archive(&self, keep: Duration, now: Timestamp) -> bool {
        let Some(archive) = self.shelf.get() else { return false };
        match archive.retain(keep, now) {
            Ok(Retained::Nothing) => false,
            Ok(Retained::Announced(until)) => {
                tracing::warn!(%until, "the archive's retention is shorter than it was; entries and keys go then");
                false
            }
            Ok(Retained::Removed { entries, texts, keys }) => {
                let keys: Vec<_> = keys.iter().map(|(tenant, day)| format!("{}-{day}", tenant.0)).collect();
                tracing::info!(entries, texts, keys = %keys.join(","), "the archive forgot what was too old");
                true
            }
            Err(failed) => {
                self.repair(&archive, &failed.into());
                false
            }
        }
    }

    fn index_some(&self, archive: &Archive, feeding: &mut Feeding) -> Result<IndexStep, StepFailed> {
        if self.shelf.suspect.swap(false, Ordering::Relaxed) {
            archive.check()?;
        }
        self.begin_again_if_needed(archive, feeding)?;
        let reached = archive.reached()?.map_or(0, |indexed| indexed.position.sequence);
        self.shelf.indexed.store(reached, Ordering::Relaxed);
        let mut events = match feeding.events.take() {
            Some((next, events)) if next == reached + 1 => events,
            _ => self.journal.events(reached + 1),
        };
        let batch: Result<Vec<_>, _> = events.by_ref().take(ARCHIVE_BATCH_EVENTS_MAX).collect();
        let batch = batch?;
        let Some(last) = batch.last().map(|committed| committed.position().sequence) else {
            feeding.events = Some((reached + 1, events));
            return Ok(IndexStep::CaughtUp);
        };
        self.keep_texts(archive, &batch)?;
        archive.index(&batch)?;
        self.shelf.indexed.store(last, Ordering::Relaxed);
        feeding.events = Some((last + 1, events));
        Ok(if batch.len() == ARCHIVE_BATCH_EVENTS_MAX { IndexStep::More } else { IndexStep::CaughtUp })
    }

    /// Begins the index again when it was asked for, when its file is gone, or when what it says of
    /// its newest event is not what the journal says.
    fn begin_again_if_needed(&self, archive: &Archive, feeding: &mut Feeding) -> Result<(), StepFailed> {
        let why = if self.shelf.again.swap(false, Ordering::Relaxed) {
            "an operator asked for it"
        } else if !archive.is_whole() {
            "its file is gone"
        } else if !feeding.checked && !self.is_of_this_journal(archive.reached()?)? {
            "it is of another journal, or of a later state of this one"
        } else {
            feeding.checked = true;
            return Ok(());
        };
        tracing::warn!(why, "the archive's index is begun again");
        archive.begin_again()?;
        self.shelf.rebuilds.fetch_add(1, Ordering::Relaxed);
        *feeding = Feeding { checked: true, events: None };
        Ok(())
    }

    fn is_of_this_journal(&self, reached: Option<Indexed>) -> Result<bool, StepFailed> {
        let Some(Indexed { position, at, event }) = reached else { return Ok(true) };
        let found = self.journal.lookup().event(position.sequence)?;
        let same = |found: &Committed<Event>| {
            found.position() == position && found.event().at() == at && found.event().name() == event
        };
        Ok(found.as_ref().is_some_and(same))
    }

    /// Keeps the texts that these events commit to, as far as they are still here.
    fn keep_texts(&self, archive: &Archive, batch: &[Committed<Event>]) -> Result<(), ArchiveError> {
        let waiting = &self.shelf.waiting;
        let mut given = Vec::new();
        for committed in batch {
            let Event::TaskStarted(started) = committed.event() else { continue };
            let Some(commitment) = started.justification else { continue };
            let Some(salted) = waiting.get(&commitment) else { continue };
            given.push(Given { tenant: started.tenant, at: started.at, commitment, salted });
        }
        archive.keep_texts(&given)?;
        given.iter().for_each(|one| waiting.done(&one.commitment));
        Ok(())
    }

    /// Tells what is wrong. Damage is set aside, and the next step begins again.
    fn repair(&self, archive: &Arc<Archive>, failed: &StepFailed) {
        let mut line = failed.to_string();
        if let StepFailed::Archive(damage) = failed
            && damage.is_damage()
        {
            self.shelf.rebuilds.fetch_add(1, Ordering::Relaxed);
            line = match archive.set_index_aside() {
                Ok(()) => format!("{damage}; the index is set aside as `index.db.damaged` and begun again"),
                Err(cause) => format!("{damage}; and setting it aside failed: {cause}"),
            };
        }
        self.shelf.note_trouble(Some(line));
    }
}
