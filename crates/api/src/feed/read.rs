//! Bytes to frames, every field checked.

use std::time::Duration;

#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::event::KeyPurpose;
use locum_model::feed::{Acknowledgement, Body, Entry, Frame, JournalHead, Key, SnapshotEnd};
use locum_model::limits::FEED_ENTRIES_PER_FRAME;
use locum_model::limits::{FEED_KEYS_MAX, FEED_PAYLOAD_BYTES_MAX, ISSUER_BYTES_MAX};
use locum_model::limits::{STALENESS_BOUND_MAX, STALENESS_BOUND_MIN};
use locum_model::registry::Algorithm;
use locum_model::{ConnectorNo, KeyId, Level};
use prost::Message as _;

use super::{NotAFrame, VERSION};
use crate::broker::v1 as wire;
use crate::broker::v1::feed_payload::Body as WireBody;
use crate::convert::id::{SEQUENCE_MAX, bytes_from_wire, optional_bytes_from_wire};
use crate::convert::key::{algorithm_from_wire, purpose_from_wire};
use crate::convert::time::{duration_from_wire, optional_timestamp_from_wire, timestamp_from_wire};
use crate::violation::Malformed;

/// The frame that a payload says. Check its signature first: this judges the form alone.
///
/// # Errors
///
/// [`NotAFrame`] for everything that is not as the contract says or that this version does not know.
pub fn decode(payload: &[u8]) -> Result<Frame, NotAFrame> {
    if payload.len() > FEED_PAYLOAD_BYTES_MAX {
        return Err(NotAFrame::TooLarge(payload.len()));
    }
    let payload = wire::FeedPayload::decode(payload).map_err(NotAFrame::Encoding)?;
    let is_known = payload.version == VERSION;
    #[cfg(bug_zoo)]
    let is_known = is_known || is_planted(Bug::FeedVersionIgnored);
    if !is_known {
        return Err(NotAFrame::Version(payload.version));
    }
    let time = payload.server_time.as_ref().ok_or_else(|| Malformed::of("server_time", "is required"))?;
    let home = u16::try_from(payload.home)
        .map_err(|why| Malformed::of("home", format_args!("does not fit 16 bits: {why}")))?;
    if !(1..=ISSUER_BYTES_MAX).contains(&payload.issuer.len()) {
        return Err(Malformed::of("issuer", format_args!("must be 1 to {ISSUER_BYTES_MAX} bytes")).into());
    }
    Ok(Frame {
        home,
        partition: ConnectorNo(payload.partition),
        epoch: payload.epoch,
        sequence: sequence_from_wire(payload.sequence, "sequence")?,
        previous: bytes_from_wire(&payload.previous, "previous")?,
        server_time: timestamp_from_wire(time, "server_time")?,
        body: body_from_wire(payload.body.as_ref().ok_or(NotAFrame::Body)?)?,
        issuer: payload.issuer,
    })
}

fn body_from_wire(body: &WireBody) -> Result<Body, NotAFrame> {
    match body {
        WireBody::KeySet(set) => key_set_from_wire(set),
        WireBody::SnapshotPart(part) => snapshot_part_from_wire(part),
        WireBody::Delta(delta) if delta.entries.is_empty() => {
            Err(Malformed::of("delta.entries", "must not be empty").into())
        }
        WireBody::Delta(delta) => {
            Ok(Body::Delta { entries: entries_from_wire(&delta.entries, "delta.entries")? })
        }
        WireBody::Heartbeat(beat) => Ok(Body::Heartbeat {
            nonce: optional_bytes_from_wire(&beat.nonce, "heartbeat.nonce")?,
            key_set: beat.key_set,
            lease: lease_from_wire(beat.lease.as_ref(), "heartbeat.lease")?,
            journal: journal_from_wire(beat)?,
        }),
        WireBody::Reset(wire::FeedReset {}) => Ok(Body::Reset),
    }
}

fn journal_from_wire(beat: &wire::FeedHeartbeat) -> Result<Option<JournalHead>, Malformed> {
    let sequence = sequence_from_wire(beat.journal_sequence, "heartbeat.journal_sequence")?;
    let hash = optional_bytes_from_wire(&beat.journal_hash, "heartbeat.journal_hash")?;
    match (hash, sequence) {
        (Some(hash), sequence) => Ok(Some(JournalHead { sequence, hash })),
        (None, 0) => Ok(None),
        (None, _) => Err(Malformed::of("heartbeat.journal_hash", "must go with journal_sequence")),
    }
}

