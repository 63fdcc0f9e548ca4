//! Courses: circumstances that the dice seldom bring about, brought about one step after the other.
//!
//! The world and everything that is asserted of it are those of every run; a course only says what comes
//! next, and the seed chooses what it leaves open: which verifier, what is revoked and how, clocks, timing.
//! Each asserts that it came where it wanted to be, so that none holds by missing its point.

mod elsewhere;
mod requests;
mod told;

use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_api::feed;

use crate::ask::{IssueAsk, StartAsk};
use crate::network::{BREATH, kind};
use crate::run::Run;
use crate::station::Down;
use crate::universe::{Who, scope};

/// What happens, told by its name.
pub(crate) struct Course {
    pub(crate) name: &'static str,
    steps: fn(&mut Run),
}

/// Every course.
pub(crate) const ALL: [Course; 25] = [
    Course { name: "a task ends while a token is on its way", steps: requests::task_ends_meanwhile },
    Course { name: "a lock comes while a token is on its way", steps: requests::lock_comes_meanwhile },
    Course { name: "uses are spent before and after a crash", steps: requests::uses_are_spent },
    Course { name: "a tenant shows proofs without end", steps: requests::proofs_without_end },
    Course { name: "more leases run out than are ended together", steps: requests::leases_run_out_together },
    Course {
        name: "many tokens that were checked expire together",
        steps: requests::checked_tokens_expire_together,
    },
    Course { name: "whatever a token rests on is revoked", steps: told::everything_is_revoked },
    Course { name: "a task dies of when it was started", steps: told::task_is_too_old },
    Course { name: "a heartbeat is late", steps: told::heartbeat_is_late },
    Course { name: "a verifier comes back and has missed something", steps: told::something_was_missed },
    Course { name: "a ping comes while a revocation is no frame yet", steps: told::pump_is_late },
    Course { name: "a snapshot begins and never ends", steps: told::snapshot_begins },
    Course { name: "a delta is lost and the next comes", steps: told::delta_is_lost },
    Course { name: "a delta is lost and a heartbeat comes", steps: told::only_heartbeats_come },
    Course { name: "a copy is restored", steps: elsewhere::copy_is_restored },
    Course { name: "a copy is put back and nobody says so", steps: elsewhere::copy_is_not_accepted },
    Course { name: "a copy goes on beyond what a verifier knows", steps: elsewhere::copy_goes_on },
    Course { name: "an epoch that was left is told again", steps: elsewhere::epoch_is_told_again },
    Course { name: "a verifier showed more than the copy has", steps: elsewhere::showed_more_than_the_copy },
    Course { name: "a wall clock is an hour off", steps: told::wall_clock_is_off },
    Course { name: "a wall clock was ahead and is set right", steps: told::wall_clock_was_ahead },
    Course { name: "a verifier is gone and may still answer", steps: told::verifier_is_gone },
    Course { name: "a verifier comes back with an older lease", steps: told::comes_back_with_older_lease },
    Course { name: "strangers sign frames", steps: elsewhere::strangers_sign },
    Course { name: "the newest task died long ago", steps: requests::newest_task_died },
];

fn is_of_kind(frame: &WatchRevocationsResponse, wanted: &str) -> bool {
    let frame = feed::decode(&frame.payload).expect("the broker's frames are good");
    kind(&frame.body).starts_with(wanted)
}

/// The longest life of the tokens that courses ask for.
const TTL: u64 = 300;

impl Run {
    /// Runs a course to its end, and then all is well again.
    pub(crate) fn follow(&mut self, course: &Course) {
        self.calm();
        (course.steps)(self);
        self.heal();
    }

    // === what courses are made of ===

    fn some_station(&mut self) -> usize {
        self.dice.below(self.feed.stations.len())
    }

