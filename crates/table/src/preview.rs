//! The preview: what would a revocation kill, were it committed now?
//!
//! A question for operators, not for checks: it scans rows and tasks up to a bound. Where the bound
//! cuts it short and only registrations are named, the counters of the standings tell how many
//! tokens rest on them.

use std::collections::{BTreeMap, BTreeSet};

use locum_model::{
    ConnectorNo, Level, Position, SubjectKey, Target, TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};

use crate::answer::{Preview, RowsBy};
use crate::hashing::RowKey;
use crate::lookup::subject_of;
use crate::row::Row;
use crate::standing::{Mark, StandingCell};
use crate::table::{Table, Writer};
use crate::task::{Task, TaskCells};

/// What is sought: the targets by kind, and what was decided below the end.
#[derive(Debug, Default)]
pub(crate) struct Sought {
    pub(crate) tokens: BTreeSet<TokenId>,
    tasks: BTreeSet<TaskId>,
    subjects: BTreeSet<SubjectKey>,
    marks: BTreeSet<Mark>,
    below: u64,
    /// The newest event's time: by it expiry is judged.
    pub(crate) now: Timestamp,
}

/// The counts so far.
#[derive(Debug, Default)]
struct Tally {
    tokens: usize,
    by_workload: BTreeMap<WorkloadNo, usize>,
    by_connector: BTreeMap<ConnectorNo, usize>,
    issued_at: Option<(Timestamp, Timestamp)>,
}

impl Table {
    /// What revoking `targets` would kill now: what is alive, and would not be after it.
    ///
    /// Expiry is judged at the newest event's time. Looks at `scan_max` rows and as many tasks at most;
    /// tokens that are named by id are found without a scan. When that was not enough,
    /// `complete` is false, and the figures are those of what was looked at; for targets that are
    /// all registrations (any level but token, task and subject) without `until`, tokens and their
    /// split are then those of the counters instead, dead rows included until they are reaped.
    pub fn preview(&self, targets: &[Target], until: Option<Position>, scan_max: usize) -> Preview {
        let sought = Sought::of(targets, until, &self.writer.lock());
        let mut tally = Tally::default();
        let only_tokens = sought.tokens.len() <= scan_max && sought.names_only_tokens();
        let all_rows = if only_tokens {
            self.tally_named(&sought, &mut tally);
            true
        } else {
            self.tally_rows(&sought, scan_max, &mut tally)
        };
        let (tasks, all_tasks) =
            if sought.names_only_tokens() { (0, true) } else { self.tally_tasks(&sought, scan_max) };
        if !all_rows && until.is_none() && sought.names_only_registrations() {
            self.take_counters(&sought, &mut tally);
        }
        tally.preview(tasks, all_rows && all_tasks)
    }

    fn tally_named(&self, sought: &Sought, tally: &mut Tally) {
        for jti in &sought.tokens {
            self.tally_row(sought, RowKey::of(*jti), tally);
        }
    }

    /// False when there were more rows than it may look at.
    fn tally_rows(&self, sought: &Sought, scan_max: usize, tally: &mut Tally) -> bool {
        let mut seen = 0;
        self.rows.all_keys(|key| {
            seen += 1;
            if seen <= scan_max {
                self.tally_row(sought, key, tally);
            }
            seen <= scan_max
        });
        seen <= scan_max
    }

    fn tally_row(&self, sought: &Sought, key: RowKey, tally: &mut Tally) {
        self.rows.hold(key, |cell, tasks| {
            let row = cell.read();
            let is_live = self.reason(&row, tasks, self.uses_left(key, &row), sought.now).is_none();
            if is_live && self.would_kill(sought, key.jti(), &row, tasks) {
                tally.add(self.standings.at(row.standing()), row.issued_at());
            }
        });
    }

    pub(crate) fn would_kill(&self, sought: &Sought, jti: TokenId, row: &Row, tasks: &TaskCells) -> bool {
        let standing = self.standings.at(row.standing());
        let subject = subject_of(standing, tasks, row.task());
        let named = sought.tokens.contains(&jti)
            || sought.subjects.contains(&subject)
            || sought.names(standing)
            || tasks.chain(row.task()).any(|cell| sought.tasks.contains(&cell.id()));
        (named && row.decided() < sought.below) || self.would_kill_task(sought, tasks, row.task())
    }

