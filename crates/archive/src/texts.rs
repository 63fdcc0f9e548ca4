//! `Texts`: what people wrote and the journal only commits to, sealed under a key for each tenant
//! and day.
//!
//! AES-256-GCM under a random nonce; tenant, day and commitment are authenticated along, so that a
//! text cannot be moved. What is opened is compared with the commitment: only the text that was
//! given is ever shown. Dropping a key erases what it sealed; the rows of dropped keys are swept
//! later and mean nothing.
//!
//! This file is not an index: the journal cannot give it back. Rebuilding the index leaves it alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::Commitment;
use locum_model::{Entropy, TenantNo, Timestamp};
use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::error::ArchiveError;
use crate::facet::{at_most, stored, unstored};
pub use crate::keys::Day;
use crate::keys::{Key, Keys};
use crate::waiting::Salted;

const APPLICATION_ID: i32 = 0x4c43_4d74;
const CONTEXT: &[u8] = b"locum-archive-text-v1\0";
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// A text to be kept.
pub struct Given {
    /// Whose.
    pub tenant: TenantNo,
    /// When it was given.
    pub at: Timestamp,
    /// What the journal says of it.
    pub commitment: Commitment,
    /// Itself, with the salt of the commitment.
    pub salted: Salted,
}

/// What is known of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Itself.
    Text(String),
    /// It was kept, and its key is gone.
    Erased,
    /// It was never kept, or its row is swept.
    NotKept,
}

/// What a retention took away on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// When, the last time on that day.
    pub at: Timestamp,
    /// The rule: how long entries and texts are kept.
    pub keep: Duration,
    /// Everything older went.
    pub before: Timestamp,
    /// Entries of the index.
    pub entries: u64,
    /// Sealed texts that were erased already and took up room.
    pub texts: u64,
    /// Keys, each with all texts of one tenant and one day.
    pub keys: u64,
}

/// The file of texts and the folder of keys.
pub(crate) struct Texts {
    db: Mutex<Connection>,
    keys: Keys,
    entropy: Arc<dyn Entropy>,
}

// === impl Texts ===

