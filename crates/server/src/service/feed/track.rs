//! [`Track`]: one partition's frames, and how a follower begins in them.
//!
//! Nothing here waits and nothing runs by itself: the partition's pump says when to make frames, and a
//! follower's stream when it wants one. So a simulation can be both.

use std::sync::Arc;
use std::time::Duration;

use locum_broker::{Partition, Refusal};
#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::feed::Acknowledgement;
use locum_model::{Caller, ConnectorNo, Reason};
use parking_lot::{Mutex, MutexGuard};

use super::chain::{Around, Chain, Judged, Turned};
use super::ring::Place;
use super::snapshot::{Moment, Opening};

/// A partition's frames, shared by its pump and its followers.
pub struct Track {
    pub(super) around: Around,
    pub(super) source: Partition,
    chain: Mutex<Chain>,
}

/// How a follower begins.
pub(super) enum Beginning {
    /// With everything in force: the position that was shown, if any, cannot be resumed.
    Anew,
    /// With the set of keys in force, and then what it missed.
    Resumed { index: u64, place: Place, chain: u64 },
}

// === impl Track ===

impl Track {
    /// Begins to keep what a connector's followers have to hear. There is one track at a time for each.
    ///
    /// # Errors
    ///
    /// INTERNAL without randomness.
    pub fn open(around: Around, connector: ConnectorNo) -> Result<Self, Reason> {
        let source = around.broker.follow_partition(connector);
        let chain = Mutex::new(Chain::begin(&around, &source)?);
        Ok(Self { around, source, chain })
    }

    /// Whose partition this is.
    pub fn connector(&self) -> ConnectorNo {
        self.source.connector()
    }

    /// Makes what waits into frames; of those that are kept, `bytes_max` bytes at most, and the newest.
    pub fn turn(&self, bytes_max: usize) -> Turned {
        let mut chain = self.chain.lock();
        let before = chain.ring().end();
        let turned = chain.turn(&self.around, &self.source, bytes_max);
        self.around.metrics.feed_frames("chain", chain.ring().end() - before);
        turned.unwrap_or_else(|reason| {
            tracing::warn!(partition = self.connector().0, %reason, "no frames can be made");
            // The next turn begins anew where it has to.
            Turned { grew: true, more: false }
        })
    }

    /// Everything in force as frames, where the chain is now. Copies and signs for a while.
    ///
    /// # Errors
    ///
    /// CLOCK_UNSETTLED; INTERNAL when nothing signs.
    pub fn make_opening(&self) -> Result<Opening, Reason> {
        let made_at = self.around.clock.elapsed();
        let (press, moment) = {
            let chain = self.chain.lock();
            (Arc::clone(&chain.press), Moment::of(&chain))
        };
        let opening = Opening::make(&press, &self.source, moment, made_at)?;
        self.around.metrics.feed_frames("snapshot", opening.parts.len() as u64 + 2);
        Ok(opening)
    }

    /// Whether somebody who comes now may begin with an opening that was made before.
    pub fn serves(&self, opening: &Opening) -> bool {
        opening.serves(&self.chain.lock(), self.around.clock.elapsed())
    }

    /// How a follower begins that showed this.
    pub(super) fn begin(
        &self,
        follower: &Caller,
        shown: Option<&Acknowledgement>,
    ) -> Result<Beginning, Refusal> {
        let Some(shown) = shown else { return Ok(Beginning::Anew) };
        let chain = self.chain.lock();
        match chain.judge(shown) {
            Judged::At(index) => {
                let place = Place { sequence: shown.sequence, head: shown.head };
                Ok(Beginning::Resumed { index, place, chain: chain.number })
            }
            Judged::Behind => Ok(Beginning::Anew),
            #[cfg(bug_zoo)]
            Judged::Impossible if is_planted(Bug::FeedWitnessIgnored) => Ok(Beginning::Anew),
            Judged::Impossible => {
                drop(chain);
                Err(self.witness(follower, shown))
            }
        }
    }

    /// Refuses a position that this journal never told. The follower, or this broker, has lost its
    /// history: whoever runs them has to hear of it.
    pub(super) fn witness(&self, follower: &Caller, shown: &Acknowledgement) -> Refusal {
        let (epoch, Place { sequence, head }) = {
            let chain = self.chain.lock();
            (chain.press.epoch, chain.newest())
        };
        tracing::error!(
            workload = %spelled(follower),
            partition = self.connector().0,
            epoch,
            sequence,
            shown_epoch = shown.epoch,
            shown_sequence = shown.sequence,
            "a follower shows a position of the feed that this journal never told: history was lost or forked",
        );
        self.around.metrics.feed_witness();
        let head: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        let detail = format!("the feed is at epoch {epoch}, sequence {sequence}, head {head}");
        Refusal::new(Reason::FeedPositionInvalid, detail)
    }

    pub(super) fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock()
    }

    pub(super) fn now(&self) -> Duration {
        self.around.clock.elapsed()
    }
}

/// Who follows, for people.
pub(super) fn spelled(follower: &Caller) -> String {
    follower.spiffe_id().map(ToString::to_string).unwrap_or_default()
}
