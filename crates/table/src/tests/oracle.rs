//! The oracle: the same rules once more, as plainly as they can be written.
//!
//! Plain maps, no interning, no shortcuts, nothing is ever forgotten. One home only.

use std::collections::{HashMap, HashSet};

use locum_model::event::TaskStarted;
use locum_model::limits::TASK_DEPTH_MAX;
use locum_model::{
    Committed, Event, IssueRecord, KeyId, Live, Position, Reason, Target, TaskId, Timestamp, TokenId,
};

use crate::Applied;

#[derive(Default)]
pub(super) struct Oracle {
    tokens: HashMap<TokenId, (IssueRecord, u64, Option<u32>)>,
    tasks: HashMap<TaskId, (TaskStarted, u64, Option<Reason>)>,
    watermarks: HashMap<Target, u64>,
    retired: HashSet<KeyId>,
}

impl Oracle {
    pub(super) fn apply(&mut self, event: &Committed<Event>) -> Applied {
        let sequence = event.position().sequence;
        match event.event() {
            Event::TaskStarted(started) => too_late(self.start(started, sequence)),
            Event::TaskEnded(e) => too_late(self.close(e.task, Reason::TaskEnded)),
            Event::TaskLapsed(e) => too_late(self.close(e.task, Reason::TaskLapsed)),
            Event::TokenIssued(record) => too_late(self.issue(record, sequence)),
            Event::TokenUsed(e) => too_late(self.spend(e.jti, e.at)),
            Event::Revoked(e) => {
                let until = e.until.map_or(u64::MAX, |until| until.sequence);
                e.targets.iter().for_each(|target| self.raise(*target, until.min(sequence - 1)));
                Applied::Done
            }
            Event::RegistryActivated(e) => {
                e.removed.iter().for_each(|target| self.raise(*target, sequence - 1));
                Applied::Done
            }
            Event::KeyRetired(e) => {
                self.retired.insert(e.kid);
                self.raise(Target::SigningKey(e.kid), sequence - 1);
                Applied::Done
            }
            _ => Applied::Done,
        }
    }

    fn raise(&mut self, target: Target, watermark: u64) {
        let entry = self.watermarks.entry(target).or_insert(watermark);
        *entry = watermark.max(*entry);
    }

    fn start(&mut self, started: &TaskStarted, sequence: u64) -> Result<Applied, Reason> {
        if let Some(parent) = started.parent {
            self.task(parent).ok_or(Reason::TaskNotFound)??;
            if self.chain(parent).len() >= TASK_DEPTH_MAX {
                return Err(Reason::ChainTooLong);
            }
        }
        let decided = started.decided_at.sequence.min(sequence - 1);
        if self.is_covered(&levels_of_task(started), decided) {
            return Err(Reason::TaskRevoked);
        }
        self.tasks.insert(started.task, (started.clone(), decided, None));
        Ok(Applied::Started)
    }

    fn close(&mut self, task: TaskId, reason: Reason) -> Result<Applied, Reason> {
        self.task(task).ok_or(Reason::TaskNotFound)??;
        self.tasks.get_mut(&task).expect("it is alive").2 = Some(reason);
        Ok(Applied::Ended)
    }

    fn issue(&mut self, record: &IssueRecord, sequence: u64) -> Result<Applied, Reason> {
        if self.tokens.contains_key(&record.jti) {
            return Err(Reason::TokenIdRepeated);
        }
        if !self.tasks.contains_key(&record.task()) {
            return Err(Reason::TaskNotFound);
        }
        let decided = record.decided_at.sequence.min(sequence - 1);
        if self.is_covered(&levels_of_token(record), decided) || self.retired.contains(&record.kid) {
            return Err(Reason::TokenRevoked);
        }
        self.task(record.task()).expect("it is known")?;
        self.tokens.insert(record.jti, (record.clone(), decided, record.uses_max));
        Ok(Applied::Issued(Live::assertion(record.clone())))
    }

    fn spend(&mut self, jti: TokenId, at: Timestamp) -> Result<Applied, Reason> {
        self.token(jti, at).ok_or(Reason::TokenUnknown)??;
        let left = &mut self.tokens.get_mut(&jti).expect("it is alive").2;
        *left = left.map(|left| left - 1);
        Ok(Applied::Used { left: left.unwrap_or(u32::MAX) })
    }

    fn is_covered(&self, levels: &[Target], decided: u64) -> bool {
        levels.iter().any(|level| self.watermarks.get(level).is_some_and(|watermark| decided <= *watermark))
    }

    /// The tasks from `task` up to the root.
    pub(super) fn chain(&self, task: TaskId) -> Vec<TaskId> {
        let mut chain = vec![task];
        while let Some(parent) =
            self.tasks.get(&chain[chain.len() - 1]).and_then(|(started, _, _)| started.parent)
        {
            chain.push(parent);
        }
        chain
    }

    pub(super) fn task(&self, task: TaskId) -> Option<Result<(), Reason>> {
        self.tasks.get(&task)?;
        let dead = self.chain(task).into_iter().find_map(|link| {
            let (started, decided, closed) = &self.tasks[&link];
            let revoked = self.is_covered(&levels_of_task(started), *decided);
            closed.or(revoked.then_some(Reason::TaskRevoked))
        });
        Some(dead.map_or(Ok(()), Err))
    }

    /// None when it was never entered; the uses left of a live one.
    pub(super) fn token(&self, jti: TokenId, now: Timestamp) -> Option<Result<Option<u32>, Reason>> {
        let (record, decided, left) = self.tokens.get(&jti)?;
        let answer = if now >= record.expires_at {
            Err(Reason::TokenExpired)
        } else if self.is_covered(&levels_of_token(record), *decided) {
            Err(Reason::TokenRevoked)
        } else if let Some(Err(reason)) = self.task(record.task()) {
            Err(reason)
        } else if *left == Some(0) {
            Err(Reason::TokenSpent)
        } else {
            Ok(*left)
        };
        Some(answer)
    }

    pub(super) fn watermark(&self, target: Target) -> Option<Position> {
        self.watermarks.get(&target).map(|sequence| super::samples::at(*sequence))
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &IssueRecord> {
        self.tokens.values().map(|(record, _, _)| record)
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskId> {
        self.tasks.keys().copied()
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        self.watermarks.keys().copied()
    }
}

fn too_late(result: Result<Applied, Reason>) -> Applied {
    result.unwrap_or_else(Applied::TooLate)
}

fn levels_of_task(started: &TaskStarted) -> Vec<Target> {
    let mut levels = vec![
        Target::Task(started.task),
        Target::Tenant(started.tenant),
        Target::Workload(started.workload),
        Target::Owner(started.owner),
        Target::Subject(started.subject_key),
    ];
    levels.extend(started.model.map(Target::Model));
    for connector in &started.connectors {
        levels.extend([Target::Connector(connector.number), Target::Owner(connector.owner)]);
    }
    levels
}

fn levels_of_token(record: &IssueRecord) -> Vec<Target> {
    let standing = &record.standing;
    let mut levels = vec![
        Target::Token(record.jti),
        Target::Subject(record.subject_key),
        Target::Tenant(standing.tenant),
        Target::Connector(standing.connector),
        Target::Owner(standing.connector_owner),
        Target::PolicyRevision(standing.policy_revision),
        Target::SigningKey(record.kid),
    ];
    levels.extend(record.tasks.iter().map(|task| Target::Task(*task)));
    for actor in &standing.actors {
        levels.extend([Target::Workload(actor.workload), Target::Owner(actor.owner)]);
        levels.extend(actor.model.map(Target::Model));
    }
    levels
}
