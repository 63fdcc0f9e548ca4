//! [`Reach`]: for which connectors the tokens of a task and everything below it are, and until when
//! somebody may believe them.
//!
//! So that the end of a task is told to those alone who check its tokens, and for as long as a token
//! of it can be shown to a verifier. A row is kept for every task with such a token, ended or not,
//! without any bound but the tokens themselves.
//!
//! A token says what it rests on, but for one thing: the other connectors that its task names, and
//! their owners. Which tasks rest on something like that is kept by what it is ([`Reach::hidden_by`]), so that
//! its revocation costs what has to be told and nothing for anything else.

use std::collections::BTreeSet;
use std::ops::Bound;

use locum_model::limits::CLOCK_SKEW_MAX;
use locum_model::{ConnectorNo, IssueRecord, Target, TaskId, Timestamp};
use smallvec::SmallVec;

use crate::state::task_map::TaskMap;
use crate::state::tasks::Tasks;

/// Rows are never listed, only looked up: the map's order does not matter.
#[derive(Default)]
pub(crate) struct Reach {
    tasks: TaskMap<Row>,
    /// When a row is looked at next; one place for each row.
    due: BTreeSet<(Timestamp, TaskId)>,
    /// What tasks rest on and some token of theirs does not say.
    hidden: BTreeSet<(Target, TaskId)>,
}

/// The tokens of a task, and of all below it.
#[derive(Default)]
struct Row {
    /// Nearly always one, which then lies in the map.
    outs: SmallVec<[Out; 1]>,
    /// Its end was told, and so that of all of them.
    is_told: bool,
}

/// Tokens that are out for one connector and leave the same unsaid.
struct Out {
    connector: ConnectorNo,
    /// What the task rests on and they do not say; nearly always nothing.
    unsaid: Option<Box<[Target]>>,
    /// The last expiry of any of them.
    exp: Timestamp,
    /// Where the record stands that expires last: a restart that has this one has the row again.
    record: u64,
}

// === impl Reach ===

impl Reach {
    /// A token was issued: its task and all those above it reach its connector.
    pub(crate) fn issued(&mut self, record: &IssueRecord, sequence: u64, tasks: &Tasks) {
        let (connector, exp) = (record.standing.connector, record.expires_at);
        for task in &record.tasks {
            let unsaid = tasks.get(*task).and_then(|row| crate::rests_on::unsaid(&row.started, record));
            let due = &mut self.due;
            let row = self.tasks.entry(*task).or_insert_with(|| {
                due.insert((exp.plus(CLOCK_SKEW_MAX), *task));
                Row::default()
            });
            self.hidden.extend(unsaid.iter().flatten().map(|target| (*target, *task)));
            let is_same = |out: &&mut Out| out.connector == connector && out.unsaid == unsaid;
            match row.outs.iter_mut().find(is_same) {
                Some(out) if out.exp < exp => (out.exp, out.record) = (exp, sequence),
                Some(_) => {}
                None => row.outs.push(Out { connector, unsaid, exp, record: sequence }),
            }
        }
    }

    /// The connectors that a task's tokens are for, and the last expiry there.
    pub(crate) fn of(&self, task: TaskId) -> SmallVec<[(ConnectorNo, Timestamp); 1]> {
        let mut reached = SmallVec::<[(ConnectorNo, Timestamp); 1]>::new();
        for out in self.tasks.get(&task).iter().flat_map(|row| &row.outs) {
            match reached.iter_mut().find(|(connector, _)| *connector == out.connector) {
                Some((_, exp)) => *exp = out.exp.max(*exp),
                None => reached.push((out.connector, out.exp)),
            }
        }
        reached
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

    /// Tasks that rest on `target` and have tokens that do not say so.
    pub(crate) fn hidden_by(&self, target: Target) -> impl Iterator<Item = TaskId> {
        let from = Bound::Included((target, TaskId::from_u64(0)));
        let places = self.hidden.range((from, Bound::Unbounded));
        places.take_while(move |(other, _)| *other == target).map(|(_, task)| *task)
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
            let is_over = |out: &Out| now >= out.exp.plus(CLOCK_SKEW_MAX);
            let over = row.outs.iter_mut().filter(|out| is_over(out));
            let unsaid: Vec<_> = over.filter_map(|out| out.unsaid.take()).collect();
            row.outs.retain(|out| !is_over(out));
            for target in unsaid.iter().flatten() {
                if !row.outs.iter().any(|out| out.unsaid.iter().flatten().any(|other| other == target)) {
                    self.hidden.remove(&(*target, task));
                }
            }
            match row.outs.iter().map(|out| out.exp).max() {
                Some(exp) => drop(self.due.insert((exp.plus(CLOCK_SKEW_MAX), task))),
                None => drop(self.tasks.remove(&task)),
            }
        }
        looked_at
    }
}
