//! [`Reach`]: for which connectors the tokens of a task and everything below it are, and until when
//! somebody may believe them.
//!
//! So that the end of a task is told to those alone who check its tokens, and for as long as a token
//! of it can be shown to a verifier. A row is kept for every task with such a token, ended or not,
//! without any bound but the tokens themselves.

use std::collections::{BTreeSet, HashMap};

use locum_model::limits::CLOCK_SKEW_MAX;
use locum_model::{ConnectorNo, IssueRecord, TaskId, Timestamp};

/// Rows are never listed, only looked up: the map's order does not matter.
#[derive(Default)]
pub(crate) struct Reach {
    tasks: HashMap<TaskId, Row>,
    /// When a row is looked at next; one place for each row.
    due: BTreeSet<(Timestamp, TaskId)>,
}

/// The tokens of a task, and of all below it.
#[derive(Default)]
struct Row {
    outs: Vec<Out>,
    /// Its end was told, and so that of all of them.
    is_told: bool,
}

/// Tokens that are out for one connector.
struct Out {
    connector: ConnectorNo,
    /// The last expiry of any of them.
    exp: Timestamp,
    /// Where the record stands that expires last: a restart that has this one has the row again.
    record: u64,
}

// === impl Reach ===

impl Reach {
    /// A token was issued: its task and all those above it reach its connector.
    pub(crate) fn issued(&mut self, record: &IssueRecord, sequence: u64) {
        let (connector, exp) = (record.standing.connector, record.expires_at);
        for task in &record.tasks {
            let due = &mut self.due;
            let row = self.tasks.entry(*task).or_insert_with(|| {
                due.insert((exp.plus(CLOCK_SKEW_MAX), *task));
                Row { outs: Vec::with_capacity(1), is_told: false }
            });
            let outs = &mut row.outs;
            match outs.iter_mut().find(|out| out.connector == connector) {
                Some(out) if out.exp < exp => (out.exp, out.record) = (exp, sequence),
                Some(_) => {}
                None => outs.push(Out { connector, exp, record: sequence }),
            }
        }
    }

    /// The connectors that a task's tokens are for, and the last expiry there.
    pub(crate) fn of(&self, task: TaskId) -> impl Iterator<Item = (ConnectorNo, Timestamp)> {
        let outs = self.tasks.get(&task).map(|row| row.outs.iter());
        outs.into_iter().flatten().map(|out| (out.connector, out.exp))
    }

    /// The end of a task is told: no token of it is left to tell of, and none comes.
    pub(crate) fn tell(&mut self, task: TaskId) {
        if let Some(row) = self.tasks.get_mut(&task) {
            row.is_told = true;
        }
    }

    /// Every task whose end was not told, those first whose tokens end first.
    pub(crate) fn untold(&self) -> impl Iterator<Item = TaskId> {
        let is_told = |task: &TaskId| self.tasks.get(task).is_some_and(|row| row.is_told);
        self.due.iter().map(|(_, task)| *task).filter(move |task| !is_told(task))
    }

    /// Whether tokens of the task, or below it, may be believed somewhere.
    pub(crate) fn holds(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    /// Whether a row is what it is by the record that stands at `sequence`.
    pub(crate) fn rests_on(&self, record: &IssueRecord, sequence: u64) -> bool {
        let rows = record.tasks.iter().filter_map(|task| self.tasks.get(task));
        rows.flat_map(|row| &row.outs).any(|out| out.record == sequence)
    }

    /// Forgets at most `most` tasks whose tokens are over everywhere.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut looked_at = 0;
        while looked_at < most
            && let Some((_, task)) = self.due.first().copied().filter(|(at, _)| *at <= now)
        {
            looked_at += 1;
            self.due.pop_first();
            let Some(row) = self.tasks.get_mut(&task) else { continue };
            row.outs.retain(|out| now < out.exp.plus(CLOCK_SKEW_MAX));
            match row.outs.iter().map(|out| out.exp).max() {
                Some(exp) => drop(self.due.insert((exp.plus(CLOCK_SKEW_MAX), task))),
                None => drop(self.tasks.remove(&task)),
            }
        }
        looked_at
    }
}
