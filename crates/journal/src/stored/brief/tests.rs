//! Snapshots in briefs, and what is wrong with one.

use locum_model::{TaskId, TokenId};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::stored::tests::any_event;
use crate::stored::{Decoder, task, token};

/// What is stored of each event, in the order of one snapshot.
fn stored(events: &[Event]) -> Vec<Vec<u8>> {
    let mut briefs = Briefs::default();
    let encoded = |event| {
        let mut bytes = Vec::new();
        briefs.encode(event, &mut bytes);
        bytes
    };
    events.iter().map(encoded).collect()
}

fn is_brief(bytes: &[u8]) -> bool {
    [IssueRecord::KIND, TaskStarted::KIND].contains(&bytes[0])
}

/// An event of the likeness of `of` that has what `own` has of its own.
fn alike(of: &Event, own: &Event) -> Event {
    match (of, own) {
        (Event::TokenIssued(of), Event::TokenIssued(own)) => {
            let mut record = IssueRecord::clone(own);
            record.standing = of.standing.clone();
            record.client_id = of.client_id.clone();
            record.audience = of.audience.clone();
            record.scope = of.scope.clone();
            (record.kid, record.uses_max) = (of.kid, of.uses_max);
            record.registry_revision = of.registry_revision;
            record.policies = of.policies.clone();
            (record.decided_at.home, record.decided_at.epoch) = (of.decided_at.home, of.decided_at.epoch);
            Event::TokenIssued(Arc::new(record))
        }
        (Event::TaskStarted(of), Event::TaskStarted(own)) => {
            let mut started = TaskStarted::clone(of);
            (started.task, started.parent, started.at) = (own.task, own.parent, own.at);
            (started.deadline, started.decided_at.sequence) = (own.deadline, own.decided_at.sequence);
            (started.subject, started.subject_key) = (own.subject.clone(), own.subject_key);
            (started.justification, started.holder) = (own.justification, own.holder);
            started.request = own.request.clone();
            Event::TaskStarted(Arc::new(started))
        }
        (_, own) => own.clone(),
    }
}

fn any_plain() -> impl Strategy<Value = Event> {
    prop_oneof![
        token::tests::any_issued().prop_map(|record| Event::TokenIssued(Arc::new(record))),
        task::tests::any_started().prop_map(|started| Event::TaskStarted(Arc::new(started))),
    ]
}

/// Events of a few likenesses, and some of any other kind, in any order.
fn any_snapshot() -> impl Strategy<Value = Vec<Event>> {
    let likenesses = prop::collection::vec(any_plain(), 1..4);
    let own = prop::collection::vec(
        prop_oneof![
            1 => (any_event(), Just(None)),
            4 => (any_plain(), any::<prop::sample::Index>().prop_map(Some)),
        ],
        1..12,
    );
    (likenesses, own).prop_map(|(likenesses, own)| {
        let event = |(own, of): (Event, Option<prop::sample::Index>)| match of {
            Some(of) => alike(of.get(&likenesses), &own),
            None => own,
        };
        own.into_iter().map(event).collect()
    })
}

fn one(events: impl Strategy<Value = Event>) -> Event {
    events.new_tree(&mut TestRunner::deterministic()).expect("there is one").current()
}

fn record() -> IssueRecord {
    let record = token::tests::any_issued().prop_filter("small", |record| record.policies.len() < 3);
    record.new_tree(&mut TestRunner::deterministic()).expect("there is one").current()
}

/// Decodes all of a snapshot; what is over is given back where `is_over` says so.
fn check(decoder: &mut Decoder, events: &[Event], is_over: impl Fn(usize) -> bool) {
    decoder.begin_snapshot();
    let mut held = Vec::new();
    for (at, (bytes, event)) in stored(events).iter().zip(events).enumerate() {
        let (found, made) = decoder.decode_in_snapshot(bytes).expect("what was encoded decodes");
        assert_eq!(&found, event, "{at}");
        if is_over(at) {
            decoder.take_back(found, made);
        } else {
            held.push((found, event));
        }
    }
    assert!(held.iter().all(|(found, event)| found == *event), "what is held is not written over");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_snapshot_survives(first in any_snapshot(), second in any_snapshot(), over: u64) {
        let mut decoder = Decoder::default();
        // Of one snapshot after another nothing is left but spares.
        for events in [&first, &second, &first] {
            check(&mut decoder, events, |at| over >> (at % 64) & 1 == 0);
        }
    }

    #[test]
    fn whatever_is_alike_is_brief(likeness in any_plain(), own in any_plain()) {
        let same = std::mem::discriminant(&likeness) == std::mem::discriminant(&own);
        let stored = stored(&[likeness.clone(), alike(&likeness, &own)]);
        prop_assume!(stored[0].len() <= EXEMPLAR_BYTES_MAX);
        prop_assert_eq!((is_brief(&stored[0]), is_brief(&stored[1])), (false, same));
    }

    #[test]
    fn a_mangled_brief_is_refused_or_another_event(
        likeness in any_plain(),
        own in any_plain(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut stored = stored(&[likeness.clone(), alike(&likeness, &own)]);
        let mut decoder = Decoder::default();
        let whole = decoder.decode_in_snapshot(&stored[0]);
        prop_assert_eq!(whole.map(|(event, _)| event), Ok(likeness));
        let bytes = &mut stored[1];
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1)));
        if let Ok((event, made)) = decoder.decode_in_snapshot(bytes) {
            decoder.take_back(event.clone(), made);
            prop_assert_eq!(decoder.decode_in_snapshot(bytes).map(|(again, _)| again), Ok(event));
        }
    }

    #[test]
    fn a_shortened_brief_is_refused(own in any_plain(), cut in any::<prop::sample::Index>()) {
        let stored = stored(&[own.clone(), own]);
        prop_assume!(is_brief(&stored[1]));
        let mut decoder = Decoder::default();
        decoder.decode_in_snapshot(&stored[0]).expect("decodes");
        let longer = [&stored[1][..], &[0]].concat();
        prop_assert!(decoder.decode_in_snapshot(&longer).is_err());
        let shorter = &stored[1][..cut.index(stored[1].len())];
        prop_assert!(decoder.decode_in_snapshot(shorter).is_err());
    }
}

