//! Simulation: the real broker in a made-up world, beside a naive model that knows what must be true.
//!
//! **What is simulated.** Everything of `locum_broker` and below it is the product: use cases, waist,
//! fold, table, policy, keys, journal. Made up are the clock (it steps, is set back, is unsettled),
//! randomness (a seed), the disk (`MemoryFiles`: power lost at any call with un-synced sectors lost or
//! torn, syncs and writes that fail, no space) and the key store. Requests are futures polled by hand:
//! several are in flight, some are dropped on the way, and a crash comes before, within and after a
//! commit. A run asks for all that workloads, backends and operators can: tasks and children, leases,
//! tokens with retries under one request id, checks, uses, ends, revocations of every level and
//! "issued before", locks, keys, registries and policies that come and go, the reaper, snapshots.
//!
//! Beside it, offline verifiers follow the revocation feed over a bad network (`network`, `station`): the
//! server's tracks and courses, the verifier and its pace are the product. Every answer of theirs is held
//! against the model, see `hearsay`.
//!
//! **What counts as a failure.** The model says before each request whether it must be refused and
//! what it commits, reads what is in the journal by itself, and says after each step of every token
//! whether it is alive; any difference fails, in both directions: a broker that denies everything
//! fails too. So held are R2, R3 and R4 (no revival; nothing after an end; what was acknowledged
//! survives), I1 to I4 and I7, D1, D2, P3 (uses over crashes), T1 to T3, J1, J2 and J5 (answers after a
//! restart from snapshot and tail are those from before), locks, and that no operator or backend of
//! one tenant touches another. A panic anywhere fails. Each seed runs twice and both traces must be
//! the same; signatures and key ids are not in them, because making either draws on the system.
//!
//! **What does not, and why.** *Which* of several good reasons a refusal names. A refusal for a full
//! or failing disk or a late reaper, while there is one. What was issued after the moment of an
//! "issued before" and dies of it all the same: a moment is turned into a position, coarsely and to
//! the safe side. A key that was revoked goes on signing what is decided later: so it is built, and
//! the model says so too. Not simulated: the network of requests, identity (callers are asserted), threads
//! (the table's own tests have them) and a request in flight for longer than half a minute.
//!
//! Most runs are what dice make of a seed. What they bring about too seldom, `courses` bring about on purpose.
//!
//! `SIM_SEEDS=n` takes n fresh seeds, `SIM_SERIES=x` the same ones again, `SIM_SEED=x` tells one, with
//! `SIM_COURSE=name` of that course, `SIM_BUGS=x` plants those bugs alone whose names have that in them.
//! The test `zoo` plants one bug after the other (`locum_model::bug_zoo`) and fails when one is not
//! caught: `tests/run --only zoo`.
#![expect(clippy::print_stderr, reason = "a simulation tells its progress and its failures")]
#![expect(clippy::panic, reason = "whatever is not as it must be ends the run")]

mod around;
mod ask;
mod courses;
mod force;
mod forged;
mod hearsay;
mod misfortune;
mod model;
mod network;
mod plan;
mod report;
mod restart;
mod run;
mod settle;
mod station;
mod steps;
mod trace;
mod universe;

use steps::Scenario;
use trace::Aloud;

/// Seeds that always run.
const FIXED: [u64; 8] = [1, 2, 3, 5, 8, 13, 21, 34];
/// So many fresh seeds a plain run takes besides.
const FRESH: u64 = 8;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}

fn holds(scenario: Scenario, seed: u64) {
    if let Err(broke) = report::check(scenario, seed) {
        panic!("{}", report::failure(scenario, seed, &broke));
    }
}

fn all_hold(seeds: &[u64]) {
    for (at, seed) in seeds.iter().enumerate() {
        holds(Scenario::Dice, *seed);
        if (at + 1) % 50 == 0 {
            eprintln!("{} of {} seeds hold", at + 1, seeds.len());
        }
    }
}

