//! What a token's record and a task's beginning have of their own, beside an exemplar ([`super::brief`]).
//!
//! Integers are varints; signed ones, zigzag, are distances, which wrap around. Ids and hashes are their bytes,
//! tasks 8 of them. Every field stands, in this order:
//!
//! | a record | a beginning |
//! |---|---|
//! | `jti`; number of tasks, and the tasks | task; parent |
//! | `at`, from the exemplar's | `at`, from the exemplar's |
//! | `issued_at`, `not_before`, `expires_at`, each from `at` | deadline, from `at` |
//! | sequence of the decision, from the exemplar's | the same |
//! | subject and its number, or the exemplar's | the same |
//! | confirmation | justification; holder |
//! | request | the same |
//!
//! Before what may be absent, or the exemplar's, stands a byte that says which.

use std::time::Duration;

use locum_model::event::{Commitment, NamedConnector, TaskStarted};
use locum_model::issue_record::RequestKey;
use locum_model::{
    Confirmation, Intent, IssueRecord, KeyId, ModelNo, Name, OwnerNo, PolicyRevision, Position,
    RegistryRevision, Scope, SpiffeId, Standing, SubjectKey, TaskId, TenantNo, Timestamp, TokenId,
    WorkloadNo,
};
use prost::encoding::encode_varint;

use super::brief::Brief;
use super::wire::Wire;

/// Nothing stands, or the exemplar's holds.
const NOTHING: u8 = 0;
/// Something stands.
const SOMETHING: u8 = 1;
/// The kinds of a confirmation.
const AS_THE_EXEMPLAR: u8 = 1;
const CERTIFICATE: u8 = 2;
const KEY: u8 = 3;

impl Brief for IssueRecord {
    const KIND: u8 = 1;
    type Likeness<'a> = (
        &'a Standing,
        &'a SpiffeId,
        &'a str,
        &'a Scope,
        Option<u32>,
        &'a KeyId,
        RegistryRevision,
        &'a [String],
        (u16, u32),
    );

    fn likeness(&self) -> Self::Likeness<'_> {
        let Self {
            standing,
            client_id,
            audience,
            scope,
            uses_max,
            kid,
            decided_at: Position { home, epoch, sequence: _ },
            registry_revision,
            policies,
            // What is own.
            jti: _,
            tasks: _,
            subject: _,
            subject_key: _,
            at: _,
            issued_at: _,
            not_before: _,
            expires_at: _,
            confirmation: _,
            request: _,
        } = self;
        let decided = (*home, *epoch);
        (standing, client_id, audience, scope, *uses_max, kid, *registry_revision, policies, decided)
    }

    fn write_own(&self, exemplar: &Self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.jti.0);
        encode_varint(self.tasks.len() as u64, buffer);
        self.tasks.iter().for_each(|task| put_task(*task, buffer));
        put_time(self.at, exemplar.at, buffer);
        for time in [self.issued_at, self.not_before, self.expires_at] {
            put_time(time, self.at, buffer);
        }
        put_sequence(self.decided_at, exemplar.decided_at, buffer);
        put_subject((&self.subject, self.subject_key), (&exemplar.subject, exemplar.subject_key), buffer);
        match self.confirmation {
            None => buffer.push(NOTHING),
            Some(same) if exemplar.confirmation == Some(same) => buffer.push(AS_THE_EXEMPLAR),
            Some(Confirmation::Certificate(hash)) => put_kind(CERTIFICATE, &hash, buffer),
            Some(Confirmation::Key(thumbprint)) => put_kind(KEY, &thumbprint, buffer),
        }
        put_request(self.request.as_ref(), buffer);
    }

    fn read_own(&mut self, exemplar: &Self, own: &mut Wire<'_>) -> Option<()> {
        // What is not written here is what all of the exemplar's likeness have.
        let Self {
            jti,
            tasks,
            standing: _,
            subject,
            subject_key,
            client_id: _,
            audience: _,
            scope: _,
            at,
            issued_at,
            not_before,
            expires_at,
            uses_max: _,
            confirmation,
            kid: _,
            decided_at,
            registry_revision: _,
            policies: _,
            request,
        } = self;
        *jti = TokenId(own.bare_array()?);
        take_tasks(own, tasks)?;
        *at = take_time(own, exemplar.at)?;
        *issued_at = take_time(own, *at)?;
        *not_before = take_time(own, *at)?;
        *expires_at = take_time(own, *at)?;
        *decided_at = take_sequence(own, exemplar.decided_at)?;
        take_subject(own, (&exemplar.subject, exemplar.subject_key), (subject, subject_key))?;
        *confirmation = match own.byte()? {
            NOTHING => None,
            AS_THE_EXEMPLAR => Some(exemplar.confirmation?),
            CERTIFICATE => Some(Confirmation::Certificate(own.bare_array()?)),
            KEY => Some(Confirmation::Key(own.bare_array()?)),
            _ => return None,
        };
        *request = take_request(own)?;
        Some(())
    }
}

