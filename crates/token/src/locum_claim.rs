//! The `locum` claim: a versioned binary of what revocation compares, as base64url in the token.
//!
//! Version 1, all integers big-endian: version u8, flags u8 (1 online-only, 2 single use, 4
//! canary), home u16, epoch u32, decision position u48, tenant u32, connector u32, connector's
//! owner u32, policy revision u32; count u8 and as many actors from root to leaf (workload u32,
//! owner u32, then 0, or 1 and model u32); count u8 and as many task ids from root to leaf (home
//! u16, counter u48). Nothing after it. Another version or an unknown flag is not read at all.

use locum_jose::base64url;
use locum_model::limits::{ACTORS_MAX, TASK_DEPTH_MAX};
use locum_model::standing::Actor;
use locum_model::{
    ConnectorNo, ModelNo, OwnerNo, PolicyRevision, Position, Standing, TaskId, TenantNo, WorkloadNo,
};

use crate::claims::Claims;
use crate::recognised::Rests;

const VERSION: u8 = 1;
const ONLINE_ONLY: u8 = 1;
const SINGLE_USE: u8 = 2;
const CANARY: u8 = 4;

/// What the claim says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocumClaim {
    pub(crate) online_only: bool,
    pub(crate) single_use: bool,
    pub(crate) canary: bool,
    pub(crate) decided_at: Position,
    pub(crate) standing: Standing,
    pub(crate) tasks: Vec<TaskId>,
}

/// The claim's bytes. The claims have been checked: the lists are short and the position fits.
pub(crate) fn encode(claims: &Claims) -> Vec<u8> {
    let flag = |set, bit| if set { bit } else { 0 };
    let (standing, position) = (&claims.standing, claims.decided_at);
    let mut bytes = Vec::with_capacity(160);
    bytes.push(VERSION);
    bytes.push(
        flag(claims.online_only, ONLINE_ONLY)
            | flag(claims.single_use, SINGLE_USE)
            | flag(claims.canary, CANARY),
    );
    bytes.extend(position.home.to_be_bytes());
    bytes.extend(position.epoch.to_be_bytes());
    bytes.extend(&position.sequence.to_be_bytes()[2..]);
    for number in
        [standing.tenant.0, standing.connector.0, standing.connector_owner.0, standing.policy_revision.0]
    {
        bytes.extend(number.to_be_bytes());
    }
    bytes.push(count(standing.actors.len()));
    for actor in &standing.actors {
        bytes.extend(actor.workload.0.to_be_bytes());
        bytes.extend(actor.owner.0.to_be_bytes());
        bytes.push(u8::from(actor.model.is_some()));
        bytes.extend(actor.model.iter().flat_map(|model| model.0.to_be_bytes()));
    }
    bytes.push(count(claims.tasks.len()));
    for task in &claims.tasks {
        bytes.extend(task.as_u64().to_be_bytes());
    }
    bytes
}

/// Bytes of the longest claim: every actor with a model, and as many tasks as there can be.
const BYTES_MAX: usize = 32 + ACTORS_MAX * 13 + TASK_DEPTH_MAX * 8;
/// Bytes before the connector.
const CONNECTOR_AT: usize = 18;

/// What checks ask of a claim that was read in full before.
pub(crate) fn rests(text: &str) -> Option<Rests> {
    let mut bytes = [0; BYTES_MAX];
    let length = base64url::decode_into(text, &mut bytes).ok()?;
    let mut rest = bytes[..length].get(CONNECTOR_AT..)?;
    let connector = ConnectorNo(number(&mut rest)?);
    let (_connector_owner, _policy_revision) = (number(&mut rest)?, number(&mut rest)?);
    let [actors] = take(&mut rest)?;
    (0..actors).try_for_each(|_| actor(&mut rest).map(drop))?;
    let [_count] = take(&mut rest)?;
    let (tasks, []) = rest.as_chunks::<8>() else { return None };
    let id = |task: &[u8; 8]| TaskId::from_u64(u64::from_be_bytes(*task));
    Some(Rests { connector, root: id(tasks.first()?), task: id(tasks.last()?) })
}

/// The claim that `bytes` are, all of them.
pub(crate) fn decode(bytes: &[u8]) -> Option<LocumClaim> {
    let mut rest = bytes;
    let [version, flags] = take(&mut rest)?;
    if version != VERSION || flags & !(ONLINE_ONLY | SINGLE_USE | CANARY) != 0 {
        return None;
    }
    let home = u16::from_be_bytes(take(&mut rest)?);
    let epoch = u32::from_be_bytes(take(&mut rest)?);
    let [a, b, c, d, e, f] = take(&mut rest)?;
    let sequence = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let tenant = TenantNo(number(&mut rest)?);
    let connector = ConnectorNo(number(&mut rest)?);
    let connector_owner = OwnerNo(number(&mut rest)?);
    let policy_revision = PolicyRevision(number(&mut rest)?);
    let actors = list(&mut rest, actor)?;
    let tasks = list(&mut rest, |rest| take(rest).map(|task| TaskId::from_u64(u64::from_be_bytes(task))))?;
    rest.is_empty().then_some(LocumClaim {
        online_only: flags & ONLINE_ONLY != 0,
        single_use: flags & SINGLE_USE != 0,
        canary: flags & CANARY != 0,
        decided_at: Position { home, epoch, sequence },
        standing: Standing { actors, tenant, connector, connector_owner, policy_revision },
        tasks,
    })
}

// === the pieces ===

fn count(length: usize) -> u8 {
    u8::try_from(length).expect("checked claims have short lists")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_be_bytes)
}

fn list<T>(rest: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let [count] = take(rest)?;
    (0..count).map(|_| item(rest)).collect()
}

fn actor(rest: &mut &[u8]) -> Option<Actor> {
    let workload = WorkloadNo(number(rest)?);
    let owner = OwnerNo(number(rest)?);
    let model = match take(rest)? {
        [0] => None,
        [1] => Some(ModelNo(number(rest)?)),
        _ => return None,
    };
    Some(Actor { workload, owner, model })
}

#[cfg(test)]
mod tests;
