//! Frames to bytes. Total: every frame has one encoding, and the same frame the same bytes.

use locum_model::KeyId;
use locum_model::feed::{Acknowledgement, Body, Entry, Frame, Key, SnapshotEnd};
use prost::Message as _;

use super::{SIGNING_CONTEXT, VERSION};
use crate::broker::v1 as wire;
use crate::broker::v1::feed_payload::Body as WireBody;
use crate::convert::key::{algorithm_to_wire, purpose_to_wire};
use crate::convert::time::{duration_to_wire, timestamp_to_wire};

/// The payload of a frame: the bytes that are signed, hashed and sent.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let payload = wire::FeedPayload {
        version: VERSION,
        issuer: frame.issuer.clone(),
        home: frame.home.into(),
        partition: frame.partition.0,
        epoch: frame.epoch,
        sequence: frame.sequence,
        previous: frame.previous.to_vec(),
        server_time: Some(timestamp_to_wire(frame.server_time)),
        body: Some(body_to_wire(&frame.body)),
    };
    payload.encode_to_vec()
}

/// What a frame's signature is over: `"locum-feed-v1\0"`, then the payload.
pub fn signing_input(payload: &[u8]) -> Vec<u8> {
    [SIGNING_CONTEXT, payload].concat()
}

/// One entry as it is encoded within a frame: what a snapshot's hash is over.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    entry_to_wire(entry).encode_to_vec()
}

/// An acknowledgement as a ping carries it.
pub fn acknowledgement_to_wire(acknowledgement: Acknowledgement) -> wire::FeedAcknowledgement {
    let Acknowledgement { epoch, sequence, head } = acknowledgement;
    wire::FeedAcknowledgement { epoch, sequence, head: head.to_vec() }
}

fn body_to_wire(body: &Body) -> WireBody {
    match body {
        Body::KeySet { number, keys, root } => WireBody::KeySet(wire::FeedKeySet {
            number: *number,
            keys: keys.iter().map(key_to_wire).collect(),
            root: Some(key_to_wire(root)),
        }),
        Body::SnapshotPart { part, end, entries } => WireBody::SnapshotPart(wire::FeedSnapshotPart {
            part: *part,
            last: end.is_some(),
            entries: entries.iter().map(entry_to_wire).collect(),
            count: end.map_or(0, |end| end.count),
            entries_sha256: end.map_or(vec![], |SnapshotEnd { entries_sha256, .. }| entries_sha256.into()),
        }),
        Body::Delta { entries } => {
            WireBody::Delta(wire::FeedDelta { entries: entries.iter().map(entry_to_wire).collect() })
        }
        Body::Heartbeat { nonce, key_set, lease, journal } => WireBody::Heartbeat(wire::FeedHeartbeat {
            nonce: nonce.map_or(vec![], Into::into),
            key_set: *key_set,
            lease: Some(duration_to_wire(*lease)),
            journal_sequence: journal.map_or(0, |head| head.sequence),
            journal_hash: journal.map_or(vec![], |head| head.hash.into()),
        }),
        Body::Reset => WireBody::Reset(wire::FeedReset {}),
    }
}

fn entry_to_wire(entry: &Entry) -> wire::FeedEntry {
    wire::FeedEntry {
        level: entry.level as i32,
        id: entry.id.to_vec(),
        below_sequence: entry.below_sequence,
        drop_after: entry.drop_after.map(timestamp_to_wire),
    }
}

fn key_to_wire(key: &Key) -> wire::FeedKey {
    let KeyId(kid) = key.kid;
    wire::FeedKey {
        kid: kid.to_vec(),
        purpose: purpose_to_wire(key.purpose).into(),
        algorithm: algorithm_to_wire(key.algorithm).into(),
        public_key: key.public_key.clone(),
    }
}