impl Brief for TaskStarted {
    const KIND: u8 = 2;
    type Likeness<'a> = (
        (TenantNo, WorkloadNo, OwnerNo, Option<ModelNo>),
        &'a SpiffeId,
        &'a Name,
        &'a Scope,
        &'a [NamedConnector],
        Duration,
        (PolicyRevision, RegistryRevision),
        &'a [String],
        (u16, u32),
    );

    fn likeness(&self) -> Self::Likeness<'_> {
        let Self {
            tenant,
            workload,
            workload_identity,
            owner,
            model,
            intent: Intent { purpose, scope },
            connectors,
            lease,
            decided_at: Position { home, epoch, sequence: _ },
            policy_revision,
            registry_revision,
            policies,
            // What is own.
            task: _,
            parent: _,
            subject: _,
            subject_key: _,
            justification: _,
            holder: _,
            deadline: _,
            request: _,
            at: _,
        } = self;
        let revisions = (*policy_revision, *registry_revision);
        let decided = (*home, *epoch);
        let who = (*tenant, *workload, *owner, *model);
        (who, workload_identity, purpose, scope, connectors, *lease, revisions, policies, decided)
    }

    fn write_own(&self, exemplar: &Self, buffer: &mut Vec<u8>) {
        put_task(self.task, buffer);
        match self.parent {
            None => buffer.push(NOTHING),
            Some(parent) => put_kind(SOMETHING, &parent.as_u64().to_le_bytes(), buffer),
        }
        put_time(self.at, exemplar.at, buffer);
        put_time(self.deadline, self.at, buffer);
        put_sequence(self.decided_at, exemplar.decided_at, buffer);
        put_subject((&self.subject, self.subject_key), (&exemplar.subject, exemplar.subject_key), buffer);
        match &self.justification {
            None => buffer.push(NOTHING),
            Some(said) => {
                put_kind(SOMETHING, &said.salt, buffer);
                buffer.extend_from_slice(&said.digest);
            }
        }
        buffer.extend_from_slice(&self.holder);
        put_request(self.request.as_ref(), buffer);
    }

    fn read_own(&mut self, exemplar: &Self, own: &mut Wire<'_>) -> Option<()> {
        // As with records.
        let Self {
            task,
            parent,
            tenant: _,
            workload: _,
            workload_identity: _,
            owner: _,
            model: _,
            subject,
            subject_key,
            intent: _,
            connectors: _,
            justification,
            holder,
            deadline,
            lease: _,
            decided_at,
            policy_revision: _,
            registry_revision: _,
            policies: _,
            request,
            at,
        } = self;
        *task = take_task(own)?;
        *parent = if own.is_something()? { Some(take_task(own)?) } else { None };
        *at = take_time(own, exemplar.at)?;
        *deadline = take_time(own, *at)?;
        *decided_at = take_sequence(own, exemplar.decided_at)?;
        take_subject(own, (&exemplar.subject, exemplar.subject_key), (subject, subject_key))?;
        *justification = if own.is_something()? {
            Some(Commitment { salt: own.bare_array()?, digest: own.bare_array()? })
        } else {
            None
        };
        *holder = own.bare_array()?;
        *request = take_request(own)?;
        Some(())
    }
}

