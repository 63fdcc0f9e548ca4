//! `StartTask`: a bounded piece of work begins.

use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{Commitment, NamedConnector, TaskStarted};
use locum_model::issue_record::RequestKey;
use locum_model::limits::{
    CHILDREN_PER_TASK_MAX, TASK_DEADLINE_DEFAULT, TASK_DEADLINE_MAX, TASK_DEPTH_MAX, TASK_LEASE_DEFAULT,
    TASK_LEASE_MAX, TASK_LEASE_MIN, TASKS_PER_TENANT_MAX, TASKS_PER_WORKLOAD_MAX,
};
use locum_model::registry::Workload;
use locum_model::{Caller, Event, Intent, Permit, Reason, TaskId, Timestamp};
use locum_policy::{Ask, Justification, Proof, Request, Subject};
use locum_table::Applied;

use crate::broker::{Broker, DeniedAt};
use crate::fold::Verdict;
use crate::get_task::TaskView;
use crate::refusal::Refusal;
use crate::state::requests::{Answered, KeyedRequest, Whose};
use crate::task_access::{Holder, holder_digest};
use crate::world::Pinned;

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct StartTask {
    /// Why, and the most it will ask for.
    pub intent: Intent,
    /// SHA-256 of the holder secret that the caller keeps.
    pub holder: [u8; 32],
    /// The task that it is part of, and the proof of holding it.
    pub parent: Option<(TaskId, Holder)>,
    /// Longest life from now.
    pub deadline_after: Option<Duration>,
    /// The soft lease.
    pub lease: Option<Duration>,
    /// Free text for people.
    pub justification: Option<String>,
    /// The caller's id for this request, with the hash of all of it.
    pub request: Option<RequestKey>,
}

/// What the parent contributes to a child.
struct Parent {
    task: TaskId,
    subject: String,
    subject_key: locum_model::SubjectKey,
    deadline: Timestamp,
    depth: u32,
}

impl Broker {
    /// Starts a task; durable on return. A retry with the same request id answers the same task.
    ///
    /// # Errors
    ///
    /// As the contract's `StartTask` says.
    pub async fn start_task(&self, caller: &Caller, ask: StartTask) -> Result<TaskView, Refusal> {
        let pinned = self.fold.pin();
        let parent = ask.parent.as_ref().map(|(task, _)| *task);
        let started = self.start_in(&pinned, caller, ask).await;
        let at = DeniedAt { pinned: &pinned, caller, method: "StartTask", task: parent };
        started.map_err(|refusal| self.denied(at, refusal))
    }

    async fn start_in(&self, pinned: &Pinned, caller: &Caller, ask: StartTask) -> Result<TaskView, Refusal> {
        let now = self.now()?;
        let workload = pinned.workload(caller)?;
        if let Some(task) = self.started_before(workload, &ask, now)? {
            return self.own_task(workload, task);
        }
        self.reaper_keeps_up(now)?;
        let parent = self.parent(workload, &ask)?;
        self.task_quota(workload, parent.as_ref())?;
        let permit = decide(pinned, workload, &ask, &parent, now)?;
        let started = self.task_started(pinned, caller, workload, ask, parent, permit, now)?;
        let lockable = {
            let state = self.fold.state.read();
            crate::rests_on::lockable_of_start(&started, state.tasks.chain(started.parent))
        };
        self.refuse_locked(|| lockable, now)?;
        let started = Arc::new(started);
        let task = started.task;
        let settled = self.commits.commit(Event::TaskStarted(Arc::clone(&started))).await?;
        match settled.verdict {
            Verdict::Applied(Applied::Started) => self.own_task(workload, task),
            Verdict::Applied(Applied::TooLate(reason)) => Err(reason.into()),
            Verdict::Repeated => {
                match KeyedRequest::of_start(&started).and_then(|request| self.answered_task(&request, now)) {
                    Some(task) => self.own_task(workload, task?),
                    None => Err(Reason::RequestIdReused.into()),
                }
            }
            Verdict::Applied(_) => Err(Reason::Internal.into()),
        }
    }

