//! One run: the real broker, the fakes around it, the model beside it, and what is in flight.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_broker::{Broker, Committer, Operator, Options, Pumped, RecordEntry, Surroundings, Tenants};
use locum_journal::{Lane, MemoryFiles};
use locum_model::{Clock, Reason, Timestamp};
use locum_token::MemoryKeyStore;

use crate::around::{Dice, ManualClock, SeededEntropy, poll};
use crate::model::{Dead, Decision, Lease, Model, Over, Task, Token};
use crate::network::Feed;
use crate::plan::{Answer, Expected, Issue, Plan, Start, Verdict};
use crate::restart::Backup;
use crate::trace::{Aloud, Trace};

pub(crate) const ISSUER: &str = "https://locum.test";
pub(crate) const HOME: u16 = 1;

/// A request that was polled and has not answered.
pub(crate) struct Pending {
    pub(crate) id: u64,
    pub(crate) what: String,
    pub(crate) expected: Expected,
    /// Its event is on the way, or was.
    pub(crate) submitted: bool,
    pub(crate) future: Pin<Box<dyn Future<Output = Answer>>>,
}

pub(crate) struct Run {
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) files: MemoryFiles,
    pub(crate) keys: Arc<MemoryKeyStore>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) committer: Committer,
    pub(crate) model: Model,
    pub(crate) pending: Vec<Pending>,
    /// What was submitted and is not in the journal yet, by the event's name, in order.
    pub(crate) queued: BTreeMap<&'static str, VecDeque<(u64, Plan)>>,
    pub(crate) verdicts: BTreeMap<u64, Verdict>,
    /// Answers that were given while the journal could not be read: they have to be in it.
    pub(crate) owed: Vec<(u64, String)>,
    /// Tasks whose lapse was submitted.
    pub(crate) lapsing: Vec<usize>,
    /// Tasks whose lapse was refused since the reaper's last turn.
    pub(crate) unlapsed: Vec<usize>,
    /// The disk is full or failing, so that anything may be refused for it.
    pub(crate) troubled: bool,
    /// A batch was committed that cannot be read before the restart.
    pub(crate) blind: bool,
    pub(crate) ticked_at: Option<Timestamp>,
    pub(crate) ticked_position: u64,
    pub(crate) next_id: u64,
    pub(crate) feed: Feed,
    /// A copy of the data directory, and what was true when it was made.
    pub(crate) backup: Option<Backup>,
    /// The broker is one that came up on a copy which nobody accepted.
    pub(crate) is_on_copy: bool,
}

pub(crate) fn options() -> Options {
    Options {
        issuer: ISSUER.into(),
        journal: locum_journal::Options { segment_bytes: 8 << 10, reserve_bytes: 8 << 10, home: HOME },
        key_publish_ahead: Duration::from_secs(60),
        key_rotate_every: Duration::from_secs(6 * 3600),
        proofs_max: 8,
    }
}

/// An operator who reaches these tenants; all of them when there is none.
pub(crate) fn operator(tenants: &[&str]) -> Operator {
    let tenants = match tenants {
        [] => Tenants::All,
        some => Tenants::Only(some.iter().map(|one| crate::universe::name(one)).collect()),
    };
    Operator { name: "op".into(), tenants }
}

impl Run {
    pub(crate) fn new(seed: u64, aloud: Aloud) -> Self {
        let clock = Arc::new(ManualClock::new());
        let entropy = Arc::new(SeededEntropy::new(seed));
        let (files, keys) = (MemoryFiles::new(), Arc::new(MemoryKeyStore::default()));
        let around = Surroundings {
            clock: clock.clone(),
            entropy: entropy.clone(),
            files: Arc::new(files.clone()),
            keys: keys.clone(),
        };
        let (broker, committer) = Broker::open(options(), around).expect("an empty journal opens");
        let mut run = Self {
            dice: Dice::new(seed),
            trace: Trace::new(aloud),
            clock,
            entropy,
            files,
            keys,
            broker,
            committer,
            model: Model::new(),
            backup: None,
            is_on_copy: false,
            pending: Vec::new(),
            queued: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            owed: Vec::new(),
            lapsing: Vec::new(),
            unlapsed: Vec::new(),
            troubled: false,
            blind: false,
            ticked_at: None,
            ticked_position: 0,
            next_id: 0,
            feed: Feed::default(),
        };
        run.prepare_keys();
        run.start_stations();
        run
    }

