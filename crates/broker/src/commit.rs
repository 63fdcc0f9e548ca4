//! The waist: every state change goes through here, in one order, durable before anything sees it.
//!
//! Use cases [submit](Commits::submit) events and wait. One [`Committer`] takes them in batches,
//! appends each batch to the journal with one flush, folds it in order, and then wakes who waits. So
//! a use case that is cancelled never leaves a committed event unapplied, and nothing is applied
//! that is not durable.
//!
//! A flush takes as long for one event as for a thousand, and so does waking the writer. So whoever
//! brings the first ordinary event lets whatever else is ready to run go first, and rings for the
//! writer when that has brought no more: one call in flight waits for nobody, sixty-four on a busy
//! core share one flush and one wake-up.
//!
//! Two lanes: what takes authority away (revocations, ends, lapses, locks) is urgent and never
//! waits behind what gives it, nor for others to come, nor for disk space that the journal keeps in
//! reserve.

mod offers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_journal::{AppendError, Lane, Writer};
use locum_model::limits::{BATCH_EVENTS_MAX, COMMIT_QUEUE_MAX};
use locum_model::{Clock, Event, Position, Reason};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::fold::{Fold, Verdict};
use crate::refusal::Refusal;
use offers::Offers;

/// How long the writer idles before it seals the journal's end.
const IDLE_BEFORE_SEAL: Duration = Duration::from_millis(500);
/// How long ordinary events are gathered on a core that is never idle.
const GATHERED_WITHIN: Duration = Duration::from_millis(2);

/// What became of a submitted event.
#[derive(Debug)]
pub(crate) struct Settled {
    /// Where it stands in the journal.
    pub position: Position,
    /// What the fold made of it.
    pub verdict: Verdict,
}

/// What a submitted event is answered with, once it is settled.
pub(crate) type Answer = oneshot::Receiver<Result<Settled, Reason>>;

/// The submitting side; cheap to clone.
#[derive(Clone)]
pub(crate) struct Commits {
    queue: Arc<Queue>,
}

/// The one writer.
pub struct Committer {
    queue: Arc<Queue>,
    writer: Writer,
    fold: Arc<Fold>,
    clock: Arc<dyn Clock>,
    observer: Option<BatchObserver>,
    sealed: bool,
    /// Which lane had the batch before.
    before: Lane,
    offers: Offers,
}

/// Told how many events a batch had and how long it took until it was durable.
pub type BatchObserver = Box<dyn Fn(usize, Duration) + Send>;

/// The journal failed: nothing more will ever be acknowledged, the process has to end.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be written: {0}")]
pub struct JournalFailed(String);

struct Queue {
    lanes: Mutex<Lanes>,
    filled: Condvar,
    clock: Arc<dyn Clock>,
    /// Grows whenever the writer looks for work; see [`Commits::turns`].
    turns: AtomicU64,
}

#[derive(Default)]
struct Lanes {
    urgent: VecDeque<Waiting>,
    ordinary: VecDeque<Waiting>,
    /// Somebody [gathers](Gathering) ordinary events and will ring.
    gathering: bool,
    closed: bool,
}

/// The first ordinary event of a batch is queued, and others may be about to come. The writer is rung for
/// when this is dropped, so also when who gathers is cancelled.
struct Gathering {
    queue: Arc<Queue>,
}

struct Waiting {
    event: Event,
    reply: oneshot::Sender<Result<Settled, Reason>>,
}

// === impl Commits ===

impl Commits {
    /// Queues `event` and waits until it is durable and applied.
    ///
    /// # Errors
    ///
    /// OVERLOADED when the lane is full, DRAINING once the writer is closing, STORAGE_FULL when the
    /// disk has no room but for urgent events, JOURNAL_UNAVAILABLE when it failed. In every case
    /// but the last nothing happened.
    pub(crate) async fn commit(&self, event: Event) -> Result<Settled, Refusal> {
        let (answer, gathering) = self.queue(event, Wanted::More)?;
        if let Some(gathering) = gathering {
            gathering.until_no_more_come().await;
        }
        match answer.await {
            Ok(settled) => settled.map_err(Refusal::from),
            Err(_closed) => Err(Reason::JournalUnavailable.into()),
        }
    }

    /// Queues `event`. The answer may be dropped: the event is committed all the same.
    pub(crate) fn submit(&self, event: Event) -> Result<Answer, Reason> {
        self.queue(event, Wanted::Nothing).map(|(answer, _)| answer)
    }

    /// Queues events for as long as there is room, and rings for the writer once. The answers of those that were
    /// queued come in their order; they may be dropped.
    pub(crate) fn submit_all(&self, events: impl Iterator<Item = Event>) -> Vec<Answer> {
        let mut lanes = self.queue.lanes.lock();
        let answers: Vec<_> = events.map_while(|event| lanes.put(lane_of(&event), event).ok()).collect();
        let rings = !answers.is_empty() && lanes.are_ready();
        drop(lanes);
        if rings {
            self.queue.filled.notify_one();
        }
        answers
    }

