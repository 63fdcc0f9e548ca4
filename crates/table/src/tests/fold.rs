//! Random histories through the table and the oracle, every answer compared after every step.
//!
//! Three tables: one that is never reaped and must answer as the oracle does to the letter, one
//! that is reaped at random and may only have forgotten what is dead, and one made from the whole
//! journal at the end (a restart).

use locum_model::limits::REQUEST_TIMEOUT;
use locum_model::{
    Actor, ConnectorNo, ModelNo, OwnerNo, PolicyRevision, Position, Reason, Target, TaskId, TenantNo,
    Timestamp, TokenId, WorkloadNo,
};
use proptest::prelude::*;

use super::oracle::Oracle;
use super::samples::*;
use crate::{Applied, Lookup, Table};

/// One step of a history. Numbers are picks: they select among what there is.
#[derive(Clone, Debug)]
enum Step {
    Wait { millis: i64 },
    Start { parent: Option<usize>, who: u32, lag: u64 },
    Close { task: usize, lapse: bool },
    Issue { task: usize, who: u32, lag: u64, ttl: i64, uses: Option<u32> },
    Repeat { token: usize },
    Use { token: usize },
    Revoke { target: usize, until: Option<u64> },
    Remove { target: usize },
    Retire { key: u8 },
    Reap { rows_max: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let pick = 0..1000_usize;
    prop_oneof![
        2 => (1..40_000_i64).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Wait { millis: 1_200_000 }),
        6 => (prop::option::of(pick.clone()), any::<u32>(), 0..6_u64)
            .prop_map(|(parent, who, lag)| Step::Start { parent, who, lag }),
        2 => (pick.clone(), any::<bool>()).prop_map(|(task, lapse)| Step::Close { task, lapse }),
        10 => (pick.clone(), any::<u32>(), 0..6_u64, 1..900_i64, prop::option::of(1..3_u32))
            .prop_map(|(task, who, lag, ttl, uses)| Step::Issue { task, who, lag, ttl, uses }),
        1 => pick.clone().prop_map(|token| Step::Repeat { token }),
        2 => pick.clone().prop_map(|token| Step::Use { token }),
        4 => (pick.clone(), prop::option::of(0..40_u64))
            .prop_map(|(target, until)| Step::Revoke { target, until }),
        1 => pick.clone().prop_map(|target| Step::Remove { target }),
        1 => (0..4_u8).prop_map(|key| Step::Retire { key }),
        3 => (0..20_usize).prop_map(|rows_max| Step::Reap { rows_max }),
    ]
}

struct World {
    oracle: Oracle,
    whole: Table,
    reaped: Table,
    journal: Journal,
    now: Timestamp,
    /// When each position was written, to keep decisions as young as requests are.
    written: Vec<Timestamp>,
    jtis: Vec<TokenId>,
    tasks: Vec<TaskId>,
}