    pub(crate) fn now(&self) -> Option<Timestamp> {
        self.clock.now().ok()
    }

    /// Whether the reaper may be behind its bound.
    pub(crate) fn reaper_may_be_behind(&self) -> bool {
        let long_ago = |now: Timestamp| match self.ticked_at {
            Some(ticked) => now.since(ticked) > Duration::from_secs(10),
            None => true,
        };
        let late = |now: Timestamp| {
            long_ago(now) || self.model.overdue(now, self.ticked_position) > Duration::from_secs(10)
        };
        self.now().is_none_or(late)
    }

    // === requests ===

    /// Polls a request for the first time; what does not answer at once has submitted its event.
    pub(crate) fn begin(
        &mut self,
        what: String,
        expected: Expected,
        future: impl Future<Output = Answer> + 'static,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        self.trace.say(format_args!("ask {id}: {what}"));
        let mut pending = Pending { id, what, expected, submitted: false, future: Box::pin(future) };
        match poll(&mut pending.future) {
            Some(answer) => self.settle(pending, answer),
            None => {
                let Expected { refused, why, plan, .. } = &pending.expected;
                assert!(*refused != Dead::Yes, "{} is on its way although {why}", pending.what);
                let plan = plan.clone();
                let plan = plan.unwrap_or_else(|| panic!("{} commits something", pending.what));
                self.queued.entry(event_of(&plan)).or_default().push_back((id, plan));
                pending.submitted = true;
                self.pending.push(pending);
            }
        }
    }

    /// Polls the request at `at` again.
    pub(crate) fn look(&mut self, at: usize) {
        if let Some(answer) = poll(&mut self.pending[at].future) {
            let pending = self.pending.remove(at);
            self.settle(pending, answer);
        }
    }

    pub(crate) fn look_at_all(&mut self) {
        for at in (0..self.pending.len()).rev() {
            self.look(at);
        }
    }

    /// Takes the event of a request that was refused for space out of the queue.
    pub(crate) fn unqueue(&mut self, id: u64) {
        self.queued.values_mut().for_each(|queue| queue.retain(|(queued, _)| *queued != id));
    }

    /// Commits a batch and reads what is in the journal now.
    pub(crate) fn pump(&mut self) {
        match self.committer.pump() {
            Ok(Pumped::Refused(lane, count)) => {
                assert!(self.troubled, "{count} were refused on a disk that is well");
                self.trace.say(format_args!("the disk is full: {count} refused"));
                // Lapses are urgent, so that they were in its batch if there were any.
                if lane == Lane::Urgent {
                    self.unlapsed.append(&mut self.lapsing);
                }
                self.look_at_all();
            }
            Ok(pumped) => {
                self.trace.say(format_args!("pump: {pumped:?}"));
                self.read();
            }
            Err(_failed) => {
                assert!(self.troubled, "J2: the journal failed on a disk that is well");
                self.trace.say("the journal failed");
                self.crash();
            }
        }
    }

    /// Commits all that is queued and hears every answer.
    pub(crate) fn drain(&mut self) {
        for _ in 0..64 {
            if self.pending.is_empty() && self.queued.values().all(VecDeque::is_empty) {
                return;
            }
            self.pump();
            self.look_at_all();
        }
        panic!("64 batches did not drain the queue");
    }

    pub(crate) fn commit_batch_that_fails(&mut self) -> Result<Pumped, ()> {
        self.committer.pump().map_err(|_failed| ())
    }

    pub(crate) fn seal(&mut self) {
        assert!(self.committer.seal().is_ok() || self.troubled, "a seal failed on a disk that is well");
    }

    // === the journal, as it is ===

    /// Reads what is new in the journal and folds it into the model.
    pub(crate) fn read(&mut self) {
        let from = self.model.sequence() + 1;
        let (entries, _) = self.broker.read_record(&operator(&[]), from, usize::MAX).expect("it reads");
        for entry in entries {
            self.trace.say(format_args!("  {} {}", entry.position.sequence, entry.event));
            self.model.step(entry.position.sequence);
            self.fold(&entry);
        }
        self.note_deaths();
    }

