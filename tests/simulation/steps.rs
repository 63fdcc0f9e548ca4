//! What happens next: one weighted choice after the other.

use std::time::Duration;

use locum_model::event::Outcome;
use locum_model::issue_record::RequestKey;
use locum_model::registry::Algorithm;

use crate::around::Dice;
use crate::ask::{IssueAsk, StartAsk};
use crate::courses::Course;
use crate::model::Dead;
use crate::run::Run;
use crate::trace::Aloud;
use crate::universe::{self, POLICIES, Setup, Who};

/// Steps of one run.
const STEPS: usize = 500;

/// What is to happen in a run.
#[derive(Clone, Copy)]
pub(crate) enum Scenario {
    /// Whatever the dice say.
    Dice,
    /// One thing after the other; the dice choose what is left open.
    Course(&'static Course),
}

/// Runs a scenario from its seed to its end and tells what it came to, as a hash.
pub(crate) fn run(scenario: Scenario, seed: u64, aloud: Aloud) -> u64 {
    let mut run = Run::new(seed, aloud);
    // Told on the way out of a failure, however it comes.
    let last_words = LastWords { run: &mut run };
    let run = &mut *last_words.run;
    run.activate_registry(Setup::full());
    run.activate_policy(0);
    run.drain();
    run.tick();
    match scenario {
        Scenario::Dice => run.roll(),
        Scenario::Course(course) => run.follow(course),
    }
    run.trace.hash()
}

struct LastWords<'a> {
    run: &'a mut Run,
}

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::report::last_words(self.run.trace.tail());
        }
    }
}

/// Whether a step can have changed what is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Issue,
    End,
    Lease,
    Authorize,
    RevokeToken,
    Revoke,
    Lock,
    Unlock,
    Registry,
    Policy,
    Rotate,
    Pump,
    Look,
    Cancel,
    Time,
    Tick,
    Compact,
    Crash,
    Disk,
    Inspect,
    Feed,
    Weather,
    Wall,
    Restart,
    BackUp,
    Restore,
    PutBack,
    Heal,
}

impl Run {
    fn roll(&mut self) {
        for _ in 0..STEPS {
            // Nothing but the fold and the time makes a token what it is; the rest is looked at sometimes.
            if self.step() == Moved::Yes || self.dice.percent(10) {
                self.introspect_all();
            }
        }
        self.heal();
        self.compact();
        self.crash();
        self.introspect_all();
        (0..self.model.tasks.len()).for_each(|at| self.inspect(at));
        self.heal();
    }

    fn step(&mut self) -> Moved {
        let step = self.dice.weighted(&[
            (60, Step::Start),
            (120, Step::Issue),
            (22, Step::End),
            (36, Step::Lease),
            (50, Step::Authorize),
            (10, Step::RevokeToken),
            (30, Step::Revoke),
            (12, Step::Lock),
            (8, Step::Unlock),
            (16, Step::Registry),
            (10, Step::Policy),
            (6, Step::Rotate),
            (150, Step::Pump),
            (110, Step::Look),
            (14, Step::Cancel),
            (60, Step::Time),
            (40, Step::Tick),
            (10, Step::Compact),
            (16, Step::Crash),
            (12, Step::Disk),
            (30, Step::Inspect),
            (260, Step::Feed),
            (40, Step::Weather),
            (12, Step::Wall),
            (6, Step::Restart),
            (5, Step::BackUp),
            (2, Step::Restore),
            (2, Step::PutBack),
            (5, Step::Heal),
        ]);
        match step {
            Step::Start => self.some_start(),
            Step::Issue => self.some_issue(),
            Step::End => self.some_end(),
            Step::Lease => self.some_lease(),
            Step::Authorize => self.some_authorize(),
            Step::RevokeToken => self.some_revoke_token(),
            Step::Revoke => self.some_revoke(),
            Step::Lock => self.some_lock(),
            Step::Unlock => self.some_unlock(),
            Step::Registry => {
                let setup = self.model.setup.unwrap_or_else(Setup::full).changed(&mut self.dice);
                self.activate_registry(setup);
            }
            Step::Policy => {
                let set = self.dice.below(POLICIES);
                self.activate_policy(set);
            }
            Step::Rotate => {
                let one = if self.dice.percent(50) { Algorithm::Es256 } else { Algorithm::Ed25519 };
                self.rotate_key(one);
            }
            Step::Pump => self.pump(),
            Step::Look => {
                if !self.pending.is_empty() {
                    let at = self.dice.below(self.pending.len());
                    self.look(at);
                }
            }
            Step::Cancel => self.cancel(),
            Step::Time => self.time(),
            Step::Tick => _ = self.tick(),
            Step::Compact => self.compact(),
            Step::Crash => self.some_crash(),
            Step::Disk => self.disk(),
            Step::Inspect => {
                let all = self.tasks();
                if let Some(at) = self.dice.pick_late(&all) {
                    self.inspect(*at);
                }
            }
            Step::Feed => self.some_feed(),
            Step::Weather => self.change_weather(),
            Step::Wall => self.set_wall(),
            Step::Restart => {
                let at = self.dice.below(self.feed.stations.len());
                self.restart_station(at);
            }
            Step::BackUp => self.back_up(),
            Step::Restore => self.restore(),
            Step::PutBack => self.put_back(),
            Step::Heal => self.heal(),
        }
        if step != Step::Feed && self.dice.percent(30) {
            self.ask_stations();
        }
        match step {
            Step::Pump | Step::Time | Step::Tick | Step::Crash | Step::Restore | Step::Disk | Step::Issue => {
                Moved::Yes
            }
            _ => Moved::No,
        }
    }