impl World {
    fn new() -> Self {
        Self {
            oracle: Oracle::default(),
            whole: empty_table(),
            reaped: empty_table(),
            journal: Journal::default(),
            now: noon_plus(0),
            written: vec![noon_plus(0)],
            jtis: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn apply(&mut self, event: locum_model::Event) {
        self.written.push(self.now);
        let event = self.journal.commit(event);
        let expected = self.oracle.apply(event);
        assert_eq!(self.whole.apply(event), expected, "{event:?}");
        let reaped = self.reaped.apply(event);
        let both_late = matches!((&reaped, &expected), (Applied::TooLate(_), Applied::TooLate(_)));
        assert!(reaped == expected || both_late, "reaped {reaped:?}, oracle {expected:?}, {event:?}");
        if let Applied::Issued(live) = expected {
            let jti = live.record().jti;
            self.whole.remember(jti, &compact(jti));
            self.reaped.remember(jti, &compact(jti));
        }
    }

    /// The position that a decision read which took `lag` events to commit.
    fn decided(&self, lag: u64) -> Position {
        let newest = self.journal.newest().sequence;
        let young = |sequence: &u64| self.now.since(self.written[*sequence as usize]) <= REQUEST_TIMEOUT;
        at((newest.saturating_sub(lag)..=newest).find(young).unwrap_or(newest))
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait { millis } => {
                self.now = Timestamp::from_millis(self.now.as_millis() + millis);
            }
            Step::Start { parent, who, lag } => self.start(parent, who, lag),
            Step::Close { task, lapse } => {
                let task = self.tasks.get(task % (self.tasks.len() + 1)).map_or(99_999, |task| task.count());
                self.apply(if lapse { lapsed(task, self.now) } else { ended(task, self.now) });
            }
            Step::Issue { task, who, lag, ttl, uses } => self.issue(task, who, lag, (ttl, uses)),
            Step::Repeat { token } => self.repeat(token),
            Step::Use { token } => {
                let jti = self
                    .jtis
                    .get(token % (self.jtis.len() + 1))
                    .map_or(u128::MAX, |jti| u128::from_be_bytes(jti.0));
                self.apply(used(jti, self.now));
            }
            Step::Revoke { target, until } => {
                let until = until
                    .map(|back| at(self.journal.newest().sequence.saturating_add(3).saturating_sub(back)));
                self.apply(revoked(self.target(target), until, self.now));
            }
            Step::Remove { target } => self.apply(removed(vec![self.target(target)], self.now)),
            Step::Retire { key } => self.apply(retired(kid(key), self.now)),
            Step::Reap { rows_max } => {
                let reaped = self.reaped.reap(self.now, rows_max);
                assert!(reaped.rows <= rows_max);
            }
        }
    }

    fn start(&mut self, parent: Option<usize>, who: u32, lag: u64) {
        // Often the newest task, so that chains get deep.
        let parent = parent.and_then(|pick| match pick % 3 {
            0 => self.tasks.get(pick % self.tasks.len().max(1)),
            _ => self.tasks.last(),
        });
        let task = self.tasks.len() as u64 + 1;
        let mut event = started(task, parent.map(|task| task.count()), self.decided(lag));
        event.workload = WorkloadNo(who % 3);
        event.owner = OwnerNo(who / 3 % 3);
        event.model = (who / 9).is_multiple_of(2).then_some(ModelNo(who / 18 % 2));
        event.tenant = TenantNo(who / 36 % 2);
        event.subject_key = subject((who / 72 % 3) as u8);
        event.connectors = (0..who / 216 % 3).map(|number| named(number, number % 2 + 2)).collect();
        event.at = self.now;
        self.tasks.push(event.task);
        self.apply(super::samples::start(event));
    }

    fn issue(&mut self, task: usize, who: u32, lag: u64, (ttl, uses): (i64, Option<u32>)) {
        let task = self.tasks.get(task % (self.tasks.len() + 1)).copied().unwrap_or(task_id(99_999));
        let mut chain = self.oracle.chain(task);
        chain.reverse();
        let actor = |n: u32| Actor {
            workload: WorkloadNo(n % 3),
            owner: OwnerNo(n / 3 % 3),
            model: (n / 9).is_multiple_of(2).then_some(ModelNo(n / 18 % 2)),
        };
        let mut record = issued(self.jtis.len() as u128 + 1, &[], self.decided(lag));
        record.tasks = chain;
        record.standing.actors = (0..=who % 3).map(|n| actor(who.rotate_right(3 * n))).collect();
        record.standing.tenant = TenantNo(who / 5 % 2);
        record.standing.connector = ConnectorNo(who / 7 % 3);
        record.standing.connector_owner = OwnerNo(who / 11 % 3);
        record.standing.policy_revision = PolicyRevision(who / 13 % 2);
        record.subject_key = subject((who / 17 % 3) as u8);
        record.kid = kid((who / 19 % 4) as u8);
        record.at = self.now;
        record.issued_at = self.now.floor_to_second();
        record.expires_at = Timestamp::from_seconds(self.now.as_seconds() + ttl);
        record.uses_max = uses;
        self.jtis.push(record.jti);
        self.apply(super::samples::issue(record));
    }

    fn repeat(&mut self, pick: usize) {
        // Of a token that is not over: a reaped id is not remembered, and need not be.
        let mut live: Vec<_> = self.oracle.tokens().filter(|record| self.now < record.expires_at).collect();
        live.sort_by_key(|record| record.jti);
        if let Some(record) = live.get(pick % live.len().max(1)).map(|record| (*record).clone()) {
            self.apply(super::samples::issue(record));
        }
    }

    fn target(&self, pick: usize) -> Target {
        let n = (pick / 10) as u32;
        match pick % 10 {
            0 => Target::Token(token_id(u128::from(n) % (self.jtis.len() as u128 + 3) + 1)),
            1 => Target::Task(task_id(u64::from(n) % (self.tasks.len() as u64 + 3) + 1)),
            2 => Target::Subject(subject((n % 4) as u8)),
            3 => Target::Workload(WorkloadNo(n % 4)),
            4 => Target::Connector(ConnectorNo(n % 4)),
            5 => Target::Tenant(TenantNo(n % 3)),
            6 => Target::Owner(OwnerNo(n % 4)),
            7 => Target::Model(ModelNo(n % 3)),
            8 => Target::SigningKey(kid((n % 5) as u8)),
            _ => Target::PolicyRevision(PolicyRevision(n % 3)),
        }
    }

    fn expected(&self, jti: TokenId, now: Timestamp) -> Option<Result<Option<u32>, Reason>> {
        self.oracle.token(jti, now)
    }

    fn compare(&self) {
        for jti in &self.jtis {
            let expected = self.expected(*jti, self.now);
            for table in [&self.whole, &self.reaped] {
                let verified = table.lookup_verified(*jti, self.now);
                assert_eq!(
                    table.lookup(*jti, &compact(*jti), self.now),
                    verified,
                    "both ways give one answer"
                );
                let given = plain(verified);
                let gone = given.is_none() && expected == Some(Err(Reason::TokenExpired));
                let may_be_gone = std::ptr::eq(table, &raw const self.reaped) && gone;
                assert!(given == expected || may_be_gone, "{jti}: {given:?}, oracle {expected:?}");
            }
        }
        for task in &self.tasks {
            let expected = self.oracle.task(*task);
            assert_eq!(self.whole.task(*task), expected, "{task}");
            let given = self.reaped.task(*task);
            let gone = given.is_none() && matches!(expected, Some(Err(_)));
            assert!(given == expected || gone, "{task}: {given:?}, oracle {expected:?}");
        }
    }

    /// A restart gives the same answers, watermarks and counts.
    fn restart(&self) {
        let again = self.journal.replay();
        for jti in &self.jtis {
            assert_eq!(plain(again.lookup_verified(*jti, self.now)), self.expected(*jti, self.now));
            assert_eq!(again.lookup(*jti, &compact(*jti), self.now), Lookup::Unrecognised, "no memo yet");
        }
        for task in self.oracle.tasks() {
            assert_eq!(again.task(task), self.oracle.task(task));
        }
        for target in self.oracle.targets() {
            assert_eq!(again.watermark(target), self.oracle.watermark(target), "{target:?}");
        }
        assert_eq!(again.watermarks(), self.whole.watermarks());
        assert_eq!(again.counts(), self.whole.counts());
        assert_eq!(again.counts().tokens, self.oracle.tokens().count());
    }

    /// Once everything is over and reaped, nothing but the watermarks that stay is left.
    fn wind_up(&mut self) {
        let open: Vec<TaskId> =
            self.tasks.iter().copied().filter(|task| self.oracle.task(*task) == Some(Ok(()))).collect();
        for task in open {
            self.apply(ended(task.count(), self.now));
        }
        self.now = self.now.plus(std::time::Duration::from_secs(7200));
        self.apply(locum_model::Event::KeyRetired(locum_model::event::KeyMoved {
            kid: kid(77),
            by: locum_model::event::By::Broker,
            at: self.now,
        }));
        (0..30).for_each(|_| drop(self.reaped.reap(self.now, 1000)));
        let counts = self.reaped.counts();
        assert_eq!((counts.tokens, counts.tasks, counts.standings), (0, 0, 0));
        let stays =
            |target: &Target| !matches!(target, Target::Token(_) | Target::Task(_) | Target::Subject(_));
        assert_eq!(counts.watermarks, self.oracle.targets().filter(stays).count());
        assert!((0..3).all(|workload| self.reaped.tokens_of(WorkloadNo(workload)) == 0));
        assert!(self.reaped.overdue(self.now).is_zero());
    }
}

fn compact(jti: TokenId) -> String {
    format!("header.{jti}.signature")
}

fn plain(lookup: Lookup) -> Option<Result<Option<u32>, Reason>> {
    match lookup {
        Lookup::Live(live) => Some(Ok(live.uses_left)),
        Lookup::Dead(dead) => Some(Err(dead.reason)),
        Lookup::Unrecognised => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_history_gives_the_oracles_answers(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.compare();
        }
        world.restart();
        world.wind_up();
        world.compare();
    }
}
