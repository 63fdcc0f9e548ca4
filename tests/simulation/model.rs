//! The reference model: what Locum promises, the naive way.
//!
//! Written from the rules (positions, watermarks, levels, tasks, locks), not from the code: plain
//! lists, walked from front to back, nothing indexed, nothing forgotten. What rests on what is a
//! list of marks in words, such as `owner acme/desk#12`: the level, the name, and where in the
//! journal that entry of the registry began, so that one that is removed and made again is another.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_model::event::Outcome;
use locum_model::{Scope, TaskId, Timestamp, TokenId};

use crate::universe::{self, Setup, TENANTS, Who};

/// Grace after a lost hold stream and after a restart.
const GRACE: Duration = Duration::from_secs(10);

/// Of a position as one number; the epoch stands above. No run has as many events.
const SEQUENCE_BITS: u32 = 32;

/// The sequence of a position that is one number.
pub(crate) fn sequence_of(position: u64) -> u64 {
    position & ((1 << SEQUENCE_BITS) - 1)
}

/// Whether a position is of an epoch before that of another one.
pub(crate) fn is_of_earlier_epoch(position: u64, other: u64) -> bool {
    position >> SEQUENCE_BITS < other >> SEQUENCE_BITS
}

/// Whether something is dead. `Maybe` only ever comes of "issued before": seconds and positions do not
/// agree to the last event, and where they do not, more may die than was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dead {
    No,
    Maybe,
    Yes,
}

/// What became of a task by an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Ended(Outcome),
    Lapsed,
    /// A copy from before was restored, and with it everything revoked.
    Restored,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) parent: Option<usize>,
    pub(crate) who: Who,
    /// The registration that started it; only it may act on the task.
    pub(crate) workload: String,
    pub(crate) marks: Vec<String>,
    pub(crate) actors: Vec<Vec<String>>,
    pub(crate) subject: String,
    pub(crate) secret: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) deadline: Timestamp,
    pub(crate) decided: Decision,
    pub(crate) over: Option<Over>,
    pub(crate) lease: Option<Lease>,
    pub(crate) span: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) due: Timestamp,
    pub(crate) held: bool,
    /// It ran out and the task's end was asked for: nothing extends it any more.
    pub(crate) ran_out: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) jti: TokenId,
    /// None when whoever asked was gone before the answer.
    pub(crate) compact: Option<String>,
    pub(crate) task: usize,
    pub(crate) connector: String,
    pub(crate) connector_mark: String,
    pub(crate) scope: Scope,
    pub(crate) marks: Vec<String>,
    pub(crate) decided: Decision,
    pub(crate) expires_at: Timestamp,
    pub(crate) uses_left: Option<u32>,
    /// It was dead once, so it is dead for ever.
    pub(crate) was_dead: bool,
}

#[derive(Clone, Debug)]
struct Revocation {
    mark: String,
    position: u64,
    /// Only what was issued before this second.
    before: Option<i64>,
}

/// When something was decided, and when it was written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    /// The newest position that it had read.
    pub(crate) read: u64,
    pub(crate) at: Timestamp,
    /// The position of its own event; none while it is on its way.
    pub(crate) born: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Lock {
    pub(crate) what: String,
    pub(crate) marks: Vec<String>,
    pub(crate) until: Timestamp,
    pub(crate) lifted: bool,
}

/// An answered request.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) key: String,
    pub(crate) hash: [u8; 32],
    pub(crate) what: usize,
    pub(crate) until: Timestamp,
}

