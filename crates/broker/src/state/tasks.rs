//! Tasks in full: what the table does not need for a check but people and use cases do.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use locum_model::event::{By, Outcome, TaskStarted};
use locum_model::limits::{ENDED_TASKS_KEPT_MAX, TOKEN_TTL_MAX};
use locum_model::{Actor, Position, TaskId, TenantNo, Timestamp, WorkloadNo};

/// A task, and everything that follows from its place in the tree.
#[derive(Debug)]
pub(crate) struct TaskRow {
    /// As it began.
    pub started: Arc<TaskStarted>,
    /// Where its beginning stands in the journal.
    pub position: Position,
    /// Whose it is, as it began: beside the row, as what it began with is in no cache when it ends.
    of: (WorkloadNo, TenantNo),
    /// The chain from root to this task.
    pub chain: Arc<[TaskId]>,
    /// The actors from root to leaf.
    pub actors: Arc<[Actor]>,
    /// How and when it left its active life by an event of its own.
    pub ended: Option<Ended>,
    /// Children that have not been freed yet.
    pub children: usize,
}

/// How a task ended by an event of its own; revocations of what it rests on are the table's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub how: HowEnded,
    pub at: Timestamp,
    pub by: By,
}

/// The event that ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HowEnded {
    Ended(Outcome),
    Lapsed,
    /// Noticed by the reaper: something above it, or that it rests on, is dead.
    Dead,
}

/// Every task that is live or ended a short while ago.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    rows: BTreeMap<TaskId, TaskRow>,
    live_by_workload: HashMap<WorkloadNo, usize>,
    live_by_tenant: HashMap<TenantNo, usize>,
    retired: BTreeSet<(Timestamp, TaskId)>,
    count_max: u64,
}

// === impl Tasks ===

impl Tasks {
    /// Enters a task that the table took.
    pub(crate) fn start(&mut self, started: &Arc<TaskStarted>, position: Position) {
        let own = Actor { workload: started.workload, owner: started.owner, model: started.model };
        let (mut chain, mut actors) = match started.parent.and_then(|parent| self.rows.get_mut(&parent)) {
            Some(parent) => {
                parent.children += 1;
                (parent.chain.to_vec(), parent.actors.to_vec())
            }
            None => (Vec::new(), Vec::new()),
        };
        chain.push(started.task);
        if actors.last() != Some(&own) {
            actors.push(own);
        }
        *self.live_by_workload.entry(started.workload).or_default() += 1;
        *self.live_by_tenant.entry(started.tenant).or_default() += 1;
        let row = TaskRow {
            started: Arc::clone(started),
            position,
            of: (started.workload, started.tenant),
            chain: chain.into(),
            actors: actors.into(),
            ended: None,
            children: 0,
        };
        self.rows.insert(started.task, row);
    }

    /// Notes that a task's count was given, also to one that was refused when it was committed.
    pub(crate) fn counted(&mut self, task: TaskId) {
        self.given(task.count());
    }

    /// Notes that counts up to this one were given.
    pub(crate) fn given(&mut self, count: u64) {
        self.count_max = self.count_max.max(count);
    }

    /// The task and those above it, from root to leaf; none when it is not known.
    pub(crate) fn chain(&self, task: Option<TaskId>) -> &[TaskId] {
        task.and_then(|task| self.rows.get(&task)).map_or(&[], |row| &row.chain)
    }

    /// Notes how a task ended; the first note stands.
    pub(crate) fn end(&mut self, task: TaskId, ended: Ended) {
        let Some(row) = self.rows.get_mut(&task).filter(|row| row.ended.is_none()) else { return };
        let free_at = ended.at.plus(TOKEN_TTL_MAX);
        row.ended = Some(ended);
        let (workload, tenant) = row.of;
        lower(&mut self.live_by_workload, workload);
        lower(&mut self.live_by_tenant, tenant);
        self.retired.insert((free_at, task));
        // Whoever starts and ends in a loop shortens what can be shown, not what there is room for.
        let beyond = self.retired.len().saturating_sub(ENDED_TASKS_KEPT_MAX);
        self.free(free_at, beyond);
    }

    /// The task with this id.
    pub(crate) fn get(&self, task: TaskId) -> Option<&TaskRow> {
        self.rows.get(&task)
    }

    /// Whether an event of its own ended the task.
    pub(crate) fn ended_by_itself(&self, task: TaskId) -> bool {
        let ended = self.rows.get(&task).and_then(|row| row.ended.as_ref());
        ended.is_some_and(|ended| ended.how != HowEnded::Dead)
    }

    /// Every task after `after`, in order.
    pub(crate) fn after(&self, after: Option<TaskId>) -> impl Iterator<Item = &TaskRow> {
        let from = match after {
            Some(task) => std::ops::Bound::Excluded(task),
            None => std::ops::Bound::Unbounded,
        };
        self.rows.range((from, std::ops::Bound::Unbounded)).map(|(_, row)| row)
    }

    /// Live tasks of a workload.
    pub(crate) fn live_of_workload(&self, workload: WorkloadNo) -> usize {
        self.live_by_workload.get(&workload).copied().unwrap_or(0)
    }

    /// Live tasks of a tenant.
    pub(crate) fn live_of_tenant(&self, tenant: TenantNo) -> usize {
        self.live_by_tenant.get(&tenant).copied().unwrap_or(0)
    }

    /// The largest count ever given to a task.
    pub(crate) fn count_max(&self) -> u64 {
        self.count_max
    }

    /// Frees at most `most` tasks that ended long enough ago that no token of theirs can live.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut freed = 0;
        for _ in 0..most {
            let Some((_, task)) = self.retired.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.retired.pop_first();
            let Entry::Occupied(row) = self.rows.entry(task) else { continue };
            if row.get().children > 0 {
                // A child still points here; look again when the child may have gone.
                self.retired.insert((now.plus(TOKEN_TTL_MAX), task));
                continue;
            }
            freed += 1;
            let parent = row.remove().started.parent;
            if let Some(parent) = parent.and_then(|parent| self.rows.get_mut(&parent)) {
                parent.children -= 1;
            }
        }
        freed
    }

    /// Whether a task is to be freed, or to be looked at again.
    pub(crate) fn are_due(&self, now: Timestamp) -> bool {
        self.retired.first().is_some_and(|(at, _)| *at <= now)
    }
}

fn lower<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let std::collections::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}
