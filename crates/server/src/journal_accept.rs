//! `locumd journal accept-restore`: an operator takes a restored copy for the journal from now on.
//!
//! A copy has forgotten what was revoked, ended and locked since it was made, and which ids were given out.
//! One machine cannot see that its disk was put back, so this is said by a person. What always holds
//! afterwards: everything that was ever decided before is dead, in this copy and in what it forgot, and no
//! number of a task or a lock is given out twice.
//!
//! In this order, each step durable before the next, so that a stop in between is safe: every tenant is
//! revoked and every key that signs tokens retired; a new epoch begins; every tenant is revoked in it. The
//! epoch is the moment in seconds: two acceptances of one copy differ, and the later one is the later epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use locum_journal::{
    AppendError, Damage, DirectoryError, DiskFiles, EpochError, FileLayer, Head, Journal, Lane, OpenError,
    Options, Replay,
};
use locum_model::event::{By, KeyMoved, KeyPurpose, Revoked};
use locum_model::limits::{BATCH_EVENTS_MAX, REASON_TEXT_BYTES_MAX};
use locum_model::number::TenantNo;
use locum_model::{Clock, Committed, Event, KeyId, Name, Selector, Target, Timestamp};

use crate::clock::WallClock;
use crate::quarantine::Quarantine;

/// What every revocation of an acceptance says.
const REASON: &str = "restored copy accepted";

/// Why a copy was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// There is no such directory.
    #[error("`{}` is no directory", .0.display())]
    NoDirectory(PathBuf),
    /// Who accepts has to be said.
    #[error("the name of who accepts is empty, too long, or contains control characters")]
    Nobody,
    /// It cannot be opened; a broker may be running on it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It is damaged; nothing was changed.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is nothing in it to accept.
    #[error("the journal is empty: there is nothing to accept")]
    Empty,
    /// The clock is behind the epoch that is already there.
    #[error("the clock says {now}, which is no later epoch than {epoch}: set it right first")]
    ClockBehind {
        /// What it says.
        now: Timestamp,
        /// The journal's epoch.
        epoch: u32,
    },
    /// It is accepted, and its quarantine could not be lifted: run it again.
    #[error("the quarantine could not be lifted: {0}")]
    NotLifted(#[from] std::io::Error),
    /// It could not be written. What was written is safe: run it again.
    #[error("not accepted: {0}")]
    NotWritten(#[from] EpochError),
}

/// What an acceptance did.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The epoch of the copy.
    pub epoch_before: u32,
    /// The one that began.
    pub epoch: u32,
    /// Tenants that were revoked: all.
    pub tenants: usize,
    /// Signing keys that were retired.
    pub signing_keys: usize,
    /// How far the journal goes now.
    pub head: Head,
}

/// What the journal says of those whose authority has to end.
#[derive(Default)]
struct Known {
    tenants: BTreeMap<TenantNo, Name>,
    token_keys: BTreeSet<KeyId>,
    newest: Timestamp,
}

/// [`accept_restore`] at this moment of the machine's clock.
///
/// # Errors
///
/// [`NotAccepted`].
pub fn accept_restore_now(dir: &Path, by: &str) -> Result<Accepted, NotAccepted> {
    let now = WallClock.now().expect("the wall clock always has a time");
    accept_restore(dir, by, now)
}

/// Accepts the copy in `dir`, on the word of `by`; answers with what was done.
///
/// # Errors
///
/// [`NotAccepted`].
pub fn accept_restore(dir: &Path, by: &str, now: Timestamp) -> Result<Accepted, NotAccepted> {
    if !dir.is_dir() {
        return Err(NotAccepted::NoDirectory(dir.to_owned()));
    }
    if by.is_empty() || by.len() > REASON_TEXT_BYTES_MAX || by.contains(char::is_control) {
        return Err(NotAccepted::Nobody);
    }
    let told = accept_copy(Arc::new(DiskFiles::open(dir)?), by, now)?;
    // The journal stands in the data directory, and so does the mark that this acceptance answers.
    if let Some(data_dir) = dir.canonicalize()?.parent() {
        Quarantine::of(data_dir).lift()?;
    }
    Ok(told)
}