    fn queue(&self, event: Event, wanted: Wanted) -> Result<(Answer, Option<Gathering>), Reason> {
        let lane = lane_of(&event);
        let mut lanes = self.queue.lanes.lock();
        let answer = lanes.put(lane, event)?;
        let is_first = lane == Lane::Ordinary && lanes.ordinary.len() == 1 && !lanes.gathering;
        if is_first && wanted == Wanted::More {
            lanes.gathering = true;
            return Ok((answer, Some(Gathering { queue: Arc::clone(&self.queue) })));
        }
        let rings = lane == Lane::Urgent || !lanes.gathering;
        drop(lanes);
        if rings {
            self.queue.filled.notify_one();
        }
        Ok((answer, None))
    }

    /// How often the writer has looked for work. It does so after every batch, and twice a second
    /// where there is none: a number that stands still means that it is stuck, in a write, in a
    /// flush or in the fold.
    pub(crate) fn turns(&self) -> u64 {
        self.queue.turns.load(Ordering::Relaxed)
    }

    /// Takes nothing more; the writer ends once the queue is empty.
    pub(crate) fn close(&self) {
        self.queue.lanes.lock().closed = true;
        self.queue.filled.notify_one();
    }
}

/// Whether who queues an event can wait for others to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    More,
    Nothing,
}

// === impl Gathering ===

impl Gathering {
    /// Returns once everything that was ready to run has run and queued nothing more, or when this has
    /// taken long enough.
    async fn until_no_more_come(self) {
        let begun = self.queue.clock.elapsed();
        let mut there = 1;
        loop {
            tokio::task::yield_now().await;
            let now_there = self.queue.lanes.lock().ordinary.len();
            let took = self.queue.clock.elapsed().saturating_sub(begun);
            if now_there <= there || took >= GATHERED_WITHIN {
                return;
            }
            there = now_there;
        }
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.queue.lanes.lock().gathering = false;
        self.queue.filled.notify_one();
    }
}

/// What the reaper asks for, for as long as leases run out; nobody waits for it.
fn is_lapse(event: &Event) -> bool {
    matches!(event, Event::TaskLapsed(_))
}

/// What takes authority away is urgent.
fn lane_of(event: &Event) -> Lane {
    match event {
        Event::TaskEnded(_)
        | Event::TaskLapsed(_)
        | Event::Revoked(_)
        | Event::Locked(_)
        | Event::KeyRetired(_) => Lane::Urgent,
        Event::KeyPublished(_)
        | Event::KeyActivated(_)
        | Event::RegistryActivated(_)
        | Event::PolicyActivated(_)
        | Event::TaskStarted(_)
        | Event::TokenIssued(_)
        | Event::TokenUsed(_)
        | Event::ChecksSummed(_)
        | Event::DenialsSummed(_)
        | Event::Unlocked(_) => Lane::Ordinary,
    }
}

// === impl Queue, Lanes ===

impl Queue {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { lanes: Mutex::default(), filled: Condvar::new(), clock, turns: AtomicU64::new(0) }
    }
}

impl Lanes {
    fn put(&mut self, lane: Lane, event: Event) -> Result<Answer, Reason> {
        if self.closed {
            return Err(Reason::Draining);
        }
        let queue = match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Ordinary => &mut self.ordinary,
        };
        if queue.len() >= COMMIT_QUEUE_MAX {
            return Err(Reason::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        queue.push_back(Waiting { event, reply });
        Ok(answer)
    }

    /// Which lane has the next batch: the urgent one. Only where nothing but lapses stands in it, of which the reaper
    /// brings more for as long as leases run out, they and what is ordinary have it in turn.
    fn next_after(&self, before: Lane) -> Lane {
        let ordinary_is_ready = !self.ordinary.is_empty() && !self.gathering;
        match before {
            _ if self.urgent.is_empty() => Lane::Ordinary,
            Lane::Urgent if ordinary_is_ready && self.urgent.iter().all(|w| is_lapse(&w.event)) => {
                Lane::Ordinary
            }
            _ => Lane::Urgent,
        }
    }

    /// Whether the writer has something to take.
    fn are_ready(&self) -> bool {
        !self.urgent.is_empty() || (!self.ordinary.is_empty() && (!self.gathering || self.closed))
    }
}

// === impl Committer ===

impl Committer {
    /// A writer over an opened journal, and the side that submits to it.
    pub(crate) fn new(writer: Writer, fold: Arc<Fold>, clock: Arc<dyn Clock>) -> (Self, Commits) {
        let queue = Arc::new(Queue::new(Arc::clone(&clock)));
        let commits = Commits { queue: Arc::clone(&queue) };
        let (before, offers) = (Lane::Ordinary, Offers::default());
        (Self { queue, writer, fold, clock, observer: None, sealed: true, before, offers }, commits)
    }

