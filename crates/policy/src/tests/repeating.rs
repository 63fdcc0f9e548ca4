//! Contexts that are kept are those that would be made anew.

use std::time::Duration;

use crate::case::Asked;
use crate::decide::{registered, tenant_of};
use crate::facts::{Contexts, Facts};
use crate::fixture::{Wish, name, registry, scope_of};
use crate::{Justification, Proof, Subject};

/// What `told` makes of the first operation of a wish.
fn first<T>(wish: &Wish, told: impl FnOnce(&Facts<'_>) -> T) -> T {
    let registry = registry();
    let request = wish.request();
    let tenant = tenant_of(&registry, &request).expect("registered");
    let line = wish.scope.grants().next().expect("a line");
    let asked: Asked<'_> = registered(&registry, tenant, line).expect("registered");
    told(&Facts::of(&request, &asked))
}

/// A wish, and others that differ from it in one fact each.
fn wishes() -> Vec<Wish> {
    let base = Wish::of(&registry(), 1, &[("orders:refund", &["order/1"])]);
    let mut wishes = vec![base.clone()];
    let mut with = |change: &dyn Fn(&mut Wish)| {
        let mut wish = base.clone();
        change(&mut wish);
        wishes.push(wish);
    };
    with(&|wish| wish.purpose = name("another"));
    with(&|wish| wish.scope = scope_of(&[("orders:refund", &["order/2"])]));
    with(&|wish| wish.scope = scope_of(&[("orders:refund", &["order/1", "order/2"])]));
    with(&|wish| wish.scope = scope_of(&[("orders:refund", &["order/*", "refund/*"])]));
    with(&|wish| wish.scope = scope_of(&[("orders:refund", &[])]));
    with(&|wish| wish.depth = 1);
    with(&|wish| wish.justification = Justification::Given);
    with(&|wish| wish.proof = Proof::Proved);
    with(&|wish| wish.subject = Subject::Other);
    with(&|wish| wish.now = wish.now.plus(Duration::from_secs(60)));
    with(&|wish| wish.now = wish.now.plus(Duration::from_secs(24 * 60 * 60)));
    wishes
}

#[test]
fn every_fact_tells_one_context_from_another() {
    let wishes = wishes();
    let made: Vec<_> =
        wishes.iter().map(|wish| first(wish, |facts| facts.context()).expect("made")).collect();
    for (n, one) in made.iter().enumerate() {
        assert!(made[..n].iter().all(|other| other != one), "{n} is one that was there");
    }
}

#[test]
fn a_kept_context_is_the_one_that_would_be_made() {
    let contexts = Contexts::default();
    let wishes = wishes();
    // Each after each other one, so that each is found kept and each is pushed out.
    for one in &wishes {
        for other in &wishes {
            for wish in [one, other, one] {
                let (kept, made) = first(wish, |facts| (contexts.of(facts), facts.context()));
                assert_eq!(kept.expect("made"), made.expect("made"));
            }
        }
    }
}

#[test]
fn facts_that_meet_in_one_place_push_each_other_out() {
    let contexts = Contexts::default();
    // Far more than are kept: whichever meet, none is answered with the other's.
    for round in 0..2 {
        for n in 0..500 {
            let mut wish = Wish::of(&registry(), 1, &[("orders:refund", &["order/1"])]);
            wish.purpose = name(&format!("purpose-{n}"));
            let (kept, made) = first(&wish, |facts| (contexts.of(facts), facts.context()));
            assert_eq!(kept.expect("made"), made.expect("made"), "{n} in round {round}");
        }
    }
}