#[test]
fn an_exemplar_that_did_not_come_is_damage() {
    let event = one(any_plain());
    let stored = stored(&[event.clone(), event]);
    let none = Err(DecodeError::Invalid("brief.exemplar"));
    assert_eq!(Decoder::default().decode_in_snapshot(&stored[1]), none);
    let mut decoder = Decoder::default();
    decoder.decode_in_snapshot(&stored[0]).expect("the exemplar");
    decoder.decode_in_snapshot(&stored[1]).expect("a brief");
    let mut beyond = stored[1].clone();
    beyond[1] = 1;
    assert_eq!(decoder.decode_in_snapshot(&beyond), none, "the second of one");
    decoder.begin_snapshot();
    assert_eq!(decoder.decode_in_snapshot(&stored[1]), none, "that of another snapshot");
    // In a segment there are none.
    assert!(decoder.decode(&stored[1]).is_err());
}

#[test]
fn the_oldest_exemplars_make_room() {
    let like = record();
    let exemplar = |number: usize| {
        let audience = format!("https://{number}.test");
        let tasks = vec![TaskId::new(1, number as u64)];
        Event::TokenIssued(Arc::new(IssueRecord { audience, tasks, jti: TokenId([7; 16]), ..like.clone() }))
    };
    let order = (0..EXEMPLARS_MAX + 3).chain([EXEMPLARS_MAX, 0, 3, 4, 1, 0, EXEMPLARS_MAX + 2, 5, 2]);
    let events: Vec<Event> = order.map(exemplar).collect();
    let briefs: Vec<bool> = stored(&events).iter().map(|bytes| is_brief(bytes)).collect();
    // 0 to 2 had made room for the last three. Coming again, they take the places of 3 and then of 4 and 5.
    assert!(!briefs[..EXEMPLARS_MAX + 3].contains(&true));
    let again = [true, false, false, false, false, true, true, false, false];
    assert_eq!(briefs[EXEMPLARS_MAX + 3..], again);
    check(&mut Decoder::default(), &events, |at| at % 3 > 0);
}

#[test]
fn what_is_long_is_no_exemplar() {
    let long = "x".repeat(EXEMPLAR_BYTES_MAX);
    let long = Event::TokenIssued(Arc::new(IssueRecord { audience: long, ..record() }));
    let short = Event::TokenIssued(Arc::new(record()));
    let events = [long.clone(), long, short.clone(), short];
    assert_eq!(
        stored(&events).iter().map(|bytes| is_brief(bytes)).collect::<Vec<_>>(),
        [false, false, false, true]
    );
    check(&mut Decoder::default(), &events, |_| true);
}

#[test]
fn spares_are_bounded() {
    let mut ring = Ring::default();
    let exemplar = Arc::new(record());
    ring.see(&exemplar, &[]);
    let made = Made(Some(0));
    let spare = || Arc::new(record());
    assert!(ring.keep(spare(), made, 2).is_ok() && ring.keep(spare(), made, 2).is_ok());
    assert!(ring.keep(spare(), made, 2).is_err(), "there are two");
    assert!(ring.keep(spare(), Made::default(), 9).is_err(), "not made of an exemplar");
    assert!(ring.keep(spare(), Made(Some(1)), 9).is_err(), "made of one that has no place");
    ring.clear();
    ring.see(&exemplar, &[]);
    assert!(ring.keep(spare(), made, 9).is_err(), "made of one of another snapshot");
    assert!(ring.keep(spare(), Made(Some(1)), 9).is_ok());
    for _ in 0..EXEMPLARS_MAX {
        ring.see(&exemplar, &[]);
    }
    assert!(ring.keep(spare(), Made(Some(1)), 9).is_err(), "made of one that left its place");
    assert_eq!(ring.spares, 0);
}
