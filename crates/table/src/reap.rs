//! Reaping: giving back what is already dead.
//!
//! Nothing becomes invalid here; a table that is never reaped answers the same, but for what it no
//! longer knows. Every call does bounded work: rows come from the calendar in the order of their
//! expiry and the map is never scanned, tasks come from a queue and from a walk over the task cells
//! that goes on where it stopped, and a few shards and chunks of task cells at a time are given back. The writer's lock is let go
//! between slices, so that the fold waits for one slice at most.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use locum_model::limits::{CLOCK_SKEW_MAX, REAP_TASKS_PER_TICK, TOKEN_TTL_MAX};
use locum_model::{SubjectKey, Target, Timestamp};

use crate::answer::Reaped;
use crate::hashing::{RowKey, Tag};
use crate::row::{Row, due_second};
use crate::slots::Pace;
use crate::standing::Holder;
use crate::table::{Table, Writer};
use crate::task::TaskCells;
use crate::watermark::Entry;

/// Rows freed under one hold of the writer's lock.
const SLICE_ROWS: usize = 256;
/// Watermarks looked at in one call, and subjects considered in one round.
const WATERMARKS_PER_CALL: usize = 1024;
/// Cells of tasks looked at in one call, and in one that others follow at once.
const CELLS_PER_CALL: u32 = 1024;
const CELLS_PER_BUSY_CALL: u32 = 128;
/// Shards looked at in one call, of each map. They empty alike, so that all want to shrink at about the same time,
/// and a call that moved the rows of many would be a long one.
const SHARDS_PER_CALL: usize = 1;
/// A shard shrinks when less than one part in this many is in use.
const SHRINK_FACTOR: usize = 4;
const SHARD_ROWS_MIN: usize = 28;

/// Where the rounds of the reaper stand.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// Tasks that may be free: closed, or let go by the last that rested on them.
    maybe_free: VecDeque<u32>,
    /// The next task cell of the round.
    next_cell: u32,
    /// Subjects whose old watermarks this round has not yet found a task for.
    subjects: BTreeMap<SubjectKey, Entry>,
    next_shard: usize,
}

impl Rounds {
    /// Has the next call look whether the task at `slot` can be freed.
    pub(crate) fn may_free(&mut self, slot: u32) {
        self.maybe_free.push_back(slot);
    }
}

impl Table {
    /// Frees at most `rows_max` rows that are expired at `now`, and what no longer rests on anything.
    ///
    /// Rows leave in the order of their expiry. Tasks leave when they are dead and neither a row nor
    /// a task rests on them. Watermarks of tokens, tasks and subjects are forgotten when they are
    /// older than any token can live, by the newest event's time and by `now`, and when no row or
    /// task is left that they could cover; those of registrations, keys and policies stay.
    /// `more` says that expired rows or closed tasks are left: call again.
    pub fn reap(&self, now: Timestamp, rows_max: usize) -> Reaped {
        let mut reaped = Reaped::default();
        while reaped.rows < rows_max && self.reap_slice(now, rows_max, &mut reaped) {}
        let mut writer = self.writer.lock();
        self.free_tasks(&mut writer);
        let is_due = writer.calendar.first().is_some_and(|second| second <= due_second(now));
        let pace = if is_due || !writer.rounds.maybe_free.is_empty() { Pace::Busy } else { Pace::Calm };
        self.walk_tasks(&mut writer, now, pace);
        self.forget_watermarks(&mut writer, now);
        self.note_first_due(&writer);
        reaped.more = pace == Pace::Busy || !writer.rounds.maybe_free.is_empty();
        let shard = writer.rounds.next_shard;
        writer.rounds.next_shard = shard.wrapping_add(SHARDS_PER_CALL);
        self.rows.shrink(shard, SHARDS_PER_CALL);
        let unheld = self.shrink_tasks(&mut writer, pace);
        drop(writer);
        drop(unheld);
        shrink(&self.uses, shard);
        shrink(self.tasks.index(), shard);
        reaped
    }

