//! Retention: told first, in bounded steps, and nothing young goes.

use std::time::Duration;

use locum_model::event::Commitment;
use locum_model::limits::{ARCHIVE_NOTICE, ARCHIVE_STEP_ENTRIES_MAX};
use locum_model::{TenantNo, Timestamp};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::naive::scan;
use super::world::{BEGIN, World};
use super::{filled, opened};
use crate::search::{Criteria, Order, Reach};
use crate::texts::{Forgotten, Given, Told};
use crate::{Facet, Retained, Salted};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn given(tenant: u32, at: Timestamp) -> Given {
    let text = format!("of {tenant} at {at}");
    let salted = digest(&SHA256, &[&[0; 16][..], text.as_bytes()].concat());
    let commitment = Commitment::kept_apart(salted.as_ref().try_into().expect("32 bytes"));
    Given {
        tenant: TenantNo(tenant),
        at,
        commitment,
        salted: Salted { salt: [0; 16], text: Zeroizing::new(text) },
    }
}

#[test]
fn what_is_too_old_is_announced_and_then_goes_step_by_step() {
    // Some seven seconds for each event: a few days of them.
    let choices: Vec<_> = (0..60_000_u32).map(|step| ((step % 13) as u8, (step % 251) as u8, 255)).collect();
    let events = World::of(&choices).events;
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), &events);
    let begin = Timestamp::from_millis(BEGIN);
    let old = given(1, begin);
    archive.keep_texts(&[given(1, begin), given(2, begin)]).expect("kept");
    let now = events[events.len() - 1].event().at();
    assert!(now.since(begin) > DAY);
    let young = given(1, now);
    archive.keep_texts(&[given(1, now)]).expect("kept");
    let keep = now.since(begin) / 4;
    let plan = archive.plan(keep, now, &Reach::All).expect("planned");
    let first_young =
        events.iter().find(|e| e.event().at() >= now.minus(keep)).expect("some").position().sequence;
    let (first, last) = plan.sequences.expect("something is old");
    assert_eq!((first, plan.entries), (1, last));
    assert!(last < first_young && first_young - last < 1_100, "{last} of {first_young}");
    assert_eq!(plan.keys.len(), 2);
    let mine = archive.plan(keep, now, &Reach::Only(vec![TenantNo(2)])).expect("planned");
    assert_eq!((mine.keys.len(), mine.entries < plan.entries), (1, true));
    // Announced, and only announced, for as long as a notice takes.
    let until = now.plus(ARCHIVE_NOTICE);
    assert_eq!(archive.forgotten(9).expect("told"), []);
    for soon in [now, now.plus(ARCHIVE_NOTICE / 2)] {
        assert_eq!(
            archive.retain(keep.saturating_add(soon.since(now)), soon).expect("a step"),
            Retained::Announced(until)
        );
    }
    assert_eq!(
        archive.text(TenantNo(1), &old.commitment).expect("answered"),
        Told::Text(old.salted.text.to_string())
    );
    let later = now.plus(ARCHIVE_NOTICE);
    let keep = keep.saturating_add(ARCHIVE_NOTICE);
    assert_eq!(archive.forgotten(9).expect("told"), [], "an announcement takes nothing away");
    let (mut gone, mut dropped, mut swept) = (0, 0, 0);
    loop {
        match archive.retain(keep, later).expect("a step") {
            Retained::Removed { entries, texts, keys } => {
                assert!(entries <= ARCHIVE_STEP_ENTRIES_MAX as u64);
                assert!(texts <= ARCHIVE_STEP_ENTRIES_MAX as u64);
                (gone, dropped, swept) = (gone + entries, dropped + keys.len() as u64, swept + texts);
            }
            Retained::Nothing => break,
            Retained::Announced(until) => panic!("announced again until {until}"),
        }
    }
    assert_eq!((gone, dropped), (plan.entries, 2));
    // What went, by which rule, is told for good: an index that is made anew knows it too.
    let note =
        Forgotten { at: later, keep, before: later.minus(keep), entries: gone, texts: swept, keys: dropped };
    assert_eq!(archive.forgotten(9).expect("told"), std::slice::from_ref(&note));
    assert_eq!(archive.text(TenantNo(1), &old.commitment).expect("answered"), Told::NotKept);
    assert_eq!(
        archive.text(TenantNo(1), &young.commitment).expect("answered"),
        Told::Text(young.salted.text.to_string())
    );
    for question in [
        Criteria::of(Reach::All),
        Criteria { facets: vec![Facet::Owner("team-a".into())], ..Criteria::of(Reach::All) },
    ] {
        let mut expected = scan(&events[last as usize..last as usize + 300], &question);
        expected.truncate(0);
        let page = archive.search(&question, (Order::OldestFirst, None), 5).expect("searched");
        assert!(page.hits.iter().all(|hit| hit.sequence > last) && page.hits.len() == 5, "{page:?}");
    }
    archive.begin_again().expect("begun again");
    assert_eq!(archive.forgotten(9).expect("told"), [note]);
}

#[test]
fn a_longer_retention_or_a_new_day_needs_no_notice() {
    let events = World::of(&[(0, 1, 1), (3, 0, 1)]).events;
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), &events);
    let (begin, keep) = (Timestamp::from_millis(BEGIN), 10 * DAY);
    assert_eq!(archive.retain(keep, begin).expect("a step"), Retained::Nothing);
    drop(archive);
    let archive = opened(dir.path());
    let after = begin.plus(11 * DAY);
    assert!(matches!(archive.retain(keep, after).expect("a step"), Retained::Removed { entries: 3, .. }));
    assert_eq!(archive.retain(2 * keep, after).expect("a step"), Retained::Nothing);
    assert_eq!(archive.reached().expect("read").map(|indexed| indexed.position.sequence), Some(3));
}

#[test]
fn a_shorter_one_does() {
    let events = World::of(&[(0, 1, 1)]).events;
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), &events);
    let begin = Timestamp::from_millis(BEGIN);
    let after = begin.plus(5 * DAY);
    assert_eq!(archive.retain(10 * DAY, after).expect("a step"), Retained::Nothing);
    assert!(matches!(archive.retain(2 * DAY, after).expect("a step"), Retained::Announced(_)));
    // Taken back in time: nothing is lost.
    assert_eq!(archive.retain(10 * DAY, after.plus(DAY)).expect("a step"), Retained::Nothing);
    assert!(matches!(archive.retain(2 * DAY, after.plus(DAY)).expect("a step"), Retained::Announced(_)));
}
