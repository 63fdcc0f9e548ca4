//! [`OwnPart`]: what is kept of a token's record, and the record made of it again.
//!
//! | kept | what |
//! |---|---|
//! | for each token | its id, its task, when it was decided and after which event |
//! | once for all tokens of the same [`Grant`] | its scope and the key that it is bound to |
//! | once for all tokens that are [`Alike`] | everything else, as the record of the first one |
//!
//! Its end, its chain of tasks and its request id are known to whoever asks.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use locum_model::issue_record::RequestKey;
use locum_model::{
    Confirmation, IssueRecord, KeyId, Position, RegistryRevision, Resources, Scope, SpiffeId, Standing,
    SubjectKey, TaskId, Timestamp, TokenId,
};

use super::keyed_request::Whose;
use super::once::Once;

/// Grants that are compared with before any is written as text.
const RECENT: usize = 1 << 8;

/// What one record has of its own.
#[derive(Debug)]
pub(super) struct OwnPart {
    pub jti: TokenId,
    pub task: TaskId,
    at: Timestamp,
    /// The sequence of its `decided_at`.
    decided_after: u64,
    grant: Arc<Grant>,
}

/// What records have in common, as long as there is one of them.
#[derive(Debug, Default)]
pub(super) struct Common {
    alike: Once<Alike>,
    grants: Once<Grant>,
    /// Grants of late, with their scopes: the next record often has the same, and to compare is less than to write.
    recent: Recent,
}

/// One for each of [`RECENT`] remainders of workload and connector.
#[derive(Debug)]
struct Recent(Box<[Option<Granted>]>);

/// A grant, and its scope as records have it.
type Granted = (Scope, Arc<Grant>);

/// What a token may do and with which key. It can be another for each token, so it has to be small.
#[derive(Debug)]
struct Grant {
    /// As [`Scope::written`].
    scope: Box<str>,
    confirmation: Option<Confirmation>,
    alike: Arc<Alike>,
}

/// A record for all that are like it: those of one workload, connector, key and policy.
#[derive(Debug)]
struct Alike(Arc<IssueRecord>);

// === impl Common ===

impl Common {
    /// The part of a record; none where [`OwnPart::record`] would make another of it.
    pub(super) fn part(&mut self, record: &Arc<IssueRecord>) -> Option<OwnPart> {
        let grant = self.grant(record)?;
        let IssueRecord { jti, at, decided_at, .. } = **record;
        Some(OwnPart { jti, task: record.task(), at, decided_after: decided_at.sequence, grant })
    }

    fn grant(&mut self, record: &Arc<IssueRecord>) -> Option<Arc<Grant>> {
        let like = Alike(Arc::clone(record));
        if let Some((scope, grant)) = self.recent.of(record)
            && *scope == record.scope
            && grant.confirmation == record.confirmation
            && *grant.alike == like
        {
            return Some(Arc::clone(grant));
        }
        let grant = self.grant_written(like, record)?;
        *self.recent.of(record) = Some((record.scope.clone(), Arc::clone(&grant)));
        Some(grant)
    }

    fn grant_written(&mut self, like: Alike, record: &IssueRecord) -> Option<Arc<Grant>> {
        let scope = written(&record.scope)?;
        let alike = self.alike.get_or_put(like);
        let grant = Grant { scope, confirmation: record.confirmation, alike };
        if let Some(known) = self.grants.get(&grant) {
            return Some(known);
        }
        if grant.scope.parse::<Scope>().as_ref() == Ok(&record.scope) {
            return Some(self.grants.get_or_put(grant));
        }
        self.alike.forget_if_last(&grant.alike, 1);
        None
    }

    /// What a part shared with others goes with the last of them.
    pub(super) fn give_back(&mut self, part: OwnPart) {
        let OwnPart { grant, .. } = part;
        let recent = self.recent.of(&grant.alike.0);
        let is_recent = recent.as_ref().is_some_and(|(_, recent)| Arc::ptr_eq(recent, &grant));
        // The part's, and that of late.
        let own = 1 + usize::from(is_recent);
        if !self.grants.forget_if_last(&grant, own) {
            return;
        }
        if is_recent {
            *recent = None;
        }
        // The grant's.
        self.alike.forget_if_last(&grant.alike, 1);
    }
}

#[cfg(test)]
impl Common {
    pub(super) fn is_empty(&self) -> bool {
        self.recent.0.iter().all(Option::is_none) && self.alike.is_empty() && self.grants.is_empty()
    }
}

