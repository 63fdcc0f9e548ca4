//! [`Hub`]: the partitions that are followed, and what keeps their frames coming.
//!
//! A partition is opened by its first follower and kept for a while after its last, so that who comes
//! back can go on. Each has a pump: it alone waits for the fold, makes the frames once, and wakes the
//! followers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_model::limits::{
    FEED_PARTITION_IDLE, FEED_RING_BYTES_MAX, FEED_RINGS_BYTES_MAX, FEED_UNREAD_LOOKS_MAX, FEED_UPKEEP,
};
use locum_model::{ConnectorNo, Position, Reason};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::chain::Around;
use super::line::{Look, Watch};
use super::snapshot::Opening;
use super::track::Track;
use super::witness::lost_position;
use crate::tasks::{Group, Stopping, blocking};

/// A witness waits for so long to be heard.
const HEARING_MAX: Duration = Duration::from_secs(1);
/// The least that a partition may keep, in bytes, however many there are.
const RING_BYTES_MIN: usize = 64 * 1024;

/// The partitions that are followed.
pub struct Hub {
    pub(super) around: Around,
    partitions: Mutex<BTreeMap<ConnectorNo, Arc<Shared>>>,
    count: Arc<AtomicUsize>,
    open: mpsc::UnboundedSender<Arc<Shared>>,
    opened: Mutex<Option<mpsc::UnboundedReceiver<Arc<Shared>>>>,
    history_lost: mpsc::Sender<HistoryLost>,
    /// Held while a witness is heard: they come all at once after a start, and each reads the journal.
    hearing: Arc<tokio::sync::Mutex<()>>,
}

/// A follower proved that the journal was put back to an earlier state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a verifier was told by this broker of a history up to {told}, which is not that of this journal, up to {ends}: it was \
     put back to an earlier state; `locumd journal accept-restore` takes it as it is"
)]
pub struct HistoryLost {
    told: Position,
    ends: Position,
}

/// A partition, shared by its pump and its followers.
pub(super) struct Shared {
    pub track: Arc<Track>,
    /// Changes whenever the chain grew or a new one began, and when the partition is closed.
    grown: watch::Sender<State>,
    followers: AtomicUsize,
    /// Streams that may have to be ended.
    lines: Mutex<Vec<Watched>>,
    partitions: Arc<AtomicUsize>,
    /// The newest opening. Its lock is held while one is made, so that one is made at a time.
    opening: tokio::sync::Mutex<Option<Arc<Opening>>>,
}

/// A stream that is ended when nobody reads it, and whose it is.
pub(super) struct Watched {
    pub watch: Watch,
    pub workload: String,
    pub request_id: String,
}

/// Whether a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    /// Its pump is gone.
    Closed,
}

/// One follower's part in a partition.
pub(super) struct Share(pub Arc<Shared>);

// === impl Hub ===

impl Hub {
    /// Nothing is followed yet. Who holds `history_lost` has to end the process when something comes.
    pub(crate) fn new(around: Around, history_lost: mpsc::Sender<HistoryLost>) -> Arc<Self> {
        let (open, opened) = mpsc::unbounded_channel();
        Arc::new(Self {
            around,
            partitions: Mutex::default(),
            count: Arc::default(),
            open,
            opened: Mutex::new(Some(opened)),
            history_lost,
            hearing: Arc::default(),
        })
    }

    /// Keeps the frames coming until the process stops. To be run once.
    ///
    /// # Errors
    ///
    /// A sentence when it is run twice.
    pub async fn run(self: Arc<Self>, mut stopping: Stopping) -> Result<(), String> {
        let mut opened = self.opened.lock().take().ok_or("the feed runs already")?;
        let mut pumps = Group::new();
        loop {
            tokio::select! {
                () = stopping.wait() => break,
                Some(shared) = opened.recv() => {
                    pumps.start(Arc::clone(&self).pump(shared, stopping.clone()));
                }
                Some(()) = pumps.next(), if !pumps.is_empty() => {}
            }
        }
        while pumps.next().await.is_some() {}
        Ok(())
    }

    /// Judges a frame that a follower kept.
    ///
    /// # Errors
    ///
    /// FEED_POSITION_INVALID when it proves that this journal has lost history: the process ends then.
    pub(super) async fn hear_witness(&self, shown: WatchRevocationsResponse) -> Result<(), Reason> {
        // Nobody who comes back waits long for others who do: whoever was told of what was lost proves it, and they are many.
        let hearing = Arc::clone(&self.hearing).lock_owned();
        let Ok(alone) = tokio::time::timeout(HEARING_MAX, hearing).await else { return Ok(()) };
        let broker = Arc::clone(&self.around.broker);
        let heard = move || {
            // Kept here and not by the caller, who may be gone: one is heard at a time.
            let _alone = alone;
            lost_position(&broker, &shown)
        };
        let told = blocking(heard).await.map_err(|lost| {
            tracing::error!(cause = %lost, "a witness was not heard");
            Reason::Internal
        })?;
        let Some(told) = told else { return Ok(()) };
        let lost = HistoryLost { told, ends: self.around.broker.feed_position() };
        tracing::error!(%lost, "nothing is served from here on");
        // One is enough: a full queue means that the process ends already.
        let _ = self.history_lost.try_send(lost);
        Err(Reason::FeedPositionInvalid)
    }

