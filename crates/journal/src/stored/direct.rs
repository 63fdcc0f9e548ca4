//! The two events that a journal is made of nearly alone, straight from their bytes: a token's record and a
//! task's beginning.
//!
//! A start decodes millions of them, each much like the one before. So each is written over an earlier one
//! of its kind: texts, scopes and lists that are the same stay where they are, and neither the generated form nor a copy of them
//! is made. `None` means that something does not stand as this version writes it, damage included: the
//! generated form then decides, so that this never understands anything that it does not, nor otherwise.

use std::time::Duration;

use locum_model::event::{Commitment, NamedConnector, TaskStarted};
use locum_model::issue_record::RequestKey;
use locum_model::{
    Actor, Confirmation, ConnectorNo, Grant, IssueRecord, KeyId, ModelNo, OwnerNo, PolicyRevision, Position,
    RegistryRevision, ResourcePattern, Resources, Scope, SpiffeId, Standing, SubjectKey, TaskId, TenantNo,
    Timestamp, TokenId, WorkloadNo,
};

use super::wire::Wire;

/// The field of [`super::form::Event`] that a beginning stands in, and that of a record.
const TASK_STARTED: u32 = 6;
const TOKEN_ISSUED: u32 = 9;

/// One of the two, not read yet.
pub(super) enum Plain<'a> {
    TaskStarted(Wire<'a>),
    TokenIssued(Wire<'a>),
}

/// What an event's bytes hold, where it is one of the two.
pub(super) fn plain(event: &[u8]) -> Option<Plain<'_>> {
    let mut wire = Wire::of(event);
    let plain = match wire.message(TOKEN_ISSUED) {
        Some(record) => Plain::TokenIssued(record),
        None => Plain::TaskStarted(wire.message(TASK_STARTED)?),
    };
    wire.end()?;
    Some(plain)
}

/// Writes a record over another one. After `None` that one is of no use any more.
pub(super) fn token_issued(mut wire: Wire<'_>, record: &mut IssueRecord) -> Option<()> {
    record.jti = TokenId(wire.array(1)?);
    let (tasks, []) = wire.delimited(2)??.as_chunks() else { return None };
    record.tasks.clear();
    record.tasks.extend(tasks.iter().map(|task| TaskId::from_u64(u64::from_le_bytes(*task))));
    if record.tasks.is_empty() {
        return None;
    }
    standing(wire.message(3)?, &mut record.standing)?;
    text(wire.text(4)?, &mut record.subject);
    record.subject_key = SubjectKey(wire.array(5)?);
    spiffe_id(wire.text(6)?, &mut record.client_id)?;
    text(wire.text(7)?, &mut record.audience);
    scope(wire.message(8)?, &mut record.scope)?;
    record.issued_at = Timestamp::from_millis(wire.signed(9)?);
    record.not_before = Timestamp::from_millis(wire.signed(10)?);
    record.expires_at = Timestamp::from_millis(wire.signed(11)?);
    record.uses_max = wire.number_if_any(12)?;
    record.confirmation = match wire.delimited(13)? {
        Some(hash) => Some(Confirmation::Certificate(hash.try_into().ok()?)),
        None => match wire.delimited(14)? {
            Some(thumbprint) => Some(Confirmation::Key(thumbprint.try_into().ok()?)),
            None => None,
        },
    };
    record.kid = KeyId(wire.array(15)?);
    record.decided_at = position(wire.message(16)?)?;
    record.registry_revision = RegistryRevision(wire.number(17)?);
    texts(&mut wire, 18, &mut record.policies)?;
    record.request = request(&mut wire, 19)?;
    record.at = Timestamp::from_millis(wire.signed(20)?);
    wire.end()
}

/// Writes a beginning over another one. After `None` that one is of no use any more.
pub(super) fn task_started(mut wire: Wire<'_>, started: &mut TaskStarted) -> Option<()> {
    started.task = TaskId::from_u64(wire.fixed_if_any(1)?.unwrap_or(0));
    started.parent = wire.fixed_if_any(2)?.map(TaskId::from_u64);
    started.tenant = TenantNo(wire.number(3)?);
    started.workload = WorkloadNo(wire.number(4)?);
    spiffe_id(wire.text(5)?, &mut started.workload_identity)?;
    started.owner = OwnerNo(wire.number(6)?);
    started.model = wire.number_if_any(7)?.map(ModelNo);
    text(wire.text(8)?, &mut started.subject);
    started.subject_key = SubjectKey(wire.array(9)?);
    let purpose = wire.text(10)?;
    if started.intent.purpose.as_str() != purpose {
        started.intent.purpose = purpose.parse().ok()?;
    }
    scope(wire.message(11)?, &mut started.intent.scope)?;
    started.connectors.clear();
    while let Some(mut named) = wire.message(12) {
        let (number, owner) = (ConnectorNo(named.number(1)?), OwnerNo(named.number(2)?));
        named.end()?;
        started.connectors.push(NamedConnector { number, owner });
    }
    started.justification = match wire.message(13) {
        Some(mut said) => {
            let commitment = Commitment { salt: said.array(1)?, digest: said.array(2)? };
            said.end()?;
            Some(commitment)
        }
        None => None,
    };
    started.holder = wire.array(14)?;
    started.deadline = Timestamp::from_millis(wire.signed(15)?);
    started.lease = span(wire.message(16)?)?;
    started.decided_at = position(wire.message(17)?)?;
    started.policy_revision = PolicyRevision(wire.number(18)?);
    started.registry_revision = RegistryRevision(wire.number(19)?);
    texts(&mut wire, 20, &mut started.policies)?;
    started.request = request(&mut wire, 21)?;
    started.at = Timestamp::from_millis(wire.signed(22)?);
    wire.end()
}

