//! Whatever frames come, signed or not: what is dead stays dead, what nobody signed changes nothing, no lease
//! outlives its bound, and no more is kept than may be.

use std::time::Duration;

use locum_model::feed::Body;
use locum_model::limits::STALENESS_BOUND_MAX;
use locum_model::{Target, TaskId, TokenId};
use locum_verifier::{Answer, Presented, Verifier};

use crate::reader::{Reader, piece};
use crate::stage::{self, KEYS, Sent, TOKENS_MAX, WATERMARKS_MAX, at};

/// Frames of one run.
const FRAMES_MAX: usize = 32;
/// When frames come, and when the last ping was sent, in milliseconds.
const NOW: u64 = 200;
const PINGED: u64 = 100;
const NONCE: [u8; 16] = [2; 16];

/// Frames one after the other: a byte for who signs, then the payload as a piece.
pub fn frame(bytes: &[u8]) {
    let verifier = stage::fed(&[stage::entry(Target::Token(TokenId([1; 16])), stage::SEQUENCE)]);
    let (dead, alive) = (stage::token(1, None), stage::token(2, None));
    assert!(is_active(&verifier, &alive, NOW) && !is_active(&verifier, &dead, NOW), "it begins well");
    verifier.ping(NONCE, at(PINGED));
    let mut reader = Reader::new(bytes);
    for _ in 0..FRAMES_MAX {
        if reader.is_empty() {
            break;
        }
        send(&verifier, reader.byte(), reader.piece());
        assert!(!is_active(&verifier, &dead, NOW), "it was dead");
        let figures = verifier.figures(at(NOW));
        assert!(figures.watermarks <= WATERMARKS_MAX && figures.tokens <= TOKENS_MAX, "memory: {figures:?}");
    }
    let bound = PINGED + u64::try_from(STALENESS_BOUND_MAX.as_millis()).expect("hours");
    let late = bound + 1;
    assert!(!is_active(&verifier, &alive, late), "no ping was answered within the longest bound");
    assert!(!is_active(&verifier, &dead, late), "it was dead");
}

fn send(verifier: &Verifier, by: u8, payload: &[u8]) {
    let sent = match by % 4 {
        0 => Sent::signed(&KEYS.feed, payload.to_vec()),
        1 => Sent::signed(&KEYS.root, payload.to_vec()),
        2 => Sent {
            kid: KEYS.feed.public().thumbprint().0.to_vec(),
            ..Sent::signed(&KEYS.token, payload.to_vec())
        },
        _ => Sent {
            payload: payload.to_vec(),
            kid: payload.iter().copied().take(33).collect(),
            signature: vec![0; 64],
        },
    };
    let before = verifier.figures(at(NOW));
    let was_applied = sent.to(verifier, at(NOW));
    let after = verifier.figures(at(NOW));
    if by % 4 >= 2 {
        assert!(!was_applied, "nobody whom it believes has signed it");
        let held = |figures: locum_verifier::Figures| (figures.position, figures.key_set, figures.watermarks);
        assert_eq!(held(before), held(after), "what nobody signed changes nothing");
    }
}

fn is_active(verifier: &Verifier, token: &str, millis: u64) -> bool {
    matches!(verifier.check(token, &Presented::default(), at(millis)), Answer::Active(_))
}

/// Everything that a broker sends, each by the right key and by the others.
pub fn frame_seeds() -> Vec<Vec<u8>> {
    let more = vec![stage::entry(Target::Task(TaskId::new(1, 41)), stage::SEQUENCE)];
    let part = |entries: Vec<_>, is_last: bool| Body::SnapshotPart {
        part: 0,
        end: is_last.then(|| stage::snapshot_end(&entries)),
        entries,
    };
    let short = Body::Heartbeat { nonce: None, key_set: 7, lease: Duration::from_millis(500), journal: None };
    let bodies = [
        stage::key_set(),
        part(more.clone(), true),
        part(more.clone(), false),
        part(Vec::new(), true),
        Body::Delta { entries: more },
        stage::heartbeat(NONCE),
        short,
        Body::Reset,
    ];
    let payloads: Vec<_> = bodies.into_iter().map(|body| piece(&stage::payload(body))).collect();
    let by = |by: u8, payload: &[u8]| [&[by], payload].concat();
    let mut seeds: Vec<_> =
        (0..4).flat_map(|who| payloads.iter().map(move |payload| by(who, payload))).collect();
    // A stream as it comes after a reset, and all of it at once.
    let [keys, whole, _, _, delta, beat, _, reset] = &payloads[..] else { return seeds };
    seeds.push([by(0, reset), by(1, keys), by(0, whole), by(0, delta), by(0, beat)].concat());
    seeds.push([by(0, delta), by(0, delta), by(0, beat)].concat());
    seeds
}
