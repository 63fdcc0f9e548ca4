//! The record, as people read it: one entry for one event, names instead of numbers.

use std::collections::BTreeMap;

use locum_model::event::{By, DenialsSummed, DeniedAsk, LapseCause, Outcome};
use locum_model::issue_record::RequestKey;
use locum_model::{
    Committed, Event, Position, Reason, Registry, TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};

use locum_policy::Ask;

use crate::select::selector_text;
use crate::shown_name::{tenant_name, workload_name};

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEntry {
    /// Where it stands.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// The event's name.
    pub event: &'static str,
    /// Who did it.
    pub by: String,
    /// The tenant, where it concerns one.
    pub tenant: Option<TenantNo>,
    /// The tenant's name.
    pub tenant_name: String,
    /// The task, where there is one.
    pub task: Option<TaskId>,
    /// The token, where there is one.
    pub jti: Option<TokenId>,
    /// One line for people.
    pub summary: String,
    /// The policy set that decided; 0 where nothing was decided.
    pub policy_revision: u32,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// Why it was refused.
    pub reason: Option<Reason>,
    /// Further facts by name.
    pub facts: BTreeMap<&'static str, String>,
}

/// Writes the entry for an event. `tenant_of` knows the tenant of a live task.
pub(crate) fn entry(
    committed: &Committed<Event>,
    registry: &Registry,
    tenant_of: impl Fn(TaskId) -> Option<TenantNo>,
) -> RecordEntry {
    let event = committed.event();
    let mut entry = RecordEntry {
        position: committed.position(),
        at: event.at(),
        event: event.name(),
        by: "locum".into(),
        tenant: None,
        tenant_name: String::new(),
        task: None,
        jti: None,
        summary: String::new(),
        policy_revision: 0,
        policies: Vec::new(),
        reason: None,
        facts: BTreeMap::new(),
    };
    describe(&mut entry, event, registry);
    entry.tenant = entry.tenant.or_else(|| entry.task.and_then(tenant_of));
    entry.tenant_name = entry.tenant.map(|no| tenant_name(registry, no)).unwrap_or_default();
    entry
}

impl RecordEntry {
    /// The same, of `tenant` where the event itself does not say whose it is.
    pub(crate) fn or_of(mut self, tenant: Option<TenantNo>, registry: &Registry) -> Self {
        if self.tenant.is_none()
            && let Some(tenant) = tenant
        {
            self.tenant = Some(tenant);
            self.tenant_name = tenant_name(registry, tenant);
        }
        self
    }

    /// About how many bytes it takes in an answer.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.by, &self.tenant_name, &self.summary].into_iter().chain(&self.policies);
        let facts: usize = self.facts.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
        200 + texts.map(String::len).sum::<usize>() + facts
    }
}

fn describe(entry: &mut RecordEntry, event: &Event, registry: &Registry) {
    match event {
        Event::TaskStarted(_) | Event::TaskEnded(_) | Event::TaskLapsed(_) => {
            describe_task(entry, event, registry);
        }
        Event::TokenIssued(_) | Event::TokenUsed(_) | Event::ChecksSummed(_) => {
            describe_token(entry, event, registry);
        }
        Event::DenialsSummed(_) | Event::Revoked(_) | Event::Locked(_) | Event::Unlocked(_) => {
            describe_refusal(entry, event, registry);
        }
        Event::KeyPublished(_)
        | Event::KeyActivated(_)
        | Event::KeyRetired(_)
        | Event::RegistryActivated(_)
        | Event::PolicyActivated(_) => describe_control(entry, event, registry),
    }
}

fn describe_task(entry: &mut RecordEntry, event: &Event, registry: &Registry) {
    match event {
        Event::TaskStarted(e) => {
            entry.task = Some(e.task);
            entry.tenant = Some(e.tenant);
            entry.by = workload(registry, e.workload, e.workload_identity.as_str());
            entry.policy_revision = e.policy_revision.0;
            entry.policies.clone_from(&e.policies);
            let part = e.parent.map(|parent| format!(", a part of {parent}")).unwrap_or_default();
            entry.summary = format!("`{}` with at most `{}`{part}", e.intent.purpose, e.intent.scope);
            entry.facts.insert("purpose", e.intent.purpose.to_string());
            entry.facts.insert("scope", e.intent.scope.to_string());
            entry.facts.insert("asked", e.intent.scope.written());
            entry.facts.insert("workload", workload_name(registry, e.workload));
            entry.facts.insert("subject", e.subject.escape_debug().to_string());
            entry.facts.insert("workload_identity", e.workload_identity.to_string());
            entry.facts.insert("deadline", e.deadline.to_string());
            tell_request(entry, e.request.as_ref());
            if let Some(parent) = e.parent {
                entry.facts.insert("parent", parent.to_string());
            }
            if let Some(owner) = registry.owner(e.owner) {
                entry.facts.insert("owner", owner.name.to_string());
            }
            if let Some(model) = e.model.and_then(|number| registry.model(number)) {
                entry.facts.insert("model", model.name.to_string());
            }
            if e.justification.is_some() {
                entry.facts.insert("justification", "committed to".into());
            }
        }
        Event::TaskEnded(e) => {
            entry.task = Some(e.task);
            entry.by = by(&e.by, registry);
            let how = match e.outcome {
                Outcome::Completed => "completed",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
            };
            let why = e.reason.as_ref().map(|why| format!(": {}", why.escape_debug())).unwrap_or_default();
            entry.summary = format!("{how}{why}");
            entry.facts.insert("outcome", how.into());
        }
        Event::TaskLapsed(e) => {
            entry.task = Some(e.task);
            entry.summary = match e.cause {
                LapseCause::LeaseExpired => "nobody held or renewed it".into(),
                LapseCause::DeadlinePassed => "its deadline passed".into(),
            };
        }
        _ => {}
    }
}