    fn fold(&mut self, entry: &RecordEntry) {
        match entry.event {
            "task-lapsed" => self.lapse(entry),
            "key-published" | "key-activated" | "key-retired" => self.move_key(entry),
            "checks-summed" | "denials-summed" => {}
            name => {
                let plan = self.queued.get_mut(name).and_then(VecDeque::pop_front);
                let (id, plan) = plan.unwrap_or_else(|| panic!("I2: a `{name}` that nobody asked for"));
                let verdict = self.carry_out(plan, entry);
                self.verdicts.insert(id, verdict);
            }
        }
    }

    fn lapse(&mut self, entry: &RecordEntry) {
        let task = entry.task.and_then(|task| self.model.task_at(task)).expect("a known task lapses");
        assert!(self.lapsing.contains(&task), "a task lapsed whose lease had not run out");
        self.lapsing.retain(|lapsing| *lapsing != task);
        if self.model.task_dead(task) != Dead::Yes {
            self.model.tasks[task].over = Some(Over::Lapsed);
            self.model.tasks[task].lease = None;
        }
    }

    fn move_key(&mut self, entry: &RecordEntry) {
        if entry.event == "key-published" {
            let kid = entry.summary.rsplit(' ').next().expect("a summary names the key");
            self.model.keys.push(kid.to_owned());
            if entry.by.starts_with("operator")
                && let Some((id, _)) = self.queued.get_mut("key-published").and_then(VecDeque::pop_front)
            {
                self.verdicts.insert(id, Verdict::Took(0));
            }
        }
        if entry.event == "key-retired" {
            let kid = entry.summary.split(' ').next().expect("a summary names the key");
            self.model.revoke(&[format!("key {kid}")], None);
        }
    }

    fn carry_out(&mut self, plan: Plan, entry: &RecordEntry) -> Verdict {
        match plan {
            Plan::Start(start) => self.start(*start, entry),
            Plan::Issue(issue) => self.issue(*issue, entry),
            Plan::End { task, outcome } => {
                match self.model.task_dead(task) {
                    Dead::Yes => return Verdict::Late,
                    Dead::Maybe if !self.has_ended(task) => return Verdict::Late,
                    Dead::Maybe | Dead::No => {}
                }
                self.model.tasks[task].over = Some(Over::Ended(outcome));
                self.model.tasks[task].lease = None;
                Verdict::Took(task)
            }
            Plan::Use { token, at } => {
                let dead = self.model.use_dead(&self.model.tokens[token], at);
                let token = &mut self.model.tokens[token];
                match (dead, &mut token.uses_left) {
                    (Dead::Yes, _) | (_, None) => Verdict::Late,
                    (_, Some(left)) => {
                        *left -= 1;
                        Verdict::Used(*left)
                    }
                }
            }
            Plan::Revoke { marks, before } => {
                self.model.revoke(&marks, before);
                Verdict::Took(0)
            }
            Plan::Lock { what, marks, until } => {
                self.model.locks.push(crate::model::Lock { what, marks, until, lifted: false });
                Verdict::Took(0)
            }
            Plan::Unlock { locks } => {
                locks.into_iter().for_each(|lock| self.model.locks[lock].lifted = true);
                Verdict::Took(0)
            }
            // Made for what was in force before: its numbers may have been given meanwhile.
            Plan::Registry(_, base) if base != self.model.registries => Verdict::Late,
            Plan::Policy(_, base) if base != self.model.policy_revision => Verdict::Late,
            Plan::Registry(setup, _) => {
                self.model.activate(setup);
                Verdict::Took(0)
            }
            Plan::Policy(set, _) => {
                self.model.policy = set;
                self.model.policy_revision += 1;
                Verdict::Took(0)
            }
            Plan::Rotate => Verdict::Took(0),
        }
    }

