//! Frames as an adversary, a bad network and a broken broker would send them.

use locum_api::feed::{self, encode};
use locum_model::event::KeyPurpose;
use locum_model::feed::Body;
use locum_model::limits::{FEED_PAYLOAD_BYTES_MAX, VERIFIER_NONCES_MAX};
use locum_model::{KeyId, Target, WorkloadNo};

use super::stage::*;
use crate::{Answer, Applied, FrameRefused, Unknown, Verifier};

const VICTIM: Target = Target::Workload(WorkloadNo(7));
const BYSTANDER: Target = Target::Workload(WorkloadNo(77));

fn ask(verifier: &Verifier, millis: u64) -> Answer {
    verifier.check(&token(&record()), &BARE, at(millis))
}

fn is_active(verifier: &Verifier, millis: u64) -> bool {
    matches!(ask(verifier, millis), Answer::Active(_))
}

#[test]
fn nothing_is_known_before_keys_snapshot_and_a_heartbeat_are_there() {
    let broker = Broker::new();
    let verifier = Verifier::new(options(), digest_key());
    let unknown = Answer::Unknown(Unknown::NotStarted);
    assert_eq!(ask(&verifier, 0), unknown);
    let ping = verifier.ping([1; 16], at(0));
    assert_eq!(ping.acknowledgement, None);
    for early in [broker.heartbeat([1; 16], at(0)), broker.snapshot(9, at(0)).remove(0)] {
        assert_eq!(early.to(&verifier, at(0)), Err(FrameRefused::UnknownKey), "no key is known yet");
    }
    assert_eq!(broker.key_set(at(0)).to(&verifier, at(0)), Ok(Applied::KeySet));
    assert_eq!(broker.heartbeat([1; 16], at(0)).to(&verifier, at(0)), Err(FrameRefused::NoSnapshot));
    assert_eq!(Broker::new().revoke(&[VICTIM], at(0)).to(&verifier, at(0)), Err(FrameRefused::NoSnapshot));
    assert_eq!(ask(&verifier, 0), unknown);
    assert_eq!(broker.snapshot(9, at(0))[0].to(&verifier, at(0)), Ok(Applied::Snapshot));
    assert_eq!(ask(&verifier, 0), unknown);
    assert_eq!(broker.heartbeat([2; 16], at(0)).to(&verifier, at(0)), Err(FrameRefused::Unasked));
    assert_eq!(ask(&verifier, 0), unknown);
    assert_eq!(broker.heartbeat([1; 16], at(0)).to(&verifier, at(0)), Ok(Applied::Lease(LEASE)));
    assert!(is_active(&verifier, 0));
}

#[test]
fn the_lease_runs_from_when_the_nonce_was_sent() {
    let broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    assert!(is_active(&verifier, 1_999));
    assert_eq!(ask(&verifier, 2_000), Answer::Unknown(Unknown::LeaseOver));
    verifier.ping([1; 16], at(1_500));
    // It arrives late: what counts is when it was asked for.
    assert_eq!(broker.heartbeat([1; 16], at(1_500)).to(&verifier, at(3_400)), Ok(Applied::Lease(LEASE)));
    assert!(is_active(&verifier, 3_499) && !is_active(&verifier, 3_500));
    // The same once more extends nothing, and neither does an answer to an older ping.
    verifier.ping([2; 16], at(3_000));
    verifier.ping([3; 16], at(3_100));
    let [second, third] = [[2; 16], [3; 16]].map(|nonce| broker.heartbeat(nonce, at(3_200)));
    assert_eq!(third.to(&verifier, at(3_300)), Ok(Applied::Lease(LEASE)));
    for again in [third, second] {
        assert_eq!(again.to(&verifier, at(5_000)), Err(FrameRefused::Unasked));
    }
    assert!(is_active(&verifier, 5_099) && !is_active(&verifier, 5_100));
}

#[test]
fn a_lease_that_is_longer_than_any_may_be_is_none_and_nonces_are_bounded() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    for n in 0..=VERIFIER_NONCES_MAX as u8 {
        verifier.ping([n; 16], at(1));
    }
    assert_eq!(broker.heartbeat([0; 16], at(1)).to(&verifier, at(1)), Err(FrameRefused::Unasked));
    assert_eq!(broker.heartbeat([1; 16], at(1)).to(&verifier, at(1)), Ok(Applied::Lease(LEASE)));
    broker.lease = locum_model::limits::STALENESS_BOUND_MAX + LEASE;
    assert!(matches!(broker.beat(&verifier, at(1)), Err(FrameRefused::NotUnderstood(_))));
    assert!(!is_active(&verifier, 1));
}

