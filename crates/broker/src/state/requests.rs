//! Request ids that were answered, so that a retry is told from a new request.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use locum_model::event::TaskStarted;
use locum_model::issue_record::RequestKey;
use locum_model::limits::{REQUEST_ID_KEPT_AFTER_EXP, REQUEST_IDS_PER_WORKLOAD_MAX, REQUEST_TIMEOUT};
use locum_model::{IssueRecord, TaskId, TenantNo, Timestamp, WorkloadNo};

/// Whose request id: ids of different workloads, tasks and methods never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    answered: HashMap<RequestScope, (Timestamp, ([u8; 32], Answered))>,
    until: BTreeSet<(Timestamp, RequestScope)>,
    by_workload: HashMap<WorkloadNo, usize>,
    /// The tasks that the answers stand for or rest on: without their beginnings a replay would find the answers
    /// too late, and without their ends it would take them to be alive.
    rests_on: HashMap<TaskId, usize>,
    /// The same the other way round.
    below: HashMap<RequestScope, Vec<TaskId>>,
}

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
        self.answered.get(scope).filter(|(until, _)| at < *until).map(|(_, answer)| answer)
    }

    /// Remembers an answer, and the tasks that it rests on, until `until` and a little longer.
    pub(crate) fn remember(
        &mut self,
        scope: RequestScope,
        (hash, answered): ([u8; 32], Answered),
        rests_on: &[TaskId],
        until: Timestamp,
    ) {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::RequestIdIgnored) {
            return;
        }
        let until = until.plus(REQUEST_ID_KEPT_AFTER_EXP);
        self.until.insert((until, scope.clone()));
        self.forget_below(&scope);
        rests_on.iter().for_each(|task| *self.rests_on.entry(*task).or_default() += 1);
        self.below.insert(scope.clone(), rests_on.to_vec());
        match self.answered.insert(scope.clone(), (until, (hash, answered))) {
            // Forgotten by its time and not freed yet.
            Some((before, _)) => drop(self.until.remove(&(before, scope))),
            None => *self.by_workload.entry(scope.workload).or_default() += 1,
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
        matches!(answer, Some((_, (_, Answered::Token(answer)))) if answer.jti == record.jti)
    }

    /// Whether some answered request stands for this task, or rests on it.
    pub(crate) fn rest_on(&self, task: TaskId) -> bool {
        self.rests_on.contains_key(&task)
    }

    fn forget_below(&mut self, scope: &RequestScope) {
        for task in self.below.remove(scope).unwrap_or_default() {
            if let Some(count) = self.rests_on.get_mut(&task) {
                *count -= 1;
                if *count == 0 {
                    self.rests_on.remove(&task);
                }
            }
        }
    }

    /// Frees at most `most` requests whose time has been over for as long as any event may be under way.
    pub(crate) fn free(&mut self, now: Timestamp, most: usize) -> usize {
        let mut freed = 0;
        while freed < most && self.until.first().is_some_and(|(until, _)| until.plus(REQUEST_TIMEOUT) <= now)
        {
            let Some((_, scope)) = self.until.pop_first() else { break };
            self.answered.remove(&scope);
            self.forget_below(&scope);
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