fn snapshot_part_from_wire(part: &wire::FeedSnapshotPart) -> Result<Body, NotAFrame> {
    let digest = optional_bytes_from_wire(&part.entries_sha256, "snapshot_part.entries_sha256")?;
    let end = match (part.last, digest, part.count) {
        (true, Some(entries_sha256), count) => Some(SnapshotEnd { count, entries_sha256 }),
        (false, None, 0) => None,
        _ => return Err(Malformed::of("snapshot_part.last", "must go with count and entries_sha256").into()),
    };
    Ok(Body::SnapshotPart {
        part: part.part,
        end,
        entries: entries_from_wire(&part.entries, "snapshot_part.entries")?,
    })
}

fn entries_from_wire(entries: &[wire::FeedEntry], field: &str) -> Result<Vec<Entry>, NotAFrame> {
    if entries.len() > FEED_ENTRIES_PER_FRAME {
        return Err(Malformed::of(field, format_args!("more than {FEED_ENTRIES_PER_FRAME}")).into());
    }
    #[cfg(bug_zoo)]
    let entries = entries
        .iter()
        .filter(|entry| !is_planted(Bug::FeedLevelIgnored) || level_from_wire(entry.level).is_some());
    #[cfg(not(bug_zoo))]
    let entries = entries.iter();
    entries.map(|entry| entry_from_wire(entry, field)).collect()
}

fn entry_from_wire(entry: &wire::FeedEntry, field: &str) -> Result<Entry, NotAFrame> {
    let level = level_from_wire(entry.level).ok_or(NotAFrame::Level(entry.level))?;
    let drop_after = optional_timestamp_from_wire(entry.drop_after.as_ref(), field)?;
    if (level == Level::SigningKey) != drop_after.is_none() {
        return Err(Malformed::of(field, "drop_after is absent for signing keys and for nothing else").into());
    }
    Ok(Entry {
        level,
        id: bytes_from_wire(&entry.id, field)?,
        below_sequence: entry.below_sequence,
        drop_after,
    })
}

fn key_set_from_wire(set: &wire::FeedKeySet) -> Result<Body, NotAFrame> {
    if set.keys.len() > FEED_KEYS_MAX {
        return Err(Malformed::of("key_set.keys", format_args!("more than {FEED_KEYS_MAX}")).into());
    }
    let keys =
        set.keys.iter().map(|key| key_from_wire(key, "key_set.keys")).collect::<Result<Vec<_>, _>>()?;
    if keys.iter().any(|key| key.purpose == KeyPurpose::KeysetRoot) {
        return Err(Malformed::of("key_set.keys.purpose", "a root stands apart, and is pinned").into());
    }
    let root = set.root.as_ref().ok_or_else(|| Malformed::of("key_set.root", "is required"))?;
    let root = key_from_wire(root, "key_set.root")?;
    if root.purpose != KeyPurpose::KeysetRoot {
        return Err(Malformed::of("key_set.root.purpose", "must be keyset-root").into());
    }
    Ok(Body::KeySet { number: set.number, keys, root })
}

fn key_from_wire(key: &wire::FeedKey, field: &str) -> Result<Key, Malformed> {
    let algorithm = algorithm_from_wire(&key.algorithm, &format!("{field}.algorithm"))?;
    let length = match algorithm {
        Algorithm::Es256 => 65,
        Algorithm::Ed25519 => 32,
    };
    if key.public_key.len() != length {
        return Err(Malformed::of(format!("{field}.public_key"), format_args!("must be {length} bytes")));
    }
    Ok(Key {
        kid: KeyId(bytes_from_wire(&key.kid, format_args!("{field}.kid"))?),
        purpose: purpose_from_wire(&key.purpose, &format!("{field}.purpose"))?,
        algorithm,
        public_key: key.public_key.clone(),
    })
}

/// An acknowledgement as a ping carries it.
///
/// # Errors
///
/// [`Malformed`] for a sequence beyond 48 bits or a head of another length than 32 bytes.
pub fn acknowledgement_from_wire(
    wire: &wire::FeedAcknowledgement,
    field: &str,
) -> Result<Acknowledgement, Malformed> {
    Ok(Acknowledgement {
        epoch: wire.epoch,
        sequence: sequence_from_wire(wire.sequence, &format!("{field}.sequence"))?,
        head: bytes_from_wire(&wire.head, format_args!("{field}.head"))?,
    })
}