/// [`accept_restore`] over any files.
///
/// # Errors
///
/// [`NotAccepted`].
pub fn accept_copy(files: Arc<dyn FileLayer>, by: &str, now: Timestamp) -> Result<Accepted, NotAccepted> {
    locum_journal::verify(&*files, &mut |_progress| {})?;
    let mut known = Known::default();
    let mut journal = locum_journal::open(files, Options::default(), &mut known)?;
    let before = journal.writer.head().position;
    if before.sequence == 0 {
        return Err(NotAccepted::Empty);
    }
    let epoch = u32::try_from(now.as_seconds()).ok().filter(|epoch| *epoch > before.epoch);
    let epoch = epoch.ok_or(NotAccepted::ClockBehind { now, epoch: before.epoch })?;
    let (by, at) = (By::Operator(by.to_owned()), now.max(known.newest));
    append(&mut journal, known.revocations(&by, at))?;
    append(&mut journal, known.retirements(&by, at))?;
    journal.writer.begin_epoch(epoch)?;
    append(&mut journal, known.revocations(&by, at))?;
    journal.writer.seal().map_err(EpochError::from)?;
    Ok(Accepted {
        epoch_before: before.epoch,
        epoch,
        tenants: known.tenants.len(),
        signing_keys: known.token_keys.len(),
        head: journal.writer.head(),
    })
}

fn append(journal: &mut Journal, events: Vec<Event>) -> Result<(), EpochError> {
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let batch = events.by_ref().take(BATCH_EVENTS_MAX).collect();
        journal.writer.append(Lane::Urgent, batch).map_err(|error: AppendError| EpochError::from(error))?;
    }
    Ok(())
}

// === impl Known ===

impl Replay for Known {
    fn take(&mut self, events: &[Committed<Event>]) {
        events.iter().for_each(|event| self.note(event));
    }

    fn start_over(&mut self) {
        *self = Self::default();
    }
}

impl Known {
    fn note(&mut self, committed: &Committed<Event>) {
        let event = committed.event();
        self.newest = self.newest.max(event.at());
        match event {
            // Whoever was a tenant once may have tokens out.
            Event::RegistryActivated(activated) => {
                let tenants = activated.entries.tenants.values();
                self.tenants.extend(tenants.map(|tenant| (tenant.number, tenant.name.clone())));
            }
            Event::KeyPublished(key) if key.purpose == KeyPurpose::Token => {
                self.token_keys.insert(key.kid);
            }
            Event::KeyRetired(key) => {
                self.token_keys.remove(&key.kid);
            }
            _ => {}
        }
    }

    fn revocations(&self, by: &By, at: Timestamp) -> Vec<Event> {
        let revoked = |(number, name): (&TenantNo, &Name)| {
            Event::Revoked(Box::new(Revoked {
                selector: Selector::Tenant(name.clone()),
                targets: vec![Target::Tenant(*number)],
                until: None,
                reason: REASON.into(),
                by: by.clone(),
                at,
            }))
        };
        self.tenants.iter().map(revoked).collect()
    }

    fn retirements(&self, by: &By, at: Timestamp) -> Vec<Event> {
        let retired = |kid: &KeyId| Event::KeyRetired(KeyMoved { kid: *kid, by: by.clone(), at });
        self.token_keys.iter().map(retired).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn what_is_no_copy_is_refused_and_not_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let gone = dir.path().join("gone");
        assert!(matches!(accept_restore(&gone, "alice", NOW), Err(NotAccepted::NoDirectory(_))));
        assert!(!gone.exists());
        for nobody in ["", "a\nb"] {
            assert!(matches!(accept_restore(dir.path(), nobody, NOW), Err(NotAccepted::Nobody)));
        }
        std::fs::write(dir.path().join("segment-000000000000001"), b"not a segment").expect("written");
        assert!(matches!(accept_restore(dir.path(), "alice", NOW), Err(NotAccepted::Damaged(_))));
    }

    #[test]
    fn an_empty_journal_and_a_clock_that_is_behind_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || {
            let files = DiskFiles::open(dir.path()).expect("opened");
            locum_journal::open(std::sync::Arc::new(files), Options::default(), &mut ()).expect("a journal")
        };
        drop(open());
        assert!(matches!(accept_restore(dir.path(), "alice", NOW), Err(NotAccepted::Empty)));
        let key = KeyMoved { kid: KeyId([1; 32]), by: By::Broker, at: NOW };
        open().writer.append(Lane::Urgent, vec![Event::KeyRetired(key)]).expect("appended");
        accept_restore(dir.path(), "alice", NOW).expect("accepted");
        let again = accept_restore(dir.path(), "alice", NOW).expect_err("the same moment");
        assert!(matches!(again, NotAccepted::ClockBehind { epoch: 1_800_000_000, .. }), "{again}");
    }
}