fn describe_token(entry: &mut RecordEntry, event: &Event, registry: &Registry) {
    match event {
        Event::TokenIssued(e) => {
            entry.task = Some(e.task());
            entry.jti = Some(e.jti);
            entry.tenant = Some(e.standing.tenant);
            let actor = e.standing.actors.last().map_or(WorkloadNo(0), |actor| actor.workload);
            entry.by = workload(registry, actor, e.client_id.as_str());
            entry.policy_revision = e.standing.policy_revision.0;
            entry.policies.clone_from(&e.policies);
            entry.summary = format!("for `{}` until {}", e.scope, e.expires_at);
            entry.facts.insert("scope", e.scope.to_string());
            entry.facts.insert("asked", e.scope.written());
            entry.facts.insert("workload", workload_name(registry, actor));
            if e.subject != e.client_id.as_str() {
                entry.facts.insert("delegated", "yes".into());
            }
            entry.facts.insert("audience", e.audience.clone());
            entry.facts.insert("expires", e.expires_at.to_string());
            entry.facts.insert("kid", locum_token::kid_text(&e.kid));
            tell_request(entry, e.request.as_ref());
            if let Some(uses) = e.uses_max {
                entry.facts.insert("uses_max", uses.to_string());
            }
            if e.confirmation.is_some() {
                entry.facts.insert("bound", "yes".into());
            }
        }
        Event::TokenUsed(e) => {
            entry.task = Some(e.task);
            entry.jti = Some(e.jti);
            entry.by = by(&e.by, registry);
            let on = e.resource.as_ref().map(|resource| format!(" on `{resource}`")).unwrap_or_default();
            entry.summary = format!("for `{}`{on}", e.operation);
            entry.facts.insert("operation", e.operation.to_string());
        }
        Event::ChecksSummed(e) => {
            entry.task = Some(e.task);
            entry.jti = Some(e.jti);
            entry.summary = format!("{} times active, {} times refused", e.active, e.refused);
            entry.facts.insert("first", e.first.to_string());
            entry.facts.insert("last", e.last.to_string());
            entry.facts.insert("active", e.active.to_string());
            entry.facts.insert("refused", e.refused.to_string());
        }
        _ => {}
    }
}

/// The id by which the caller knows its request: what its own log has, and `audit search` finds.
fn tell_request(entry: &mut RecordEntry, request: Option<&RequestKey>) {
    if let Some(key) = request {
        entry.facts.insert("request_id", key.id.escape_debug().to_string());
    }
}

fn describe_refusal(entry: &mut RecordEntry, event: &Event, registry: &Registry) {
    match event {
        Event::DenialsSummed(e) => {
            entry.task = e.task;
            entry.tenant = (e.tenant != TenantNo(0)).then_some(e.tenant);
            entry.by = by(&e.by, registry);
            entry.reason = Some(e.reason);
            entry.policy_revision = e.policy_revision.0;
            let detail = if e.detail.is_empty() { String::new() } else { format!(": {}", e.detail) };
            entry.summary = format!("{} refused {} times, {}{detail}", e.method, e.count, e.reason);
            entry.facts.insert("method", e.method.clone());
            if let Some(asked) = &e.asked {
                describe_ask(entry, e, asked, registry);
            }
            entry.facts.insert("count", e.count.to_string());
        }
        Event::Revoked(e) => {
            entry.by = by(&e.by, registry);
            entry.tenant = tenant_of_targets(&e.targets, registry);
            match e.selector {
                locum_model::Selector::Token(jti) => entry.jti = Some(jti),
                locum_model::Selector::Task(task) => entry.task = Some(task),
                _ => {}
            }
            entry.summary = format!("{}: {}", selector_text(&e.selector), e.reason.escape_debug());
            entry.facts.insert("selector", selector_text(&e.selector));
            entry.facts.insert("targets", e.targets.len().to_string());
            if let Some(until) = e.until {
                entry.facts.insert("until", until.to_string());
            }
        }
        Event::Locked(e) => {
            entry.by = by(&e.by, registry);
            entry.tenant = e.tenant;
            entry.summary =
                format!("{} until {}: {}", selector_text(&e.selector), e.until, e.reason.escape_debug());
            entry.facts.insert("selector", selector_text(&e.selector));
            entry.facts.insert("lock", e.lock.to_string());
        }
        Event::Unlocked(e) => {
            entry.by = by(&e.by, registry);
            let numbers: Vec<_> = e.locks.iter().map(ToString::to_string).collect();
            entry.summary = format!("lock {}: {}", numbers.join(", "), e.reason.escape_debug());
        }
        _ => {}
    }
}

