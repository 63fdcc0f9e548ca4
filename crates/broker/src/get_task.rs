//! `GetTask` and `ListTasks`: what a task is and where it is in its life.

use std::collections::BTreeSet;
use std::sync::Arc;

use locum_model::event::{Outcome, TaskStarted};
use locum_model::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use locum_model::registry::{Registry, Workload};
use locum_model::{Caller, Reason, Selector, Target, TaskId, Timestamp};

use crate::broker::Broker;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::shown_name::{tenant_name, workload_name};
use crate::state::tasks::{HowEnded, TaskRow};
use crate::task_access::not_found;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Tokens may be issued.
    Active,
    /// Ended, or a task above it was.
    Ended,
    /// Lapsed, or a task above it did.
    Lapsed,
    /// It, or something that it rests on, was revoked.
    Revoked,
}

/// A task as it is shown.
#[derive(Clone, Debug)]
pub struct TaskView {
    /// As it began.
    pub started: Arc<TaskStarted>,
    /// The workload's name; its number when it is gone from the registry.
    pub workload: String,
    /// The tenant's name; its number when it is gone from the registry.
    pub tenant: String,
    /// Where it is in its life.
    pub state: TaskState,
    /// How it came out, when its holder said so.
    pub outcome: Option<Outcome>,
    /// When it left its active life, as far as an event of its own says.
    pub ended_at: Option<Timestamp>,
    /// Levels above it.
    pub depth: u32,
}

/// Which page of a listing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// Entries wanted; the default when 0.
    pub size: usize,
    /// The last task of the page before.
    pub after: Option<TaskId>,
}

/// Which tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only what this covers; judged for operators alone.
    pub selector: Option<Selector>,
}

/// A page of tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskPage {
    /// Oldest first.
    pub tasks: Vec<TaskView>,
    /// Where the next page begins, if there is one.
    pub next: Option<TaskId>,
}

impl Broker {
    /// One of the caller's tasks.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND for somebody else's too.
    pub fn get_task(&self, caller: &Caller, task: TaskId) -> Result<TaskView, Refusal> {
        let pinned = self.fold.pin();
        let workload = pinned.workload(caller)?;
        self.own_task(workload, task)
    }

    /// The caller's tasks.
    ///
    /// # Errors
    ///
    /// WORKLOAD_UNREGISTERED, REQUEST_MALFORMED.
    pub fn list_tasks(&self, caller: &Caller, page: Page, filter: &TaskFilter) -> Result<TaskPage, Refusal> {
        let pinned = self.fold.pin();
        let workload: &Workload = pinned.workload(caller)?;
        self.page_of(page, filter, |row| row.started.workload == workload.number)
    }

    /// One task, for an operator.
    ///
    /// # Errors
    ///
    /// TASK_NOT_FOUND outside the operator's tenants too.
    pub fn inspect_task(&self, operator: &Operator, task: TaskId) -> Result<TaskView, Refusal> {
        let pinned = self.fold.pin();
        let reached = |view: &TaskView| operator.reaches(&pinned.world.registry, view.started.tenant);
        self.view_task(task).filter(reached).ok_or_else(|| not_found(task))
    }

    /// The tasks of an operator's tenants.
    ///
    /// # Errors
    ///
    /// REQUEST_MALFORMED, SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN.
    pub fn inspect_tasks(
        &self,
        operator: &Operator,
        page: Page,
        filter: &TaskFilter,
    ) -> Result<TaskPage, Refusal> {
        let pinned = self.fold.pin();
        let registry = &pinned.world.registry;
        let targets = match &filter.selector {
            None => None,
            Some(selector) => Some(self.covered(operator, registry, selector)?),
        };
        let is_covered = |row: &TaskRow| match &targets {
            None => true,
            Some(Covered::One(task)) => *task == Some(row.started.task),
            Some(Covered::ByAny(targets)) => {
                // The policy set permitted the task, and revoking it spares the task.
                let permitted_by = Target::PolicyRevision(row.started.policy_revision);
                targets.contains(&permitted_by) || rests_on(row).iter().any(|one| targets.contains(one))
            }
        };
        self.page_of(page, filter, |row| operator.reaches(registry, row.started.tenant) && is_covered(row))
    }

