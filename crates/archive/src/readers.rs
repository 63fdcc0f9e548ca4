//! [`Readers`]: connections that only read, a few of them kept.
//!
//! Each belongs to one life of the file: when the file is replaced, those of before are dropped
//! instead of being given out again.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use crate::error::ArchiveError;

/// Idle connections that are kept.
const IDLE_MAX: usize = 4;
/// How long a reader waits: WAL readers wait for nobody but a file that is being made.
const BUSY_WAIT: Duration = Duration::from_millis(500);

/// The readers' side of the file.
pub(crate) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    life: u64,
    idle: Vec<Connection>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, pool: Mutex::default() }
    }

    /// Runs `read` on a connection, in one transaction: it sees one moment.
    pub(crate) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let (life, mut db) = self.take()?;
        let transaction = db.transaction()?;
        let found = read(&transaction)?;
        transaction.finish()?;
        let mut pool = self.pool.lock();
        if pool.life == life && pool.idle.len() < IDLE_MAX {
            pool.idle.push(db);
        }
        Ok(found)
    }

    /// Runs `replace` while nobody opens the file; what was open reads the old one to its end.
    pub(crate) fn while_replaced<T>(&self, replace: impl FnOnce() -> T) -> T {
        let mut pool = self.pool.lock();
        pool.life += 1;
        pool.idle.clear();
        replace()
    }

    fn take(&self) -> Result<(u64, Connection), ArchiveError> {
        let mut pool = self.pool.lock();
        let life = pool.life;
        if let Some(db) = pool.idle.pop() {
            return Ok((life, db));
        }
        // Writable, as readers of a WAL write its index; the connection itself only queries.
        let db = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "query_only", true)?;
        db.pragma_update(None, "trusted_schema", false)?;
        Ok((life, db))
    }
}
