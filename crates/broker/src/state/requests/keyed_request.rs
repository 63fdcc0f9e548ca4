//! [`KeyedRequest`]: a request id, whose it is, and its name in memory.

use locum_model::event::TaskStarted;
use locum_model::issue_record::RequestKey;
use locum_model::{IssueRecord, TaskId, TenantNo, WorkloadNo};

/// Whose a request id is: ids of different workloads, tasks and methods never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whose {
    pub tenant: TenantNo,
    pub workload: WorkloadNo,
    /// The task that a token is for; none for `StartTask`.
    pub task: Option<TaskId>,
}

/// A request as it is told from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyedRequest<'a> {
    pub(super) whose: Whose,
    pub(super) key: &'a RequestKey,
    pub(super) name: RequestName,
}

/// The first 128 bits of SHA-256 over whose a request id is and the id: it stands for both.
///
/// Not keyed, so that every replay finds the same names. To find two of one name takes 2^64 tries of somebody who
/// chooses both ids, and gets them a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestName([u8; 16]);

impl<'a> KeyedRequest<'a> {
    /// One of `whose`.
    pub(crate) fn new(whose: Whose, key: &'a RequestKey) -> Self {
        Self { whose, key, name: RequestName::of(whose, &key.id) }
    }

    /// That for a task's beginning, where it had an id.
    pub(crate) fn of_start(started: &'a TaskStarted) -> Option<Self> {
        let whose = Whose { tenant: started.tenant, workload: started.workload, task: None };
        started.request.as_ref().map(|key| Self::new(whose, key))
    }

    /// That for a token, where it had an id.
    pub(crate) fn of_issue(record: &'a IssueRecord) -> Option<Self> {
        let key = record.request.as_ref()?;
        Some(Self::new(Whose::of_issue(record)?, key))
    }
}

impl Whose {
    /// Whose the id of a token's request is.
    pub(super) fn of_issue(record: &IssueRecord) -> Option<Self> {
        let workload = record.standing.actors.last()?.workload;
        Some(Self { tenant: record.standing.tenant, workload, task: Some(record.task()) })
    }
}

impl RequestName {
    fn of(whose: Whose, id: &str) -> Self {
        let Whose { tenant, workload, task } = whose;
        // All before the id have fixed lengths, so that nothing else gives the same bytes.
        let parts = [
            &[u8::from(task.is_some())][..],
            &tenant.0.to_le_bytes(),
            &workload.0.to_le_bytes(),
            &task.map_or(0, TaskId::as_u64).to_le_bytes(),
            id.as_bytes(),
        ];
        let digest = locum_token::sha256_of_parts(&parts);
        let (name, _) = digest.split_first_chunk().expect("SHA-256 has 32 bytes");
        Self(*name)
    }
}