    /// The tasks that a selector covers.
    fn covered(
        &self,
        operator: &Operator,
        registry: &Registry,
        selector: &Selector,
    ) -> Result<Covered, Refusal> {
        if matches!(selector, Selector::SigningKey(_)) {
            let detail = "no task rests on a signing key: list its tokens";
            return Err(Refusal::new(Reason::RequestMalformed, detail));
        }
        let found = self.select(operator, registry, selector)?;
        Ok(match selector {
            Selector::Token(jti) => Covered::One(self.fold.table.task_of(*jti)),
            _ => Covered::ByAny(found.into_iter().map(|one| one.target).collect()),
        })
    }

    /// The caller's own task, as it is shown.
    pub(crate) fn own_task(&self, workload: &Workload, task: TaskId) -> Result<TaskView, Refusal> {
        let view = self.view_task(task).filter(|view| view.started.workload == workload.number);
        view.ok_or_else(|| not_found(task))
    }

    pub(crate) fn view_task(&self, task: TaskId) -> Option<TaskView> {
        let registry = Arc::clone(&self.fold.pin().world.registry);
        let state = self.fold.state.read();
        state.tasks.get(task).map(|row| self.view(row, &registry))
    }

    fn page_of(
        &self,
        page: Page,
        filter: &TaskFilter,
        wanted: impl Fn(&TaskRow) -> bool,
    ) -> Result<TaskPage, Refusal> {
        let size = match page.size {
            0 => PAGE_SIZE_DEFAULT,
            size if size <= PAGE_SIZE_MAX => size,
            _ => {
                return Err(Refusal::new(
                    Reason::RequestMalformed,
                    format!("a page has {PAGE_SIZE_MAX} at most"),
                ));
            }
        };
        let registry = Arc::clone(&self.fold.pin().world.registry);
        let state = self.fold.state.read();
        let fits = |view: &TaskView| filter.state.is_none_or(|state| state == view.state);
        let rows = state.tasks.after(page.after).filter(|row| wanted(row));
        let mut tasks: Vec<_> =
            rows.map(|row| self.view(row, &registry)).filter(fits).take(size + 1).collect();
        let more = tasks.len() > size;
        tasks.truncate(size);
        let next = tasks.last().filter(|_| more).map(|view| view.started.task);
        Ok(TaskPage { tasks, next })
    }

    fn view(&self, row: &TaskRow, registry: &Registry) -> TaskView {
        let ended = row.ended.as_ref();
        let own = ended.and_then(|ended| match ended.how {
            HowEnded::Ended(_) => Some(TaskState::Ended),
            HowEnded::Lapsed => Some(TaskState::Lapsed),
            HowEnded::Dead => None,
        });
        let state = own.unwrap_or_else(|| match self.fold.table.task(row.started.task) {
            Some(Ok(())) => TaskState::Active,
            Some(Err(Reason::TaskLapsed)) => TaskState::Lapsed,
            Some(Err(Reason::TaskRevoked)) => TaskState::Revoked,
            Some(Err(_)) => TaskState::Ended,
            None if self.is_covered(row) => TaskState::Revoked,
            None => TaskState::Ended,
        });
        TaskView {
            started: Arc::clone(&row.started),
            workload: workload_name(registry, row.started.workload),
            tenant: tenant_name(registry, row.started.tenant),
            state,
            outcome: ended.and_then(|ended| match ended.how {
                HowEnded::Ended(outcome) => Some(outcome),
                HowEnded::Lapsed | HowEnded::Dead => None,
            }),
            ended_at: ended.map(|ended| ended.at),
            depth: row.chain.len() as u32 - 1,
        }
    }
}

impl Broker {
    /// Whether a revocation covers a task whose row is gone from the table.
    fn is_covered(&self, row: &TaskRow) -> bool {
        let decided = row.started.decided_at.sequence;
        rests_on(row).into_iter().any(|target| {
            self.fold.table.watermark(target).is_some_and(|watermark| decided <= watermark.sequence)
        })
    }
}

/// The tasks that a selector covers.
enum Covered {
    /// A token's task, if it is known.
    One(Option<TaskId>),
    /// Whatever rests on any of these.
    ByAny(BTreeSet<Target>),
}

/// Everything that a task rests on: a revocation of any of it kills the task.
fn rests_on(row: &TaskRow) -> Vec<Target> {
    let mut targets = crate::rests_on::targets_of_start(&row.started);
    targets.extend(row.chain.iter().copied().map(Target::Task));
    targets
}
