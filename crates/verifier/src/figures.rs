//! [`Figures`]: how a verifier is doing, as plain numbers; and the counters behind them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use locum_model::{Position, Reason};

use crate::answer::Answer;

/// Counters are spread over stripes, so that threads which check other tokens do not meet.
const STRIPES: usize = 16;
/// Counters of one stripe: one for each reason, and three more.
const COUNTERS: usize = 96;
const ACTIVE: usize = COUNTERS - 1;
const UNKNOWN: usize = COUNTERS - 2;
const RECOGNISED: usize = COUNTERS - 3;
const _: () = assert!(Reason::ALL.len() <= RECOGNISED);

/// How a verifier is doing. All counts are since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What is left of the lease; none when nothing can be answered.
    pub lease_left: Option<Duration>,
    /// Where the chain of the feed stands.
    pub position: Option<Position>,
    /// The number of the key set that counts.
    pub key_set: Option<u64>,
    /// Watermarks that are kept.
    pub watermarks: usize,
    /// Tokens that are remembered.
    pub tokens: usize,
    /// How far this machine's clock is ahead of the broker's; negative when behind.
    pub clock_ahead_millis: Option<i64>,
    /// Checks that said *active*.
    pub active: u64,
    /// Checks that said *inactive*, by reason; reasons that never came are left out.
    pub inactive: Vec<(Reason, u64)>,
    /// Checks that said *unknown*.
    pub unknown: u64,
    /// Checks of a token whose signature had been verified before.
    pub recognised: u64,
    /// Frames that were taken.
    pub frames_applied: u64,
    /// Frames that were refused.
    pub frames_refused: u64,
}

/// The counters.
#[derive(Debug)]
pub(crate) struct Tallies {
    stripes: Box<[Stripe]>,
    applied: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
#[repr(align(64))]
struct Stripe([AtomicU64; COUNTERS]);

// === impl Tallies ===

impl Tallies {
    pub(crate) fn new() -> Self {
        let stripe = |_| Stripe([const { AtomicU64::new(0) }; COUNTERS]);
        let (applied, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { stripes: (0..STRIPES).map(stripe).collect(), applied, refused }
    }

    /// Counts an answer. `spread` chooses the stripe.
    pub(crate) fn note(&self, spread: usize, answer: &Answer) {
        let counter = match answer {
            Answer::Active(_) => ACTIVE,
            Answer::Inactive(inactive) => inactive.reason() as usize,
            Answer::Unknown(_) => UNKNOWN,
        };
        self.count(spread, counter);
    }

    /// Counts a token that was recognised.
    pub(crate) fn note_recognised(&self, spread: usize) {
        self.count(spread, RECOGNISED);
    }

    /// Counts a frame.
    pub(crate) fn note_frame<T, E>(&self, taken: &Result<T, E>) {
        let counter = if taken.is_ok() { &self.applied } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self, spread: usize, counter: usize) {
        self.stripes[spread % STRIPES].0[counter].fetch_add(1, Ordering::Relaxed);
    }

    fn sum(&self, counter: usize) -> u64 {
        self.stripes.iter().map(|stripe| stripe.0[counter].load(Ordering::Relaxed)).sum()
    }

    /// Puts the counts into figures.
    pub(crate) fn fill(&self, figures: &mut Figures) {
        figures.active = self.sum(ACTIVE);
        figures.unknown = self.sum(UNKNOWN);
        figures.recognised = self.sum(RECOGNISED);
        figures.frames_applied = self.applied.load(Ordering::Relaxed);
        figures.frames_refused = self.refused.load(Ordering::Relaxed);
        let counted = Reason::ALL.iter().map(|reason| (*reason, self.sum(*reason as usize)));
        figures.inactive = counted.filter(|(_, count)| *count > 0).collect();
    }
}
