//! The verifier against a naive second one, over random histories of a broker, a bad network and bad
//! clocks; and against the truth: what was revoked longer ago than the staleness bound is never active.

use std::sync::LazyLock;

use locum_api::feed;
use locum_model::feed::{Body, Entry, Frame};
use locum_model::{IssueRecord, Position, Target, TaskId, Timestamp, TokenId};
use proptest::prelude::*;

use super::stage::*;
use crate::{Answer, Moment, Verifier};

const BOUND: u64 = LEASE.as_millis() as u64;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Revoke(u8),
    Ping,
    Deliver(u8),
    DeliverAll,
    Repeat(u8),
    Lose(u8),
    Bend(u8, u16),
    Reconnect,
    ReconnectAndHear,
    Restart,
    NewEpoch,
    Reset,
    Wait(u16),
    TurnClock(i32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::Revoke),
        5 => Just(Step::Ping),
        4 => any::<u8>().prop_map(Step::Deliver),
        6 => Just(Step::DeliverAll),
        2 => any::<u8>().prop_map(Step::Repeat),
        1 => any::<u8>().prop_map(Step::Lose),
        1 => any::<(u8, u16)>().prop_map(|(which, at)| Step::Bend(which, at)),
        1 => Just(Step::Reconnect),
        4 => Just(Step::ReconnectAndHear),
        1 => Just(Step::Restart),
        1 => Just(Step::NewEpoch),
        1 => Just(Step::Reset),
        4 => (0_u16..2_500).prop_map(Step::Wait),
        1 => (-70_000_i32..70_000).prop_map(Step::TurnClock),
    ]
}

/// The tokens that are asked about after every step, with what they rest on.
static TOKENS: LazyLock<Vec<(String, IssueRecord)>> = LazyLock::new(|| {
    let shapes =
        [(1, 90, 600), (1, 101, 600), (1, 104, 20), (2, 2, 600), (2, 6, 600), (3, 3, 600), (0, 9, 40)];
    let record = |(n, (epoch, sequence, life)): (u8, (u32, u64, i64))| IssueRecord {
        jti: TokenId([n; 16]),
        tasks: vec![TaskId::new(1, 40), TaskId::new(1, 50 + u64::from(n % 2))],
        decided_at: Position { home: 1, epoch, sequence },
        expires_at: Timestamp::from_seconds(START + life),
        ..record()
    };
    let records = (0..).zip(shapes).map(record);
    records.map(|record| (token(&record), record)).collect()
});

/// What may be revoked: mostly what some tokens rest on, and some do not.
fn target(choice: u8) -> Target {
    match choice % 16 {
        n @ 0..7 => Target::Token(TokenId([n; 16])),
        7 => Target::Task(TaskId::new(1, 50)),
        8 => Target::Task(TaskId::new(1, 51)),
        9 => Target::Task(TaskId::new(9, 9)),
        n => targets()[usize::from(n) - 10 + 4].1,
    }
}

/// Everything that a token rests on, said once more and by hand.
fn rests_on(record: &IssueRecord, entry: &Entry) -> bool {
    let mut ids = vec![
        Target::Token(record.jti),
        Target::Subject(record.subject_key),
        Target::SigningKey(record.kid),
        Target::Connector(record.standing.connector),
        Target::Owner(record.standing.connector_owner),
        Target::Tenant(record.standing.tenant),
        Target::PolicyRevision(record.standing.policy_revision),
    ];
    ids.extend(record.tasks.iter().map(|task| Target::Task(*task)));
    for actor in &record.standing.actors {
        ids.extend([Target::Workload(actor.workload), Target::Owner(actor.owner)]);
        ids.extend(actor.model.map(Target::Model));
    }
    ids.iter().any(|target| (target.level(), target.id_bytes()) == (entry.level, entry.id))
}

/// Whether an entry of this epoch kills a token.
fn kills(record: &IssueRecord, epoch: u32, entry: &Entry) -> bool {
    let decided = record.decided_at;
    let reached =
        decided.epoch < epoch || (decided.epoch == epoch && decided.sequence <= entry.below_sequence);
    reached && rests_on(record, entry)
}

/// The naive verifier: lists, no memo, no locks, signatures taken for granted.
#[derive(Default)]
struct Naive {
    entries: Vec<(u32, Entry)>,
    chain: Option<(u32, u64, [u8; 32])>,
    needs_snapshot: bool,
    nonces: Vec<([u8; 16], u64)>,
    lease_until: u64,
    /// The broker's time minus ours, at the last heartbeat that counted; and the highest of its times.
    clock: (i64, i64),
}

