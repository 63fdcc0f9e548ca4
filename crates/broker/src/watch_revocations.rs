//! `WatchRevocations`: what a follower of the revocation feed has to hear.

use std::sync::Arc;

use locum_model::registry::Connector;
use locum_model::{Caller, ConnectorNo, Name, Position, Target, WorkloadNo};
use tokio::sync::broadcast;

use crate::broker::Broker;
use crate::feed::{FeedDelta, FeedEntry, drop_after};
use crate::refusal::Refusal;

/// A follower's place in the feed.
pub struct Following {
    /// Who follows.
    pub workload: WorkloadNo,
    /// The connector whose partition is followed.
    pub connector: Connector,
    /// Everything in force when the follower came, and the position that this covers.
    pub snapshot: Vec<FeedEntry>,
    /// The newest position that the snapshot covers.
    pub position: Position,
    /// What comes after; entries that the snapshot has may come once more, which changes nothing.
    pub deltas: broadcast::Receiver<Arc<FeedDelta>>,
}

impl Broker {
    /// Whether the caller may go on following a connector: its proof has not ended and it is still
    /// registered as serving it.
    pub fn may_follow(&self, caller: &Caller, connector: ConnectorNo) -> bool {
        let pinned = self.fold.pin();
        let serves = pinned.workload(caller).is_ok_and(|workload| workload.serves.contains(&connector));
        serves && self.clock.now().is_ok_and(|now| now < caller.expires_at())
    }

    /// Follows the revocations that matter to a connector that the caller serves.
    ///
    /// # Errors
    ///
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, CLOCK_UNSETTLED.
    pub fn watch_revocations(&self, caller: &Caller, connector: &Name) -> Result<Following, Refusal> {
        let pinned = self.fold.pin();
        let registered = pinned.workload(caller)?;
        let connector = pinned.served(registered, connector)?.clone();
        let workload = registered.number;
        let now = self.now()?;
        // Followed before the snapshot is taken, so that nothing falls between.
        let deltas = self.fold.feed.follow();
        let position = self.fold.position();
        let entry = |(target, below)| FeedEntry { target, below, drop_after: drop_after(target, now) };
        let mut snapshot: Vec<_> = self.fold.table.watermarks().into_iter().map(entry).collect();
        // No token of an ended task can be issued later, so that any position from its end on serves.
        let ended = |(task, at)| {
            let target = Target::Task(task);
            FeedEntry { target, below: position, drop_after: drop_after(target, at) }
        };
        snapshot.extend(self.fold.state.read().tasks.ended().map(ended));
        Ok(Following { workload, connector, snapshot, position, deltas })
    }
}