/// A scope as a text that no other scope has; none for one that names no resource: its text would be that of all.
fn written(scope: &Scope) -> Option<Box<str>> {
    let none = |on: &Resources| matches!(on, Resources::Only(patterns) if patterns.is_empty());
    (!scope.grants().any(|(_, on)| none(on))).then(|| scope.written().into())
}

// === impl Recent ===

impl Default for Recent {
    fn default() -> Self {
        Self((0..RECENT).map(|_| None).collect())
    }
}

impl Recent {
    /// The place of a record's grant.
    fn of(&mut self, record: &IssueRecord) -> &mut Option<Granted> {
        let Standing { actors, connector, .. } = &record.standing;
        let workload = actors.last().map_or(0, |actor| actor.workload.0);
        &mut self.0[workload.wrapping_mul(31).wrapping_add(connector.0) as usize % RECENT]
    }
}

// === impl OwnPart ===

impl OwnPart {
    /// Whose the request was.
    pub(super) fn whose(&self) -> Whose {
        let standing = &self.grant.alike.0.standing;
        let workload = standing.actors.last().expect("an issue record has an actor").workload;
        Whose { tenant: standing.tenant, workload, task: Some(self.task) }
    }

    /// The record, given its end, its chain of tasks, and the request that it answered.
    pub(super) fn record(&self, expires_at: Timestamp, tasks: Vec<TaskId>, key: &RequestKey) -> IssueRecord {
        let Grant { scope, confirmation, alike } = &*self.grant;
        let (issued, not_before) = offsets(&alike.0);
        let issued_at = later(self.at.floor_to_second(), issued);
        IssueRecord {
            jti: self.jti,
            tasks,
            scope: scope.parse().expect("it was read back before it was kept"),
            at: self.at,
            issued_at,
            not_before: later(issued_at, not_before),
            expires_at,
            confirmation: *confirmation,
            decided_at: Position { sequence: self.decided_after, ..alike.0.decided_at },
            request: Some(key.clone()),
            ..IssueRecord::clone(&alike.0)
        }
    }
}

/// How far a token's times lie apart, in milliseconds; with the constants of one version, always as far.
fn offsets(record: &IssueRecord) -> (i64, i64) {
    let from = |time: Timestamp, start: Timestamp| time.as_millis().wrapping_sub(start.as_millis());
    (from(record.issued_at, record.at.floor_to_second()), from(record.not_before, record.issued_at))
}

fn later(time: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis().wrapping_add(millis))
}

// === impl Alike, Grant ===

/// What is the same in all that are alike.
type Likeness<'a> = (
    &'a Standing,
    (&'a str, SubjectKey),
    &'a SpiffeId,
    &'a str,
    (i64, i64),
    Option<u32>,
    KeyId,
    RegistryRevision,
    &'a [String],
    (u16, u32),
);

impl Alike {
    /// INVARIANT: what is not in here is what `OwnPart::record` sets. Every field is named, so that a new one does not compile before it
    /// is put on one side.
    fn likeness(&self) -> Likeness<'_> {
        let IssueRecord {
            standing,
            subject,
            subject_key,
            client_id,
            audience,
            uses_max,
            kid,
            decided_at: Position { home, epoch, sequence: _ },
            registry_revision,
            policies,
            // As `offsets`.
            issued_at: _,
            not_before: _,
            // Of the grant.
            scope: _,
            confirmation: _,
            // What is own, or known to whoever asks.
            jti: _,
            tasks: _,
            at: _,
            expires_at: _,
            request: _,
        } = &*self.0;
        let (subject, times, decided) = ((&**subject, *subject_key), offsets(&self.0), (*home, *epoch));
        (
            standing,
            subject,
            client_id,
            audience,
            times,
            *uses_max,
            *kid,
            *registry_revision,
            policies,
            decided,
        )
    }
}

impl PartialEq for Alike {
    fn eq(&self, other: &Self) -> bool {
        self.likeness() == other.likeness()
    }
}

impl Eq for Alike {}

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.likeness().hash(state);
    }
}

/// INVARIANT: what is alike is kept once, so that its address stands for it.
impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        let Self { scope, confirmation, alike } = self;
        *scope == other.scope && *confirmation == other.confirmation && Arc::ptr_eq(alike, &other.alike)
    }
}

impl Eq for Grant {}

impl Hash for Grant {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.scope, self.confirmation, Arc::as_ptr(&self.alike)).hash(state);
    }
}