    /// The task that this request id was answered with, if it was.
    fn started_before(
        &self,
        workload: &Workload,
        ask: &StartTask,
        now: Timestamp,
    ) -> Result<Option<TaskId>, Refusal> {
        let Some(key) = &ask.request else { return Ok(None) };
        let whose = Whose { tenant: workload.tenant, workload: workload.number, task: None };
        self.answered_task(&KeyedRequest::new(whose, key), now).transpose()
    }

    fn answered_task(&self, request: &KeyedRequest<'_>, now: Timestamp) -> Option<Result<TaskId, Refusal>> {
        match self.fold.state.read().requests.answer(request, now)? {
            Answered::Task(task) => Some(Ok(task)),
            Answered::Token(_) | Answered::Another => Some(Err(Reason::RequestIdReused.into())),
        }
    }

    fn parent(&self, workload: &Workload, ask: &StartTask) -> Result<Option<Parent>, Refusal> {
        let Some((task, holder)) = &ask.parent else { return Ok(None) };
        self.held_task(workload, *task, holder)?;
        let state = self.fold.state.read();
        let row = state.tasks.get(*task).ok_or(Reason::TaskNotFound)?;
        if row.chain.len() >= TASK_DEPTH_MAX {
            return Err(Refusal::new(
                Reason::ChainTooLong,
                format!("tasks nest {TASK_DEPTH_MAX} deep at most"),
            ));
        }
        if row.children >= CHILDREN_PER_TASK_MAX {
            let detail = format!("a task has {CHILDREN_PER_TASK_MAX} children at most");
            return Err(Refusal::new(Reason::QuotaExceeded, detail));
        }
        if let Some(beyond) = ask.intent.scope.first_beyond(&row.started.intent.scope) {
            let (asked, theirs) = (ask.intent.scope.written_of(beyond), row.started.intent.scope.written());
            let detail = format!("`{asked}` is more than the parent task may do, `{theirs}`");
            return Err(Refusal::new(Reason::ScopeBeyondParent, detail));
        }
        Ok(Some(Parent {
            task: *task,
            subject: row.started.subject.clone(),
            subject_key: row.started.subject_key,
            deadline: row.started.deadline,
            depth: row.chain.len() as u32,
        }))
    }