/// Everything that happened.
#[derive(Clone, Default)]
pub(crate) struct Model {
    /// The position of the newest event that was read, see [`Model::position_of`].
    pub(crate) position: u64,
    /// The epochs of the journal; the last is the one at hand.
    pub(crate) epochs: Vec<u32>,
    /// The entries of the registry in force, and where each began.
    pub(crate) entries: BTreeMap<String, u64>,
    pub(crate) setup: Option<Setup>,
    pub(crate) registries: u32,
    pub(crate) policy: usize,
    pub(crate) policy_revision: u32,
    pub(crate) tasks: Vec<Task>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) locks: Vec<Lock>,
    pub(crate) answered: Vec<Answered>,
    /// Every count ever given to a task, to one that was refused too.
    pub(crate) counts: std::collections::BTreeSet<u64>,
    /// The `kid` of every key ever published, in order.
    pub(crate) keys: Vec<String>,
    revocations: Vec<Revocation>,
}

impl Model {
    /// Nothing has happened, and the journal is in its first epoch.
    pub(crate) fn new() -> Self {
        Self { epochs: vec![1], ..Self::default() }
    }

    // === what rests on what ===

    /// An entry of the registry in force, as a mark.
    pub(crate) fn mark(&self, entry: &str) -> Option<String> {
        self.entries.get(entry).map(|began| format!("{entry}#{began}"))
    }

    /// The registration that `who` is now.
    pub(crate) fn workload_mark(&self, who: Who) -> Option<String> {
        let setup = self.setup?;
        let (tenant, name) = (TENANTS[who.tenant], who.name);
        self.mark(&format!("workload {tenant}/{name} {}", setup.identity(who)))
    }

    pub(crate) fn connector_mark(&self, tenant: usize, connector: &str) -> Option<String> {
        self.mark(&format!("connector {}/{connector}", TENANTS[tenant]))
    }

    /// The workload, its owner and its model.
    pub(crate) fn actor(&self, who: Who) -> Option<Vec<String>> {
        let (setup, tenant) = (self.setup?, TENANTS[who.tenant]);
        let mut marks = vec![self.workload_mark(who)?];
        marks.push(self.mark(&format!("owner {tenant}/{}", setup.owner_of_workload(who)))?);
        if let Some(model) = setup.model_of(who) {
            marks.push(self.mark(&format!("model {tenant}/{model}"))?);
        }
        Some(marks)
    }

    /// A subject of the tenant that is registered under this name now.
    pub(crate) fn subject_mark(&self, tenant: usize, subject: &str) -> Option<String> {
        self.mark(&format!("tenant {}", TENANTS[tenant])).map(|tenant| format!("subject {tenant} {subject}"))
    }