// === pieces: what is the same stays ===

fn text(text: &str, into: &mut String) {
    if into != text {
        text.clone_into(into);
    }
}

fn texts(wire: &mut Wire<'_>, field: u32, into: &mut Vec<String>) -> Option<()> {
    let mut count = 0;
    while let Some(bytes) = wire.delimited(field)? {
        let given = str::from_utf8(bytes).ok()?;
        match into.get_mut(count) {
            Some(before) => text(given, before),
            None => into.push(given.to_owned()),
        }
        count += 1;
    }
    into.truncate(count);
    Some(())
}

fn spiffe_id(text: &str, into: &mut SpiffeId) -> Option<()> {
    if into.as_str() != text {
        *into = text.parse().ok()?;
    }
    Some(())
}

fn standing(mut wire: Wire<'_>, into: &mut Standing) -> Option<()> {
    into.actors.clear();
    while let Some(mut actor) = wire.message(1) {
        let (workload, owner) = (WorkloadNo(actor.number(1)?), OwnerNo(actor.number(2)?));
        let model = actor.number_if_any(3)?.map(ModelNo);
        actor.end()?;
        into.actors.push(Actor { workload, owner, model });
    }
    into.tenant = TenantNo(wire.number(2)?);
    into.connector = ConnectorNo(wire.number(3)?);
    into.connector_owner = OwnerNo(wire.number(4)?);
    into.policy_revision = PolicyRevision(wire.number(5)?);
    wire.end()?;
    (!into.actors.is_empty()).then_some(())
}

fn position(mut wire: Wire<'_>) -> Option<Position> {
    let home = u16::try_from(wire.number(1)?).ok()?;
    let (epoch, sequence) = (wire.number(2)?, wire.integer(3)?);
    wire.end()?;
    Some(Position { home, epoch, sequence })
}

fn span(mut wire: Wire<'_>) -> Option<Duration> {
    let (seconds, nanos) = (wire.integer(1)?, wire.number(2)?);
    wire.end()?;
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

fn request(wire: &mut Wire<'_>, field: u32) -> Option<Option<RequestKey>> {
    let Some(bytes) = wire.delimited(field)? else { return Some(None) };
    let mut wire = Wire::of(bytes);
    let (id, hash) = (wire.text(1)?.to_owned(), wire.array(2)?);
    wire.end()?;
    Some(Some(RequestKey { id, hash }))
}

fn scope(wire: Wire<'_>, into: &mut Scope) -> Option<()> {
    if is_scope(wire, into).is_none() {
        *into = new_scope(wire)?;
    }
    Some(())
}

/// Whether a stored scope is this one.
fn is_scope(mut wire: Wire<'_>, scope: &Scope) -> Option<()> {
    for (operation, resources) in scope.grants() {
        let mut line = wire.message(1)?;
        let action = line.text(1)?.strip_prefix(operation.connector.as_str())?.strip_prefix(':')?;
        let is_same = action == operation.action.as_str()
            && match resources {
                Resources::All => line.message(2)?.end().is_some(),
                Resources::Only(patterns) => {
                    let mut only = line.message(3)?;
                    patterns.iter().all(|pattern| only.text(1) == Some(pattern.as_str()))
                        && only.end().is_some()
                }
            };
        if !is_same {
            return None;
        }
        line.end()?;
    }
    wire.end()
}

fn new_scope(mut wire: Wire<'_>) -> Option<Scope> {
    let mut grants = Vec::new();
    while let Some(mut line) = wire.message(1) {
        let operation = line.text(1)?.parse().ok()?;
        let resources = match line.message(2) {
            Some(all) => {
                all.end()?;
                Resources::All
            }
            None => Resources::Only(new_patterns(line.message(3)?)?),
        };
        line.end()?;
        grants.push(Grant { operation, resources });
    }
    wire.end()?;
    Scope::of(grants).ok()
}

fn new_patterns(mut wire: Wire<'_>) -> Option<std::collections::BTreeSet<ResourcePattern>> {
    let mut patterns = std::collections::BTreeSet::new();
    while let Some(pattern) = wire.delimited(1)? {
        if !patterns.insert(str::from_utf8(pattern).ok()?.parse().ok()?) {
            return None;
        }
    }
    wire.end()?;
    Some(patterns)
}
