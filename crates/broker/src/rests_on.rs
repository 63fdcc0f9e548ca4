//! What a task and a token rest on: a lock on any of it refuses a new one, a revocation kills one that lives.

use locum_model::event::TaskStarted;
use locum_model::{IssueRecord, Target, TaskId};

/// Every target that a lock could refuse a new task by.
///
/// `above` are the tasks above it: a lock on a task covers everything below it.
pub(crate) fn lockable_of_start(started: &TaskStarted, above: &[TaskId]) -> Vec<Target> {
    let mut targets = targets_of_start(started);
    targets.extend(above.iter().copied().map(Target::Task));
    targets
}

/// What a new task rests on, its parent the only task among it.
pub(crate) fn targets_of_start(started: &TaskStarted) -> Vec<Target> {
    let mut targets = vec![
        Target::Tenant(started.tenant),
        Target::Workload(started.workload),
        Target::Owner(started.owner),
        Target::Subject(started.subject_key),
    ];
    targets.extend(started.model.map(Target::Model));
    for connector in &started.connectors {
        targets.extend([Target::Connector(connector.number), Target::Owner(connector.owner)]);
    }
    targets.extend(started.parent.map(Target::Task));
    targets
}

/// What a task rests on and a token of it, or of one below it, does not say: other connectors that it
/// names, and their owners. None where there is no such thing.
pub(crate) fn unsaid(started: &TaskStarted, record: &IssueRecord) -> Option<Box<[Target]>> {
    let standing = &record.standing;
    let says = |target: &Target| match target {
        Target::Connector(connector) => *connector == standing.connector,
        Target::Owner(owner) => {
            *owner == standing.connector_owner || standing.actors.iter().any(|actor| actor.owner == *owner)
        }
        _ => false,
    };
    let named = started.connectors.iter();
    let named = named.flat_map(|named| [Target::Connector(named.number), Target::Owner(named.owner)]);
    let unsaid: Box<[_]> = named.filter(|target| !says(target)).collect();
    (!unsaid.is_empty()).then_some(unsaid)
}

/// Every target that a lock could refuse a new token by.
pub(crate) fn targets_of_issue(record: &IssueRecord) -> Vec<Target> {
    let standing = &record.standing;
    let mut targets = vec![
        Target::Tenant(standing.tenant),
        Target::Connector(standing.connector),
        Target::Owner(standing.connector_owner),
        Target::Subject(record.subject_key),
        Target::SigningKey(record.kid),
    ];
    for actor in &standing.actors {
        targets.push(Target::Workload(actor.workload));
        targets.push(Target::Owner(actor.owner));
        targets.extend(actor.model.map(Target::Model));
    }
    targets.extend(record.tasks.iter().copied().map(Target::Task));
    targets
}
