//! `WatchRevocations`: who may follow the revocation feed, and what they follow.

use std::sync::Arc;

use locum_model::feed::JournalHead;
use locum_model::{Caller, ConnectorNo, Name, Position};

use crate::broker::Broker;
use crate::feed::Partition;
use crate::refusal::Refusal;
use crate::verifiers::{Hello, VerifierPlace};

/// A follower that was let in.
pub struct Following {
    /// The connector whose partition is followed.
    pub connector: ConnectorNo,
    /// Its place among the verifiers.
    pub place: VerifierPlace,
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
    /// CONNECTOR_NOT_SERVED, WORKLOAD_UNREGISTERED, QUOTA_EXCEEDED, CLOCK_UNSETTLED.
    pub fn watch_revocations(
        self: &Arc<Self>,
        caller: &Caller,
        connector: &Name,
        hello: Hello,
    ) -> Result<Following, Refusal> {
        let pinned = self.fold.pin();
        let registered = pinned.workload(caller)?;
        let connector = pinned.served(registered, connector)?.number;
        let place = self.enter_verifier((registered.number, registered.tenant), connector, hello)?;
        Ok(Following { connector, place })
    }

    /// Where the feed stands: no frame that was made of it tells of anything beyond.
    pub fn feed_position(&self) -> Position {
        self.fold.feed.position()
    }

    /// The newest batch of the journal, for followers to keep.
    pub fn newest_batch(&self) -> Option<JournalHead> {
        self.journal.newest_batch()
    }

    /// Whether the journal is known to lack a batch that one of this home and epoch once had: it was put back to
    /// before it. Reads the journal: call it where it may take its time.
    pub fn lacks(&self, batch: &JournalHead) -> bool {
        if batch.sequence > self.journal.head().position.sequence {
            return true;
        }
        match self.journal.lookup().had(batch) {
            Ok(had) => had == Some(false),
            Err(cause) => {
                tracing::error!(%cause, "the journal could not be read");
                false
            }
        }
    }

    /// Begins to keep what the followers of a connector have to hear.
    pub fn follow_partition(&self, connector: ConnectorNo) -> Partition {
        Partition::follow(Arc::clone(&self.fold), connector)
    }
}
