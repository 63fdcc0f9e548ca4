//! [`Archive`]: the folder with all of it, as the broker uses it.
//!
//! `index.db`, rebuildable; `texts.db` and `keys/`, which are not. What is found damaged is set
//! aside, once, beside its successor, and never read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::Commitment;
use locum_model::{Committed, Entropy, Event, Target, TaskId, TenantNo, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::ArchiveError;
use crate::facet::{Facet, at_most, stored, unstored};
use crate::index::{Index, Indexed, reached};
use crate::keys::private_dir;
use crate::readers::Readers;
use crate::retention::{self, Retained, RetentionPlan};
use crate::search::{Criteria, Order, Page, Reach, search};
use crate::texts::Forgotten;
use crate::texts::{Given, Texts, Told};

/// The archive. One writer at a time; any number of readers.
pub struct Archive {
    dir: PathBuf,
    writer: Mutex<Option<Index>>,
    readers: Readers,
    texts: Mutex<Arc<Texts>>,
    entropy: Arc<dyn Entropy>,
}

/// How large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries of the index.
    pub entries: u64,
    /// Texts that are kept, erased ones that are not swept yet among them.
    pub texts: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

// === impl Archive ===

impl Archive {
    /// Opens the archive in `dir`, which is made if need be. A damaged part is set aside and begun
    /// again; `lost` hears of each.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] when the disk does not let us.
    pub fn open(
        dir: &Path,
        entropy: Arc<dyn Entropy>,
        lost: &mut dyn FnMut(&'static str, &ArchiveError),
    ) -> Result<Self, ArchiveError> {
        private_dir(dir).map_err(|cause| ArchiveError::Unusable(cause.to_string()))?;
        let open_texts = || Texts::open(&dir.join("texts.db"), &dir.join("keys"), Arc::clone(&entropy));
        let texts = match open_texts() {
            Err(damage) if damage.is_damage() => {
                lost("texts.db", &damage);
                set_aside(dir, "texts.db")?;
                open_texts()?
            }
            other => other?,
        };
        let archive = Self {
            dir: dir.to_owned(),
            writer: Mutex::default(),
            readers: Readers::new(dir.join("index.db")),
            texts: Mutex::new(Arc::new(texts)),
            entropy: Arc::clone(&entropy),
        };
        match archive.with_writer(|_index| Ok(())) {
            Err(damage) if damage.is_damage() => {
                lost("index.db", &damage);
                archive.set_index_aside()?;
                archive.with_writer(|_index| Ok(()))?;
            }
            other => other?,
        }
        Ok(archive)
    }

    /// How far the index goes; none when it is empty.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn reached(&self) -> Result<Option<Indexed>, ArchiveError> {
        self.readers.with(reached)
    }

    /// Indexes events that follow what is indexed: all of them or none.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]; nothing is changed then.
    pub fn index(&self, events: &[Committed<Event>]) -> Result<(), ArchiveError> {
        self.with_writer(|index| index.add(events))
    }

    /// Keeps texts, sealed; durable on return.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn keep_texts(&self, given: &[Given]) -> Result<(), ArchiveError> {
        if given.is_empty() {
            return Ok(());
        }
        let kept = self.texts().keep(given);
        match kept {
            Err(damage) if damage.is_damage() => {
                self.set_texts_aside()?;
                self.texts().keep(given)
            }
            other => other,
        }
    }

    /// What is known of the text that a commitment of `tenant` is about.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn text(&self, tenant: TenantNo, commitment: &Commitment) -> Result<Told, ArchiveError> {
        self.texts().tell(tenant, commitment)
    }

    /// One page of a search, `most` entries at most. A page that is not full may still name where to
    /// go on: each costs a bounded walk.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn search(
        &self,
        criteria: &Criteria,
        from: (Order, Option<u64>),
        most: usize,
    ) -> Result<Page, ArchiveError> {
        self.readers.with(|db| search(db, criteria, from, most))
    }

    /// The first entries about a task and what is below it, in order, at most `most`; and how far the
    /// index went.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn tree(&self, task: TaskId, most: usize) -> Result<(Vec<u64>, Option<Indexed>), ArchiveError> {
        let facet = Facet::Task(task);
        self.readers.with(|db| {
            let mut find =
                db.prepare_cached("SELECT seq FROM facets WHERE kind = ? AND id = ? ORDER BY seq LIMIT ?")?;
            let found = find.query_map(params![facet.kind(), facet.id(), at_most(most)], |row| row.get(0))?;
            let found: Result<Vec<i64>, _> = found.collect();
            Ok((found?.into_iter().map(unstored).collect(), reached(db)?))
        })
    }

    /// The entries after `sequence` that took authority from any of `targets`, in order.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn takers(&self, targets: &[Target], sequence: u64, most: usize) -> Result<Vec<u64>, ArchiveError> {
        self.readers.with(|db| {
            let mut all = std::collections::BTreeSet::new();
            let mut find = db.prepare_cached(
                "SELECT seq FROM takes WHERE level = ? AND id = ? AND seq > ? ORDER BY seq LIMIT ?",
            )?;
            for target in targets {
                let level = target.level() as u8;
                let of = params![level, target.id_bytes(), stored(sequence), at_most(most)];
                for found in find.query_map(of, |row| row.get(0))? {
                    all.insert(unstored(found?));
                }
            }
            Ok(all.into_iter().take(most).collect())
        })
    }

    /// The tenant of an entry, as the index has it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn tenant_of(&self, sequence: u64) -> Result<Option<TenantNo>, ArchiveError> {
        self.readers.with(|db| {
            let mut find = db.prepare_cached("SELECT tenant FROM entries WHERE seq = ?")?;
            let found = find.query_row([stored(sequence)], |row| row.get::<_, Option<u32>>(0));
            Ok(found.optional()?.flatten().map(TenantNo))
        })
    }

    /// What keeping entries and texts for `keep` alone would take away now.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn plan(&self, keep: Duration, now: Timestamp, reach: &Reach) -> Result<RetentionPlan, ArchiveError> {
        let texts = self.texts();
        self.readers.with(|db| retention::plan(db, &texts, now.minus(keep), reach))
    }

    /// One bounded step of keeping entries and texts for `keep` alone.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn retain(&self, keep: Duration, now: Timestamp) -> Result<Retained, ArchiveError> {
        let texts = self.texts();
        self.with_writer(|index| retention::step(&mut index.db, &texts, keep, now))
    }

    /// What retentions took away, a day each, the newest first; at most `most` days.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn forgotten(&self, most: usize) -> Result<Vec<Forgotten>, ArchiveError> {
        self.texts().forgotten(most)
    }

    /// How large it is. Counts entries: takes a while when there are many.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn size(&self) -> Result<Size, ArchiveError> {
        let count = |db: &Connection| {
            Ok(db.query_row("SELECT count(*) FROM entries", [], |row| row.get::<_, u32>(0))?)
        };
        let entries = self.readers.with(count)?.into();
        let len = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |found| found.len());
        let bytes = ["index.db", "index.db-wal", "texts.db", "texts.db-wal"].map(len).iter().sum();
        Ok(Size { entries, texts: self.texts().count()?, bytes })
    }

    /// Looks through the whole index for damage.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Damaged`] when there is some.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let found: String =
            self.readers.with(|db| Ok(db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?))?;
        if found == "ok" { Ok(()) } else { Err(ArchiveError::Damaged(found)) }
    }

    /// Forgets the index and begins it again, empty. Texts and keys stay.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn begin_again(&self) -> Result<(), ArchiveError> {
        let mut writer = self.writer.lock();
        self.readers.while_replaced(|| {
            *writer = None;
            for name in ["index.db", "index.db-wal", "index.db-shm"] {
                remove(&self.dir.join(name))?;
            }
            *writer = Some(Index::open(&self.dir.join("index.db"))?);
            Ok(())
        })
    }

    /// Sets a damaged index aside, as `index.db.damaged`, and begins another.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`].
    pub fn set_index_aside(&self) -> Result<(), ArchiveError> {
        let mut writer = self.writer.lock();
        self.readers.while_replaced(|| {
            *writer = None;
            set_aside(&self.dir, "index.db")?;
            *writer = Some(Index::open(&self.dir.join("index.db"))?);
            Ok(())
        })
    }

    /// Whether the files are still those that were opened: somebody may have removed them.
    pub fn is_whole(&self) -> bool {
        self.dir.join("index.db").exists()
    }

    fn set_texts_aside(&self) -> Result<(), ArchiveError> {
        let mut texts = self.texts.lock();
        set_aside(&self.dir, "texts.db")?;
        let entropy = Arc::clone(&self.entropy);
        *texts = Arc::new(Texts::open(&self.dir.join("texts.db"), &self.dir.join("keys"), entropy)?);
        Ok(())
    }

    fn texts(&self) -> Arc<Texts> {
        Arc::clone(&self.texts.lock())
    }

    fn with_writer<T>(
        &self,
        write: impl FnOnce(&mut Index) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let mut writer = self.writer.lock();
        let index = match &mut *writer {
            Some(index) => index,
            empty => {
                let path = self.dir.join("index.db");
                empty.insert(self.readers.while_replaced(|| Index::open(&path))?)
            }
        };
        write(index)
    }
}

/// Moves a file aside, over what was set aside before; its WAL goes with it.
fn set_aside(dir: &Path, name: &str) -> Result<(), ArchiveError> {
    for end in ["", "-wal"] {
        let from = dir.join(format!("{name}{end}"));
        let to = dir.join(format!("{name}.damaged{end}"));
        match std::fs::rename(&from, &to) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(ArchiveError::Unusable(cause.to_string()));
            }
            _ => {}
        }
    }
    remove(&dir.join(format!("{name}-shm")))
}

fn remove(path: &Path) -> Result<(), ArchiveError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(ArchiveError::Unusable(cause.to_string()))
        }
        _ => Ok(()),
    }
}