    /// A share in a connector's partition, which is opened when it is not.
    pub(super) fn join(&self, connector: ConnectorNo) -> Result<Share, Reason> {
        let mut partitions = self.partitions.lock();
        if let Some(shared) = partitions.get(&connector) {
            return Ok(Share::of(shared));
        }
        let shared = Arc::new(Shared {
            track: Arc::new(Track::open(self.around.clone(), connector)?),
            grown: watch::Sender::new(State::Open),
            followers: AtomicUsize::new(0),
            lines: Mutex::default(),
            partitions: Arc::clone(&self.count),
            opening: tokio::sync::Mutex::default(),
        });
        self.open.send(Arc::clone(&shared)).map_err(|_stopping| Reason::Draining)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        partitions.insert(connector, Arc::clone(&shared));
        Ok(Share::of(&shared))
    }

    async fn pump(self: Arc<Self>, shared: Arc<Shared>, mut stopping: Stopping) {
        // However this ends, nobody goes on following a partition without a pump.
        let pumped = Pumped { hub: Arc::clone(&self), shared: Arc::clone(&shared) };
        let mut idle_since = None;
        let mut upkeep = tokio::time::interval(FEED_UPKEEP);
        // Looks at who does not read are counted: those that were missed are none.
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while shared.turn() {
                tokio::task::yield_now().await;
            }
            tokio::select! {
                () = stopping.wait() => break,
                () = shared.track.source.changed() => {}
                _ = upkeep.tick() => {
                    let now = self.around.clock.elapsed();
                    shared.forget_opening(now);
                    shared.cut_unread();
                    if shared.followers.load(Ordering::Relaxed) > 0 {
                        idle_since = None;
                    } else if now.saturating_sub(*idle_since.get_or_insert(now)) >= FEED_PARTITION_IDLE
                        && self.close_idle(&shared)
                    {
                        break;
                    }
                }
            }
        }
        drop(pumped);
    }

    /// Takes a partition off that nobody follows; whether it is off.
    fn close_idle(&self, shared: &Arc<Shared>) -> bool {
        let mut partitions = self.partitions.lock();
        // Nobody joins meanwhile: joining takes the same lock.
        let idle = shared.followers.load(Ordering::Relaxed) == 0;
        if idle {
            partitions.remove(&shared.connector());
        }
        idle
    }
}

/// Ends a partition when its pump ends, a panic included.
struct Pumped {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
}

impl Drop for Pumped {
    fn drop(&mut self) {
        let mut partitions = self.hub.partitions.lock();
        let connector = self.shared.connector();
        if partitions.get(&connector).is_some_and(|current| Arc::ptr_eq(current, &self.shared)) {
            partitions.remove(&connector);
        }
        self.hub.count.fetch_sub(1, Ordering::Relaxed);
        self.shared.grown.send_replace(State::Closed);
    }
}

// === impl Shared ===

impl Shared {
    /// Makes what waits into frames and wakes the followers; whether there is more to make.
    fn turn(&self) -> bool {
        let bytes = FEED_RINGS_BYTES_MAX / self.partitions.load(Ordering::Relaxed).max(1);
        let turned = self.track.turn(bytes.clamp(RING_BYTES_MIN, FEED_RING_BYTES_MAX));
        if turned.grew {
            self.grown.send_replace(State::Open);
        }
        turned.more
    }

    /// Whose partition this is.
    pub(super) fn connector(&self) -> ConnectorNo {
        self.track.connector()
    }

    pub(super) fn grown(&self) -> watch::Receiver<State> {
        self.grown.subscribe()
    }

    /// Frames to begin with: those that somebody else begins with, or new ones.
    pub(super) async fn opening(self: &Arc<Self>) -> Result<Arc<Opening>, Reason> {
        let mut newest = self.opening.lock().await;
        if let Some(opening) = newest.as_ref()
            && self.track.serves(opening)
        {
            return Ok(Arc::clone(opening));
        }
        let track = Arc::clone(&self.track);
        let made = blocking(move || track.make_opening()).await.map_err(|lost| {
            tracing::error!(cause = %lost, "no snapshot was made");
            Reason::Internal
        })?;
        let opening = Arc::new(made?);
        *newest = Some(Arc::clone(&opening));
        Ok(opening)
    }

    /// Has a stream ended once nobody reads it.
    pub(super) fn watch(&self, watched: Watched) {
        self.lines.lock().push(watched);
    }

    /// Ends the streams that nothing was read of for too long.
    fn cut_unread(&self) {
        let partition = self.connector().0;
        // What a stream lets go of takes no lock of this list.
        self.lines.lock().retain_mut(|Watched { watch, workload, request_id }| {
            let why = || locum_api::status::status(Reason::FollowerTooSlow, None, request_id, &[]);
            let found = watch.look(FEED_UNREAD_LOOKS_MAX, why);
            if found == Look::Cut {
                tracing::warn!(request_id, partition, workload, "a follower reads nothing and was cut off");
                self.track.around.metrics.feed_follower_cut();
            }
            found == Look::Going
        });
    }

    fn forget_opening(&self, now: Duration) {
        if let Ok(mut newest) = self.opening.try_lock()
            && newest.as_ref().is_some_and(|opening| opening.is_old(now))
        {
            *newest = None;
        }
    }
}

// === impl Share ===

impl Share {
    fn of(shared: &Arc<Shared>) -> Self {
        shared.followers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
