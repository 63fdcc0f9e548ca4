//! The index finds what a scan finds, in pages, whatever was asked.

use locum_model::{Committed, Event, Reason, SubjectKey, TaskId, TenantNo, Timestamp, TokenId};
use proptest::prelude::*;

use super::naive::scan;
use super::world::{BEGIN, SAID, World};
use super::{filled, opened};
use crate::search::{Criteria, Order, Reach, Times};
use crate::{Archive, Decision, Facet};

/// Every hit, through pages of `size`.
fn found(archive: &Archive, criteria: &Criteria, order: Order, size: usize) -> Vec<u64> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = archive.search(criteria, (order, after), size).expect("searched");
        assert!(page.hits.len() <= size);
        all.extend(page.hits.iter().map(|hit| hit.sequence));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

fn any_facet() -> impl Strategy<Value = Facet> {
    let text = |all: &'static [&'static str]| prop::sample::select(all).prop_map(str::to_owned);
    let workloads = &[
        "refunder",
        "bot",
        "orders-api",
        "spiffe://acme.test/agents/refunder",
        "spiffe://acme.test/services/orders-api",
        "nobody",
    ];
    prop_oneof![
        (1..8_u64).prop_map(|count| Facet::Task(TaskId::new(1, count))),
        (1..8_u8).prop_map(|number| {
            let mut jti = [0; 16];
            jti[7] = number;
            Facet::Token(TokenId(jti))
        }),
        (0..5_u8).prop_map(|number| Facet::Request(format!("req-{number}"))),
        (1..3_u8).prop_map(|tenant| Facet::Subject(SubjectKey([tenant; 16]))),
        text(&["alice", "bob"]).prop_map(Facet::Operator),
        text(workloads).prop_map(Facet::Workload),
        text(&["orders", "vault"]).prop_map(Facet::Connector),
        text(&["team-a", "team-g", "desk-a"]).prop_map(Facet::Owner),
        text(&["gpt", "o'clock\" OR 1=1"]).prop_map(Facet::Model),
    ]
}

fn any_time() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::weighted(0.3, (0..60_000_i64).prop_map(|after| Timestamp::from_millis(BEGIN + after)))
}

fn any_criteria() -> impl Strategy<Value = Criteria> {
    let reach = prop_oneof![
        3 => Just(Reach::All),
        1 => Just(Reach::Only(vec![TenantNo(1)])),
        1 => Just(Reach::Only(vec![TenantNo(2)])),
        1 => Just(Reach::Only(vec![TenantNo(2), TenantNo(1)])),
        1 => Just(Reach::Only(Vec::new())),
    ];
    let decision =
        prop::option::weighted(0.2, prop::sample::select(&[Decision::Permit, Decision::Denial][..]));
    let reason = prop::option::weighted(
        0.1,
        prop::sample::select(&[Reason::PolicyDenied, Reason::ScopeBeyondIntent][..]),
    );
    let events = ["task-started", "token-issued", "revoked", "locked", "checks-summed", "denials-summed"];
    let events = prop::collection::vec(prop::sample::select(events.to_vec()), 0..3);
    let words = ["laptop", "drill", "a DRILL", "of inc 412", "\"laptop\" OR x", "x*", "", "agent"];
    let text = prop::option::weighted(0.2, prop::sample::select([&SAID[..], &words[..]].concat()));
    let facets = prop::collection::vec(any_facet(), 0..3);
    (reach, facets, decision, reason, events, any_time(), any_time(), text).prop_map(
        |(reach, facets, decision, reason, events, since, until, text)| Criteria {
            reach,
            facets,
            decision,
            reason,
            // Half of the questions are not about kinds of events.
            events: if events.len() == 1 {
                Vec::new()
            } else {
                events.into_iter().map(str::to_owned).collect()
            },
            times: Times { since, until },
            text: text.map(str::to_owned),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn the_index_finds_what_a_scan_finds(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 0..60),
        questions in prop::collection::vec((any_criteria(), 2..40_usize), 16),
    ) {
        let events = World::of(&choices).events;
        let dir = tempfile::tempdir().expect("a directory");
        let archive = filled(dir.path(), &events);
        for (criteria, size) in questions {
            let mut expected = scan(&events, &criteria);
            prop_assert_eq!(&found(&archive, &criteria, Order::OldestFirst, size), &expected, "{:?}", criteria);
            expected.reverse();
            prop_assert_eq!(found(&archive, &criteria, Order::NewestFirst, size), expected, "{:?}", criteria);
        }
    }

    #[test]
    fn a_tenant_sees_nothing_of_another(
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 0..60),
        criteria in any_criteria(),
    ) {
        let events = World::of(&choices).events;
        let dir = tempfile::tempdir().expect("a directory");
        let archive = filled(dir.path(), &events);
        let of = |reach| found(&archive, &Criteria { reach, ..criteria.clone() }, Order::OldestFirst, 1000);
        let (acme, globex) = (of(Reach::Only(vec![TenantNo(1)])), of(Reach::Only(vec![TenantNo(2)])));
        prop_assert!(acme.iter().all(|sequence| !globex.contains(sequence)));
        let page = archive.search(&Criteria { reach: Reach::Only(vec![TenantNo(1)]), ..criteria }, (Order::OldestFirst, None), 1000);
        prop_assert!(page.expect("searched").hits.iter().all(|hit| hit.tenant == Some(TenantNo(1))));
    }
}

/// A long history, so that windows and pages have ends.
fn long() -> Vec<Committed<Event>> {
    let choices: Vec<_> =
        (0..3_000_u32).map(|step| ((step % 13) as u8, (step % 251) as u8, (step % 7) as u8)).collect();
    World::of(&choices).events
}

#[test]
fn a_search_goes_on_where_its_page_ended() {
    let events = long();
    let dir = tempfile::tempdir().expect("a directory");
    let archive = filled(dir.path(), &events);
    let all = Criteria::of(Reach::All);
    let expected: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(found(&archive, &all, Order::OldestFirst, 100), expected);
    let denials = Criteria { decision: Some(Decision::Denial), ..Criteria::of(Reach::All) };
    assert_eq!(found(&archive, &denials, Order::OldestFirst, 3), scan(&events, &denials));
    for after in [0, u64::MAX, events.len() as u64 + 1] {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            archive.search(&all, (order, Some(after)), 10).expect("a place that nobody named is no failure");
        }
    }
}

#[test]
fn what_is_indexed_survives_and_goes_on() {
    let events = long();
    let dir = tempfile::tempdir().expect("a directory");
    for batch in events.chunks(500) {
        let archive = opened(dir.path());
        let before = archive.reached().expect("read").map_or(0, |indexed| indexed.position.sequence);
        assert_eq!(before + 1, batch[0].position().sequence);
        archive.index(batch).expect("indexed");
        // An event twice is a mistake: all or none of a batch.
        assert!(archive.index(&batch[batch.len() - 1..]).is_err());
        let reached = archive.reached().expect("read").expect("something");
        let last = &batch[batch.len() - 1];
        assert_eq!((reached.position, reached.event.as_str()), (last.position(), last.event().name()));
    }
    let question = Criteria { facets: vec![Facet::Workload("refunder".into())], ..Criteria::of(Reach::All) };
    assert_eq!(found(&opened(dir.path()), &question, Order::OldestFirst, 1000), scan(&events, &question));
}