#[test]
fn an_answer_of_an_earlier_stream_extends_nothing() {
    let broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    verifier.ping([1; 16], at(1_000));
    verifier.begin_stream();
    assert_eq!(broker.heartbeat([1; 16], at(1_000)).to(&verifier, at(1_000)), Err(FrameRefused::Unasked));
    assert!(is_active(&verifier, 1_999), "the lease that there was goes on");
    assert!(!is_active(&verifier, 2_000));
}

#[test]
fn a_bent_frame_changes_nothing() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    verifier.ping([1; 16], at(5));
    let good = [broker.heartbeat([1; 16], at(5)), broker.key_set(at(5)), broker.revoke(&[BYSTANDER], at(5))];
    for frame in &good {
        for at_byte in 0..frame.payload.len() {
            let mut bent = frame.clone();
            bent.payload[at_byte] ^= 1 << (at_byte % 8);
            assert!(bent.to(&verifier, at(5)).is_err(), "payload byte {at_byte}");
        }
        for length in 0..frame.payload.len() {
            let cut = Sent { payload: frame.payload[..length].to_vec(), ..frame.clone() };
            assert!(cut.to(&verifier, at(5)).is_err(), "cut at {length}");
        }
        for at_byte in 0..64 {
            let mut bent = frame.clone();
            bent.signature[at_byte] ^= 1;
            assert!(bent.to(&verifier, at(5)).is_err(), "signature byte {at_byte}");
        }
        for kid in [vec![], vec![0; 31], vec![0; 32], vec![0; 33], vec![0xff; 4096]] {
            let other = Sent { kid, ..frame.clone() };
            assert!(other.to(&verifier, at(5)).is_err());
        }
        for signature in [vec![], vec![0; 63], vec![0; 64], vec![0; 65], vec![0xff; 1 << 16]] {
            let other = Sent { signature, ..frame.clone() };
            assert!(other.to(&verifier, at(5)).is_err());
        }
    }
    let huge = sign_bytes(&KEYS.feed, vec![0; FEED_PAYLOAD_BYTES_MAX + 1]);
    assert_eq!(huge.to(&verifier, at(5)), Err(FrameRefused::TooLarge));
    assert!(is_active(&verifier, 1_999) && !is_active(&verifier, 2_000), "none of it extended the lease");
    for frame in good {
        frame.to(&verifier, at(5)).expect("none of it hurt the good ones");
    }
}

#[test]
fn only_the_right_key_signs_each_kind() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    verifier.ping([1; 16], at(5));
    let beat = feed::decode(&broker.heartbeat([1; 16], at(5)).payload).expect("our own");
    broker.key_set += 1;
    let keys = feed::decode(&broker.key_set(at(5)).payload).expect("our own");
    let before = verifier.figures(at(5));
    for signer in [&KEYS.other_feed, &KEYS.root, &KEYS.other_root] {
        assert_eq!(sign(signer, &beat).to(&verifier, at(5)), Err(FrameRefused::UnknownKey));
    }
    for signer in [&KEYS.feed, &KEYS.other_feed, &KEYS.other_root] {
        assert!(sign(signer, &keys).to(&verifier, at(5)).is_err());
    }
    // The pinned root's name, another root's key; and another root that brings itself along.
    let root = as_key(&KEYS.other_root, KeyPurpose::KeysetRoot);
    let Body::KeySet { number, keys: set, .. } = &keys.body else { unreachable!("a key set") };
    let body = Body::KeySet { number: *number, keys: set.clone(), root };
    let foreign = sign(&KEYS.other_root, &broker.frame(body, at(5)));
    let shown = KEYS.other_root.public().thumbprint();
    let other_root = FrameRefused::OtherRoot { shown, pinned: KEYS.root.public().thumbprint() };
    assert_eq!(foreign.to(&verifier, at(5)), Err(other_root.clone()));
    let disguised = Sent { kid: KEYS.root.public().thumbprint().0.to_vec(), ..foreign };
    assert_eq!(disguised.to(&verifier, at(5)), Err(other_root));
    let after = verifier.figures(at(5));
    assert_eq!((before.key_set, before.lease_left), (after.key_set, after.lease_left));
}