impl Naive {
    fn apply(&mut self, frame: &Frame, hash: [u8; 32], now: Moment) {
        let place = (frame.epoch, frame.sequence);
        let onwards = self.chain.is_none_or(|(epoch, sequence, _)| place >= (epoch, sequence));
        let chain = self.chain.filter(|chain| !self.needs_snapshot && chain.0 == frame.epoch);
        match (&frame.body, chain) {
            (Body::Reset, _) if onwards => (self.needs_snapshot, self.lease_until) = (true, 0),
            (Body::SnapshotPart { entries, .. }, _) if onwards => {
                self.join(frame.epoch, entries);
                self.chain = Some((frame.epoch, frame.sequence, frame.previous));
                self.needs_snapshot = false;
            }
            (Body::Delta { entries }, Some((epoch, sequence, head))) if frame.sequence > sequence => {
                self.join(epoch, entries);
                if frame.previous == head {
                    self.chain = Some((epoch, frame.sequence, hash));
                } else {
                    self.lease_until = 0;
                }
            }
            (Body::Heartbeat { nonce, .. }, Some((_, sequence, head))) if frame.sequence >= sequence => {
                if (frame.sequence, frame.previous) != (sequence, head) {
                    self.lease_until = 0;
                } else if let Some(at) = self.nonces.iter().position(|(waiting, _)| Some(*waiting) == *nonce)
                {
                    let (_, sent) = self.nonces.drain(..=at).next_back().expect("found");
                    self.lease_until = sent + BOUND;
                    let server = frame.server_time.as_millis();
                    self.clock = (server - now.millis(), self.clock.1.max(server));
                }
            }
            _ => {}
        }
    }

    fn join(&mut self, epoch: u32, entries: &[Entry]) {
        self.entries.extend(entries.iter().map(|entry| (epoch, *entry)));
    }

    /// `a`ctive, `i`nactive or `u`nknown.
    fn check(&mut self, record: &IssueRecord, now: Moment) -> char {
        let broker = now.millis() + self.clock.0;
        let wall = now.wall.as_millis();
        if now.elapsed.as_millis() as u64 >= self.lease_until || (wall - broker).abs() > 60_000 {
            return 'u';
        }
        // Time that was once told is never taken back.
        let time = wall.max(broker).max(self.clock.1);
        self.clock.1 = time;
        if time >= record.expires_at.as_millis() || time < record.not_before.as_millis() {
            return 'i';
        }
        match self.chain {
            Some((epoch, ..)) if record.decided_at.epoch <= epoch => {
                let dead = self.entries.iter().any(|(epoch, entry)| kills(record, *epoch, entry));
                if dead { 'i' } else { 'a' }
            }
            _ => 'u',
        }
    }
}

struct World {
    broker: Broker,
    verifier: Verifier,
    naive: Naive,
    /// Frames on their way.
    wire: Vec<Sent>,
    /// Everything that was revoked, and when by BOOTTIME.
    truth: Vec<(u64, u32, Entry)>,
    millis: u64,
    wall_step: i64,
    pings: u64,
    actives: usize,
}

impl World {
    fn new() -> Self {
        let verifier = Verifier::new(options(), digest_key());
        let (broker, naive) = (Broker::new(), Naive::default());
        broker.key_set(at(0)).to(&verifier, at(0)).expect("good");
        let (wire, truth) = (Vec::new(), Vec::new());
        Self { broker, verifier, naive, wire, truth, millis: 0, wall_step: 0, pings: 0, actives: 0 }
    }

    /// Now, by this machine's clocks; the broker's are right.
    fn now(&self) -> Moment {
        let right = at(self.millis);
        Moment { wall: Timestamp::from_millis(right.wall.as_millis() + self.wall_step), ..right }
    }

    fn elapsed(&self) -> u64 {
        self.now().elapsed.as_millis() as u64
    }

    fn ping(&mut self) {
        self.pings += 1;
        let nonce = u128::from(self.pings).to_be_bytes();
        self.verifier.ping(nonce, self.now());
        self.naive.nonces.push((nonce, self.elapsed()));
        self.wire.push(self.broker.heartbeat(nonce, at(self.millis)));
    }

    fn deliver(&mut self, sent: &Sent) {
        let taken = sent.to(&self.verifier, self.now());
        if let (Ok(frame), true) = (feed::decode(&sent.payload), KEYS.is_genuine(sent)) {
            self.naive.apply(&frame, locum_token::sha256(&sent.payload), self.now());
        } else {
            assert!(taken.is_err(), "nothing forged is taken");
        }
    }