    /// Everybody's streams are open and every verifier may answer.
    fn calm(&mut self) {
        for _ in 0..240 {
            self.pass(BREATH);
            if (0..self.feed.stations.len()).all(|at| self.is_well(at)) {
                return;
            }
        }
        panic!("the verifiers do not come up");
    }

    /// So much time passes, with a word from everybody at its end.
    fn pass(&mut self, span: Duration) {
        self.clock.advance(span);
        (0..self.feed.stations.len()).for_each(|at| self.hear_out(at));
        self.ask_who_is_missing();
    }

    /// A verifier and the broker say what they have to say.
    fn hear_out(&mut self, at: usize) {
        self.turn_pumps();
        (0..3).for_each(|_| self.exchange_with(at, usize::MAX, usize::MAX));
    }

    /// A token for a verifier's connector, which it believes.
    fn token_for(&mut self, at: usize, ttl: u64) -> usize {
        let ask = self.task_for(at, ttl);
        self.believed(at, ask)
    }

    /// A token that is asked for, which a verifier believes.
    fn believed(&mut self, at: usize, ask: IssueAsk) -> usize {
        let tokens = self.model.tokens.len();
        self.issue_token(ask);
        self.drain();
        assert_eq!(self.model.tokens.len(), tokens + 1, "no token was issued");
        assert!(self.believes(at, tokens), "the verifier does not believe a fresh token");
        tokens
    }

    /// A task that may do what a verifier's connector is for, and how its holder asks for a token.
    fn task_for(&mut self, at: usize, ttl: u64) -> IssueAsk {
        let (tenant, connector) = (self.feed.stations[at].tenant, self.feed.stations[at].connector);
        let who = Who { tenant, name: if self.dice.percent(50) { "agent" } else { "helper" } };
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        let scope = scope(&[(if connector == "orders" { "orders:read" } else { "vault:read" }, &[])]);
        let asker = self.asker_for(who, 3600);
        self.begin_task(
            IssueAsk { asker, task: 0, secret, scope, ttl: Some(ttl), uses: None, request: None },
            None,
        )
    }

    /// The same in a task below.
    fn child_of(&mut self, ask: &IssueAsk) -> IssueAsk {
        self.begin_task(ask.clone(), Some((ask.task, ask.secret)))
    }

    fn begin_task(&mut self, ask: IssueAsk, parent: Option<(usize, [u8; 32])>) -> IssueAsk {
        let tasks = self.model.tasks.len();
        let IssueAsk { asker, secret, scope, .. } = ask.clone();
        let (deadline_after, lease, request) = (None, 600, None);
        self.start_task(StartAsk { asker, parent, secret, scope, deadline_after, lease, request });
        self.drain();
        assert_eq!(self.model.tasks.len(), tasks + 1, "no task was started");
        IssueAsk { task: tasks, ..ask }
    }

    /// An operator revokes a token, or all of its task.
    fn kill(&mut self, token: usize) {
        let named = self.name_token(token);
        self.revoke(named, &[], None);
        self.drain();
    }

    /// What the broker has to say to a verifier is lost on its way; how many frames.
    fn lose_frames(&mut self, at: usize) -> usize {
        self.turn_pumps();
        self.broker_says(at);
        self.line(at).map_or(0, |line| line.down.drain(..).count())
    }

    /// Where in the line to a verifier the first frame of a kind is.
    fn place_of(&mut self, at: usize, kind: &str) -> usize {
        let is_it = |down: &Down| matches!(down, Down::Frame(frame) if is_of_kind(frame, kind));
        let place = self.line(at).and_then(|line| line.down.iter().position(is_it));
        place.unwrap_or_else(|| panic!("no {kind} is on its way"))
    }

    /// Time goes on in small steps, and the verifier is asked all the while.
    fn linger(&mut self, at: usize, token: usize, span: Duration) {
        for _ in 0..span.as_millis() / BREATH.as_millis() {
            self.pass(BREATH);
            let _ = self.believes(at, token);
        }
    }
}