    /// A while passes, and the network does what it does.
    fn some_feed(&mut self) {
        if self.dice.percent(70) {
            self.clock.advance(Duration::from_millis(self.dice.next() % 900));
        }
        self.exchange();
        self.ask_who_is_missing();
        self.ask_stations();
    }

    // === requests ===

    fn tasks(&self) -> Vec<usize> {
        (0..self.model.tasks.len()).collect()
    }

    /// A task, mostly one that is alive.
    fn some_task(&mut self) -> Option<usize> {
        let all = self.tasks();
        let alive: Vec<_> = all.iter().copied().filter(|at| self.model.task_dead(*at) == Dead::No).collect();
        let from = if self.dice.percent(85) && !alive.is_empty() { &alive } else { &all };
        self.dice.pick_late(from).copied()
    }

    fn some_who(&mut self) -> Who {
        let name = self.dice.weighted(&[(6, "agent"), (4, "helper")]);
        Who { tenant: self.dice.weighted(&[(5, 0), (3, 1), (2, 2)]), name }
    }

    /// Mostly the task's own, with its secret.
    fn claim(&mut self, task: usize) -> (Who, [u8; 32]) {
        let (who, secret) = (self.model.tasks[task].who, self.model.tasks[task].secret);
        match self.dice.below(20) {
            0 => (self.some_who(), secret),
            1 => (who, [0; 32]),
            _ => (who, secret),
        }
    }

