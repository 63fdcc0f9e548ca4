//! J3: a damaged, cut or rearranged journal is found; nothing acknowledged is dropped in silence.

use super::*;
use crate::format::segment::SEGMENT_HEADER_BYTES;
use crate::verify;

const LAST: u64 = 34;

/// Segments so small that every byte of three can be damaged in turn.
fn opened(files: &MemoryFiles) -> Result<(Journal, Vec<Committed<Event>>), OpenError> {
    let options = Options { segment_bytes: (SEGMENT_HEADER_BYTES + 2048) as u64, reserve_bytes: 0, home: 1 };
    let mut replayed = Vec::new();
    let journal = open(Arc::new(files.clone()), options, &mut replayed)?;
    Ok((journal, replayed))
}

/// An event of 30 to 130 bytes.
fn event(number: u64) -> Event {
    let reason = "x".repeat((number * 37 % 100) as usize);
    Event::Unlocked(Unlocked { locks: vec![number], reason, by: By::Broker, at: Timestamp::from_seconds(1) })
}

fn events(from: u64, to: u64) -> Vec<Event> {
    (from..=to).map(event).collect()
}

/// A journal of three segments, and all that it holds.
fn small(last_call: fn(&mut Journal)) -> (MemoryFiles, Vec<Committed<Event>>) {
    let files = MemoryFiles::new();
    let (mut journal, _) = opened(&files).expect("opens");
    for from in (1..LAST).step_by(2) {
        journal.writer.append(Lane::Ordinary, events(from, from + 1)).expect("appends");
    }
    last_call(&mut journal);
    let history = history(&journal);
    assert_eq!(names(&files, "segment-").len(), 3);
    (files, history)
}

/// Opening and checking either refuse or find everything.
fn check(files: &MemoryFiles, history: &[Committed<Event>], context: &str) -> (bool, bool) {
    let checked = verify(&files.fork(), &mut |_| {});
    if let Ok(report) = &checked {
        assert_eq!(report.events as usize, history.len(), "checked {context}");
    }
    let opened = opened(files);
    if let Ok((_, replayed)) = &opened {
        assert_eq!(replayed, history, "opened {context}");
    }
    (checked.is_err(), opened.is_err())
}

/// Where the zeros at the end of a file begin.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn flip_every_byte(last_call: fn(&mut Journal)) {
    let (files, history) = small(last_call);
    for name in names(&files, "segment-") {
        let bytes = files.contents(&name).expect("a file");
        let (written, is_newest) = (written(&bytes), names(&files, "segment-").last() == Some(&name));
        for at in 0..bytes.len() {
            // Zeros far from everything are all alike.
            let is_padding = (128..SEGMENT_HEADER_BYTES - 64).contains(&at) || at > written + 128;
            if is_padding && at % 97 != 0 {
                continue;
            }
            let damaged = files.fork();
            let mut bytes = bytes.clone();
            bytes[at] ^= [0x01, 0x80, 0xff, 0x44][at % 4];
            damaged.replace(&name, bytes);
            let (checked, opened) = check(&damaged, &history, &format!("{name} at {at}"));
            if at < written {
                assert!(checked && opened, "{name} at {at}: not found");
            } else {
                // Zeros that mean nothing: found in a segment that is done, cut in the newest one.
                assert_eq!(checked, !is_newest, "{name} at {at}");
            }
        }
    }
}

#[test]
fn every_flipped_byte_of_an_unsealed_journal_is_found() {
    flip_every_byte(|_| {});
}

#[test]
fn every_flipped_byte_of_a_sealed_journal_is_found() {
    flip_every_byte(|journal| journal.writer.seal().expect("seals"));
}

#[test]
fn every_flipped_byte_of_a_snapshot_is_found_or_does_not_matter() {
    let (files, history) = small(|journal| {
        journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    });
    let name = names(&files, "snapshot-").pop().expect("a snapshot");
    let bytes = files.contents(&name).expect("its bytes");
    for at in 0..bytes.len() {
        let damaged = files.fork();
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        damaged.replace(&name, bytes);
        // Opening falls back to the segments, unless it reads as a later format.
        let (checked, _) = check(&damaged, &history, &format!("{name} at {at}"));
        assert!(checked, "{name} at {at}: not found");
    }
}

#[test]
fn every_truncation_is_found_or_cuts_zeros_alone() {
    for last_call in
        [(|_: &mut Journal| {}) as fn(&mut Journal), |journal| journal.writer.seal().expect("seals")]
    {
        let (files, history) = small(last_call);
        for name in names(&files, "segment-") {
            let bytes = files.contents(&name).expect("a file");
            let written = written(&bytes);
            for len in (0..SEGMENT_HEADER_BYTES).step_by(97).chain(SEGMENT_HEADER_BYTES..bytes.len()) {
                let cut = files.fork();
                cut.replace(&name, bytes[..len].to_vec());
                let (checked, opened) = check(&cut, &history, &format!("{name} cut to {len}"));
                assert!(len >= written || (checked && opened), "{name} cut to {len}: not found");
            }
        }
    }
}

