//! What is counted of the revocation feed.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Metrics, SECONDS, added};

/// The feed's series.
#[derive(Debug)]
pub(super) struct Feed {
    frames: Family<Made, Counter>,
    acknowledgement: Histogram,
    witnesses: Counter,
    cut: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Made {
    kind: &'static str,
}

impl Feed {
    pub(super) fn new(r: &mut Registry) -> Self {
        Self {
            frames: added(r, "locum_feed_frames", "Frames made and signed, by kind", Family::default()),
            acknowledgement: added(
                r,
                "locum_feed_acknowledgement_seconds",
                "Time from a delta's making until a follower acknowledged it",
                Histogram::new(SECONDS),
            ),
            witnesses: added(
                r,
                "locum_feed_history_witnesses",
                "Followers that showed a position which this journal never told",
                Counter::default(),
            ),
            cut: added(
                r,
                "locum_feed_followers_cut",
                "Followers ended because they read too slowly, or nothing",
                Counter::default(),
            ),
        }
    }
}

impl Metrics {
    /// Frames were made: `chain`, `snapshot` or `heartbeat`.
    pub fn feed_frames(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.feed.frames.get_or_create(&Made { kind }).inc_by(count);
        }
    }

    /// A follower acknowledged a delta so long after it was made.
    pub fn feed_acknowledged(&self, took: Duration) {
        self.feed.acknowledgement.observe(took.as_secs_f64());
    }

    /// A follower showed what this journal never told.
    pub fn feed_witness(&self) {
        self.feed.witnesses.inc();
    }

    /// A follower was ended because it read too slowly, or nothing.
    pub fn feed_follower_cut(&self) {
        self.feed.cut.inc();
    }
}
