//! [`HeldTasks`]: the tasks that answers rest on, counted.
//!
//! Each knows the one above it, so that an answer keeps its own task alone and has the chain again.

use locum_model::TaskId;

use super::sharded::{Hashed, Sharded};
use crate::state::task_map::SPREAD;

/// Tasks that some answer rests on.
#[derive(Debug, Default)]
pub(super) struct HeldTasks {
    tasks: Sharded<Held>,
}

#[derive(Debug)]
struct Held {
    task: TaskId,
    /// The task above it; itself where there is none.
    above: TaskId,
    answers: usize,
}

// === impl HeldTasks ===

impl HeldTasks {
    /// Holds the tasks of a chain, root to leaf. Whether [`HeldTasks::chain`] makes the same chain of its leaf: it
    /// does for every chain of a tree.
    ///
    /// INVARIANT: what stands above a task does not change while anything holds it.
    pub(super) fn hold(&mut self, chain: &[TaskId]) -> bool {
        let mut before = None;
        let mut same = !chain.is_empty();
        for task in chain.iter().copied() {
            let above = before.unwrap_or(task);
            let known = self.tasks.find_mut(hash(task), |held| held.task == task).map(|held| {
                held.answers += 1;
                held.above
            });
            if known.is_none() {
                self.tasks.insert(Held { task, above, answers: 1 });
            }
            same &= known.unwrap_or(above) == above && before != Some(task);
            before = Some(task);
        }
        same
    }

    /// The chain of a leaf, from its root; what was held and said to be the same.
    pub(super) fn chain(&self, leaf: TaskId) -> Vec<TaskId> {
        let mut chain: Vec<_> = std::iter::successors(Some(leaf), |task| self.above(*task)).collect();
        chain.reverse();
        chain
    }

    fn above(&self, task: TaskId) -> Option<TaskId> {
        self.get(task).map(|held| held.above).filter(|above| *above != task)
    }

    /// Lets the chain of a leaf go, as [`HeldTasks::chain`].
    pub(super) fn let_go_chain(&mut self, leaf: TaskId) {
        let mut next = Some(leaf);
        while let Some(task) = next {
            next = self.above(task);
            self.let_go(&[task]);
        }
    }

    /// Lets each of some tasks go.
    pub(super) fn let_go(&mut self, tasks: &[TaskId]) {
        for task in tasks.iter().copied() {
            let is = |held: &Held| held.task == task;
            if let Some(held) = self.tasks.find_mut(hash(task), is) {
                held.answers -= 1;
                if held.answers == 0 {
                    self.tasks.remove(hash(task), is);
                }
            }
        }
    }

    /// Whether an answer rests on this task.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.get(task).is_some()
    }

    fn get(&self, task: TaskId) -> Option<&Held> {
        self.tasks.find(hash(task), |held| held.task == task)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl Hashed for Held {
    fn hash(&self) -> u64 {
        hash(self.task)
    }
}

/// Tasks are counted by the broker: nobody chooses an id.
fn hash(task: TaskId) -> u64 {
    task.as_u64().wrapping_mul(SPREAD)
}