    fn picked(&self, which: u8) -> Option<usize> {
        (!self.wire.is_empty()).then(|| usize::from(which) % self.wire.len())
    }

    fn reconnect(&mut self) {
        self.wire.clear();
        self.verifier.begin_stream();
        self.naive.nonces.clear();
        self.naive.needs_snapshot = self.naive.chain.is_none();
        self.wire = self.broker.snapshot(1000, at(self.millis));
        self.ping();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Revoke(choice) => {
                let target = target(choice);
                self.wire.push(self.broker.revoke(&[target], at(self.millis)));
                self.truth.push((self.elapsed(), self.broker.epoch, self.broker.entries[&target]));
            }
            Step::Ping => self.ping(),
            Step::Deliver(which) => {
                if let Some(at) = self.picked(which) {
                    let sent = self.wire.remove(at);
                    self.deliver(&sent);
                }
            }
            Step::DeliverAll => {
                let all = std::mem::take(&mut self.wire);
                all.iter().for_each(|sent| self.deliver(sent));
            }
            Step::Repeat(which) => {
                if let Some(at) = self.picked(which) {
                    let sent = self.wire[at].clone();
                    self.deliver(&sent);
                }
            }
            Step::Lose(which) => drop(self.picked(which).map(|at| self.wire.remove(at))),
            Step::Bend(which, place) => {
                if let Some(at) = self.picked(which) {
                    let mut bent = self.wire[at].clone();
                    let place = usize::from(place) % bent.payload.len();
                    bent.payload[place] ^= 1 << (place % 8);
                    self.deliver(&bent);
                }
            }
            Step::Reconnect => self.reconnect(),
            Step::ReconnectAndHear => {
                self.reconnect();
                self.step(Step::DeliverAll);
            }
            Step::Restart => self.broker.restart(),
            Step::NewEpoch => {
                self.broker.epoch += 1;
                self.broker.sequence = 3;
                self.broker.restart();
            }
            Step::Reset => self.wire.push(self.broker.signed(Body::Reset, at(self.millis))),
            Step::Wait(millis) => self.millis += u64::from(millis),
            Step::TurnClock(millis) => self.wall_step = i64::from(millis),
        }
    }

    fn check(&mut self, step: Step) {
        let (now, elapsed) = (self.now(), self.elapsed());
        for (compact, record) in TOKENS.iter() {
            let answer = self.verifier.check(compact, &BARE, now);
            let said = match answer {
                Answer::Active(_) => 'a',
                Answer::Inactive(_) => 'i',
                Answer::Unknown(_) => 'u',
            };
            assert_eq!(
                said,
                self.naive.check(record, now),
                "{:?} after {step:?}: {answer:?}",
                record.decided_at
            );
            if said == 'a' {
                self.actives += 1;
                let known = self.truth.iter().filter(|(at, ..)| at + BOUND <= elapsed);
                let dead = known.into_iter().find(|(_, epoch, entry)| kills(record, *epoch, entry));
                assert_eq!(dead, None, "active longer than the bound after its revocation");
            }
        }
    }
}

impl Keys {
    fn is_genuine(&self, sent: &Sent) -> bool {
        let input = feed::signing_input(&sent.payload);
        self.feed.public().verify(&input, &sent.signature).is_ok()
    }
}

fn run(steps: &[Step]) -> usize {
    let mut world = World::new();
    for step in steps {
        world.step(*step);
        world.check(*step);
    }
    world.actives
}

proptest! {
    #[test]
    fn it_answers_as_the_naive_one_and_never_past_the_bound(steps in prop::collection::vec(any_step(), 1..60)) {
        run(&steps);
    }
}

#[test]
fn the_property_is_about_something() {
    let calm = [Step::ReconnectAndHear, Step::Revoke(0), Step::DeliverAll, Step::Ping, Step::DeliverAll];
    assert_eq!(run(&calm[..1]), 4, "those of epochs 0 and 1");
    assert!(run(&calm) > 10);
    let mut rng = 1_u64;
    let mut draw = || {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (rng >> 33) as u8
    };
    let storm: Vec<Step> = (0..400)
        .map(|n| match n % 5 {
            0 => Step::Revoke(draw()),
            1 => Step::ReconnectAndHear,
            2 => Step::Wait(u16::from(draw())),
            3 => Step::Ping,
            _ => Step::Deliver(draw()),
        })
        .collect();
    run(&storm);
}
