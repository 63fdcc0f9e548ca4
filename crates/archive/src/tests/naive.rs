//! What the index is compared with: for each question, a walk over all events from the first.
//!
//! Written without the index's code or tables: names are looked up in the newest registry that an
//! event could have seen, tasks and tokens by searching the events before.

use std::collections::BTreeSet;

use locum_model::event::By;
use locum_model::registry::Entries;
use locum_model::{Committed, Event, IssueRecord, Target, TaskId, TenantNo, TokenId, WorkloadNo};

use crate::search::{Criteria, Reach};
use crate::{Decision, Facet};

/// The sequences that meet the criteria, oldest first.
pub(super) fn scan(events: &[Committed<Event>], criteria: &Criteria) -> Vec<u64> {
    let meets = |at: &usize| {
        let (event, past) = (events[*at].event(), Past(&events[..=*at]));
        let tenant = past.tenant(event);
        let within = match &criteria.reach {
            Reach::All => true,
            Reach::Only(tenants) => tenant.is_some_and(|tenant| tenants.contains(&tenant)),
        };
        let (decision, reason) = match event {
            Event::TaskStarted(_) | Event::TokenIssued(_) | Event::TokenUsed(_) => {
                (Some(Decision::Permit), None)
            }
            Event::DenialsSummed(e) => (Some(Decision::Denial), Some(e.reason)),
            _ => (None, None),
        };
        let happened = event.at();
        within
            && criteria.facets.iter().all(|facet| past.is_about(event, facet))
            && (criteria.decision.is_none() || criteria.decision == decision)
            && (criteria.reason.is_none() || criteria.reason == reason)
            && (criteria.events.is_empty() || criteria.events.iter().any(|name| name == event.name()))
            && criteria.times.since.is_none_or(|since| happened >= since)
            && criteria.times.until.is_none_or(|until| happened < until)
            && criteria.text.as_ref().is_none_or(|text| says(event, text))
    };
    (0..events.len()).filter(meets).map(|at| at as u64 + 1).collect()
}

/// Whether an operator said these words, one after the other, in any case.
fn says(event: &Event, text: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let split = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        split.map(str::to_lowercase).collect()
    };
    let said = match event {
        Event::Revoked(e) => Some(&e.reason),
        Event::Locked(e) => Some(&e.reason),
        Event::Unlocked(e) => Some(&e.reason),
        Event::TaskEnded(e) => e.reason.as_ref(),
        _ => None,
    };
    let asked = words(text);
    !asked.is_empty() && said.is_some_and(|said| words(said).windows(asked.len()).any(|run| run == asked))
}

/// Everything up to and with an event.
struct Past<'a>(&'a [Committed<Event>]);

