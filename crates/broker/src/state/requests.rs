//! Request ids that were answered, so that a retry is told from a new request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use locum_model::event::TaskStarted;
use locum_model::issue_record::RequestKey;
use locum_model::limits::{REQUEST_ID_KEPT_AFTER_EXP, REQUEST_IDS_PER_WORKLOAD_MAX, REQUEST_TIMEOUT};
use locum_model::{IssueRecord, TaskId, TenantNo, Timestamp, WorkloadNo};

use crate::state::task_map::TaskMap;

/// Whose request id: ids of different workloads, tasks and methods never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestScope {
    pub tenant: TenantNo,
    pub workload: WorkloadNo,
    /// The task that a token is for; none for `StartTask`.
    pub task: Option<TaskId>,
    pub id: String,
}

/// What a request id stands for.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    Task(TaskId),
    Token(Arc<IssueRecord>),
}

/// The answered requests, bounded per workload and freed some time after what they answered.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    answered: HashMap<Arc<RequestScope>, Known>,
    until: BTreeMap<Due, Arc<RequestScope>>,
    by_workload: HashMap<WorkloadNo, usize>,
    /// The tasks that the answers stand for or rest on: without their beginnings a replay would find the answers
    /// too late, and without their ends it would take them to be alive.
    rests_on: TaskMap<usize>,
    /// How many were remembered.
    count: u64,
}

/// One answered request.
#[derive(Debug)]
struct Known {
    due: Due,
    answer: ([u8; 32], Answered),
    rests_on: Box<[TaskId]>,
}

/// When a request is forgotten, and which it was of all that were remembered: no two are the same.
type Due = (Timestamp, u64);

// === impl RequestScope ===

impl RequestScope {
    /// Of a task's beginning.
    pub(crate) fn of_start(started: &TaskStarted) -> Option<(Self, &RequestKey)> {
        let key = started.request.as_ref()?;
        let scope =
            Self { tenant: started.tenant, workload: started.workload, task: None, id: key.id.clone() };
        Some((scope, key))
    }

    /// Of a token.
    pub(crate) fn of_issue(record: &IssueRecord) -> Option<(Self, &RequestKey)> {
        let key = record.request.as_ref()?;
        let workload = record.standing.actors.last()?.workload;
        let task = Some(record.task());
        Some((Self { tenant: record.standing.tenant, workload, task, id: key.id.clone() }, key))
    }
}

// === impl Requests ===

impl Requests {
    /// What a request id was answered with, and the hash of that request; none once it is forgotten.
    ///
    /// INVARIANT: `at`, and not the reaper, says when that is, so that a replay, which has no reaper,
    /// judges every event as it was judged.
    pub(crate) fn answer(&self, scope: &RequestScope, at: Timestamp) -> Option<&([u8; 32], Answered)> {
        self.answered.get(scope).filter(|known| at < known.due.0).map(|known| &known.answer)
    }

    /// Remembers an answer, and the tasks that it rests on, until `until` and a little longer.
    pub(crate) fn remember(
        &mut self,
        scope: RequestScope,
        answer: ([u8; 32], Answered),
        rests_on: &[TaskId],
        until: Timestamp,
    ) {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RequestIdIgnored) {
            return;
        }
        self.count += 1;
        let due = (until.plus(REQUEST_ID_KEPT_AFTER_EXP), self.count);
        let workload = scope.workload;
        let scope = Arc::new(scope);
        self.until.insert(due, Arc::clone(&scope));
        rests_on.iter().for_each(|task| *self.rests_on.entry(*task).or_default() += 1);
        match self.answered.insert(scope, Known { due, answer, rests_on: rests_on.into() }) {
            // Forgotten by its time and not freed yet.
            Some(before) => {
                self.until.remove(&before.due);
                self.let_go(&before.rests_on);
            }
            None => *self.by_workload.entry(workload).or_default() += 1,
        }
    }

    /// Whether `workload` may use one more request id.
    pub(crate) fn has_room(&self, workload: WorkloadNo) -> bool {
        self.by_workload.get(&workload).is_none_or(|count| *count < REQUEST_IDS_PER_WORKLOAD_MAX)
    }

    /// Whether some answered request stands for this token: not only for one of the same request id, which
    /// may be used again when it was forgotten.
    pub(crate) fn holds(&self, record: &IssueRecord) -> bool {
        let answer = RequestScope::of_issue(record).and_then(|(scope, _)| self.answered.get(&scope));
        matches!(answer, Some(Known { answer: (_, Answered::Token(known)), .. }) if known.jti == record.jti)
    }

    /// Whether some answered request stands for this task, or rests on it.
    pub(crate) fn rest_on(&self, task: TaskId) -> bool {
        self.rests_on.contains_key(&task)
    }

    fn let_go(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            if let Some(count) = self.rests_on.get_mut(task) {
                *count -= 1;
                if *count == 0 {
                    self.rests_on.remove(task);
                }
            }
        }
    }

    /// Frees at most `most` requests whose time has been over for as long as any event may be under way.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut freed = 0;
        while freed < most
            && let Some(first) = self.until.first_entry()
            && first.key().0.plus(REQUEST_TIMEOUT) <= now
        {
            let scope = first.remove();
            if let Some(known) = self.answered.remove(&scope) {
                self.let_go(&known.rests_on);
            }
            if let Some(count) = self.by_workload.get_mut(&scope.workload) {
                *count -= 1;
                if *count == 0 {
                    self.by_workload.remove(&scope.workload);
                }
            }
            freed += 1;
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_used_again_stands_for_its_new_task_alone() {
        let at = Timestamp::from_seconds;
        let scope = RequestScope {
            tenant: TenantNo(1),
            workload: WorkloadNo(1),
            task: None,
            id: "start-0".to_owned(),
        };
        let [above, first, second] = [1, 2, 3].map(|count| TaskId::new(1, count));
        let mut requests = Requests::default();
        requests.remember(scope.clone(), ([0; 32], Answered::Task(first)), &[above, first], at(100));
        assert!([above, first].into_iter().all(|task| requests.rest_on(task)));
        requests.remember(scope.clone(), ([1; 32], Answered::Task(second)), &[above, second], at(1_000_000));
        assert!(!requests.rest_on(first), "what ended the first may be forgotten by now");
        assert!([above, second].into_iter().all(|task| requests.rest_on(task)));
        assert_eq!(requests.free(at(2_000_000), usize::MAX), 1);
        assert!(![above, second].into_iter().any(|task| requests.rest_on(task)));
        assert!(requests.answer(&scope, at(100)).is_none() && requests.has_room(WorkloadNo(1)));
    }
}
