//! [`Partition`]: what one connector's followers have to hear next.
//!
//! The fold puts deltas down and goes on; whoever owns the partition takes all that wait at once.
//! What waits is bounded: beyond that it is let go, and whoever takes is told to begin anew.

use std::collections::VecDeque;
use std::sync::Arc;

use locum_model::limits::{FEED_ENTRIES_PER_FRAME, FEED_WAITING_ENTRIES_MAX};
use locum_model::{ConnectorNo, Position};
use tokio::sync::Notify;

use super::{Cursor, FeedDelta, FeedEntry};
use crate::fold::Fold;

/// A followed partition. There is one owner at a time; when it is dropped, nothing is kept for it.
pub struct Partition {
    fold: Arc<Fold>,
    connector: ConnectorNo,
    number: u64,
    wake: Arc<Notify>,
}

/// What was waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// In order; together at most what one frame holds, and no event is split.
    pub deltas: Vec<FeedDelta>,
    /// Some had to be let go: only a snapshot brings a follower further.
    pub lost: bool,
    /// Everything up to here was taken, now or before; none when there is more to take at once.
    pub position: Option<Position>,
}

/// The deltas that wait for one partition's owner.
pub(super) struct Waiting {
    number: u64,
    deltas: VecDeque<FeedDelta>,
    entries: usize,
    lost: bool,
    wake: Arc<Notify>,
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn push(&mut self, delta: FeedDelta) {
        let count = delta.entries.len();
        // An event is never split between frames: who has one half must not say that it has both.
        let fits = count <= FEED_ENTRIES_PER_FRAME && self.entries + count <= FEED_WAITING_ENTRIES_MAX;
        if !fits || self.lost {
            (self.lost, self.entries) = (true, 0);
            self.deltas.clear();
        } else {
            self.entries += count;
            self.deltas.push_back(delta);
        }
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take(&mut self) -> Vec<FeedDelta> {
        let mut room = FEED_ENTRIES_PER_FRAME;
        let mut taken = Vec::new();
        while let Some(delta) = self.deltas.pop_front_if(|delta| delta.entries.len() <= room) {
            room -= delta.entries.len();
            taken.push(delta);
        }
        self.entries -= FEED_ENTRIES_PER_FRAME - room;
        taken
    }
}

// === impl Partition ===

impl Partition {
    /// Begins to keep what a connector's followers have to hear. A former owner gets nothing more.
    pub(crate) fn follow(fold: Arc<Fold>, connector: ConnectorNo) -> Self {
        let wake = Arc::new(Notify::new());
        let number = {
            let mut ledger = fold.feed.ledger.lock();
            ledger.followings += 1;
            let number = ledger.followings;
            let deltas = VecDeque::new();
            let waiting = Waiting { number, deltas, entries: 0, lost: false, wake: Arc::clone(&wake) };
            ledger.followed.insert(connector, waiting);
            number
        };
        Self { fold, connector, number, wake }
    }

    /// Whose partition this is.
    pub fn connector(&self) -> ConnectorNo {
        self.connector
    }

    /// Returns once there may be something to take, or another set of keys.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Takes what is waiting, as much as one frame holds.
    pub fn take(&self) -> Taken {
        let mut ledger = self.fold.feed.ledger.lock();
        let position = ledger.position;
        let waiting = ledger.followed.get_mut(&self.connector);
        let Some(waiting) = waiting.filter(|waiting| waiting.number == self.number) else {
            return Taken { lost: true, position: Some(position), deltas: Vec::new() };
        };
        let lost = std::mem::take(&mut waiting.lost);
        let deltas = waiting.take();
        let position = waiting.deltas.is_empty().then_some(position);
        Taken { deltas, lost, position }
    }

    /// The next entries that are in force, at most `most`; none at the end. Holds up the fold while
    /// they are copied, so `most` is to be small.
    pub fn in_force(&self, cursor: &mut Cursor, most: usize) -> Vec<FeedEntry> {
        self.fold.feed.ledger.lock().in_force.read(self.connector, cursor, most)
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let mut ledger = self.fold.feed.ledger.lock();
        if ledger.followed.get(&self.connector).is_some_and(|waiting| waiting.number == self.number) {
            ledger.followed.remove(&self.connector);
        }
    }
}