    fn start(&mut self, start: Start, entry: &RecordEntry) -> Verdict {
        let id = entry.task.expect("a task has an id");
        assert!(self.model.counts.insert(id.count()), "{id} was given twice");
        if let Some((key, _)) = &start.request
            && let Some(answered) = self.model.answer(key, start.at)
        {
            return Verdict::Repeated(answered.what);
        }
        let locked = self.locked(&start.lockable, start.at);
        let decided = Decision { read: start.decided, at: start.at, born: None };
        let above = start.parent.map_or(Dead::No, |parent| self.model.task_dead(parent));
        match above.max(locked).max(self.model.born_dead(&start.marks, decided)) {
            Dead::Yes => return Verdict::Late,
            Dead::Maybe if self.broker.inspect_task(&operator(&[]), id).is_err() => return Verdict::Late,
            Dead::Maybe | Dead::No => {}
        }
        let mut actors = start.parent.map_or_else(Vec::new, |parent| self.model.tasks[parent].actors.clone());
        if actors.last() != Some(&start.actor) {
            actors.push(start.actor);
        }
        let mut marks = start.marks;
        marks.push(format!("task {id}"));
        let due = start.at.plus(start.span).min(start.deadline);
        self.model.tasks.push(Task {
            id,
            parent: start.parent,
            who: start.who,
            workload: start.workload,
            marks,
            actors,
            subject: start.subject,
            secret: start.secret,
            scope: start.scope,
            deadline: start.deadline,
            decided: Decision { born: Some(self.model.position), ..decided },
            over: None,
            lease: Some(Lease { due, held: false, ran_out: false }),
            span: start.span,
        });
        let what = self.model.tasks.len() - 1;
        self.remember(start.request, what, start.deadline);
        Verdict::Took(what)
    }

    fn issue(&mut self, issue: Issue, entry: &RecordEntry) -> Verdict {
        let jti = entry.jti.expect("a token has an id");
        assert!(self.model.token_at(jti).is_none(), "I3: {jti} was given twice");
        if let Some((key, _)) = &issue.request
            && let Some(answered) = self.model.answer(key, issue.at)
        {
            return Verdict::Repeated(answered.what);
        }
        // The record's own time is in whole seconds.
        let locked = self.locked(&issue.marks, issue.at);
        let mut marks = issue.marks;
        marks.push(format!("key {}", entry.facts["kid"]));
        marks.push(format!("token {jti}"));
        let decided = Decision { read: issue.decided, at: issue.at, born: None };
        let dead = locked.max(self.model.task_dead(issue.task)).max(self.model.born_dead(&marks, decided));
        match dead {
            Dead::Yes => return Verdict::Late,
            Dead::Maybe if !self.broker.table().holds(jti) => return Verdict::Late,
            Dead::Maybe | Dead::No => {}
        }
        self.model.tokens.push(Token {
            jti,
            compact: None,
            task: issue.task,
            connector: issue.connector,
            connector_mark: issue.connector_mark,
            scope: issue.scope,
            marks,
            decided: Decision { born: Some(self.model.position), ..decided },
            expires_at: issue.expires_at,
            uses_left: issue.uses,
            was_dead: false,
        });
        let what = self.model.tokens.len() - 1;
        self.remember(issue.request, what, issue.expires_at);
        Verdict::Took(what)
    }

    fn has_ended(&self, task: usize) -> bool {
        let view = self.broker.inspect_task(&operator(&[]), self.model.tasks[task].id);
        view.is_ok_and(|view| view.outcome.is_some())
    }

    /// Whether a lock refuses what was decided at `at`. One that is over by now may be forgotten.
    fn locked(&self, marks: &[String], at: Timestamp) -> Dead {
        let is_over = self.now().is_none_or(|now| !self.model.locked(marks, now));
        match self.model.locked(marks, at) {
            false => Dead::No,
            true if is_over => Dead::Maybe,
            true => Dead::Yes,
        }
    }

    fn remember(&mut self, request: Option<(String, [u8; 32])>, what: usize, until: Timestamp) {
        if let Some((key, hash)) = request {
            self.model.answered.push(crate::model::Answered { key, hash, what, until });
        }
    }
}

/// Why the world, not the rules, said no.
pub(crate) fn is_trouble(reason: Reason) -> bool {
    matches!(reason, Reason::StorageFull | Reason::JournalUnavailable | Reason::Draining | Reason::Overloaded)
}

fn event_of(plan: &Plan) -> &'static str {
    match plan {
        Plan::Start(_) => "task-started",
        Plan::Issue(_) => "token-issued",
        Plan::End { .. } => "task-ended",
        Plan::Use { .. } => "token-used",
        Plan::Revoke { .. } => "revoked",
        Plan::Lock { .. } => "locked",
        Plan::Unlock { .. } => "unlocked",
        Plan::Registry(..) => "registry-activated",
        Plan::Policy(..) => "policy-activated",
        Plan::Rotate => "key-published",
    }
}