    fn some_start(&mut self) {
        let scopes = universe::scopes();
        let mut scope = scopes[self.dice.below(scopes.len())].clone();
        let mut who = self.some_who();
        let mut parent = None;
        if self.dice.percent(55)
            && let Some(task) = self.some_task()
        {
            let (claimed, secret) = self.claim(task);
            (who, parent) = (claimed, Some((task, secret)));
            let within: Vec<_> =
                scopes.iter().filter(|s| s.is_within(&self.model.tasks[task].scope)).collect();
            if self.dice.percent(85) && !within.is_empty() {
                scope = within[self.dice.below(within.len())].clone();
            }
        }
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.dice.next().to_be_bytes());
        let deadline_after = match self.dice.below(4) {
            0 => None,
            1 => Some(1 + self.dice.below(60) as u64),
            _ => Some(60 + self.dice.below(3000) as u64),
        };
        let lease = self.dice.weighted(&[(3, 30), (2, 5), (5, 300), (5, 600)]);
        let request = self.some_request("start");
        let ask = StartAsk { asker: self.asker(who), parent, secret, scope, deadline_after, lease, request };
        let mut ask = ask;
        let body = format!(
            "{:?} {:?} {:?} {:?} {}",
            ask.parent, ask.secret, ask.scope, ask.deadline_after, ask.lease
        );
        ask.request = ask.request.map(|key| RequestKey { hash: locum_token::sha256(body.as_bytes()), ..key });
        self.start_task(ask.clone());
        if ask.request.is_some() && self.dice.percent(60) {
            self.start_task(ask);
        }
    }

    fn some_issue(&mut self) {
        let Some(task) = self.some_task() else { return };
        let scopes = universe::scopes();
        let fit = |scope: &&locum_model::Scope| {
            scope.is_within(&self.model.tasks[task].scope) && scope.connectors().len() == 1
        };
        let within: Vec<_> = scopes.iter().filter(fit).collect();
        let from: Vec<_> =
            if within.is_empty() || self.dice.percent(8) { scopes.iter().collect() } else { within };
        let scope = from[self.dice.below(from.len())].clone();
        let (who, secret) = self.claim(task);
        let ttl = match self.dice.below(6) {
            0 | 1 => None,
            2 => Some(900),
            3 => Some(1 + self.dice.below(5) as u64),
            _ => Some(1 + self.dice.below(60) as u64),
        };
        let uses = self.dice.percent(30).then(|| 1 + self.dice.below(3) as u32);
        let request = self.some_request("issue");
        let ask = IssueAsk { asker: self.asker(who), task, secret, scope, ttl, uses, request };
        let mut ask = ask;
        let body = format!("{:?} {:?} {:?}", ask.scope, ask.ttl, ask.uses);
        ask.request = ask.request.map(|key| RequestKey { hash: locum_token::sha256(body.as_bytes()), ..key });
        self.issue_token(ask.clone());
        if ask.request.is_some() && self.dice.percent(60) {
            // The same again while the first is on its way, and perhaps another body under its name.
            let mut again = ask;
            if self.dice.percent(10) {
                again.request = again.request.map(|key| RequestKey { hash: [9; 32], ..key });
            }
            if self.dice.percent(30) {
                self.pump();
            }
            self.issue_token(again);
        }
    }

    /// Few request ids, so that they are used again: at once, after a while, after they were forgotten.
    fn some_request(&mut self, method: &str) -> Option<RequestKey> {
        if self.dice.percent(60) {
            return None;
        }
        let id = format!("{method}-{}", self.dice.below(6));
        Some(RequestKey { id, hash: [7; 32] })
    }

    fn some_end(&mut self) {
        let Some(task) = self.some_task() else { return };
        if self.dice.percent(35) {
            let tenants: &[&[&str]] = &[&[], &["acme"], &["beta"], &["beta", "gamma"]];
            let tenants = tenants[self.dice.below(tenants.len())];
            return self.force_end(task, tenants);
        }
        let (who, secret) = self.claim(task);
        let outcome = if self.dice.percent(70) { Outcome::Completed } else { Outcome::Failed };
        let asker = self.asker(who);
        self.end_task(asker, task, secret, outcome);
    }

    fn some_lease(&mut self) {
        let Some(task) = self.some_task() else { return };
        let (who, secret) = self.claim(task);
        let asker = self.asker(who);
        if self.dice.percent(60) {
            self.renew_task(&asker, task, secret);
        } else {
            self.hold_task(&asker, task, secret);
        }
    }

    fn some_token(&mut self) -> Option<usize> {
        let all: Vec<_> = (0..self.model.tokens.len()).collect();
        let now = self.now()?;
        let alive = |at: &usize| self.model.token_dead(&self.model.tokens[*at], now) == Dead::No;
        let alive: Vec<_> = all.iter().copied().filter(alive).collect();
        let limited = |at: &usize| self.model.tokens[*at].uses_left.is_some();
        let limited: Vec<_> = alive.iter().copied().filter(limited).collect();
        let from = match self.dice.below(10) {
            0 => &all,
            1..=6 if !limited.is_empty() => &limited,
            _ if !alive.is_empty() => &alive,
            _ => &all,
        };
        self.dice.pick_late(from).copied()
    }

    fn some_authorize(&mut self) {
        let Some(token) = self.some_token() else { return };
        let operation = match self.model.tokens[token].connector.as_str() {
            "orders" if self.dice.percent(40) => "orders:refund",
            "orders" => "orders:read",
            "mail" => "mail:send",
            _ => "vault:read",
        };
        let resource = match self.dice.below(3) {
            0 => None,
            1 => Some("order/1"),
            _ => Some("order/2"),
        };
        self.authorize(token, operation, resource.filter(|_| operation.starts_with("orders")));
        if self.dice.percent(40) {
            self.authorize(token, operation, resource.filter(|_| operation.starts_with("orders")));
        }
    }

    fn some_revoke_token(&mut self) {
        let Some(token) = self.some_token() else { return };
        let own = self.model.tasks[self.model.tokens[token].task].who;
        let who = if self.dice.percent(80) { own } else { self.some_who() };
        self.revoke_token(token, who);
    }

    fn some_tenants(&mut self) -> &'static [&'static str] {
        self.dice.weighted(&[(6, &[] as &[&str]), (2, &["acme"]), (1, &["beta"]), (1, &["beta", "gamma"])])
    }

    fn some_revoke(&mut self) {
        let (Some(named), tenants) = (self.something_to_name(), self.some_tenants()) else { return };
        let before = match (self.dice.below(5), self.now()) {
            (0, Some(now)) => Some(now.minus(Duration::from_secs(self.dice.below(120) as u64))),
            (1, Some(now)) if self.dice.percent(20) => Some(now.plus(Duration::from_secs(5))),
            _ => None,
        };
        self.revoke(named, tenants, before);
    }

    fn some_lock(&mut self) {
        let (Some(named), tenants) = (self.something_to_name(), self.some_tenants()) else { return };
        let seconds = 1 + self.dice.below(90) as u64;
        self.lock(named, tenants, seconds);
    }

    fn some_unlock(&mut self) {
        if !self.model.locks.is_empty() && self.now().is_some() {
            let at = self.dice.below(self.model.locks.len());
            self.unlock(at);
        }
    }
}

/// A seed for each run of a series.
pub(crate) fn seeds(first: u64, count: usize) -> Vec<u64> {
    let mut dice = Dice::new(first);
    (0..count).map(|_| dice.next()).collect()
}
