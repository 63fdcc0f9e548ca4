//! [`Table`]: what it is made of, and the questions that are not a check.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use locum_model::event::ChecksSummed;
use locum_model::{ConnectorNo, DigestKey, KeyId, Position, Target, TaskId, Timestamp, TokenId, WorkloadNo};

use crate::answer::{CheckOutcome, Counts};
use crate::calendar::{Calendar, Place};
use crate::chunked::Numbered;
use crate::hashing::{AsItIs, RowKey, Tag};
use crate::order::Homes;
use crate::reap::Rounds;
use crate::row::Row;
use crate::rows::Rows;
use crate::slots::{Slots, Tasks};
use crate::standing::{Interner, Standings};
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::task::TaskCells;
use crate::watermark::{Ledger, Watermarks};

/// Rows looked at under one hold of the writer's lock while draining checks.
const DRAIN_SLICE: usize = 1024;
const NONE_DUE: u64 = u64::MAX;

/// The table: every token that is not reaped yet, every task, every watermark.
///
/// Shared as `Arc<Table>`. One writer calls [`Table::apply`], in order; everything else may be
/// called from any thread at any time, [`Table::reap`] included. Nothing here waits for more than
/// one shard's lock, or for a writer's slice of bounded length.
#[derive(Debug)]
pub struct Table {
    pub(crate) digest_key: DigestKey,
    pub(crate) rows: Rows,
    /// Uses left, of use-limited tokens alone. Taken after `rows`, never before.
    pub(crate) uses: DashMap<RowKey, u32, AsItIs>,
    pub(crate) tasks: Tasks,
    pub(crate) standings: Standings,
    pub(crate) watermarks: Watermarks,
    pub(crate) writer: Mutex<Writer>,
    rows_of: Numbered,
    tokens: AtomicUsize,
    first_due: AtomicU64,
}

/// What only the writer and the reaper touch.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) homes: Homes,
    pub(crate) ledger: Ledger,
    pub(crate) calendar: Calendar,
    pub(crate) interner: Interner,
    pub(crate) slots: Slots,
    pub(crate) rounds: Rounds,
    /// Signing keys as numbers, given as they are met. Few, and never forgotten.
    pub(crate) keys: BTreeMap<KeyId, u32>,
    /// Keys that never verify again.
    pub(crate) retired: BTreeSet<KeyId>,
    /// The newest event's time.
    pub(crate) newest_at: Timestamp,
    /// The longest life of any token entered, in seconds.
    pub(crate) life_seconds_max: u32,
    drained_to: Place,
}

// === impl Table ===

impl Table {
    /// An empty table, which recognises tokens by digests that this key makes.
    pub fn new(digest_key: DigestKey) -> Self {
        let cells = Arc::new(TaskCells::new());
        let writer = Writer { slots: Slots::of(Arc::clone(&cells)), ..Writer::default() };
        Self {
            digest_key,
            rows: Rows::new(Arc::clone(&cells)),
            uses: DashMap::with_hasher_and_shard_amount(AsItIs::default(), 64),
            tasks: Tasks::new(cells),
            standings: Standings::new(),
            watermarks: Watermarks::new(),
            writer: Mutex::new(writer),
            rows_of: Numbered::new(),
            tokens: AtomicUsize::new(0),
            first_due: AtomicU64::new(NONE_DUE),
        }
    }

    /// Adds a check to the aggregate in the token's row; nothing when it has none.
    ///
    /// Never journaled by itself: [`Table::reap`] and [`Table::drain_checks`] hand out the sums.
    pub fn note_check(&self, jti: TokenId, now: Timestamp, outcome: CheckOutcome) {
        self.rows.hold(RowKey::of(jti), |row, _| row.note(now, outcome));
    }

    /// Takes the checks of at most `rows_max` rows, so that a shutdown loses none.
    ///
    /// Called until it gives nothing. It goes on where it stopped, in order of expiry.
    pub fn drain_checks(&self, rows_max: usize) -> Vec<ChecksSummed> {
        let mut drained = Vec::new();
        while drained.len() < rows_max {
            let mut writer = self.writer.lock();
            let slice = DRAIN_SLICE.min(rows_max - drained.len());
            let (tags, next) = writer.calendar.read(writer.drained_to, slice);
            writer.drained_to = next.unwrap_or_default();
            drained.extend(tags.iter().filter_map(|tag| self.take_checks(tag)));
            if next.is_none() {
                break;
            }
        }
        drained
    }

    fn take_checks(&self, tag: &Tag) -> Option<ChecksSummed> {
        let key = self.rows.key_of(*tag)?;
        self.rows.hold_alone(key, |cell, tasks| {
            let summed = cell.take_checks()?;
            Some(summed.of(key.jti(), tasks.at(cell.read().task()).id()))
        })?
    }