#[test]
fn a_wrong_pin_is_named() {
    let mut options = options();
    options.root = KeyId([9; 32]);
    let verifier = Verifier::new(options, digest_key());
    let refused = Broker::new().key_set(at(0)).to(&verifier, at(0)).expect_err("another root");
    let (shown, pinned) = (KEYS.root.public().thumbprint(), KeyId([9; 32]));
    assert_eq!(refused, FrameRefused::OtherRoot { shown, pinned });
    assert!(refused.ends_stream() && refused.to_string().contains(&locum_token::kid_text(&shown)));
}

#[test]
fn key_sets_only_go_forward() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    assert_eq!(broker.key_set(at(0)).to(&verifier, at(0)), Ok(Applied::KeySet), "the same again");
    broker.key_set = 6;
    let older = FrameRefused::KeySetOlder { shown: 6, held: 7 };
    assert_eq!(broker.key_set(at(0)).to(&verifier, at(0)), Err(older));
    broker.key_set = 7;
    broker.token_keys.pop();
    assert_eq!(broker.key_set(at(0)).to(&verifier, at(0)), Err(FrameRefused::KeySetForked(7)));
    assert!(is_active(&verifier, 0));
    // One that was not heard of: what it says may have ended a key.
    broker.key_set = 8;
    assert_eq!(broker.beat(&verifier, at(1)), Err(FrameRefused::KeySetMissing));
    assert_eq!(ask(&verifier, 1), Answer::Unknown(Unknown::Behind));
    broker.token_keys = vec![KEYS.token];
    assert_eq!(broker.key_set(at(1)).to(&verifier, at(1)), Ok(Applied::KeySet));
    assert_eq!(broker.beat(&verifier, at(1)), Ok(Applied::Lease(LEASE)));
    assert!(is_active(&verifier, 1));
    broker.key_set = 7;
    assert_eq!(broker.beat(&verifier, at(2)), Err(FrameRefused::Replayed), "a heartbeat of before");
    assert!(is_active(&verifier, 2));
}

#[test]
fn a_key_set_with_a_key_that_is_not_what_it_says_is_refused_whole() {
    let broker = Broker::new();
    let verifier = Verifier::new(options(), digest_key());
    let feed_key = as_key(&KEYS.feed, KeyPurpose::Feed);
    let misnamed = locum_model::feed::Key { kid: KeyId([1; 32]), ..feed_key.clone() };
    for keys in [vec![feed_key.clone(), misnamed], vec![feed_key.clone(), feed_key]] {
        let root = as_key(&KEYS.root, KeyPurpose::KeysetRoot);
        let frame = broker.frame(Body::KeySet { number: 9, keys, root }, at(0));
        assert_eq!(sign(&KEYS.root, &frame).to(&verifier, at(0)), Err(FrameRefused::KeySetMalformed));
    }
    assert_eq!(verifier.figures(at(0)).key_set, None);
}

#[test]
fn a_missing_delta_is_noticed_by_the_next_frame() {
    for by_heartbeat in [true, false] {
        let mut broker = Broker::new();
        let verifier = fresh(&broker, at(0));
        let lost = broker.revoke(&[VICTIM], at(5));
        let refused = if by_heartbeat {
            broker.beat(&verifier, at(10))
        } else {
            broker.revoke(&[BYSTANDER], at(10)).to(&verifier, at(10))
        };
        assert_eq!(refused, Err(FrameRefused::Gap));
        assert_eq!(ask(&verifier, 10), Answer::Unknown(Unknown::Behind));
        assert_eq!(broker.beat(&verifier, at(11)), Err(FrameRefused::Gap), "no heartbeat mends it");
        // Resumed where it was: what is missing comes once more, in order.
        assert_eq!(lost.to(&verifier, at(12)), Ok(Applied::Delta));
        if by_heartbeat {
            assert_eq!(broker.beat(&verifier, at(13)), Ok(Applied::Lease(LEASE)));
        } else {
            broker.greet(&verifier, at(13));
        }
        assert!(matches!(ask(&verifier, 13), Answer::Inactive(_)));
    }
}

