//! [`Broker`]: what the use cases share, and how it comes up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_journal::{FileLayer, OpenError, Reader};
use locum_model::event::By;
use locum_model::limits::REAPER_LAG_MAX;
use locum_model::{Caller, Clock, Entropy, Reason, TaskId, TenantNo, Timestamp};
use locum_table::Table;
use locum_token::KeyStore;
use locum_token::dpop::Proofs;
use parking_lot::Mutex;

use crate::commit::{Commits, Committer};
use crate::denials::{Denial, Denials};
use crate::fold::Fold;
use crate::key_move::KeyMove;
use crate::refusal::Refusal;
use crate::restart::Restart;
use crate::shelf::Shelf;
use crate::under_way::UnderWay;
use crate::verifiers::Verifiers;
use crate::world::Pinned;

/// Settings that are not taken from the outside world again.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `iss` of every token.
    pub issuer: String,
    /// How the journal is laid out, and the home broker's number.
    pub journal: locum_journal::Options,
    /// How long a key is published before it signs.
    pub key_publish_ahead: Duration,
    /// How long a key signs.
    pub key_rotate_every: Duration,
    /// Proofs of keys that are remembered of a tenant in each half of what is: the product's
    /// [`PROOFS_REMEMBERED_MAX`](locum_model::limits::PROOFS_REMEMBERED_MAX), but in tests of what happens beyond.
    pub proofs_max: usize,
}

/// What time and randomness are drawn from, and where things are kept.
#[derive(Clone)]
pub struct Surroundings {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where the journal's segments are.
    pub files: Arc<dyn FileLayer>,
    /// Where private keys are.
    pub keys: Arc<dyn KeyStore>,
}

/// The broker could not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error("the journal does not open: {0}")]
    Journal(#[from] OpenError),
    /// The clock is not settled.
    #[error("no time: {0}")]
    Clock(#[from] locum_model::ClockUnsettled),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] locum_model::EntropyFailed),
}

/// Everything a use case needs. One per process; shared.
pub struct Broker {
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) key_store: Arc<dyn KeyStore>,
    pub(crate) fold: Arc<Fold>,
    pub(crate) commits: Commits,
    pub(crate) journal: Reader,
    pub(crate) denials: Denials,
    pub(crate) key_moves: Mutex<Vec<KeyMove>>,
    pub(crate) lapses: UnderWay<TaskId>,
    pub(crate) sums: UnderWay<()>,
    pub(crate) shelf: Shelf,
    pub(crate) verifiers: Verifiers,
    pub(crate) proofs: Proofs,
    next_task: AtomicU64,
    next_lock: AtomicU64,
    started_at: Timestamp,
}

impl Broker {
    /// Opens the journal, replays it through the one apply, and is ready to commit.
    ///
    /// The committer has to be given its own thread before anything can be asked for.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the journal is damaged, of a later format or in use, or there is no time or no
    /// randomness.
    pub fn open(options: Options, around: Surroundings) -> Result<(Arc<Self>, Committer), StartError> {
        let room = usize::try_from(locum_journal::foreseen(&*around.files)).unwrap_or(0);
        let keys = Arc::clone(&around.keys);
        let mut restart = Restart::new(options.journal.home, keys, &*around.entropy, room);
        let journal = locum_journal::open(around.files, options.journal.clone(), &mut restart)?;
        let fold = restart.done()?;
        let journal_epoch = journal.writer.head().position.epoch;
        fold.stand_at(journal.writer.head().position);
        let newest = fold.state.read().timeline.newest();
        let now = around.clock.now()?.max(newest.unwrap_or_default());
        fold.leases.grant_grace(now);
        let (tasks, locks) = {
            let mut state = fold.state.write();
            // Whatever had these numbers may be in no snapshot any more.
            state.tasks.given(journal.given.tasks);
            state.locks.given(journal.given.locks);
            let floor = numbers_floor(journal_epoch);
            (state.tasks.count_max().max(floor), state.locks.number_max().max(floor))
        };
        let bounds = fold.pin().world.registry.entries().connectors.values().map(|c| c.staleness_bound).max();
        let verifiers = Verifiers::new(bounds.unwrap_or_default(), around.clock.elapsed());
        let (committer, commits) =
            Committer::new(journal.writer, Arc::clone(&fold), Arc::clone(&around.clock));
        let broker = Self {
            proofs: Proofs::with_room_for(options.proofs_max),
            options,
            clock: around.clock,
            entropy: around.entropy,
            key_store: around.keys,
            fold,
            commits,
            journal: journal.reader,
            denials: Denials::default(),
            key_moves: Mutex::default(),
            lapses: UnderWay::default(),
            sums: UnderWay::default(),
            shelf: Shelf::default(),
            verifiers,
            next_task: AtomicU64::new(tasks + 1),
            next_lock: AtomicU64::new(locks + 1),
            started_at: now,
        };
        Ok((Arc::new(broker), committer))
    }