    /// Whether the token has a row: whether a snapshot still needs its record.
    pub fn holds(&self, jti: TokenId) -> bool {
        self.rows.contains(RowKey::of(jti))
    }

    /// The connector that a token is for, and its expiry; none when the token has no row.
    pub fn connector_of(&self, jti: TokenId) -> Option<(ConnectorNo, Timestamp)> {
        let of = |row: &Row, _: &TaskCells| {
            Some((self.standings.at(row.standing()).connector()?, row.expires_at()))
        };
        self.rows.peek(RowKey::of(jti), of)?
    }

    /// The workload that asked for a token; none when the token has no row.
    pub fn workload_of(&self, jti: TokenId) -> Option<WorkloadNo> {
        self.rows.peek(RowKey::of(jti), |row, _| self.standings.at(row.standing()).workload())?
    }

    /// Whether the task is in the table: whether a snapshot still needs its events.
    pub fn holds_task(&self, task: TaskId) -> bool {
        self.tasks.slot(task).is_some()
    }

    /// The watermark of a target, as it was committed.
    pub fn watermark(&self, target: Target) -> Option<Position> {
        self.writer.lock().ledger.get(target).map(|entry| entry.position)
    }

    /// Every watermark, ordered by target. Copies them all: for snapshots.
    pub fn watermarks(&self) -> Vec<(Target, Position)> {
        self.writer.lock().ledger.all()
    }

    /// Makes room for `tokens` rows before they come, so that entering them moves none.
    pub fn reserve(&self, tokens: usize) {
        let _only_writer = self.writer.lock();
        self.rows.reserve(tokens);
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        let writer = self.writer.lock();
        Counts {
            tokens: self.tokens.load(Ordering::Relaxed),
            tasks: self.tasks.index().len(),
            standings: writer.interner.len(),
            watermarks: writer.ledger.len(),
        }
    }

    /// Rows of the tokens that this workload asked for, not reaped yet. One load.
    pub fn tokens_of(&self, workload: WorkloadNo) -> usize {
        usize::try_from(self.rows_of.get(workload.0)).unwrap_or(usize::MAX)
    }

    /// Age of the oldest row past its expiry: how late the reaper is. One load.
    pub fn overdue(&self, now: Timestamp) -> Duration {
        match u32::try_from(self.first_due.load(Ordering::Relaxed)) {
            Ok(second) => now.since(Timestamp::from_seconds(i64::from(second))),
            Err(_none_due) => Duration::ZERO,
        }
    }

    /// The tasks below `task`, parents before children, at most `max`. Its cost grows with what it gives.
    pub fn tasks_under(&self, task: TaskId, max: usize) -> Vec<TaskId> {
        let writer = self.writer.lock();
        let Some(root) = self.tasks.slot(task) else { return Vec::new() };
        let mut slots = vec![root];
        let mut next = 0;
        while next < slots.len() && slots.len() <= max {
            let room = max + 1 - slots.len();
            let children: Vec<u32> = writer.slots.children(slots[next]).take(room).collect();
            slots.extend(children);
            next += 1;
        }
        slots[1..].iter().map(|slot| writer.slots.at(*slot).id()).collect()
    }

    /// Counts a row in. `writer` shows that the caller holds the lock.
    pub(crate) fn count_in(&self, writer: &Writer, workload: Option<WorkloadNo>) {
        self.tokens.fetch_add(1, Ordering::Relaxed);
        if let Some(workload) = workload {
            self.rows_of.update(workload.0, |rows| rows + 1);
        }
        self.note_first_due(writer);
    }

    /// Counts a row out. `_writer` shows that the caller holds the lock.
    pub(crate) fn count_out(&self, _writer: &Writer, workload: Option<WorkloadNo>) {
        self.tokens.fetch_sub(1, Ordering::Relaxed);
        if let Some(workload) = workload {
            self.rows_of.update(workload.0, |rows| rows.saturating_sub(1));
        }
    }

    /// Publishes the earliest second that has rows, for [`Table::overdue`].
    pub(crate) fn note_first_due(&self, writer: &Writer) {
        let first = writer.calendar.first().map_or(NONE_DUE, u64::from);
        self.first_due.store(first, Ordering::Relaxed);
    }
}

// === impl Writer ===

impl Writer {
    /// The number of a signing key, given when it is met first.
    pub(crate) fn key(&mut self, kid: KeyId) -> u32 {
        let next = u32::try_from(self.keys.len()).expect("a broker meets few keys");
        *self.keys.entry(kid).or_insert(next)
    }
}