impl Past<'_> {
    fn tenant(&self, event: &Event) -> Option<TenantNo> {
        match event {
            Event::TaskStarted(e) => Some(e.tenant),
            Event::TokenIssued(e) => Some(e.standing.tenant),
            Event::TaskEnded(e) => self.tenant_of_task(e.task),
            Event::TaskLapsed(e) => self.tenant_of_task(e.task),
            Event::TokenUsed(e) => self.tenant_of_task(e.task),
            Event::ChecksSummed(e) => self.tenant_of_task(e.task),
            Event::DenialsSummed(e) => Some(e.tenant).filter(|tenant| *tenant != TenantNo(0)),
            Event::Revoked(e) => {
                let tenants: BTreeSet<_> = e.targets.iter().map(|target| self.tenant_of(*target)).collect();
                match tenants.iter().collect::<Vec<_>>()[..] {
                    [one] => *one,
                    _ => None,
                }
            }
            Event::Locked(e) => e.tenant,
            Event::Unlocked(e) => self.lock(e.locks[0]).and_then(|lock| lock.tenant),
            _ => None,
        }
    }

    fn tenant_of_task(&self, task: TaskId) -> Option<TenantNo> {
        self.start(task).map(|start| start.tenant)
    }

    fn tenant_of(&self, target: Target) -> Option<TenantNo> {
        match target {
            Target::Task(task) => self.tenant_of_task(task),
            Target::Token(jti) => self.token(jti).map(|token| token.standing.tenant),
            Target::Tenant(tenant) => Some(tenant),
            Target::Workload(number) => self.registered(|e| e.workloads.get(&number).map(|w| w.tenant)),
            Target::Connector(number) => self.registered(|e| e.connectors.get(&number).map(|c| c.tenant)),
            Target::Owner(number) => self.registered(|e| e.owners.get(&number).map(|o| o.tenant)),
            Target::Model(number) => self.registered(|e| e.models.get(&number).map(|m| m.tenant)),
            _ => None,
        }
    }

    fn is_about(&self, event: &Event, facet: &Facet) -> bool {
        match (facet, event) {
            (Facet::Request(id), Event::TaskStarted(e)) => {
                e.request.as_ref().is_some_and(|key| key.id == *id)
            }
            (Facet::Request(id), Event::TokenIssued(e)) => {
                e.request.as_ref().is_some_and(|key| key.id == *id)
            }
            (Facet::Request(_), _) => false,
            (Facet::Operator(name), _) => by(event).is_some_and(|by| *by == By::Operator(name.clone())),
            (Facet::Task(task), _) => {
                let named =
                    tasks(event).into_iter().chain(self.targets(event).into_iter().filter_map(|t| match t {
                        Target::Task(task) => Some(task),
                        Target::Token(jti) => self.token(jti).map(IssueRecord::task),
                        _ => None,
                    }));
                let mut named = named;
                named.any(|named| self.is_within(named, *task))
            }
            (Facet::Token(jti), _) => {
                token(event) == Some(*jti) || self.targets(event).contains(&Target::Token(*jti))
            }
            (Facet::Subject(key), _) => {
                self.starts(event).any(|start| start.subject_key == *key)
                    || self.targets(event).contains(&Target::Subject(*key))
            }
            (Facet::Workload(name), _) => {
                let called = |number: WorkloadNo| self.workload_name(number).as_ref() == Some(name);
                let did = by(event).is_some_and(|by| match by {
                    By::Workload { number, id } => called(*number) || id.as_str() == name,
                    _ => false,
                });
                let of =
                    self.starts(event).any(|s| called(s.workload) || s.workload_identity.as_str() == name);
                let named =
                    self.targets(event).iter().any(|t| matches!(t, Target::Workload(no) if called(*no)));
                did || of || named
            }
            (Facet::Owner(name), _) => {
                let owner = |number| self.registered(|e| e.owners.get(&number).map(|o| o.name.to_string()));
                let did = by(event).is_some_and(|by| match by {
                    By::Workload { number, .. } => {
                        let of = self.registered(|e| e.workloads.get(number).map(|w| w.owner));
                        of.and_then(owner).as_ref() == Some(name)
                    }
                    _ => false,
                });
                let of_connector = match event {
                    Event::TaskStarted(e) => {
                        e.connectors.iter().any(|c| owner(c.owner).as_ref() == Some(name))
                    }
                    _ => token(event)
                        .and_then(|jti| self.token(jti))
                        .is_some_and(|token| owner(token.standing.connector_owner).as_ref() == Some(name)),
                };
                did || of_connector
                    || self.starts(event).any(|s| owner(s.owner).as_ref() == Some(name))
                    || self
                        .targets(event)
                        .iter()
                        .any(|t| matches!(t, Target::Owner(no) if owner(*no).as_ref() == Some(name)))
            }
            (Facet::Model(name), _) => {
                let model = |number| self.registered(|e| e.models.get(&number).map(|m| m.name.to_string()));
                let did = by(event).is_some_and(|by| match by {
                    By::Workload { number, .. } => {
                        let of = self.registered(|e| e.workloads.get(number).and_then(|w| w.model));
                        of.and_then(model).as_ref() == Some(name)
                    }
                    _ => false,
                });
                did || self.starts(event).any(|s| s.model.and_then(model).as_ref() == Some(name))
                    || self
                        .targets(event)
                        .iter()
                        .any(|t| matches!(t, Target::Model(no) if model(*no).as_ref() == Some(name)))
            }
            (Facet::Connector(name), _) => {
                let connector =
                    |number| self.registered(|e| e.connectors.get(&number).map(|c| c.name.to_string()));
                let of_start = match event {
                    Event::TaskStarted(e) => {
                        e.connectors.iter().any(|c| connector(c.number).as_ref() == Some(name))
                    }
                    _ => false,
                };
                let of_token = token(event).and_then(|jti| self.token(jti));
                of_start
                    || of_token
                        .is_some_and(|token| connector(token.standing.connector).as_ref() == Some(name))
                    || self
                        .targets(event)
                        .iter()
                        .any(|t| matches!(t, Target::Connector(no) if connector(*no).as_ref() == Some(name)))
            }
        }
    }

    /// What was named: by a revocation, a lock, or the lock that was lifted.
    fn targets(&self, event: &Event) -> Vec<Target> {
        match event {
            Event::Revoked(e) => e.targets.clone(),
            Event::Locked(e) => e.targets.clone(),
            Event::RegistryActivated(e) => e.removed.clone(),
            Event::Unlocked(e) => self.lock(e.locks[0]).map(|lock| lock.targets.clone()).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// How the task of an event began. A revocation of a task is not about what the task rests on.
    fn starts(&self, event: &Event) -> impl Iterator<Item = &locum_model::event::TaskStarted> {
        tasks(event).into_iter().filter_map(|task| self.start(task))
    }

    fn is_within(&self, task: TaskId, above: TaskId) -> bool {
        task == above
            || self.start(task).and_then(|start| start.parent).is_some_and(|up| self.is_within(up, above))
    }

    fn start(&self, task: TaskId) -> Option<&locum_model::event::TaskStarted> {
        self.0.iter().find_map(|committed| match committed.event() {
            Event::TaskStarted(e) if e.task == task => Some(&**e),
            _ => None,
        })
    }

    fn token(&self, jti: TokenId) -> Option<&IssueRecord> {
        self.0.iter().find_map(|committed| match committed.event() {
            Event::TokenIssued(e) if e.jti == jti => Some(&**e),
            _ => None,
        })
    }

    fn lock(&self, number: u64) -> Option<&locum_model::event::Locked> {
        self.0.iter().find_map(|committed| match committed.event() {
            Event::Locked(e) if e.lock == number => Some(&**e),
            _ => None,
        })
    }

    fn workload_name(&self, number: WorkloadNo) -> Option<String> {
        self.registered(|entries| entries.workloads.get(&number).map(|w| w.name.to_string()))
    }

    /// What the newest registry says that says anything. What a registry removes is still known.
    fn registered<T>(&self, find: impl Fn(&Entries) -> Option<T>) -> Option<T> {
        self.0.iter().rev().find_map(|committed| match committed.event() {
            Event::RegistryActivated(e) => find(&e.entries),
            _ => None,
        })
    }
}

fn tasks(event: &Event) -> Option<TaskId> {
    match event {
        Event::TaskStarted(e) => Some(e.task),
        Event::TaskEnded(e) => Some(e.task),
        Event::TaskLapsed(e) => Some(e.task),
        Event::TokenIssued(e) => Some(e.task()),
        Event::TokenUsed(e) => Some(e.task),
        Event::ChecksSummed(e) => Some(e.task),
        Event::DenialsSummed(e) => e.task,
        _ => None,
    }
}

fn token(event: &Event) -> Option<TokenId> {
    match event {
        Event::TokenIssued(e) => Some(e.jti),
        Event::TokenUsed(e) => Some(e.jti),
        Event::ChecksSummed(e) => Some(e.jti),
        _ => None,
    }
}

fn by(event: &Event) -> Option<&By> {
    match event {
        Event::TaskEnded(e) => Some(&e.by),
        Event::TokenUsed(e) => Some(&e.by),
        Event::DenialsSummed(e) => Some(&e.by),
        Event::Revoked(e) => Some(&e.by),
        Event::Locked(e) => Some(&e.by),
        Event::Unlocked(e) => Some(&e.by),
        Event::RegistryActivated(e) => Some(&e.by),
        Event::KeyRetired(e) => Some(&e.by),
        _ => None,
    }
}