    /// Frees one slice; false when nothing was due.
    fn reap_slice(&self, now: Timestamp, rows_max: usize, reaped: &mut Reaped) -> bool {
        let mut writer = self.writer.lock();
        let due = due_second(now);
        let tags = writer.calendar.take_due(due, SLICE_ROWS.min(rows_max - reaped.rows));
        self.rows.bring_near(tags.iter().copied());
        for tag in &tags {
            let due = |row: &Row| row.exp() <= due;
            let Some((key, row, checks)) =
                self.rows.remove(*tag, due, |key, cell| (key, cell.read(), cell.take_checks()))
            else {
                self.file_again(&mut writer, *tag);
                continue;
            };
            reaped.rows += 1;
            reaped.checks.extend(checks.map(|summed| summed.of(key.jti(), writer.slots.at(row.task()).id())));
            self.free_row(&mut writer, key, &row);
        }
        self.note_first_due(&writer);
        !tags.is_empty()
    }

    /// Two rows share a tag, and the one that was found is not due: it stands for both until it is.
    fn file_again(&self, writer: &mut Writer, tag: Tag) {
        if let Some(exp) = self.rows.key_of(tag).and_then(|key| self.rows.peek(key, |row, _| row.exp())) {
            writer.calendar.add(exp, tag);
        }
    }

    fn free_row(&self, writer: &mut Writer, key: RowKey, row: &Row) {
        if row.is_limited() {
            self.uses.remove(&key);
        }
        self.count_out(writer, self.standings.at(row.standing()).workload());
        writer.interner.release(&self.standings, row.standing(), Holder::Token);
        self.let_go(writer, row.task());
    }

    fn let_go(&self, writer: &mut Writer, slot: u32) {
        let cell = writer.slots.at(slot);
        cell.release();
        if !cell.is_held() && cell.closed().is_some() {
            writer.rounds.may_free(slot);
        }
    }

    /// Frees closed tasks that nothing rests on any more; a freed one may free its parent.
    fn free_tasks(&self, writer: &mut Writer) {
        for _ in 0..REAP_TASKS_PER_TICK {
            let Some(slot) = writer.rounds.maybe_free.pop_front() else {
                // As many as are queued at once may never be again.
                writer.rounds.maybe_free = VecDeque::new();
                return;
            };
            self.free_if_done(writer, slot);
        }
    }

    /// Frees the task at `slot` when it is dead and nothing rests on it.
    fn free_if_done(&self, writer: &mut Writer, slot: u32) {
        let cells = writer.slots.cells();
        // Noted more than once, it may be gone with its chunk.
        let Some(task) = cells.get(slot) else { return };
        if !task.is_used() || task.is_held() || self.task_reason(cells, slot).is_none() {
            return;
        }
        let (standing, parent) = writer.slots.free(&self.tasks, slot);
        writer.interner.release(&self.standings, standing, Holder::Task);
        if let Some(parent) = parent.filter(|parent| !writer.slots.at(*parent).is_held()) {
            writer.rounds.may_free(parent);
        }
    }

    /// Takes a few empty chunks of task cells out of use, and gives what can be dropped of earlier ones.
    fn shrink_tasks(&self, writer: &mut Writer, pace: Pace) -> Option<Arc<TaskCells>> {
        let unheld = writer.slots.take_unheld();
        if let Some(cells) = writer.slots.shrink(pace) {
            self.tasks.replace(Arc::clone(&cells));
            self.rows.rest_on(&cells);
        }
        unheld
    }

    /// Goes on through the task cells: a revocation closes none of the tasks it kills, so that these
    /// are found here. A whole round also shows which subjects have no task left from before.
    fn walk_tasks(&self, writer: &mut Writer, now: Timestamp, pace: Pace) {
        if writer.rounds.next_cell == 0 {
            self.consider_subjects(writer, now);
        }
        let from = writer.slots.next_made(writer.rounds.next_cell).unwrap_or(writer.slots.used());
        let cells = match pace {
            Pace::Calm => CELLS_PER_CALL,
            Pace::Busy => CELLS_PER_BUSY_CALL,
        };
        let until = from.saturating_add(cells).min(writer.slots.used());
        for slot in from..until {
            self.free_if_done(writer, slot);
            let task = writer.slots.cells().get(slot).filter(|task| task.is_used());
            if let Some(task) = task.filter(|_| !writer.rounds.subjects.is_empty()) {
                let (subject, decided) = (task.subject(), task.decided());
                spare_subject(writer, subject, decided);
            }
        }
        writer.rounds.next_cell = until;
        if until >= writer.slots.used() {
            writer.rounds.next_cell = 0;
            self.forget_subjects(writer);
        }
    }

