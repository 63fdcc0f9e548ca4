//! The fold: what every committed event does, live, at restart and in the simulator alike.
//!
//! Called by one writer in journal order. What may happen once is judged here and nowhere else:
//! a request id answers once, a task ends once, a use is spent once, and what lands after its
//! world was revoked or locked is too late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use locum_model::event::{By, PolicyActivated, RegistryActivated, TaskStarted};
use locum_model::limits::{CLOCK_SKEW_MAX, TASK_DEADLINE_MAX, TOKEN_TTL_MAX};
use locum_model::registry::Registry;
use locum_model::{Committed, DigestKey, Event, IssueRecord, Position, Reason, Target, TaskId, Timestamp};
use locum_policy::{PolicySet, RegistryEntities};
use locum_table::{Applied, Table};
use locum_token::KeyStore;
use parking_lot::{RwLock, RwLockWriteGuard};

use crate::feed::Feed;
use crate::leases::Leases;
use crate::state::State;
use crate::state::requests::KeyedRequest;
use crate::state::tasks::{Ended, HowEnded};
use crate::state::timeline::Timeline;
use crate::world::{Pinned, World};

/// For how long what took authority away is kept: longer than anything may live.
const KEPT: Duration = TASK_DEADLINE_MAX.saturating_add(TOKEN_TTL_MAX).saturating_add(CLOCK_SKEW_MAX);

/// What the fold made of an event.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The table took it, or says why it came too late.
    Applied(Applied),
    /// Its request id had been answered before; nothing was applied.
    Repeated,
}

/// Everything that events change.
pub(crate) struct Fold {
    pub table: Arc<Table>,
    pub state: RwLock<State>,
    pub leases: Leases,
    pub feed: Feed,
    world: ArcSwap<World>,
    keys: Arc<dyn KeyStore>,
    /// The sequence of the newest applied event; home and epoch are fixed while running.
    applied: AtomicU64,
    origin: RwLock<Position>,
    /// What could not be put in force at a restart; for operators.
    troubles: RwLock<Vec<String>>,
    /// Why the files are not those in force; none when they are.
    files_refused: RwLock<Option<String>>,
}

// === impl Fold ===

impl Fold {
    /// Nothing has happened yet.
    pub(crate) fn new(home: u16, keys: Arc<dyn KeyStore>, digest_key: DigestKey) -> Self {
        Self {
            table: Arc::new(Table::new(digest_key)),
            state: RwLock::default(),
            leases: Leases::of_restart(),
            feed: Feed::new(),
            world: ArcSwap::from_pointee(World::default()),
            keys,
            applied: AtomicU64::new(0),
            origin: RwLock::new(Position { home, epoch: 1, sequence: 0 }),
            troubles: RwLock::default(),
            files_refused: RwLock::default(),
        }
    }

    /// Applies a batch, in order, and tells of it once all of it is applied. It calls `breathe` before each event, which
    /// may take its time: nothing is locked meanwhile.
    pub(crate) fn apply_all(&self, batch: &[Committed<Event>], mut breathe: impl FnMut()) -> Vec<Verdict> {
        self.make_near(batch);
        let applied = |committed| {
            breathe();
            self.apply(committed)
        };
        let verdicts = batch.iter().map(applied).collect();
        self.feed.tell(batch);
        verdicts
    }

    fn apply(&self, committed: &Committed<Event>) -> Verdict {
        let mut state = self.state.write();
        let verdict = self.judge(&mut state, committed);
        note(&mut state.timeline, committed);
        self.advance(committed.position());
        // What dies with an event may be many tasks: whoever reads goes on while they are looked for.
        let state = RwLockWriteGuard::downgrade(state);
        self.feed.take(committed, &verdict, &self.table, &state.tasks);
        verdict
    }

