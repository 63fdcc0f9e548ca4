//! Snapshots, resets and eras; and how much is kept, whatever is sent.

use locum_api::feed;
use locum_model::feed::{Body, SnapshotEnd};
use locum_model::{ConnectorNo, IssueRecord, Position, Target, TaskId, WorkloadNo};

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
fn a_snapshot_counts_only_when_whole() {
    let mut broker = Broker::new();
    (0..50).for_each(|n| drop(broker.revoke(&[Target::Task(TaskId::new(1, n))], at(0))));
    broker.revoke(&[VICTIM], at(0));
    let parts = broker.snapshot(10, at(0));
    assert_eq!(parts.len(), 6);
    let begun = || {
        let verifier = Verifier::new(options(), digest_key());
        broker.key_set(at(0)).to(&verifier, at(0)).expect("good");
        verifier
    };
    let verifier = begun();
    for part in &parts[..5] {
        assert_eq!(part.to(&verifier, at(0)), Ok(Applied::SnapshotPart));
    }
    assert_eq!((verifier.figures(at(0)).watermarks, verifier.figures(at(0)).position), (0, None));
    assert_eq!(parts[5].to(&verifier, at(0)), Ok(Applied::Snapshot));
    assert_eq!(verifier.figures(at(0)).watermarks, 51);
    assert_eq!(broker.beat(&verifier, at(0)), Ok(Applied::Lease(LEASE)));
    assert!(matches!(ask(&verifier, 0), Answer::Inactive(_)));
    // A part missing, doubled, from another snapshot, or out of order.
    let mut later = broker.clone();
    later.revoke(&[BYSTANDER], at(0));
    let other = later.snapshot(10, at(0));
    for order in [
        vec![&parts[0], &parts[2]],
        vec![&parts[1]],
        vec![&parts[0], &parts[1], &parts[1]],
        vec![&parts[0], &other[1]],
        vec![&parts[5]],
    ] {
        let verifier = begun();
        let (last, before) = order.split_last().expect("some");
        before.iter().for_each(|part| assert_eq!(part.to(&verifier, at(0)), Ok(Applied::SnapshotPart)));
        assert_eq!(last.to(&verifier, at(0)), Err(FrameRefused::PartOutOfOrder));
        assert_eq!(verifier.figures(at(0)).watermarks, 0);
        // It begins again from the first part.
        parts.iter().for_each(|part| assert!(part.to(&verifier, at(0)).is_ok()));
        assert_eq!(verifier.figures(at(0)).watermarks, 51);
    }
}

#[test]
fn a_snapshot_with_a_wrong_count_or_hash_is_dropped_whole() {
    let mut broker = Broker::new();
    broker.revoke(&[BYSTANDER], at(0));
    let whole = &broker.snapshot(10, at(0))[0];
    let Body::SnapshotPart { end: Some(end), entries, .. } = feed::decode(&whole.payload).expect("ours").body
    else {
        unreachable!("one part")
    };
    for wrong in [
        SnapshotEnd { count: end.count + 1, ..end },
        SnapshotEnd { count: 0, ..end },
        SnapshotEnd { count: u64::MAX, ..end },
        SnapshotEnd { entries_sha256: [0; 32], ..end },
    ] {
        let verifier = Verifier::new(options(), digest_key());
        broker.key_set(at(0)).to(&verifier, at(0)).expect("good");
        let body = Body::SnapshotPart { part: 0, end: Some(wrong), entries: entries.clone() };
        let refused = broker.signed(body, at(0)).to(&verifier, at(0));
        assert_eq!(refused, Err(FrameRefused::SnapshotMismatch));
        assert_eq!(verifier.figures(at(0)).watermarks, 0);
        assert_eq!(broker.beat(&verifier, at(0)), Err(FrameRefused::NoSnapshot));
    }
}

#[test]
fn a_snapshot_joins_and_never_replaces() {
    let mut broker = Broker::new();
    broker.revoke(&[VICTIM], at(0));
    let verifier = fresh(&broker, at(0));
    let mut forgetful = broker.clone();
    forgetful.entries.clear();
    forgetful.greet(&verifier, at(1));
    assert!(matches!(ask(&verifier, 1), Answer::Inactive(_)), "what was dead stays so");
    // And by maximum: an older watermark of the same id lowers nothing.
    forgetful.entries.insert(VICTIM, entry(VICTIM, 3, at(0)));
    forgetful.greet(&verifier, at(2));
    assert!(matches!(ask(&verifier, 2), Answer::Inactive(_)));
}

#[test]
fn a_reset_gives_no_lease_until_the_snapshot_is_whole() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    broker.restart();
    assert_eq!(broker.signed(Body::Reset, at(1)).to(&verifier, at(1)), Ok(Applied::Reset));
    assert_eq!(ask(&verifier, 1), Answer::Unknown(Unknown::Behind));
    assert_eq!(broker.beat(&verifier, at(1)), Err(FrameRefused::NoSnapshot));
    assert_eq!(broker.snapshot(9, at(1))[0].to(&verifier, at(1)), Ok(Applied::Snapshot));
    assert_eq!(broker.beat(&verifier, at(1)), Ok(Applied::Lease(LEASE)));
    assert!(is_active(&verifier, 1));
}

#[test]
fn a_broker_that_restarts_goes_on() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    broker.revoke(&[BYSTANDER], at(1)).to(&verifier, at(1)).expect("good");
    broker.restart();
    broker.greet(&verifier, at(2));
    assert!(is_active(&verifier, 2));
    broker.revoke(&[VICTIM], at(3)).to(&verifier, at(3)).expect("the chain goes on from its new anchor");
    broker.restart();
    broker.entries.clear();
    broker.greet(&verifier, at(4));
    assert!(matches!(ask(&verifier, 4), Answer::Inactive(_)));
}