/// A lease: whole milliseconds, within the bounds that a connector may say.
fn lease_from_wire(lease: Option<&prost_types::Duration>, field: &str) -> Result<Duration, Malformed> {
    let lease = duration_from_wire(lease.ok_or_else(|| Malformed::of(field, "is required"))?, field)?;
    let is_whole = lease.subsec_nanos() % 1_000_000 == 0;
    if is_whole && (STALENESS_BOUND_MIN..=STALENESS_BOUND_MAX).contains(&lease) {
        return Ok(lease);
    }
    Err(Malformed::of(field, "must be whole milliseconds, 500 ms to 10 min"))
}

/// A sequence of the journal: 48 bits.
fn sequence_from_wire(sequence: u64, field: &str) -> Result<u64, Malformed> {
    if sequence <= SEQUENCE_MAX { Ok(sequence) } else { Err(Malformed::of(field, "does not fit 48 bits")) }
}

/// The level of this number; none for a level of another version.
fn level_from_wire(number: i32) -> Option<Level> {
    Level::ALL.into_iter().find(|level| *level as i32 == number)
}

#[cfg(test)]
mod tests {
    use locum_model::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::feed::{SIGNING_CONTEXT, encode, encode_entry, signing_input};

    fn any_entry() -> impl Strategy<Value = Entry> {
        (0..10_usize, any::<[u8; 16]>(), any::<u64>(), 0..1_i64 << 40).prop_map(
            |(at, id, below_sequence, ms)| {
                let level = Level::ALL[at];
                let drop_after = (level != Level::SigningKey).then(|| Timestamp::from_millis(ms));
                Entry { level, id, below_sequence, drop_after }
            },
        )
    }

    fn any_key() -> impl Strategy<Value = Key> {
        (any::<[u8; 32]>(), any::<bool>(), any::<bool>()).prop_map(|(kid, feed, es256)| Key {
            kid: KeyId(kid),
            purpose: if feed { KeyPurpose::Feed } else { KeyPurpose::Token },
            algorithm: if es256 { Algorithm::Es256 } else { Algorithm::Ed25519 },
            public_key: if es256 { [&[4], &kid[..], &kid[..]].concat() } else { kid.to_vec() },
        })
    }

    fn any_journal() -> impl Strategy<Value = Option<JournalHead>> {
        let head = (0..=SEQUENCE_MAX, any::<[u8; 32]>());
        prop::option::of(head.prop_map(|(sequence, hash)| JournalHead { sequence, hash }))
    }

    fn any_body() -> impl Strategy<Value = Body> {
        let entries = || prop::collection::vec(any_entry(), 0..20);
        let end = prop::option::of((any::<u64>(), any::<[u8; 32]>()));
        let end =
            end.prop_map(|end| end.map(|(count, entries_sha256)| SnapshotEnd { count, entries_sha256 }));
        let key_set = (any::<u64>(), prop::collection::vec(any_key(), 0..5), any_key());
        prop_oneof![
            key_set.prop_map(|(number, keys, root)| {
                Body::KeySet { number, keys, root: Key { purpose: KeyPurpose::KeysetRoot, ..root } }
            }),
            (any::<u32>(), end, entries()).prop_map(|(part, end, entries)| Body::SnapshotPart {
                part,
                end,
                entries
            }),
            prop::collection::vec(any_entry(), 1..20).prop_map(|entries| Body::Delta { entries }),
            (any::<Option<[u8; 16]>>(), any::<u64>(), 500..=600_000_u64, any_journal()).prop_map(
                |(nonce, key_set, lease, journal)| {
                    Body::Heartbeat { nonce, key_set, lease: Duration::from_millis(lease), journal }
                }
            ),
            Just(Body::Reset),
        ]
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let place = (any::<u16>(), any::<u32>(), any::<u32>(), 0..=SEQUENCE_MAX);
        (place, any::<[u8; 32]>(), 0..1_i64 << 40, any_body()).prop_map(|(place, previous, millis, body)| {
            Frame {
                issuer: "https://locum.acme.test".into(),
                home: place.0,
                partition: ConnectorNo(place.1),
                epoch: place.2,
                sequence: place.3,
                previous,
                server_time: Timestamp::from_millis(millis),
                body,
            }
        })
    }

    /// A whole payload, for tests to spoil one field of.
    fn payload(body: Option<WireBody>) -> wire::FeedPayload {
        wire::FeedPayload {
            version: VERSION,
            issuer: "https://locum.acme.test".into(),
            home: 1,
            partition: 2,
            epoch: 3,
            sequence: 4,
            previous: vec![0; 32],
            server_time: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            body,
        }
    }