    /// The task and those above it, from leaf to root.
    pub(crate) fn chain(&self, task: usize) -> Vec<usize> {
        let mut chain = vec![task];
        while let Some(parent) = self.tasks[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        chain
    }

    // === what is dead ===

    fn killed(&self, marks: &[String], decided: Decision) -> Dead {
        let judge = |revocation: &Revocation| match revocation.before {
            _ if !marks.contains(&revocation.mark) || decided.read >= revocation.position => Dead::No,
            None => Dead::Yes,
            Some(second)
                if decided.at.as_seconds() < second
                    && decided.born.is_some_and(|born| born < revocation.position) =>
            {
                Dead::Yes
            }
            Some(_) => Dead::Maybe,
        };
        self.revocations.iter().map(judge).max().unwrap_or(Dead::No)
    }

    /// A task is dead when it, or one above it, is over or revoked.
    pub(crate) fn task_dead(&self, task: usize) -> Dead {
        let one = |at: usize| {
            let task = &self.tasks[at];
            if task.over.is_some() { Dead::Yes } else { self.killed(&task.marks, task.decided) }
        };
        self.chain(task).into_iter().map(one).max().unwrap_or(Dead::No)
    }

    /// A token is dead when it expired, is spent, or anything that it rests on is dead.
    pub(crate) fn token_dead(&self, token: &Token, now: Timestamp) -> Dead {
        if token.was_dead || now >= token.expires_at || token.uses_left == Some(0) {
            return Dead::Yes;
        }
        self.token_revoked(token)
    }

    /// Whether a use that was decided at `at` comes too late. The token's own end says nothing here: it may
    /// have come since.
    pub(crate) fn use_dead(&self, token: &Token, at: Timestamp) -> Dead {
        match self.token_revoked(token) {
            _ if at >= token.expires_at || token.uses_left == Some(0) => Dead::Yes,
            Dead::Maybe if token.was_dead => Dead::Yes,
            dead => dead,
        }
    }

    /// A token is revoked when anything that it rests on is dead; its own end and its uses apart.
    pub(crate) fn token_revoked(&self, token: &Token) -> Dead {
        self.killed(&token.marks, token.decided).max(self.task_dead(token.task))
    }

    /// What would be dead if it were decided at `decided` and committed now.
    pub(crate) fn born_dead(&self, marks: &[String], decided: Decision) -> Dead {
        self.killed(marks, decided)
    }

    /// Whether a lock in force covers any of these.
    pub(crate) fn locked(&self, marks: &[String], now: Timestamp) -> bool {
        let covers = |lock: &Lock| {
            !lock.lifted && now < lock.until && lock.marks.iter().any(|mark| marks.contains(mark))
        };
        self.locks.iter().any(covers)
    }

    /// What a request id stands for; it is forgotten a minute after that is over.
    pub(crate) fn answer(&self, key: &str, now: Timestamp) -> Option<&Answered> {
        let kept = Duration::from_secs(60);
        self.answered.iter().find(|answered| answered.key == key && now < answered.until.plus(kept))
    }

    pub(crate) fn task_at(&self, id: TaskId) -> Option<usize> {
        self.tasks.iter().position(|task| task.id == id)
    }

    pub(crate) fn token_at(&self, jti: TokenId) -> Option<usize> {
        self.tokens.iter().position(|token| token.jti == jti)
    }

    // === what happens ===

    /// Goes on by one event.
    pub(crate) fn step(&mut self, sequence: u64) {
        assert_eq!(sequence, self.sequence() + 1, "J1: the journal has a gap or goes back");
        self.position += 1;
    }

    /// A journal from before is taken for the journal from now on: everything is dead, and what happened
    /// since is forgotten. `sequence` is where it stands once that is written down.
    pub(crate) fn restore(&mut self, copy: &Self, epoch: u32, sequence: u64) {
        let before = std::mem::replace(self, copy.clone());
        for mut task in before.tasks.into_iter().skip(self.tasks.len()) {
            task.over = Some(Over::Restored);
            self.tasks.push(task);
        }
        for task in &mut self.tasks {
            task.over.get_or_insert(Over::Restored);
            task.lease = None;
        }
        self.tokens = before.tokens;
        self.tokens.iter_mut().for_each(|token| token.was_dead = true);
        // No number is given out again, and whatever was revoked stays so.
        (self.counts, self.revocations, self.epochs) = (before.counts, before.revocations, before.epochs);
        self.epochs.push(epoch);
        self.position = self.position_of(epoch, sequence);
    }

    // === positions ===

    /// A position as one number: the epoch by its place among all of them, then the sequence.
    pub(crate) fn position_of(&self, epoch: u32, sequence: u64) -> u64 {
        let place = self.epochs.iter().position(|known| *known == epoch).unwrap_or(0);
        (place as u64) << SEQUENCE_BITS | sequence
    }

    /// The sequence of the newest event that was read.
    pub(crate) fn sequence(&self) -> u64 {
        sequence_of(self.position)
    }

    /// Everything of these marks that was decided before the event at hand, or issued before `moment`.
    ///
    /// A moment becomes a position when it is asked for, and what was decided since may fall on either
    /// side: it is never spared wrongly, but may be killed with the rest.
    pub(crate) fn revoke(&mut self, marks: &[String], moment: Option<Timestamp>) {
        let (position, before) = (self.position, moment.map(Timestamp::as_seconds));
        for mark in marks {
            self.revocations.push(Revocation { mark: mark.clone(), position, before });
        }
    }

    /// Whether any signing key was revoked so far; the next one then signs without waiting.
    pub(crate) fn revoked_a_key(&self) -> bool {
        self.revocations.iter().any(|revocation| revocation.mark.starts_with("key "))
    }

    /// A registry comes into force: what is new begins here, what is gone is revoked.
    pub(crate) fn activate(&mut self, setup: Setup) {
        let entries = setup.entries();
        let gone: Vec<_> = self.entries.keys().filter(|entry| !entries.contains(*entry)).cloned().collect();
        let marks: Vec<_> = gone.iter().filter_map(|entry| self.mark(entry)).collect();
        self.revoke(&marks, None);
        self.entries.retain(|entry, _| entries.contains(entry));
        for entry in entries {
            self.entries.entry(entry).or_insert(self.position);
        }
        self.setup = Some(setup);
        self.registries += 1;
    }

    // === leases ===

    /// When a lease that is asked for now runs out.
    pub(crate) fn renew(&mut self, task: usize, now: Timestamp) -> Option<Timestamp> {
        let task = &mut self.tasks[task];
        let lease = task.lease.as_mut().filter(|lease| !lease.ran_out)?;
        lease.due = if lease.held { task.deadline } else { now.plus(task.span).min(task.deadline) };
        Some(lease.due)
    }

    pub(crate) fn hold(&mut self, task: usize) {
        let deadline = self.tasks[task].deadline;
        self.tasks[task].lease = Some(Lease { due: deadline, held: true, ran_out: false });
    }

    /// The current hold stream is gone.
    pub(crate) fn release(&mut self, task: usize, now: Timestamp) {
        let task = &mut self.tasks[task];
        if task.lease.is_some_and(|lease| lease.held && !lease.ran_out) {
            let due = now.plus(task.span.max(GRACE)).min(task.deadline);
            task.lease = Some(Lease { due, held: false, ran_out: false });
        }
    }

    /// Takes the leases that ran out, at most `most`, those first that ran out first.
    pub(crate) fn run_out(&mut self, now: Timestamp, most: usize) -> Vec<usize> {
        let due = |task: &Task| task.lease.is_some_and(|lease| lease.due <= now && !lease.ran_out);
        let mut due: Vec<_> = (0..self.tasks.len()).filter(|at| due(&self.tasks[*at])).collect();
        due.sort_by_key(|at| (self.tasks[*at].lease.map(|lease| lease.due), self.tasks[*at].id));
        due.truncate(most);
        for at in &due {
            let alive = self.task_dead(*at) != Dead::Yes;
            let lease = self.tasks[*at].lease.take().filter(|_| alive);
            self.tasks[*at].lease = lease.map(|lease| Lease { ran_out: true, ..lease });
        }
        due
    }

    /// The end of this task could not be written down: it is asked for again.
    pub(crate) fn run_out_again(&mut self, task: usize) {
        if let Some(lease) = &mut self.tasks[task].lease {
            lease.ran_out = false;
        }
    }

    /// Every task gets its lease anew.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        for task in self.tasks.iter_mut().filter(|task| task.over.is_none()) {
            let due = now.plus(task.span.max(GRACE)).min(task.deadline);
            task.lease = Some(Lease { due, held: false, ran_out: false });
        }
    }

    /// How late the reaper is that last looked at `position`: leases that ran out, and tokens that
    /// expired before they were written down.
    pub(crate) fn overdue(&self, now: Timestamp, position: u64) -> Duration {
        let leases = self
            .tasks
            .iter()
            .filter_map(|task| task.lease)
            .filter(|lease| !lease.ran_out)
            .map(|lease| now.since(lease.due));
        let new = |token: &&Token| token.decided.born.is_some_and(|born| born > position);
        let tokens = self.tokens.iter().filter(new).map(|token| now.since(token.expires_at));
        leases.chain(tokens).max().unwrap_or_default()
    }

    /// What the policy in force demands, when it allows it.
    pub(crate) fn policy(&self, scope: &Scope, depth: usize) -> Option<universe::Terms> {
        universe::allows(self.policy, scope, depth)
    }
}