#[test]
fn a_later_epoch_is_followed_and_an_earlier_one_never_again() {
    let old = Broker::new();
    let verifier = fresh(&old, at(0));
    let mut new = old.clone();
    (new.epoch, new.sequence) = (2, 3);
    new.greet(&verifier, at(1));
    assert!(is_active(&verifier, 1), "a token of the epoch before, which nothing revoked");
    for frame in old.snapshot(9, at(1)).into_iter().chain([old.signed(Body::Reset, at(1))]) {
        assert_eq!(frame.to(&verifier, at(1)), Err(FrameRefused::OtherEra { home: 1, epoch: 1 }));
    }
    assert!(is_active(&verifier, 1));
    new.revoke(&[VICTIM], at(2)).to(&verifier, at(2)).expect("good");
    assert!(
        matches!(ask(&verifier, 2), Answer::Inactive(_)),
        "sequence 100 of epoch 1 is before 3 of epoch 2"
    );
    let decided_at = Position { home: 1, epoch: 2, sequence: 4 };
    let younger = token(&IssueRecord { decided_at, ..record() });
    assert!(matches!(verifier.check(&younger, &BARE, at(2)), Answer::Active(_)));
}

#[test]
fn a_connector_that_is_registered_anew_is_followed_onwards_alone() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    broker.partition = 9;
    broker.greet(&verifier, at(1));
    assert!(matches!(ask(&verifier, 1), Answer::Inactive(_)), "a token of the old registration");
    let mut anew = record();
    anew.standing.connector = ConnectorNo(9);
    assert!(matches!(verifier.check(&token(&anew), &BARE, at(1)), Answer::Active(_)));
    broker.partition = 4;
    assert_eq!(broker.snapshot(9, at(1))[0].to(&verifier, at(1)), Err(FrameRefused::OtherPartition));
}

#[test]
fn more_than_may_be_kept_is_unknown_until_time_has_made_room() {
    let mut broker = Broker::new();
    let mut small = options();
    small.watermarks_max = 100;
    let verifier = Verifier::new(small, digest_key());
    broker.greet(&verifier, at(0));
    let tasks =
        |range: std::ops::Range<u64>| range.map(|n| Target::Task(TaskId::new(9, n))).collect::<Vec<_>>();
    broker.revoke(&tasks(0..100), at(1)).to(&verifier, at(1)).expect("they fit");
    broker.revoke(&tasks(0..100), at(1)).to(&verifier, at(1)).expect("the same again");
    assert!(matches!(broker.beat(&verifier, at(1)), Ok(Applied::Lease(LEASE))) && is_active(&verifier, 1));
    for _ in 0..20 {
        let flood = broker.revoke(&tasks(100..200), at(2));
        assert_eq!(flood.to(&verifier, at(2)), Err(FrameRefused::Full));
        assert_eq!(ask(&verifier, 2), Answer::Unknown(Unknown::Full));
        assert_eq!(verifier.figures(at(2)).watermarks, 100);
    }
    assert_eq!(broker.beat(&verifier, at(3)), Err(FrameRefused::Gap));
    verifier.begin_stream();
    let parts = broker.snapshot(50, at(3));
    assert_eq!(parts[0].to(&verifier, at(3)), Ok(Applied::SnapshotPart));
    parts[1..3].iter().for_each(|part| drop(part.to(&verifier, at(3))));
    assert_eq!(verifier.figures(at(3)).watermarks, 100);
}

#[test]
fn watermarks_are_forgotten_only_when_no_token_of_theirs_can_live() {
    let mut broker = Broker::new();
    broker.revoke(&[VICTIM, Target::SigningKey(KEYS.other_token)], at(0));
    let verifier = fresh(&broker, at(0));
    let sweep = |from: u64| {
        for millis in from..from + 256 {
            broker.beat(&verifier, at(millis)).expect("good");
        }
        verifier.figures(at(from + 256)).watermarks
    };
    assert_eq!(sweep(999_000), 2);
    assert_eq!(sweep(1_001_000), 1, "that of the key stays");
    // The token's own end came first, and a clock that goes back does not bring it to life.
    for millis in [1_001_300, 0, 500] {
        let now = crate::Moment { wall: at(millis).wall, ..at(1_001_300) };
        assert!(!matches!(verifier.check(&token(&record()), &BARE, now), Answer::Active(_)), "{millis}");
    }
}

#[test]
fn a_flood_of_everything_ends_in_bounded_memory_and_the_same_answers() {
    let mut broker = Broker::new();
    let verifier = fresh(&broker, at(0));
    let frames: Vec<Sent> = (0..40)
        .flat_map(|n| {
            let delta = broker.revoke(&[Target::Task(TaskId::new(9, n))], at(1));
            [
                delta,
                broker.heartbeat([n as u8; 16], at(1)),
                broker.signed(Body::Reset, at(1)),
                broker.key_set(at(1)),
            ]
        })
        .collect();
    for turn in 0..10 {
        for step in [7, 11, 13] {
            for n in 0..frames.len() {
                let _ = frames[(n * step + turn) % frames.len()].to(&verifier, at(1));
            }
        }
    }
    assert!(!is_active(&verifier, 1));
    assert!(verifier.figures(at(1)).watermarks <= 40);
    broker.greet(&verifier, at(2));
    assert!(is_active(&verifier, 2));
}
