//! A snapshot is taken whole or not at all: whatever is dropped, swapped, doubled or bent on its way, a verifier
//! that has a lease afterwards knows exactly what was sent.

use std::collections::BTreeSet;

use locum_model::feed::{Body, Entry};
use locum_model::{KeyId, OwnerNo, Target, TaskId, TenantNo, TokenId, WorkloadNo};
use locum_verifier::{Answer, Presented};

use crate::reader::Reader;
use crate::stage::{self, KEYS, Sent, at};

const ENTRIES_MAX: u8 = 24;
const MISHAPS_MAX: u8 = 4;
/// Bytes that are read for one entry.
const ENTRY_BYTES: usize = 3;

/// How many entries, each in three bytes; how many to a part; then mishaps of three bytes each.
pub fn snapshot(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let count = reader.byte() % (ENTRIES_MAX + 1);
    let entries: Vec<Entry> = (0..count).map(|_| entry(reader.take(ENTRY_BYTES))).collect();
    let size = usize::from(reader.byte() % 8) + 1;
    let mut parts = in_parts(&entries, size);
    let mishaps = reader.byte() % (MISHAPS_MAX + 1);
    for _ in 0..mishaps {
        let (kind, one, other) = (reader.byte(), reader.byte(), reader.byte());
        befall(&mut parts, kind, (one.into(), other.into()));
    }
    let verifier = stage::verifier();
    stage::begin(&verifier);
    for part in &parts {
        Sent::signed(&KEYS.feed, stage::payload(part.clone())).to(&verifier, at(0));
    }
    stage::beat(&verifier, 1, at(0));
    let has_lease = verifier.lack(at(0)).is_none();
    assert!(has_lease || mishaps > 0, "a whole snapshot is taken");
    if !has_lease {
        let token = stage::token(200, None);
        let answer = verifier.check(&token, &Presented::default(), at(0));
        assert!(matches!(answer, Answer::Unknown(_)), "without a snapshot nothing is known: {answer:?}");
        return;
    }
    let sent: BTreeSet<_> = entries.iter().map(|entry| (entry.level, entry.id)).collect();
    assert_eq!(verifier.figures(at(0)).watermarks, sent.len(), "exactly what was sent");
    for entry in entries.iter().filter(|entry| entry.below_sequence >= stage::SEQUENCE) {
        for jti in [0, 1, 2, 3].into_iter().filter(|jti| entry.id == [*jti; 16]) {
            if entry.level == Target::Token(TokenId([jti; 16])).level() {
                let answer = verifier.check(&stage::token(jti, None), &Presented::default(), at(0));
                assert!(matches!(answer, Answer::Inactive(_)), "token {jti} is dead: {answer:?}");
            }
        }
    }
}

fn entry(bytes: &[u8]) -> Entry {
    let at = |place: usize| bytes.get(place).copied().unwrap_or(0);
    let (level, id) = (at(0), at(1));
    let number = u32::from(id);
    let target = match level % 6 {
        0 => Target::Token(TokenId([id; 16])),
        1 => Target::Task(TaskId::new(1, u64::from(id) + 100)),
        2 => Target::Workload(WorkloadNo(number + 100)),
        3 => Target::Owner(OwnerNo(number + 100)),
        4 => Target::Tenant(TenantNo(number + 100)),
        _ => Target::SigningKey(KeyId([id; 32])),
    };
    stage::entry(target, stage::SEQUENCE - 2 + u64::from(at(2) % 4))
}

fn in_parts(entries: &[Entry], size: usize) -> Vec<Body> {
    let end = stage::snapshot_end(entries);
    let mut chunks: Vec<Vec<Entry>> = entries.chunks(size).map(<[Entry]>::to_vec).collect();
    if chunks.is_empty() {
        chunks.push(Vec::new());
    }
    let last = chunks.len() - 1;
    let body = |(part, entries): (usize, Vec<Entry>)| Body::SnapshotPart {
        part: u32::try_from(part).expect("a few"),
        end: (part == last).then_some(end),
        entries,
    };
    chunks.into_iter().enumerate().map(body).collect()
}

/// What befalls the parts on their way from a broker that errs: all of it is well signed.
fn befall(parts: &mut Vec<Body>, kind: u8, (one, other): (usize, usize)) {
    if parts.is_empty() {
        return;
    }
    let (one, other) = (one % parts.len(), other % parts.len());
    match kind % 8 {
        0 => drop(parts.remove(one)),
        1 => parts.swap(one, other),
        2 => parts.insert(other, parts[one].clone()),
        kind => {
            let Body::SnapshotPart { part, end, entries } = &mut parts[one] else { return };
            match (kind, end, entries.first_mut()) {
                (3, _, _) => *part ^= 1,
                (4, Some(end), _) => end.count ^= 1,
                (5, Some(end), _) => end.entries_sha256[other % 32] ^= 1,
                (6, _, Some(entry)) => entry.id[other % 16] ^= 1,
                (7, _, Some(entry)) => entry.below_sequence ^= 1,
                (_, end, _) => *end = None,
            }
        }
    }
}

/// Snapshots of several sizes, whole and with each mishap.
pub fn snapshot_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for count in [0, 1, 5, ENTRIES_MAX] {
        let entries: Vec<u8> = (0..count).flat_map(|n| [n, n % 4, n]).collect();
        for size in [0, 2, 7] {
            let whole = [&[count][..], &entries, &[size]].concat();
            seeds.push([&whole[..], &[0]].concat());
            seeds.extend((0..8).map(|kind| [&whole[..], &[1, kind, 0, 1]].concat()));
        }
    }
    seeds
}