impl Texts {
    pub(crate) fn open(path: &Path, keys: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, ArchiveError> {
        let db = Connection::open(path)?;
        db.busy_timeout(BUSY_WAIT)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        // Nobody can give these back: durable when it returns.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "trusted_schema", false)?;
        let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            db.pragma_update(None, "application_id", APPLICATION_ID)?;
            db.execute_batch(
                "CREATE TABLE texts (digest BLOB PRIMARY KEY, tenant INTEGER NOT NULL, day INTEGER NOT NULL,
                     nonce BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
                 CREATE INDEX texts_of_day ON texts (day, tenant);",
            )?;
        }
        // Here, where nothing is made anew: an index made anew would have forgotten what it forgot.
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS forgotten (day INTEGER PRIMARY KEY, at INTEGER NOT NULL,
                 keep_millis INTEGER NOT NULL, before INTEGER NOT NULL, entries INTEGER NOT NULL,
                 texts INTEGER NOT NULL, keys INTEGER NOT NULL)",
        )?;
        let found: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if found != APPLICATION_ID {
            return Err(ArchiveError::Damaged(format!("application {found:08x} is not ours")));
        }
        let keys = Keys::open(keys.to_owned(), Arc::clone(&entropy))?;
        Ok(Self { db: Mutex::new(db), keys, entropy })
    }

    /// Keeps texts, all or none; durable on return. One that is kept already stays as it is.
    pub(crate) fn keep(&self, given: &[Given]) -> Result<(), ArchiveError> {
        let mut db = self.db.lock();
        let transaction = db.transaction()?;
        for one in given {
            let day = Day::of(one.at);
            let key = self.keys.find_or_make(one.tenant, day)?;
            let (nonce, sealed) = self.seal(&key, one, day)?;
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO texts (digest, tenant, day, nonce, sealed) VALUES (?, ?, ?, ?, ?)",
                )?
                .execute(params![one.commitment.digest, one.tenant.0, day.0, nonce, sealed])?;
        }
        Ok(transaction.commit()?)
    }

    /// What is known of the text that a tenant's commitment is about.
    pub(crate) fn tell(&self, tenant: TenantNo, commitment: &Commitment) -> Result<Told, ArchiveError> {
        let found: Option<(i32, [u8; NONCE_LEN], Vec<u8>)> = {
            let db = self.db.lock();
            let mut find =
                db.prepare_cached("SELECT day, nonce, sealed FROM texts WHERE digest = ? AND tenant = ?")?;
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            find.query_row(params![commitment.digest, tenant.0], read).optional()?
        };
        let Some((day, nonce, sealed)) = found else { return Ok(Told::NotKept) };
        let day = Day(day);
        let Some(key) = self.keys.find(tenant, day)? else { return Ok(Told::Erased) };
        let opened = open(&key, nonce, &binding(tenant, day, &commitment.digest), sealed);
        // Another key of the same day: the one that sealed it was dropped before it was made.
        let Some(plain) = opened else { return Ok(Told::Erased) };
        if digest(&SHA256, &plain).as_ref() != commitment.digest {
            return Err(ArchiveError::Damaged("a text is not the one that was committed to".into()));
        }
        let text = plain.get(commitment.salt.len()..).unwrap_or_default();
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Told::Text(text.to_owned())),
            Err(_) => Err(ArchiveError::Damaged("a text is not UTF-8".into())),
        }
    }

    /// How many texts are kept, erased ones not yet swept among them.
    pub(crate) fn count(&self) -> Result<u64, ArchiveError> {
        let db = self.db.lock();
        Ok(db.query_row("SELECT count(*) FROM texts", [], |row| row.get::<_, u32>(0))?.into())
    }

    /// The keys of days before `day`.
    pub(crate) fn keys_before(&self, day: Day) -> Result<Vec<(TenantNo, Day)>, ArchiveError> {
        let mut keys = self.keys.list()?;
        keys.retain(|(_, of)| *of < day);
        Ok(keys)
    }

    /// Drops a key: what it sealed is erased on return.
    pub(crate) fn drop_key(&self, tenant: TenantNo, day: Day) -> Result<(), ArchiveError> {
        self.keys.remove(tenant, day)
    }

    /// Sweeps rows of days before `day`, at most `most`; says how many.
    pub(crate) fn sweep(&self, day: Day, most: usize) -> Result<usize, ArchiveError> {
        let db = self.db.lock();
        Ok(db.execute(
            "DELETE FROM texts WHERE digest IN (SELECT digest FROM texts WHERE day < ? LIMIT ?)",
            params![day.0, at_most(most)],
        )?)
    }

    /// Notes what a retention took away; durable on return. What goes on one day is one note.
    pub(crate) fn note(&self, one: &Forgotten) -> Result<(), ArchiveError> {
        let keep_millis = i64::try_from(one.keep.as_millis()).unwrap_or(i64::MAX);
        let counts = [one.entries, one.texts, one.keys].map(stored);
        self.db.lock().execute(
            "INSERT INTO forgotten (day, at, keep_millis, before, entries, texts, keys)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (day) DO UPDATE SET at = ?2, keep_millis = ?3, before = ?4,
                 entries = entries + ?5, texts = texts + ?6, keys = keys + ?7",
            params![
                Day::of(one.at).0,
                one.at.as_millis(),
                keep_millis,
                one.before.as_millis(),
                counts[0],
                counts[1],
                counts[2]
            ],
        )?;
        Ok(())
    }

    /// What retentions took away, a day each, the newest first; at most `most`.
    pub(crate) fn forgotten(&self, most: usize) -> Result<Vec<Forgotten>, ArchiveError> {
        let db = self.db.lock();
        let mut find = db.prepare_cached(
            "SELECT at, keep_millis, before, entries, texts, keys FROM forgotten ORDER BY day DESC LIMIT ?",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let millis: i64 = row.get(1)?;
            let count = |at: usize| row.get(at).map(unstored);
            Ok(Forgotten {
                at: Timestamp::from_millis(row.get(0)?),
                keep: Duration::from_millis(millis.unsigned_abs()),
                before: Timestamp::from_millis(row.get(2)?),
                entries: count(3)?,
                texts: count(4)?,
                keys: count(5)?,
            })
        };
        Ok(find.query_map([at_most(most)], read)?.collect::<Result<_, _>>()?)
    }

    fn seal(&self, key: &Key, given: &Given, day: Day) -> Result<([u8; NONCE_LEN], Vec<u8>), ArchiveError> {
        let failed = |what: &str| ArchiveError::Key(std::io::Error::other(what.to_owned()));
        let mut nonce = [0; NONCE_LEN];
        self.entropy.fill(&mut nonce).map_err(|failed_to| failed(&failed_to.to_string()))?;
        let mut bytes = [&given.salted.salt[..], given.salted.text.as_bytes()].concat();
        let aad = Aad::from(binding(given.tenant, day, &given.commitment.digest));
        cipher(key)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .map_err(|_unspecified| failed("sealing failed"))?;
        Ok((nonce, bytes))
    }
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &**key).expect("a key of AES-256 has 32 bytes"))
}

/// What is authenticated along with a text.
fn binding(tenant: TenantNo, day: Day, digest: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, &tenant.0.to_be_bytes(), &day.0.to_be_bytes(), digest].concat()
}

fn open(
    key: &Key,
    nonce: [u8; NONCE_LEN],
    binding: &[u8],
    mut sealed: Vec<u8>,
) -> Option<Zeroizing<Vec<u8>>> {
    let opened =
        cipher(key).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(binding), &mut sealed);
    opened.ok().map(|plain| Zeroizing::new(plain.to_vec()))
}