/// All that policies were asked, so that they can be asked again.
fn describe_ask(entry: &mut RecordEntry, e: &DenialsSummed, asked: &DeniedAsk, registry: &Registry) {
    let ask = match e.method.as_str() {
        "StartTask" => Ask::StartTask,
        _ => Ask::IssueToken,
    };
    let yes = |so: bool| if so { "yes" } else { "no" }.to_owned();
    entry.policies.clone_from(&asked.policies);
    if let By::Workload { number, .. } = &e.by {
        entry.facts.insert("workload", workload_name(registry, *number));
    }
    entry.facts.insert("ask", ask.as_str().to_owned());
    entry.facts.insert("purpose", asked.purpose.to_string());
    entry.facts.insert("asked", asked.scope.written());
    entry.facts.insert("depth", asked.depth.to_string());
    entry.facts.insert("justified", yes(asked.justified));
    entry.facts.insert("proved", yes(asked.proved));
    entry.facts.insert("delegated", yes(asked.delegated));
}

fn describe_control(entry: &mut RecordEntry, event: &Event, registry: &Registry) {
    match event {
        Event::KeyPublished(e) => {
            entry.by = by(&e.by, registry);
            entry.summary = format!("{:?} key {}", e.purpose, locum_token::kid_text(&e.kid));
            entry.facts.insert("kid", locum_token::kid_text(&e.kid));
        }
        Event::KeyActivated(e) => {
            entry.by = by(&e.by, registry);
            entry.summary = format!("{} signs from now on", locum_token::kid_text(&e.kid));
            entry.facts.insert("kid", locum_token::kid_text(&e.kid));
        }
        Event::KeyRetired(e) => {
            entry.by = by(&e.by, registry);
            entry.summary = format!("{} verifies no more", locum_token::kid_text(&e.kid));
            entry.facts.insert("kid", locum_token::kid_text(&e.kid));
        }
        Event::RegistryActivated(e) => {
            entry.by = by(&e.by, registry);
            let removed = match e.removed.len() {
                0 => String::new(),
                count => format!("; {count} removed entries revoked"),
            };
            entry.summary = format!("registry revision {} in force{removed}", e.entries.revision);
            entry.facts.insert("revision", e.entries.revision.to_string());
        }
        Event::PolicyActivated(e) => {
            entry.by = by(&e.by, registry);
            entry.policy_revision = e.revision.0;
            entry.summary = format!("policy revision {} in force", e.revision);
            entry.facts.insert("revision", e.revision.to_string());
        }
        _ => {}
    }
}

fn by(by: &By, registry: &Registry) -> String {
    match by {
        By::Workload { number, id } => workload(registry, *number, id.as_str()),
        By::Operator(name) => format!("operator {}", name.escape_debug()),
        By::Broker => "locum".into(),
    }
}

fn workload(registry: &Registry, number: WorkloadNo, id: &str) -> String {
    format!("{} ({id})", workload_name(registry, number))
}

/// The tenant of a revocation, when all of it is in one.
fn tenant_of_targets(targets: &[locum_model::Target], registry: &Registry) -> Option<TenantNo> {
    use locum_model::Target;
    let of = |target: &Target| match target {
        Target::Workload(no) => registry.workload(*no).map(|entry| entry.tenant),
        Target::Connector(no) => registry.connector(*no).map(|entry| entry.tenant),
        Target::Owner(no) => registry.owner(*no).map(|entry| entry.tenant),
        Target::Model(no) => registry.model(*no).map(|entry| entry.tenant),
        Target::Tenant(no) => Some(*no),
        _ => None,
    };
    let first = of(targets.first()?)?;
    targets.iter().all(|target| of(target) == Some(first)).then_some(first)
}