    fn entry() -> wire::FeedEntry {
        let drop_after = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        wire::FeedEntry { level: 2, id: vec![0; 16], below_sequence: 9, drop_after }
    }

    fn delta(entry: wire::FeedEntry) -> Option<WireBody> {
        Some(WireBody::Delta(wire::FeedDelta { entries: vec![entry] }))
    }

    fn key_set(key: wire::FeedKey) -> Option<WireBody> {
        Some(WireBody::KeySet(wire::FeedKeySet { number: 1, keys: vec![key], root: Some(root()) }))
    }

    fn key() -> wire::FeedKey {
        let (purpose, algorithm) = ("token".into(), "ES256".into());
        wire::FeedKey { kid: vec![1; 32], purpose, algorithm, public_key: vec![4; 65] }
    }

    fn root() -> wire::FeedKey {
        wire::FeedKey { purpose: "keyset-root".into(), ..key() }
    }

    fn beat(nonce: Vec<u8>, lease: Option<(i64, i32)>) -> wire::FeedPayload {
        let lease = lease.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        let beat = wire::FeedHeartbeat { nonce, key_set: 1, lease, ..Default::default() };
        payload(Some(WireBody::Heartbeat(beat)))
    }

    fn beat_at(journal_sequence: u64, hash_bytes: usize) -> wire::FeedPayload {
        let (lease, journal_hash) =
            (Some(prost_types::Duration { seconds: 2, nanos: 0 }), vec![7; hash_bytes]);
        let beat = wire::FeedHeartbeat { lease, journal_sequence, journal_hash, ..Default::default() };
        payload(Some(WireBody::Heartbeat(beat)))
    }

    fn refused(payload: &wire::FeedPayload) -> NotAFrame {
        decode(&payload.encode_to_vec()).expect_err("a spoilt payload")
    }

    #[test]
    fn the_levels_are_those_of_the_contract() {
        for level in Level::ALL {
            let named =
                wire::FeedLevel::try_from(level as i32).expect("a level of the contract").as_str_name();
            let word = level.as_str().to_uppercase().replace('-', "_");
            assert_eq!(named, format!("FEED_LEVEL_{word}"));
        }
        assert!(wire::FeedLevel::try_from(11).is_err(), "a new level needs one in the vocabulary");
    }

    #[test]
    fn what_is_not_known_is_said_so() {
        let reset = || Some(WireBody::Reset(wire::FeedReset {}));
        assert!(decode(&payload(reset()).encode_to_vec()).is_ok());
        for version in [0, 2, u32::MAX] {
            let other = wire::FeedPayload { version, ..payload(reset()) };
            assert_eq!(refused(&other), NotAFrame::Version(version));
        }
        for level in [0, -1, 11, i32::MAX] {
            let other = payload(delta(wire::FeedEntry { level, ..entry() }));
            assert_eq!(refused(&other), NotAFrame::Level(level));
        }
        assert_eq!(refused(&payload(None)), NotAFrame::Body);
        // Field 14 is a body that this version does not know.
        let unknown_body = [payload(None).encode_to_vec(), vec![14 << 3 | 2, 0]].concat();
        assert_eq!(decode(&unknown_body), Err(NotAFrame::Body));
    }