#[test]
fn a_missing_file_is_found() {
    let (files, history) = small(|journal| {
        journal.reader.snapshot(&|_| true, Given::default()).expect("a snapshot");
    });
    let segments = names(&files, "segment-");
    for name in &segments {
        let without = files.fork();
        without.remove(name).expect("removes");
        let (checked, _) = check(&without, &history, &format!("without {name}"));
        assert!(checked, "without {name}");
    }
    // What a start needs, it misses: the segment behind the snapshot.
    let without = files.fork();
    without.remove(segments.last().expect("segments")).expect("removes");
    assert!(matches!(flaw(opened(&without).err().expect("refused")), Flaw::Missing));
    let bare = files.fork();
    segments.iter().for_each(|name| bare.remove(name).expect("removes"));
    assert!(matches!(flaw(opened(&bare).err().expect("refused")), Flaw::Missing));
}

#[test]
fn a_segment_of_another_journal_is_found() {
    let (files, history) = small(|_| {});
    let other = MemoryFiles::new();
    let (mut journal, _) = opened(&other).expect("opens");
    for number in 1..=LAST {
        journal.writer.append(Lane::Ordinary, vec![event(number)]).expect("appends");
    }
    let names = names(&files, "segment-");
    for name in &names {
        let mixed = files.fork();
        let from = names.iter().find(|other| *other != name).expect("another");
        mixed.replace(name, files.contents(from).expect("its bytes"));
        assert_eq!(check(&mixed, &history, name), (true, true), "{from} as {name}");
        if let Some(foreign) = other.contents(name) {
            mixed.replace(name, foreign);
            let (checked, _) = check(&mixed, &history, name);
            assert!(checked || name == &names[0], "foreign {name}");
        }
    }
}

#[test]
fn the_sequence_is_named() {
    let (files, _) = small(|_| {});
    let name = names(&files, "segment-").remove(0);
    let mut bytes = files.contents(&name).expect("its bytes");
    // The second batch begins with sequence 3.
    let second =
        bytes.windows(4).enumerate().filter(|(_, window)| window == b"LFRM").nth(1).expect("a frame").0;
    bytes[second + 100] ^= 1;
    files.replace(&name, bytes);
    match opened(&files).err().expect("refused") {
        OpenError::Damaged(damage) => {
            assert_eq!((damage.sequence, damage.offset, &damage.file), (3, second as u64, &name));
            assert!(damage.to_string().contains("sequence 3"), "{damage}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn frames_that_change_places_are_found() {
    let files = MemoryFiles::new();
    let (mut journal, _) = opened(&files).expect("opens");
    for _ in 0..4 {
        journal.writer.append(Lane::Ordinary, vec![event(9)]).expect("appends");
    }
    let name = names(&files, "segment-").remove(0);
    let mut bytes = files.contents(&name).expect("its bytes");
    let starts: Vec<_> =
        bytes.windows(4).enumerate().filter(|(_, window)| window == b"LFRM").map(|(at, _)| at).collect();
    let len = starts[1] - starts[0];
    let second = bytes[starts[1]..starts[2]].to_vec();
    bytes.copy_within(starts[2]..starts[2] + len, starts[1]);
    bytes[starts[2]..starts[2] + len].copy_from_slice(&second);
    files.replace(&name, bytes);
    assert!(matches!(flaw(opened(&files).err().expect("refused")), Flaw::Acknowledged));
}

/// What lies behind the end and is not ours: old data of a file system. It is cut.
#[test]
fn what_is_not_ours_behind_the_end_is_cut() {
    let (files, history) = small(|_| {});
    let name = names(&files, "segment-").pop().expect("a segment");
    let mut bytes = files.contents(&name).expect("its bytes");
    let written = written(&bytes);
    for byte in &mut bytes[written..] {
        *byte = 0xa5;
    }
    let length = bytes.len() - written;
    files.replace(&name, bytes);
    let report = verify(&files, &mut |_| {}).expect("holds");
    assert_eq!((report.events as usize, report.torn_bytes as usize), (history.len(), length));
    let (mut journal, replayed) = opened(&files).expect("opens");
    assert_eq!(replayed, history);
    journal.writer.append(Lane::Ordinary, events(LAST + 1, LAST + 2)).expect("goes on");
    assert_eq!(opened(&files).expect("opens again").1.len() as u64, LAST + 2);
    assert_eq!(verify(&files, &mut |_| {}).expect("holds").torn_bytes, 0);
}

/// A batch whose event's text looks like a later batch is torn: that text decides nothing.
#[test]
fn text_that_looks_like_a_frame_is_no_frame() {
    let (files, history) = small(|_| {});
    let name = names(&files, "segment-").pop().expect("a segment");
    let mut bytes = files.contents(&name).expect("its bytes");
    let end = written(&bytes);
    // A whole frame of another segment, at a sector whose neighbours were lost.
    let first = files.contents(&names(&files, "segment-")[0]).expect("its bytes");
    let sector = (end / 512 + 1) * 512;
    bytes[sector..sector + 512].copy_from_slice(&first[SEGMENT_HEADER_BYTES..SEGMENT_HEADER_BYTES + 512]);
    files.replace(&name, bytes);
    let (_, replayed) = opened(&files).expect("opens");
    assert_eq!(replayed, history);
}