    /// Applies some events of a restart, in order.
    ///
    /// How far the fold is is told once for all of them: nobody asks in between.
    pub(crate) fn replay(&self, events: &[Committed<Event>]) {
        self.make_near(events);
        let mut state = self.state.write();
        let mut ledger = self.feed.replaying();
        for committed in events {
            #[cfg(bug_zoo)]
            if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::UsesNotReplayed)
                && committed.event().name() == "token-used"
            {
                continue;
            }
            let verdict = self.judge(&mut state, committed);
            note(&mut state.timeline, committed);
            ledger.take(committed, &verdict, &self.table, &state.tasks);
        }
        if let Some(last) = events.last() {
            self.advance(last.position());
        }
    }

    /// Looks where the rows of these events will be, so that the misses of many overlap.
    fn make_near(&self, events: &[Committed<Event>]) {
        let issued = events.iter().filter_map(|committed| match committed.event() {
            Event::TokenIssued(record) => Some(record.jti),
            _ => None,
        });
        self.table.make_near(issued);
    }

    /// The newest position whose event is applied.
    pub(crate) fn position(&self) -> Position {
        Position { sequence: self.applied.load(Ordering::Acquire), ..*self.origin.read() }
    }

    /// Takes the world as it is. The position is read first, so that it is never newer than what
    /// the decision then reads: a decision can only look older than it is, which is the safe side.
    pub(crate) fn pin(&self) -> Pinned {
        let position = self.position();
        let world = self.world.load_full();
        let pin = locum_model::evidence::WorldPin {
            position,
            policy: world.policy_revision,
            registry: world.registry.revision(),
        };
        Pinned { world, pin }
    }

    /// Notes something that is wrong, for operators.
    pub(crate) fn trouble(&self, line: String) {
        self.troubles.write().push(line);
    }

    /// What could not be put in force, and what else is wrong.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let mut troubles = self.troubles.read().clone();
        troubles.extend(self.files_refused.read().clone());
        troubles
    }

    /// Notes why the files are not those in force, or that they are.
    pub(crate) fn set_files_refused(&self, why: Option<String>) {
        *self.files_refused.write() = why;
    }

    /// Sets where the journal stands, after a replay that may have brought no event of this epoch.
    pub(crate) fn stand_at(&self, head: Position) {
        *self.origin.write() = Position { sequence: 0, ..head };
        self.applied.fetch_max(head.sequence, Ordering::AcqRel);
        self.feed.stand_at(head);
    }

    fn advance(&self, position: Position) {
        let origin = *self.origin.read();
        if (origin.home, origin.epoch) != (position.home, position.epoch) {
            *self.origin.write() = Position { sequence: 0, ..position };
        }
        self.applied.store(position.sequence, Ordering::Release);
    }

    fn judge(&self, state: &mut RwLockWriteGuard<'_, State>, committed: &Committed<Event>) -> Verdict {
        // What these make takes long, and nobody may wait for it who asks meanwhile.
        let rare = |state: &mut _, make: &dyn Fn() -> Verdict| RwLockWriteGuard::unlocked(state, make);
        match committed.event() {
            Event::TaskStarted(started) => self.start_task(state, committed, started),
            Event::TokenIssued(record) => self.issue(state, committed, record),
            Event::TaskEnded(ended) => {
                let end = Ended { how: HowEnded::Ended(ended.outcome), at: ended.at, by: ended.by.clone() };
                self.end(state, committed, ended.task, end)
            }
            Event::TaskLapsed(lapsed) => {
                let end = Ended { how: HowEnded::Lapsed, at: lapsed.at, by: By::Broker };
                self.end(state, committed, lapsed.task, end)
            }
            Event::RegistryActivated(activated) => {
                rare(state, &|| self.activate_registry(committed, activated))
            }
            Event::PolicyActivated(activated) => rare(state, &|| self.activate_policy(committed, activated)),
            Event::KeyPublished(_) | Event::KeyActivated(_) | Event::KeyRetired(_) => {
                rare(state, &|| self.move_key(committed))
            }
            Event::Locked(locked) => {
                state.locks.lock(locked);
                Verdict::Applied(Applied::Done)
            }
            Event::Unlocked(unlocked) => {
                state.locks.unlock(&unlocked.locks);
                Verdict::Applied(Applied::Done)
            }
            Event::TokenUsed(_) | Event::Revoked(_) | Event::ChecksSummed(_) | Event::DenialsSummed(_) => {
                Verdict::Applied(self.table.apply(committed))
            }
        }
    }

    fn start_task(
        &self,
        state: &mut State,
        committed: &Committed<Event>,
        started: &Arc<TaskStarted>,
    ) -> Verdict {
        state.tasks.counted(started.task);
        let request = KeyedRequest::of_start(started);
        if request.is_some_and(|request| state.requests.is_answered(&request, started.at)) {
            return Verdict::Repeated;
        }
        let above = state.tasks.chain(started.parent);
        let asked = || crate::rests_on::lockable_of_start(started, above);
        if state.locks.covering(asked, started.at).is_some() {
            return Verdict::Applied(Applied::TooLate(Reason::Locked));
        }
        let applied = self.table.apply(committed);
        if matches!(applied, Applied::Started) {
            state.tasks.start(started, committed.position());
            if let Some(request) = request {
                let State { tasks, requests, .. } = state;
                let rests_on = tasks.chain(Some(started.task));
                requests.remember_task(&request, started.task, rests_on, started.deadline);
            }
            self.leases.enter(started.task, started.at, started.lease, started.deadline);
        }
        Verdict::Applied(applied)
    }

    fn issue(&self, state: &mut State, committed: &Committed<Event>, record: &Arc<IssueRecord>) -> Verdict {
        let request = KeyedRequest::of_issue(record);
        if request.is_some_and(|request| state.requests.is_answered(&request, record.at)) {
            return Verdict::Repeated;
        }
        let asked = || {
            #[cfg(bug_zoo)]
            if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::LockSkippedInFold) {
                return Vec::new();
            }
            crate::rests_on::targets_of_issue(record)
        };
        if state.locks.covering(asked, record.at).is_some() {
            return Verdict::Applied(Applied::TooLate(Reason::Locked));
        }
        let applied = self.table.apply(committed);
        if let (Applied::Issued(_), Some(request)) = (&applied, request) {
            state.requests.remember_token(&request, record);
        }
        Verdict::Applied(applied)
    }

    fn end(&self, state: &mut State, committed: &Committed<Event>, task: TaskId, ended: Ended) -> Verdict {
        let applied = self.table.apply(committed);
        if matches!(applied, Applied::Ended) {
            state.tasks.end(task, ended);
            self.leases.remove(task);
        }
        Verdict::Applied(applied)
    }

    fn activate_registry(&self, committed: &Committed<Event>, activated: &RegistryActivated) -> Verdict {
        if activated.entries.revision <= self.world.load().registry.revision() {
            // Numbered against a registry that is not in force any more: its numbers may be taken.
            self.state.write().stale.insert(committed.position().sequence);
            return Verdict::Applied(Applied::TooLate(Reason::RegistryInvalid));
        }
        let applied = self.table.apply(committed);
        let registry = Arc::new(Registry::of(activated.entries.clone()));
        let entities = Arc::new(RegistryEntities::of(registry.clone()));
        self.change_world(|world| {
            world.registry = registry;
            world.entities = entities;
            world.registry_digest = activated.digest;
        });
        Verdict::Applied(applied)
    }

    fn activate_policy(&self, committed: &Committed<Event>, activated: &PolicyActivated) -> Verdict {
        if activated.revision <= self.world.load().policy_revision {
            self.state.write().stale.insert(committed.position().sequence);
            return Verdict::Applied(Applied::TooLate(Reason::PolicyInvalid));
        }
        // The texts were compiled before they were committed. A later version of the product may
        // judge them otherwise; then no policy is in force, which denies everything.
        let compiled = locum_policy::compile(&activated.texts);
        if let Err(problems) = &compiled {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let trouble = format!("policy revision {} does not compile: {first}", activated.revision);
            self.trouble(trouble);
        }
        let set: Option<Arc<PolicySet>> = compiled.ok().map(Arc::new);
        self.change_world(|world| {
            world.policy = set;
            world.policy_revision = activated.revision;
            world.policy_digest = activated.digest;
        });
        Verdict::Applied(Applied::Done)
    }

    fn move_key(&self, committed: &Committed<Event>) -> Verdict {
        let mut keys = self.world.load().keys.clone();
        if let Err(cause) = keys.apply(committed.event(), self.keys.as_ref()) {
            self.trouble(format!("key store: {cause}"));
        }
        self.change_world(|world| {
            world.keys = keys;
            world.key_set = key_set_number(committed.position());
        });
        Verdict::Applied(self.table.apply(committed))
    }

    fn change_world(&self, change: impl FnOnce(&mut World)) {
        let mut world = World::clone(&self.world.load());
        change(&mut world);
        self.world.store(Arc::new(world));
    }

    /// Whether an event still matters to a restart; what does not may be left out of a snapshot.
    ///
    /// INVARIANT: what took authority away is kept for longer than anything may live. Events that
    /// came too late stand in the journal too, and a replay has to find them too late again.
    pub(crate) fn still_matters(&self, committed: &Committed<Event>, now: Timestamp) -> bool {
        let state = self.state.read();
        let world = self.world.load();
        let recent = |at: Timestamp| now < at.plus(KEPT);
        let in_table =
            |targets: &[Target]| targets.iter().any(|target| self.table.watermark(*target).is_some());
        // One that the table has freed is dead. By its own end, then both are kept as long as it is
        // shown; by what it rests on, then it goes at once, as that may be left out soon.
        let task_matters = |task: locum_model::TaskId| {
            self.table.holds_task(task)
                || self.feed.holds_task(task)
                || state.requests.rest_on(task)
                || state.tasks.ended_by_itself(task)
        };
        match committed.event() {
            #[cfg(bug_zoo)]
            Event::Revoked(_)
                if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::SnapshotDropsRevocations) =>
            {
                false
            }
            #[cfg(bug_zoo)]
            Event::TaskEnded(_)
                if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::SnapshotDropsEnds) =>
            {
                false
            }
            Event::KeyPublished(key) => world.keys.key(&key.kid).is_some(),
            Event::KeyActivated(key) => world.keys.key(&key.kid).is_some(),
            // A retired key never verifies again, for ever.
            Event::KeyRetired(_) => true,
            // What was refused may only stand where what it came second to stands as well.
            _ if state.stale.contains(&committed.position().sequence) => false,
            Event::RegistryActivated(activated) => {
                activated.entries.revision == world.registry.revision()
                    || recent(activated.at)
                    || in_table(&activated.removed)
            }
            Event::PolicyActivated(activated) => {
                activated.revision == world.policy_revision || recent(activated.at)
            }
            // A beginning may stay for its request id's sake: so does what ended it.
            Event::TaskStarted(started) => task_matters(started.task),
            Event::TaskEnded(ended) => task_matters(ended.task) || recent(ended.at),
            Event::TaskLapsed(lapsed) => task_matters(lapsed.task) || recent(lapsed.at),
            Event::TokenIssued(record) => {
                self.table.holds(record.jti)
                    || self.feed.rests_on(record, committed.position().sequence)
                    || state.requests.holds(record)
            }
            Event::TokenUsed(used) => self.table.holds(used.jti),
            Event::ChecksSummed(_) | Event::DenialsSummed(_) => false,
            Event::Revoked(revoked) => recent(revoked.at) || in_table(&revoked.targets),
            Event::Locked(locked) => recent(locked.until),
            Event::Unlocked(unlocked) => {
                recent(unlocked.at) || state.locks.any_lifted(&unlocked.locks, now.minus(KEPT))
            }
        }
    }
}

/// Notes when an event happened. Sums are written down long after what they sum up, and decide nothing.
fn note(timeline: &mut Timeline, committed: &Committed<Event>) {
    if !matches!(committed.event(), Event::ChecksSummed(_) | Event::DenialsSummed(_)) {
        timeline.note(committed.event().at(), committed.position());
    }
}

/// The number of the set of keys that a change at `position` makes. It grows within an epoch, and is beyond
/// whatever an earlier epoch can have reached: verifiers take no older set than they hold.
fn key_set_number(position: Position) -> u64 {
    (u64::from(position.epoch.saturating_sub(1)) << 32).saturating_add(position.sequence)
}