    fn consider_subjects(&self, writer: &mut Writer, now: Timestamp) {
        // A token may have a subject of its own, so the rows from before have to be gone as well.
        let rows_from = writer.calendar.first().map(|second| Timestamp::from_seconds(i64::from(second)));
        let life = Duration::from_secs(u64::from(writer.life_seconds_max));
        for _ in 0..WATERMARKS_PER_CALL {
            let horizon = horizon(writer, now);
            let Some((target, entry)) = writer.ledger.next_old_subject(horizon) else { return };
            match target {
                Target::Subject(subject) if rows_from.is_none_or(|exp| exp > entry.at.plus(life)) => {
                    writer.rounds.subjects.insert(subject, entry);
                }
                _ => writer.ledger.keep(target, entry),
            }
        }
    }

    /// Forgets the subjects that a whole round found no task from before for.
    fn forget_subjects(&self, writer: &mut Writer) {
        for (subject, entry) in std::mem::take(&mut writer.rounds.subjects) {
            // Raised meanwhile: it has its own, later place in the queue.
            if writer.ledger.get(Target::Subject(subject)) == Some(entry) {
                writer.ledger.forget(Target::Subject(subject));
                self.watermarks.forget_subject(subject);
            }
        }
    }

    /// Forgets old watermarks of tokens and tasks that are not here any more.
    fn forget_watermarks(&self, writer: &mut Writer, now: Timestamp) {
        for _ in 0..WATERMARKS_PER_CALL {
            let horizon = horizon(writer, now);
            let Some((target, entry)) = writer.ledger.next_old_id(horizon) else { return };
            let is_here = match target {
                Target::Token(jti) => self.rows.contains(RowKey::of(jti)),
                Target::Task(task) => self.tasks.slot(task).is_some(),
                _ => true,
            };
            if is_here {
                writer.ledger.keep(target, entry);
            } else {
                writer.ledger.forget(target);
            }
        }
    }
}

/// A subject that still has a task from before its watermark keeps the watermark.
fn spare_subject(writer: &mut Writer, subject: SubjectKey, decided: u64) {
    if let Some(entry) = writer.rounds.subjects.get(&subject).copied().filter(|entry| decided < entry.below) {
        writer.rounds.subjects.remove(&subject);
        writer.ledger.keep(Target::Subject(subject), entry);
    }
}

/// A watermark raised at or before this is older than any token can live.
///
/// The newest event's time bounds it, so that a replay of old events does not forget what the next
/// of them needs.
fn horizon(writer: &Writer, now: Timestamp) -> Timestamp {
    let life = Duration::from_secs(u64::from(writer.life_seconds_max)).max(TOKEN_TTL_MAX);
    now.min(writer.newest_at).minus(life + CLOCK_SKEW_MAX)
}

/// Gives the memory of a few shards back, when most of it is unused.
fn shrink<K: Eq + Hash, V, S: BuildHasher + Clone>(map: &DashMap<K, V, S>, first: usize) {
    let shards = map.shards();
    for offset in 0..SHARDS_PER_CALL.min(shards.len()) {
        let shard = &shards[first.wrapping_add(offset) % shards.len()];
        let (used, room) = {
            let shard = shard.read();
            (shard.len(), shard.capacity())
        };
        if room > SHARD_ROWS_MIN && used.saturating_mul(SHRINK_FACTOR) < room {
            shard.write().shrink_to(0, |(key, _)| map.hasher().hash_one(key));
        }
    }
}