    fn task_quota(&self, workload: &Workload, parent: Option<&Parent>) -> Result<(), Refusal> {
        let state = self.fold.state.read();
        let over = |what: &str, most: usize| {
            Err(Refusal::new(Reason::QuotaExceeded, format!("{what} has {most} live tasks, its limit")))
        };
        if state.tasks.live_of_workload(workload.number) >= TASKS_PER_WORKLOAD_MAX {
            return over("this workload", TASKS_PER_WORKLOAD_MAX);
        }
        if state.tasks.live_of_tenant(workload.tenant) >= TASKS_PER_TENANT_MAX {
            return over("the tenant", TASKS_PER_TENANT_MAX);
        }
        if !state.requests.has_room(workload.number) {
            return Err(Refusal::new(Reason::QuotaExceeded, "too many request ids are remembered"));
        }
        debug_assert!(parent.is_none_or(|parent| (parent.depth as usize) < TASK_DEPTH_MAX));
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is another proof that the event rests on")]
    fn task_started(
        &self,
        pinned: &Pinned,
        caller: &Caller,
        workload: &Workload,
        ask: StartTask,
        parent: Option<Parent>,
        permit: Permit,
        now: Timestamp,
    ) -> Result<TaskStarted, Refusal> {
        let id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?;
        let deadline = deadline(&ask, parent.as_ref(), now)?;
        let subject = parent.as_ref().map_or_else(|| id.to_string(), |parent| parent.subject.clone());
        let subject_key = parent
            .as_ref()
            .map_or_else(|| locum_token::subject_key(workload.tenant, &subject), |parent| parent.subject_key);
        Ok(TaskStarted {
            task: self.new_task_id(),
            parent: parent.map(|parent| parent.task),
            tenant: workload.tenant,
            workload: workload.number,
            workload_identity: id.clone(),
            owner: workload.owner,
            model: workload.model,
            subject,
            subject_key,
            connectors: connectors(pinned, workload, &ask.intent)?,
            intent: ask.intent,
            justification: ask.justification.map(|text| self.commitment(&text)).transpose()?,
            holder: ask.holder,
            deadline,
            lease: lease(ask.lease)?,
            decided_at: permit.world().position,
            policy_revision: permit.world().policy,
            registry_revision: permit.world().registry,
            policies: permit.policies().to_vec(),
            request: ask.request,
            at: now,
        })
    }

    fn commitment(&self, text: &str) -> Result<Commitment, Refusal> {
        let salt: [u8; 16] = self.random()?;
        let digest = holder_digest(&[&salt[..], text.as_bytes()].concat());
        if !self.shelf.is_expected() {
            return Ok(Commitment { salt, digest });
        }
        let commitment = Commitment::kept_apart(digest);
        self.shelf.waiting.put(&commitment, salt, text);
        Ok(commitment)
    }
}

fn decide(
    pinned: &Pinned,
    workload: &Workload,
    ask: &StartTask,
    parent: &Option<Parent>,
    now: Timestamp,
) -> Result<Permit, Refusal> {
    let registry = &pinned.world.registry;
    let tenant = registry.tenant(workload.tenant).ok_or(Reason::Internal)?;
    let owner = registry.owner(workload.owner).ok_or(Reason::Internal)?;
    let model = workload.model.and_then(|number| registry.model(number));
    let request = Request {
        ask: Ask::StartTask,
        tenant: &tenant.name,
        workload,
        owner: &owner.name,
        model: model.map(|model| &model.name),
        purpose: &ask.intent.purpose,
        scope: &ask.intent.scope,
        depth: parent.as_ref().map_or(0, |parent| parent.depth),
        justification: if ask.justification.is_some() {
            Justification::Given
        } else {
            Justification::Missing
        },
        proof: Proof::Unproved,
        subject: Subject::Workload,
        now,
        world: pinned.pin,
    };
    locum_policy::decide(pinned.policy()?, &pinned.world.entities, &request)
        .map_err(|denial| Refusal::denied(&denial, &request))
}

fn connectors(pinned: &Pinned, workload: &Workload, intent: &Intent) -> Result<Vec<NamedConnector>, Refusal> {
    let names = intent.scope.connectors();
    let named = |name| {
        let connector = pinned.connector(workload.tenant, name)?;
        Ok(NamedConnector { number: connector.number, owner: connector.owner })
    };
    names.into_iter().map(named).collect()
}

fn deadline(ask: &StartTask, parent: Option<&Parent>, now: Timestamp) -> Result<Timestamp, Refusal> {
    let wished = match ask.deadline_after {
        Some(after) if after.is_zero() || after > TASK_DEADLINE_MAX => {
            let detail = format!("a task lives 1 s to {} h", TASK_DEADLINE_MAX.as_secs() / 3600);
            return Err(Refusal::new(Reason::DeadlineTooLate, detail));
        }
        Some(after) => now.plus(after),
        None => now
            .plus(TASK_DEADLINE_DEFAULT)
            .min(parent.map_or(Timestamp::from_millis(i64::MAX), |p| p.deadline)),
    };
    match parent {
        Some(parent) if parent.deadline <= now => {
            Err(Refusal::new(Reason::TaskLapsed, "the parent task's deadline has passed"))
        }
        #[cfg(bug_zoo)]
        Some(_) if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::ChildOutlivesParent) => {
            Ok(wished)
        }
        Some(parent) if wished > parent.deadline => {
            let detail = format!("the parent task ends at {}", parent.deadline);
            Err(Refusal::new(Reason::DeadlineTooLate, detail))
        }
        _ => Ok(wished),
    }
}

fn lease(wished: Option<Duration>) -> Result<Duration, Refusal> {
    match wished {
        None => Ok(TASK_LEASE_DEFAULT),
        Some(lease) if (TASK_LEASE_MIN..=TASK_LEASE_MAX).contains(&lease) => Ok(lease),
        Some(_) => {
            let (least, most) = (TASK_LEASE_MIN.as_secs(), TASK_LEASE_MAX.as_secs());
            Err(Refusal::new(Reason::RequestMalformed, format!("a lease is {least} s to {most} s")))
        }
    }
}
