//! [`Index`]: the file `index.db` and its one writer.
//!
//! WAL, so that readers and the writer do not wait for each other. `synchronous = NORMAL`: a power
//! cut may take back the newest transactions, never break the file; what is taken back is indexed
//! again, as the position stands in the same transaction as what it covers.

use std::path::Path;
use std::time::Duration;

use locum_model::{Committed, Event, Position, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::description::{Description, Known, describe, learn};
use crate::error::ArchiveError;
use crate::facet::{stored, unstored};
use crate::names::Names;

/// `LCMa`: this file is ours.
const APPLICATION_ID: i32 = 0x4c43_4d61;
/// The format of the file. Another one is rebuilt, not migrated.
const FORMAT: i32 = 1;
/// How long the writer waits for a lock that somebody else holds on the file.
const BUSY_WAIT: Duration = Duration::from_secs(2);

const SCHEMA: &str = "
CREATE TABLE reached (one INTEGER PRIMARY KEY CHECK (one = 1), home INTEGER NOT NULL, epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL);
CREATE TABLE entries (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, event TEXT NOT NULL, tenant INTEGER,
    decision INTEGER, reason TEXT);
CREATE TABLE facets (kind INTEGER NOT NULL, id NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (kind, id, seq))
    WITHOUT ROWID;
CREATE INDEX facets_in_order ON facets (seq);
CREATE TABLE takes (level INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (level, id, seq))
    WITHOUT ROWID;
CREATE INDEX takes_in_order ON takes (seq);
CREATE TABLE spans (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, earliest INTEGER NOT NULL,
    latest INTEGER NOT NULL);
CREATE TABLE tasks (task INTEGER PRIMARY KEY, seq INTEGER NOT NULL, parent INTEGER, tenant INTEGER NOT NULL,
    workload INTEGER NOT NULL, identity TEXT NOT NULL, owner INTEGER NOT NULL, model INTEGER, subject BLOB NOT NULL);
CREATE INDEX tasks_of_subject ON tasks (subject);
CREATE INDEX tasks_in_order ON tasks (seq);
CREATE TABLE tokens (jti BLOB PRIMARY KEY, seq INTEGER NOT NULL, task INTEGER NOT NULL, connector INTEGER NOT NULL,
    owner INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX tokens_in_order ON tokens (seq);
CREATE TABLE locks (lock INTEGER NOT NULL, kind INTEGER NOT NULL, id, PRIMARY KEY (lock, kind, id));
CREATE TABLE names (level INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, tenant INTEGER NOT NULL,
    owner INTEGER, model INTEGER, PRIMARY KEY (level, number)) WITHOUT ROWID;
CREATE TABLE notices (one INTEGER PRIMARY KEY CHECK (one = 1), keep_millis INTEGER NOT NULL, since INTEGER NOT NULL);
CREATE VIRTUAL TABLE texts USING fts5(text, content = '', contentless_delete = 1, tokenize = 'unicode61');
";

/// How far the index goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed {
    /// The newest event that is indexed.
    pub position: Position,
    /// When that happened.
    pub at: Timestamp,
    /// What it was, so that another journal is recognised.
    pub event: String,
}

/// The writer's side of the file.
pub(crate) struct Index {
    pub(crate) db: Connection,
    names: Names,
}

// === impl Index ===

impl Index {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Damaged`] when it is not a file of this format.
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "cache_size", -16_384)?;
        // A WAL that grew under a long reader is cut back.
        db.pragma_update(None, "journal_size_limit", 64 << 20)?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.set_prepared_statement_cache_capacity(64);
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let mut index = Self { db, names: Names::default() };
        if tables == 0 {
            index.create()?;
        }
        let found: (i32, i32) = (
            index.db.pragma_query_value(None, "application_id", |row| row.get(0))?,
            index.db.pragma_query_value(None, "user_version", |row| row.get(0))?,
        );
        if found != (APPLICATION_ID, FORMAT) {
            return Err(ArchiveError::Damaged(format!("format {} of {:08x} is not ours", found.1, found.0)));
        }
        index.names = Names::load(&index.db)?;
        index.reached()?;
        Ok(index)
    }

    fn create(&mut self) -> Result<(), ArchiveError> {
        let transaction = self.db.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        Ok(transaction.commit()?)
    }

    /// How far it goes; none when nothing is indexed yet.
    pub(crate) fn reached(&self) -> Result<Option<Indexed>, ArchiveError> {
        reached(&self.db)
    }

    /// Indexes events that follow what is indexed, all or none.
    pub(crate) fn add(&mut self, events: &[Committed<Event>]) -> Result<(), ArchiveError> {
        // A fold that is thrown away with the transaction when it fails.
        let mut names = self.names.clone();
        let transaction = self.db.transaction()?;
        for committed in events {
            add_one(&transaction, &mut names, committed)?;
        }
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            span(&transaction, events, first.position().sequence)?;
            let Position { home, epoch, sequence } = last.position();
            transaction.execute(
                "INSERT OR REPLACE INTO reached (one, home, epoch, seq, at, event) VALUES (1, ?, ?, ?, ?, ?)",
                params![home, epoch, stored(sequence), last.event().at().as_millis(), last.event().name()],
            )?;
        }
        transaction.commit()?;
        self.names = names;
        Ok(())
    }
}

/// How far a file goes.
pub(crate) fn reached(db: &Connection) -> Result<Option<Indexed>, ArchiveError> {
    let mut find = db.prepare_cached("SELECT home, epoch, seq, at, event FROM reached")?;
    let found = find.query_row([], |row| {
        let position = Position { home: row.get(0)?, epoch: row.get(1)?, sequence: unstored(row.get(2)?) };
        Ok(Indexed { position, at: Timestamp::from_millis(row.get(3)?), event: row.get(4)? })
    });
    Ok(found.optional()?)
}

fn add_one(db: &Connection, names: &mut Names, committed: &Committed<Event>) -> Result<(), ArchiveError> {
    let (event, sequence) = (committed.event(), committed.position().sequence);
    let about = {
        let known = Known { db, names };
        learn(&known, sequence, event)?;
        describe(&known, event)?
    };
    // What was removed is described by the names that it had.
    if let Event::RegistryActivated(activated) = event {
        names.learn(db, &activated.entries)?;
    }
    insert(db, sequence, event, &about)
}

fn insert(db: &Connection, sequence: u64, event: &Event, about: &Description) -> Result<(), ArchiveError> {
    let seq = stored(sequence);
    let mut entry = db.prepare_cached(
        "INSERT INTO entries (seq, at, event, tenant, decision, reason) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    entry.execute(params![
        seq,
        event.at().as_millis(),
        event.name(),
        about.tenant.map(|tenant| tenant.0),
        about.decision.map(|decision| decision.stored()),
        about.reason.map(|reason| reason.as_str()),
    ])?;
    let mut facet = db.prepare_cached("INSERT INTO facets (kind, id, seq) VALUES (?, ?, ?)")?;
    for one in &about.facets {
        facet.execute(params![one.kind(), one.id(), seq])?;
    }
    let mut take = db.prepare_cached("INSERT OR IGNORE INTO takes (level, id, seq) VALUES (?, ?, ?)")?;
    for target in &about.takes {
        take.execute(params![target.level() as u8, target.id_bytes(), seq])?;
    }
    if let Some(text) = &about.text {
        db.prepare_cached("INSERT INTO texts (rowid, text) VALUES (?, ?)")?.execute(params![seq, text])?;
    }
    Ok(())
}

/// Notes between which times a run of events lies: sums are written down late, so that times do not
/// follow sequences.
fn span(db: &Connection, events: &[Committed<Event>], first: u64) -> Result<(), ArchiveError> {
    let times = || events.iter().map(|committed| committed.event().at().as_millis());
    let last = first + events.len() as u64 - 1;
    let bounds = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    // Small batches are joined, so that there is about one span for a thousand events.
    let joined = db
        .prepare_cached(
            "UPDATE spans SET last = ?2, earliest = min(earliest, ?3), latest = max(latest, ?4)
             WHERE first = (SELECT max(first) FROM spans) AND last = ?1 - 1 AND last - first < 1000",
        )?
        .execute(params![stored(first), stored(last), bounds.0, bounds.1])?;
    if joined == 0 {
        db.prepare_cached("INSERT INTO spans (first, last, earliest, latest) VALUES (?, ?, ?, ?)")?
            .execute(params![stored(first), stored(last), bounds.0, bounds.1])?;
    }
    Ok(())
}