    #[test]
    fn spoilt_payloads_are_refused() {
        let reset = || payload(Some(WireBody::Reset(wire::FeedReset {})));
        let rooted =
            |root| payload(Some(WireBody::KeySet(wire::FeedKeySet { number: 1, keys: vec![key()], root })));
        let part = |last, count, digest| {
            let entries_sha256 = vec![0; digest];
            let part = wire::FeedSnapshotPart { last, count, entries_sha256, ..Default::default() };
            payload(Some(WireBody::SnapshotPart(part)))
        };
        let many = wire::FeedDelta { entries: vec![entry(); FEED_ENTRIES_PER_FRAME + 1] };
        let keys = wire::FeedKeySet { number: 1, keys: vec![key(); FEED_KEYS_MAX + 1], root: Some(root()) };
        let late = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: -1 });
        let spoilt = [
            wire::FeedPayload { issuer: String::new(), ..reset() },
            wire::FeedPayload { issuer: "a".repeat(ISSUER_BYTES_MAX + 1), ..reset() },
            wire::FeedPayload { home: 65_536, ..reset() },
            wire::FeedPayload { previous: vec![], ..reset() },
            wire::FeedPayload { previous: vec![0; 31], ..reset() },
            wire::FeedPayload { server_time: None, ..reset() },
            wire::FeedPayload { server_time: late, ..reset() },
            wire::FeedPayload { sequence: SEQUENCE_MAX + 1, ..reset() },
            beat(vec![0; 15], Some((2, 0))),
            beat(vec![], None),
            beat(vec![], Some((0, 499_000_000))),
            beat(vec![], Some((600, 1_000_000))),
            beat(vec![], Some((2, 1))),
            beat(vec![], Some((-2, 0))),
            beat_at(1, 0),
            beat_at(1, 31),
            beat_at(1, 33),
            beat_at(SEQUENCE_MAX + 1, 32),
            rooted(None),
            rooted(Some(key())),
            rooted(Some(wire::FeedKey { public_key: vec![4; 32], ..root() })),
            payload(Some(WireBody::Delta(wire::FeedDelta { entries: vec![] }))),
            part(true, 1, 0),
            part(true, 1, 31),
            part(false, 1, 0),
            part(false, 0, 32),
            payload(Some(WireBody::Delta(many))),
            payload(Some(WireBody::KeySet(keys))),
            payload(delta(wire::FeedEntry { id: vec![0; 15], ..entry() })),
            payload(delta(wire::FeedEntry { drop_after: None, ..entry() })),
            payload(delta(wire::FeedEntry { drop_after: late, ..entry() })),
            payload(delta(wire::FeedEntry { level: Level::SigningKey as i32, ..entry() })),
            payload(key_set(wire::FeedKey { kid: vec![1; 33], ..key() })),
            payload(key_set(wire::FeedKey { purpose: "keyset-root".into(), ..key() })),
            payload(key_set(wire::FeedKey { algorithm: "none".into(), ..key() })),
            payload(key_set(wire::FeedKey { algorithm: "EdDSA".into(), ..key() })),
            payload(key_set(wire::FeedKey { public_key: vec![4; 64], ..key() })),
        ];
        for (case, payload) in spoilt.iter().enumerate() {
            assert!(matches!(refused(payload), NotAFrame::Malformed(_)), "case {case}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let large = vec![0; FEED_PAYLOAD_BYTES_MAX + 1];
        assert_eq!(decode(&large), Err(NotAFrame::TooLarge(large.len())));
    }

    #[test]
    fn the_largest_frame_fits() {
        let entry = Entry {
            level: Level::PolicyRevision,
            id: [0xff; 16],
            below_sequence: u64::MAX,
            drop_after: Some(Timestamp::from_millis(253_402_300_799_999)),
        };
        let entries = vec![entry; FEED_ENTRIES_PER_FRAME];
        let end = Some(SnapshotEnd { count: u64::MAX, entries_sha256: [0xff; 32] });
        let body = Body::SnapshotPart { part: u32::MAX, end, entries };
        let frame = Frame {
            issuer: "i".repeat(ISSUER_BYTES_MAX),
            home: u16::MAX,
            partition: ConnectorNo(u32::MAX),
            epoch: u32::MAX,
            sequence: SEQUENCE_MAX,
            previous: [0xff; 32],
            server_time: Timestamp::from_millis(253_402_300_799_999),
            body,
        };
        assert_eq!(decode(&encode(&frame)), Ok(frame));
    }

    #[test]
    fn the_signing_input_is_context_then_payload() {
        assert_eq!(signing_input(b"payload"), b"locum-feed-v1\0payload");
        assert_eq!(SIGNING_CONTEXT.len(), 14);
    }

    proptest! {
        #[test]
        fn a_frame_survives(frame in any_frame()) {
            let payload = encode(&frame);
            prop_assert_eq!(encode(&frame), payload.clone());
            prop_assert_eq!(decode(&payload), Ok(frame));
        }

        #[test]
        fn an_entry_is_encoded_as_within_its_frame(entry in any_entry()) {
            let alone = encode_entry(&entry);
            let body = Body::Delta { entries: vec![entry] };
            let frame = Frame {
                issuer: "i".into(),
                home: 1,
                partition: ConnectorNo(1),
                epoch: 1,
                sequence: 1,
                previous: [0; 32],
                server_time: Timestamp::from_millis(0),
                body,
            };
            prop_assert!(encode(&frame).windows(alone.len()).any(|window| window == alone));
        }

        #[test]
        fn a_cut_or_random_payload_never_panics(frame in any_frame(), cut in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let payload = encode(&frame);
            let cut = cut.index(payload.len());
            prop_assert_ne!(decode(&payload[..cut]), Ok(frame));
            let _ = decode(&noise);
        }
    }
}