#[test]
fn deltas_out_of_order_or_twice_change_nothing_for_the_worse() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let [first, second] = [BYSTANDER, VICTIM].map(|target| broker.revoke(&[target], at(5)));
    assert_eq!(second.to(&verifier, at(5)), Err(FrameRefused::Gap));
    assert_eq!(ask(&verifier, 5), Answer::Unknown(Unknown::Behind));
    assert_eq!(first.to(&verifier, at(5)), Ok(Applied::Delta));
    assert_eq!(second.to(&verifier, at(5)), Ok(Applied::Delta));
    for again in [&first, &second, &first] {
        assert_eq!(again.to(&verifier, at(5)), Err(FrameRefused::Replayed));
    }
    assert_eq!(broker.beat(&verifier, at(6)), Ok(Applied::Lease(LEASE)));
    assert!(matches!(ask(&verifier, 6), Answer::Inactive(_)));
}

#[test]
fn a_forked_history_gives_no_lease() {
    let broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let mut forked = broker.clone();
    forked.head = [0xbb; 32];
    assert_eq!(forked.beat(&verifier, at(1)), Err(FrameRefused::Forked));
    assert_eq!(ask(&verifier, 1), Answer::Unknown(Unknown::Behind));
    let mut rolled_back = broker.clone();
    rolled_back.sequence = 50;
    assert_eq!(rolled_back.beat(&verifier, at(1)), Err(FrameRefused::Replayed));
    assert_eq!(rolled_back.snapshot(9, at(1))[0].to(&verifier, at(1)), Err(FrameRefused::Older));
    let reset = rolled_back.signed(Body::Reset, at(1));
    assert_eq!(reset.to(&verifier, at(1)), Err(FrameRefused::Older));
}

#[test]
fn frames_of_another_place_are_refused() {
    let broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let changed = |change: fn(&mut Broker)| {
        let mut other = broker.clone();
        change(&mut other);
        other
    };
    let era = |home, epoch| FrameRefused::OtherEra { home, epoch };
    for (other, refused) in [
        (changed(|b| b.home = 2), era(2, 1)),
        (changed(|b| b.epoch = 0), era(1, 0)),
        (changed(|b| b.epoch = 2), era(1, 2)),
        (changed(|b| b.partition = 3), FrameRefused::OtherPartition),
        (changed(|b| b.partition = 5), FrameRefused::OtherPartition),
    ] {
        assert_eq!(other.beat(&verifier, at(1)), Err(refused.clone()));
        let delta = other.clone().revoke(&[VICTIM], at(1));
        assert_eq!(delta.to(&verifier, at(1)), Err(refused));
    }
    let mut frame =
        broker.frame(Body::Heartbeat { nonce: None, key_set: 7, lease: LEASE, journal: None }, at(1));
    for issuer in ["https://locum.test/", "https://LOCUM.test", "x"] {
        frame.issuer = issuer.to_owned();
        let refused = sign(&KEYS.feed, &frame).to(&verifier, at(1)).expect_err("another issuer");
        assert!(matches!(refused, FrameRefused::OtherIssuer { .. }));
    }
    assert!(is_active(&verifier, 1), "and the lease that there was is untouched");
    let mut pinned = options();
    pinned.home = Some(2);
    let elsewhere = Verifier::new(pinned, digest_key());
    assert_eq!(broker.key_set(at(0)).to(&elsewhere, at(0)), Err(FrameRefused::OtherHome(1)));
}

#[test]
fn what_is_signed_and_not_understood_ends_the_lease_for_the_stream() {
    let broker = Broker::new();
    let good = broker.heartbeat([1; 16], at(0)).payload;
    // Version 2; a field of the oneof that does not exist; a level that does not exist.
    let version = [&[8, 2][..], &good[2..]].concat();
    let body = encode(&broker.frame(Body::Reset, at(0)));
    let unknown_body = [&body[..body.len() - 2], &[14 << 3 | 2, 0]].concat();
    assert_eq!(good[..2], [8, 1]);
    for payload in [version, unknown_body, vec![], vec![0xff; 64]] {
        let verifier = fresh(&broker, at(0));
        let refused = sign_bytes(&KEYS.feed, payload).to(&verifier, at(1)).expect_err("not understood");
        assert!(matches!(refused, FrameRefused::NotUnderstood(_)), "{refused:?}");
        assert_eq!(ask(&verifier, 1), Answer::Unknown(Unknown::NotUnderstood));
        assert_eq!(broker.beat(&verifier, at(2)), Ok(Applied::Life), "the stream gives no lease any more");
        assert_eq!(ask(&verifier, 2), Answer::Unknown(Unknown::NotUnderstood));
        broker.greet(&verifier, at(3));
        assert!(is_active(&verifier, 3));
    }
}