    /// Writes down what was summed up, and takes nothing more; what is queued is still committed. The committer then
    /// ends.
    pub async fn close(&self) {
        self.write_all_sums().await;
        self.commits.close();
    }

    /// A number that grows at least twice a second while the commit path is alive: it counts how
    /// often the writer has looked for work.
    pub fn commit_turns(&self) -> u64 {
        self.commits.turns()
    }

    /// When the newest event happened, to the second; time must not go back behind it.
    pub fn newest_event_at(&self) -> Option<Timestamp> {
        self.fold.state.read().timeline.newest()
    }

    /// The issuer's URL.
    pub fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// When this process came up.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// The public keys that verify tokens, as a JWK set.
    pub fn jwks(&self) -> String {
        self.fold.pin().world.keys.jwks()
    }

    /// The table, for measurements.
    pub fn table(&self) -> &Table {
        &self.fold.table
    }

    pub(crate) fn now(&self) -> Result<Timestamp, Refusal> {
        Ok(self.clock.now()?)
    }

    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn new_task_id(&self) -> TaskId {
        TaskId::new(self.options.journal.home, self.next_task.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn new_lock_number(&self) -> u64 {
        self.next_lock.fetch_add(1, Ordering::Relaxed)
    }

    /// Refuses new authority while expiry is behind its bound.
    pub(crate) fn reaper_keeps_up(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.reaper_lag(now) > REAPER_LAG_MAX {
            return Err(Refusal::new(Reason::ReaperBehind, "expiry is behind its bound"));
        }
        Ok(())
    }

    /// How late the reaper is.
    pub fn reaper_lag(&self, now: Timestamp) -> Duration {
        let leases = self.fold.leases.next_due().map_or(Duration::ZERO, |due| now.since(due));
        leases.max(self.fold.table.overdue(now))
    }

    /// Notes a workload's refusal for the record and hands it on.
    pub(crate) fn denied(&self, at: DeniedAt<'_>, refusal: Refusal) -> Refusal {
        let Ok(now) = self.clock.now() else { return refusal };
        if let Ok(workload) = at.pinned.workload(at.caller)
            && let Some(id) = at.caller.spiffe_id()
        {
            self.denials.note(Denial {
                tenant: workload.tenant,
                by: By::Workload { number: workload.number, id: id.clone() },
                task: at.task,
                method: at.method,
                refusal: &refusal,
                policy_revision: at.pinned.pin.policy,
                at: now,
            });
        }
        refusal
    }

    /// Notes an operator's refusal for the record and hands it on.
    pub(crate) fn denied_operator(&self, name: &str, method: &'static str, refusal: Refusal) -> Refusal {
        let Ok(now) = self.clock.now() else { return refusal };
        self.denials.note(Denial {
            tenant: TenantNo(0),
            by: By::Operator(name.into()),
            task: None,
            method,
            refusal: &refusal,
            policy_revision: self.fold.pin().pin.policy,
            at: now,
        });
        refusal
    }
}

/// Numbers of tasks and locks begin above this. A journal whose epoch is not its first forgot some that were
/// given out; later epochs are moments in seconds, and nobody gives out 65,536 numbers a second.
fn numbers_floor(epoch: u32) -> u64 {
    u64::from(epoch.saturating_sub(1)) << 16
}

/// Where a workload was refused.
pub(crate) struct DeniedAt<'a> {
    pub pinned: &'a Pinned,
    pub caller: &'a Caller,
    pub method: &'static str,
    pub task: Option<TaskId>,
}
