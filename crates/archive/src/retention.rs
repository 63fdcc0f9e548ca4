//! Retention: what is too old to be kept, told before it goes, and gone in bounded steps.
//!
//! Entries go from the index, oldest first, in whole spans; the journal still holds them. Texts go
//! by dropping the keys of their days, which nothing gives back. A setting that would drop more than
//! the one before it waits for a notice's length before anything goes.

use std::time::Duration;

use locum_model::limits::{ARCHIVE_NOTICE, ARCHIVE_STEP_ENTRIES_MAX};
use locum_model::{TenantNo, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::ArchiveError;
use crate::facet::{at_most, stored, unstored};
use crate::keys::Day;
use crate::search::Reach;
use crate::texts::{Forgotten, Texts};

/// What a retention would take away now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// Entries within reach.
    pub entries: u64,
    /// The first and the last of all that would go, others' among them; none when none would.
    pub sequences: Option<(u64, u64)>,
    /// When the oldest and the newest of them within reach happened.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Keys within reach.
    pub keys: Vec<(TenantNo, Day)>,
}

/// The keys that a step dropped.
pub type DroppedKeys = Vec<(TenantNo, Day)>;

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retained {
    /// Nothing is too old.
    Nothing,
    /// Something is, and the notice runs until then.
    Announced(Timestamp),
    /// So many entries and texts went, and these keys; there may be more.
    Removed {
        /// Entries of the index.
        entries: u64,
        /// Rows of texts that were erased already.
        texts: u64,
        /// Keys.
        keys: DroppedKeys,
    },
}

/// What would go now.
pub(crate) fn plan(
    db: &Connection,
    texts: &Texts,
    before: Timestamp,
    reach: &Reach,
) -> Result<RetentionPlan, ArchiveError> {
    let mut plan = RetentionPlan { keys: texts.keys_before(Day::of(before))?, ..RetentionPlan::default() };
    let within = match reach {
        Reach::All => String::new(),
        Reach::Only(tenants) => {
            plan.keys.retain(|(tenant, _)| tenants.contains(tenant));
            let numbers: Vec<_> = tenants.iter().map(|tenant| tenant.0.to_string()).collect();
            format!(" AND tenant IN ({})", numbers.join(", "))
        }
    };
    let Some(last) = last_too_old(db, before)? else { return Ok(plan) };
    let sql = format!("SELECT count(*), min(seq), min(at), max(at) FROM entries WHERE seq <= ?{within}");
    let (count, first, oldest, newest): (u32, Option<i64>, Option<i64>, Option<i64>) =
        db.query_row(&sql, [stored(last)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    plan.entries = count.into();
    plan.sequences = first.map(|first| (unstored(first), last));
    plan.times = oldest.zip(newest).map(|(a, b)| (Timestamp::from_millis(a), Timestamp::from_millis(b)));
    Ok(plan)
}

/// The last sequence of the spans in front that are too old as a whole.
fn last_too_old(db: &Connection, before: Timestamp) -> Result<Option<u64>, ArchiveError> {
    let millis = before.as_millis();
    let young: Option<i64> =
        db.query_row("SELECT min(first) FROM spans WHERE latest >= ?", [millis], |row| row.get(0))?;
    let last: Option<i64> = db.query_row(
        "SELECT max(last) FROM spans WHERE first < coalesce(?, 9223372036854775807)",
        [young],
        |row| row.get(0),
    )?;
    Ok(last.map(unstored))
}

/// One step: announces, or removes a bounded number. What went is noted beside the texts; keys, which
/// nothing gives back, are noted before they go, so that none goes without a note.
pub(crate) fn step(
    db: &mut Connection,
    texts: &Texts,
    keep: Duration,
    now: Timestamp,
) -> Result<Retained, ArchiveError> {
    let before = now.minus(keep);
    let keys = texts.keys_before(Day::of(before))?;
    let last = last_too_old(db, before)?;
    let nothing = Forgotten { at: now, keep, before, entries: 0, texts: 0, keys: 0 };
    if keys.is_empty() && last.is_none() {
        settle(db, keep)?;
        let swept = texts.sweep(Day::of(before), ARCHIVE_STEP_ENTRIES_MAX)? as u64;
        if swept == 0 {
            return Ok(Retained::Nothing);
        }
        texts.note(&Forgotten { texts: swept, ..nothing })?;
        return Ok(Retained::Removed { entries: 0, texts: swept, keys: Vec::new() });
    }
    if let Some(until) = notice(db, keep, now)? {
        return Ok(Retained::Announced(until));
    }
    let removed = last.map_or(Ok(0), |last| remove(db, last))?;
    if last.is_some() {
        texts.note(&Forgotten { entries: removed, ..nothing })?;
        // Keys go when the entries that name their texts are gone, so that each step is bounded.
        return Ok(Retained::Removed { entries: removed, texts: 0, keys: Vec::new() });
    }
    texts.note(&Forgotten { keys: keys.len() as u64, ..nothing })?;
    for (tenant, day) in &keys {
        texts.drop_key(*tenant, *day)?;
    }
    Ok(Retained::Removed { entries: 0, texts: 0, keys })
}

/// Until when nothing goes: a shorter retention than the one that held is announced first.
fn notice(db: &Connection, keep: Duration, now: Timestamp) -> Result<Option<Timestamp>, ArchiveError> {
    let keep_millis = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let held: Option<(i64, i64)> = db
        .query_row("SELECT keep_millis, since FROM notices", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let since = match held {
        Some((held, since)) if held <= keep_millis => Timestamp::from_millis(since),
        _ => now,
    };
    if held != Some((keep_millis, since.as_millis())) {
        db.execute(
            "INSERT OR REPLACE INTO notices (one, keep_millis, since) VALUES (1, ?, ?)",
            params![keep_millis, since.as_millis()],
        )?;
    }
    let until = since.plus(ARCHIVE_NOTICE);
    Ok((now < until).then_some(until))
}

/// Nothing is too old under this setting: what will be from day to day needs no notice.
fn settle(db: &Connection, keep: Duration) -> Result<(), ArchiveError> {
    let keep_millis = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    db.execute(
        "INSERT INTO notices (one, keep_millis, since) VALUES (1, ?1, -9000000000000)
         ON CONFLICT (one) DO UPDATE SET keep_millis = ?1, since = -9000000000000
         WHERE keep_millis != ?1 OR since != -9000000000000",
        [keep_millis],
    )?;
    Ok(())
}

/// Removes the oldest entries up to `last`, at most one step of them.
fn remove(db: &mut Connection, last: u64) -> Result<u64, ArchiveError> {
    let transaction = db.transaction()?;
    let end: Option<i64> = transaction.query_row(
        "SELECT max(seq) FROM (SELECT seq FROM entries WHERE seq <= ? ORDER BY seq LIMIT ?)",
        params![stored(last), at_most(ARCHIVE_STEP_ENTRIES_MAX)],
        |row| row.get(0),
    )?;
    let end = end.unwrap_or(stored(last));
    let removed = transaction.execute("DELETE FROM entries WHERE seq <= ?", [end])?;
    transaction.execute("DELETE FROM texts WHERE rowid <= ?", [end])?;
    for table in ["facets", "takes", "tokens", "tasks"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE seq <= ?"), [end])?;
    }
    transaction.execute("DELETE FROM spans WHERE last <= ?", [end])?;
    transaction.commit()?;
    Ok(removed as u64)
}