/// Where a series begins: the one random number here, told so that it can be had again.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    number("SIM_SERIES").unwrap_or_else(|| RandomState::new().hash_one(0_u8) >> 32)
}

#[test]
fn seeds_hold() {
    all_hold(&FIXED);
    let (count, series) = (number("SIM_SEEDS").unwrap_or(FRESH), fresh());
    eprintln!("{count} fresh seeds: SIM_SERIES={series} SIM_SEEDS={count}");
    all_hold(&steps::seeds(series, usize::try_from(count).expect("a count of seeds fits")));
}

/// Seeds of a course.
const SEEDS_PER_COURSE: usize = 4;

#[test]
fn courses_hold() {
    let series = fresh();
    eprintln!("{SEEDS_PER_COURSE} seeds for each course: SIM_SERIES={series}");
    for course in &courses::ALL {
        steps::seeds(series, SEEDS_PER_COURSE)
            .into_iter()
            .for_each(|seed| holds(Scenario::Course(course), seed));
    }
}

#[test]
fn replay() {
    let course = std::env::var("SIM_COURSE").ok();
    let scenario = course.map_or(Scenario::Dice, |name| {
        let named = courses::ALL.iter().find(|course| course.name == name);
        Scenario::Course(named.unwrap_or_else(|| panic!("there is no course `{name}`")))
    });
    #[cfg(bug_zoo)]
    if let Ok(name) = std::env::var("SIM_BUGS") {
        let bug = locum_model::bug_zoo::Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
        locum_model::bug_zoo::plant(Some(bug.unwrap_or_else(|| panic!("there is no bug `{name}`"))));
    }
    if let Some(seed) = number("SIM_SEED") {
        let hash = steps::run(scenario, seed, Aloud::Yes);
        eprintln!("seed {seed} holds, trace {hash:016x}");
    }
}

/// Seeds within which a planted bug has to show, after the courses.
#[cfg(bug_zoo)]
const SEEDS_PER_BUG: usize = 150;

/// Seeds of dice before the courses: most bugs show at once, and courses are long.
#[cfg(bug_zoo)]
const SEEDS_FIRST: usize = 2;

/// The first scenario that breaks: a few seeds of dice, every course with two seeds, then the other dice.
#[cfg(bug_zoo)]
fn first_to_break(dice: usize) -> Option<(String, String)> {
    let courses = courses::ALL.iter().flat_map(|course| {
        steps::seeds(1, 2)
            .into_iter()
            .map(move |seed| (course.name.to_owned(), Scenario::Course(course), seed))
    });
    let dice = steps::seeds(1, dice).into_iter().enumerate();
    let mut dice = dice.map(|(at, seed)| (format!("seed {}", at + 1), Scenario::Dice, seed));
    let first: Vec<_> = dice.by_ref().take(SEEDS_FIRST).collect();
    first
        .into_iter()
        .chain(courses)
        .chain(dice)
        .find_map(|(name, scenario, seed)| Some((name, report::one(scenario, seed).err()?)))
}

#[cfg(bug_zoo)]
#[test]
fn zoo() {
    use locum_model::bug_zoo::{Bug, plant};
    let name = std::env::var("SIM_BUGS").unwrap_or_default();
    let control = first_to_break(if name.is_empty() { 8 } else { 0 });
    assert!(control.is_none(), "something breaks without a planted bug: {control:?}");
    std::panic::set_hook(Box::new(|_expected| {}));
    let mut at_large = Vec::new();
    for bug in Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(&name)) {
        plant(Some(bug));
        match first_to_break(SEEDS_PER_BUG) {
            Some((scenario, broke)) => {
                let broke: String = broke.lines().next().unwrap_or_default().chars().take(160).collect();
                eprintln!("{bug:?} was caught by {scenario}: {broke}");
            }
            None => at_large.push(bug),
        }
    }
    plant(None);
    drop(std::panic::take_hook());
    assert!(at_large.is_empty(), "not caught by the courses and {SEEDS_PER_BUG} seeds: {at_large:?}");
}