    fn would_kill_task(&self, sought: &Sought, tasks: &TaskCells, slot: u32) -> bool {
        let covers = |cell: Task<'_>| {
            cell.decided() < sought.below
                && (sought.tasks.contains(&cell.id())
                    || sought.subjects.contains(&cell.subject())
                    || sought.names(self.standings.at(cell.standing())))
        };
        tasks.chain(slot).any(covers)
    }

    /// How many tasks, and whether all were looked at.
    fn tally_tasks(&self, sought: &Sought, scan_max: usize) -> (usize, bool) {
        let mut tasks = 0;
        for (seen, entry) in self.tasks.index().iter().enumerate() {
            if seen == scan_max {
                return (tasks, false);
            }
            // After the entry, which keeps its task in them; those from before may lack its chunk.
            let (slot, cells) = (*entry.value(), self.tasks.cells());
            let is_open = self.task_reason(&cells, slot).is_none();
            tasks += usize::from(is_open && self.would_kill_task(sought, &cells, slot));
        }
        (tasks, true)
    }

    /// Rows by workload and by connector, most first, from the counters of the standings: dead ones
    /// included until they are reaped. Costs one pass over the standings, whatever the number of rows.
    pub fn rows_by(&self, counts: impl Fn(TenantNo) -> bool) -> RowsBy {
        let mut tally = Tally::default();
        let writer = self.writer.lock();
        for (index, rows) in writer.interner.tokens() {
            let standing = self.standings.at(index);
            if standing.tenant().is_some_and(&counts) {
                tally.count(standing, rows);
            }
        }
        drop(writer);
        RowsBy { workload: most_first(tally.by_workload), connector: most_first(tally.by_connector) }
    }

    fn take_counters(&self, sought: &Sought, tally: &mut Tally) {
        let writer = self.writer.lock();
        *tally = Tally { issued_at: tally.issued_at, ..Tally::default() };
        for (index, rows) in writer.interner.tokens() {
            let standing = self.standings.at(index);
            if sought.names(standing) {
                tally.count(standing, rows);
            }
        }
    }
}

fn most_first<K: Ord>(counts: BTreeMap<K, usize>) -> Vec<(K, usize)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

// === impl Sought ===

impl Sought {
    pub(crate) fn of(targets: &[Target], until: Option<Position>, writer: &Writer) -> Self {
        let next = writer.homes.newest().saturating_add(1);
        let until = until.and_then(|until| writer.homes.order(until)).map(|order| order + 1);
        let below = until.map_or(next, |until| until.min(next));
        let mut sought = Self { below, now: writer.newest_at, ..Self::default() };
        targets.iter().for_each(|target| sought.add(*target, writer));
        sought
    }

    fn add(&mut self, target: Target, writer: &Writer) {
        let mark = match target {
            Target::Token(jti) => {
                self.tokens.insert(jti);
                return;
            }
            Target::Task(task) => {
                self.tasks.insert(task);
                return;
            }
            Target::Subject(subject) => {
                self.subjects.insert(subject);
                return;
            }
            // A key that the table never met signed nothing.
            Target::SigningKey(kid) => writer.keys.get(&kid).map(|key| Mark::new(Level::SigningKey, *key)),
            registered => Mark::of(registered),
        };
        self.marks.extend(mark);
    }

    fn names(&self, standing: &StandingCell) -> bool {
        standing.marks().any(|mark| self.marks.contains(&mark))
    }

    pub(crate) fn names_only_tokens(&self) -> bool {
        self.tasks.is_empty() && self.subjects.is_empty() && self.marks.is_empty()
    }

    fn names_only_registrations(&self) -> bool {
        self.tokens.is_empty() && self.tasks.is_empty() && self.subjects.is_empty()
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, standing: &StandingCell, issued_at: Timestamp) {
        self.count(standing, 1);
        let (oldest, newest) = self.issued_at.unwrap_or((issued_at, issued_at));
        self.issued_at = Some((oldest.min(issued_at), newest.max(issued_at)));
    }

    fn count(&mut self, standing: &StandingCell, rows: usize) {
        self.tokens += rows;
        if let Some(workload) = standing.workload() {
            *self.by_workload.entry(workload).or_default() += rows;
        }
        if let Some(connector) = standing.connector() {
            *self.by_connector.entry(connector).or_default() += rows;
        }
    }

    fn preview(self, tasks: usize, complete: bool) -> Preview {
        Preview {
            tokens: self.tokens,
            tasks,
            by_workload: most_first(self.by_workload),
            by_connector: most_first(self.by_connector),
            oldest_issued_at: self.issued_at.map(|(oldest, _)| oldest),
            newest_issued_at: self.issued_at.map(|(_, newest)| newest),
            complete,
        }
    }
}