    /// Tells `observer` about every batch from now on.
    #[must_use]
    pub fn observed(self, observer: BatchObserver) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Commits until the queue is closed and empty, then seals. Blocks; give it its own thread.
    ///
    /// # Errors
    ///
    /// [`JournalFailed`] at the first failed write or flush. It is never tried again: what the
    /// disk holds is then unknown, and only a restart finds out.
    pub fn run(mut self) -> Result<(), JournalFailed> {
        while self.wait_for_work() {
            self.pump()?;
        }
        self.seal()
    }

    /// Commits one batch of what is queued; urgent before ordinary. Does not wait.
    ///
    /// # Errors
    ///
    /// As [`Committer::run`].
    pub fn pump(&mut self) -> Result<Pumped, JournalFailed> {
        let (lane, batch) = self.take_batch();
        if batch.is_empty() {
            return Ok(Pumped::Idle);
        }
        self.sealed = false;
        let (events, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.event, w.reply)).unzip();
        let begun = self.clock.elapsed();
        match self.writer.append(lane, events) {
            Ok(committed) => {
                if let Some(observer) = &self.observer {
                    observer(committed.len(), self.clock.elapsed().saturating_sub(begun));
                }
                // Nobody is woken before all of it is applied: on one core who wakes takes the writer's place.
                let only_lapses = committed.iter().all(|committed| is_lapse(committed.event()));
                let breathe = || {
                    if only_lapses {
                        self.offers.look(&*self.clock);
                    }
                };
                let verdicts = self.fold.apply_all(&committed, breathe);
                for ((committed, verdict), reply) in committed.iter().zip(verdicts).zip(replies) {
                    // The use case may have been cancelled; the event is applied all the same.
                    let _ = reply.send(Ok(Settled { position: committed.position(), verdict }));
                }
                Ok(Pumped::Committed(committed.len()))
            }
            Err(AppendError::Full) => Ok(Pumped::Refused(lane, refuse_all(replies, Reason::StorageFull))),
            Err(AppendError::TooLarge) => {
                Ok(Pumped::Refused(lane, refuse_all(replies, Reason::RequestMalformed)))
            }
            Err(fatal @ AppendError::Fatal) => {
                self.queue.lanes.lock().closed = true;
                refuse_all(replies, Reason::JournalUnavailable);
                self.refuse_the_rest();
                Err(JournalFailed(fatal.to_string()))
            }
        }
    }

    /// Marks the journal's end, so that a torn tail and damage can be told apart.
    ///
    /// # Errors
    ///
    /// As [`Committer::run`].
    pub fn seal(&mut self) -> Result<(), JournalFailed> {
        if self.sealed {
            return Ok(());
        }
        self.writer.seal().map_err(|cause| JournalFailed(cause.to_string()))?;
        self.sealed = true;
        Ok(())
    }

    /// Waits until something is queued; `false` when the queue is closed and empty.
    fn wait_for_work(&mut self) -> bool {
        let queue = Arc::clone(&self.queue);
        let mut lanes = queue.lanes.lock();
        loop {
            queue.turns.fetch_add(1, Ordering::Relaxed);
            if lanes.are_ready() {
                return true;
            }
            if lanes.closed {
                return false;
            }
            let idle = queue.filled.wait_for(&mut lanes, IDLE_BEFORE_SEAL).timed_out();
            if idle {
                // Whoever gathers rings long before; one that was never run again holds up nobody.
                lanes.gathering = false;
            }
            if idle && !self.sealed && lanes.urgent.is_empty() && lanes.ordinary.is_empty() {
                // A failed seal shows itself at the next append, which is then refused for good.
                let _ = parking_lot::MutexGuard::unlocked(&mut lanes, || self.seal());
            }
        }
    }

    fn take_batch(&mut self) -> (Lane, Vec<Waiting>) {
        let mut lanes = self.queue.lanes.lock();
        let lane = lanes.next_after(self.before);
        self.before = lane;
        let queue = match lane {
            Lane::Urgent => &mut lanes.urgent,
            Lane::Ordinary => &mut lanes.ordinary,
        };
        let count = queue.len().min(BATCH_EVENTS_MAX);
        (lane, queue.drain(..count).collect())
    }

    fn refuse_the_rest(&self) {
        let mut lanes = self.queue.lanes.lock();
        let urgent = std::mem::take(&mut lanes.urgent);
        let ordinary = std::mem::take(&mut lanes.ordinary);
        drop(lanes);
        refuse_all(urgent.into_iter().chain(ordinary).map(|w| w.reply), Reason::JournalUnavailable);
    }
}

/// What one turn of the writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Nothing was queued.
    Idle,
    /// So many events were committed.
    Committed(usize),
    /// So many of a lane were refused; nothing was written.
    Refused(Lane, usize),
}

fn refuse_all(
    replies: impl IntoIterator<Item = oneshot::Sender<Result<Settled, Reason>>>,
    reason: Reason,
) -> usize {
    let mut refused = 0;
    for reply in replies {
        refused += 1;
        // The use case may have been cancelled.
        let _ = reply.send(Err(reason));
    }
    refused
}

#[cfg(test)]
mod tests;