// === pieces ===

impl Wire<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.bare_array().map(|[byte]| byte)
    }

    fn is_something(&mut self) -> Option<bool> {
        match self.byte()? {
            NOTHING => Some(false),
            SOMETHING => Some(true),
            _ => None,
        }
    }

    fn distance(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }
}

fn put_distance(distance: i64, buffer: &mut Vec<u8>) {
    encode_varint(((distance << 1) ^ (distance >> 63)).cast_unsigned(), buffer);
}

fn put_kind(kind: u8, bytes: &[u8], buffer: &mut Vec<u8>) {
    buffer.push(kind);
    buffer.extend_from_slice(bytes);
}

fn put_task(task: TaskId, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&task.as_u64().to_le_bytes());
}

fn take_task(own: &mut Wire<'_>) -> Option<TaskId> {
    own.bare_array().map(|task| TaskId::from_u64(u64::from_le_bytes(task)))
}

/// One at least: [`IssueRecord::task`] rests on it.
fn take_tasks(own: &mut Wire<'_>, into: &mut Vec<TaskId>) -> Option<()> {
    into.clear();
    for _ in 0..own.varint()? {
        into.push(take_task(own)?);
    }
    (!into.is_empty()).then_some(())
}

fn put_time(time: Timestamp, from: Timestamp, buffer: &mut Vec<u8>) {
    put_distance(time.as_millis().wrapping_sub(from.as_millis()), buffer);
}

fn take_time(own: &mut Wire<'_>, from: Timestamp) -> Option<Timestamp> {
    Some(Timestamp::from_millis(from.as_millis().wrapping_add(own.distance()?)))
}

/// Home and epoch are the exemplar's.
fn put_sequence(decided_at: Position, from: Position, buffer: &mut Vec<u8>) {
    put_distance(decided_at.sequence.wrapping_sub(from.sequence).cast_signed(), buffer);
}

fn take_sequence(own: &mut Wire<'_>, from: Position) -> Option<Position> {
    Some(Position { sequence: from.sequence.wrapping_add_signed(own.distance()?), ..from })
}

fn put_subject(subject: (&str, SubjectKey), exemplar: (&str, SubjectKey), buffer: &mut Vec<u8>) {
    if subject == exemplar {
        buffer.push(NOTHING);
    } else {
        put_kind(SOMETHING, &subject.1.0, buffer);
        put_text(subject.0, buffer);
    }
}

fn take_subject(
    own: &mut Wire<'_>,
    exemplar: (&str, SubjectKey),
    into: (&mut String, &mut SubjectKey),
) -> Option<()> {
    let (mut subject, mut key) = exemplar;
    if own.is_something()? {
        key = SubjectKey(own.bare_array()?);
        subject = own.bare_text()?;
    }
    if into.0 != subject {
        subject.clone_into(into.0);
    }
    *into.1 = key;
    Some(())
}

fn put_request(request: Option<&RequestKey>, buffer: &mut Vec<u8>) {
    match request {
        None => buffer.push(NOTHING),
        Some(request) => {
            put_kind(SOMETHING, &request.hash, buffer);
            put_text(&request.id, buffer);
        }
    }
}

fn take_request(own: &mut Wire<'_>) -> Option<Option<RequestKey>> {
    if !own.is_something()? {
        return Some(None);
    }
    let hash = own.bare_array()?;
    Some(Some(RequestKey { id: own.bare_text()?.to_owned(), hash }))
}

fn put_text(text: &str, buffer: &mut Vec<u8>) {
    encode_varint(text.len() as u64, buffer);
    buffer.extend_from_slice(text.as_bytes());
}
