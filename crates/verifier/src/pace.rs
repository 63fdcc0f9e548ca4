//! [`Pace`]: when a follower pings, and when it leaves its stream for another. One for each stream.
//!
//! Nothing here can extend a lease: who pings late or stays with a dead stream only answers *unknown*.

use std::time::Duration;

use crate::follow::Applied;
use crate::frame_refused::FrameRefused;

/// The lease that is assumed until a heartbeat names it.
const LEASE_ASSUMED: Duration = Duration::from_secs(2);
/// A stream is left when it is silent for this long, or for the lease where that is longer.
const SILENCE_MIN: Duration = Duration::from_secs(2);
/// Pings that may be on their way; one more would tell the broker nothing that the next will not.
const PINGS_MAX: usize = 8;

/// When to ping, on BOOTTIME: every quarter of the lease, and at once when something was applied, so that
/// the broker knows how far this verifier is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    lease: Duration,
    due: Duration,
    heard: Duration,
    /// Pings that were sent since the last heartbeat.
    on_their_way: usize,
    /// Something was applied that no ping has acknowledged.
    owes_acknowledgement: bool,
}

/// What a frame means for its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Onward {
    /// It goes on.
    Stay,
    /// It goes on, with another lease.
    Leased,
    /// The frame was passed over, which is no sign of life.
    PassedOver(FrameRefused),
    /// Only another stream helps.
    Leave(FrameRefused),
}

// === impl Pace ===

impl Pace {
    /// A stream begins at `now`: its first ping is due.
    pub fn begin(now: Duration) -> Self {
        Self { lease: LEASE_ASSUMED, due: now, heard: now, on_their_way: 0, owes_acknowledgement: false }
    }

    /// The stream is open since `now`: silence is counted from here.
    pub fn opened(&mut self, now: Duration) {
        self.heard = now;
    }

    /// How long no ping is due, unless a frame comes; zero when one is.
    pub fn until_ping(&self, now: Duration) -> Duration {
        let may_acknowledge = self.owes_acknowledgement && self.on_their_way < PINGS_MAX;
        if may_acknowledge { Duration::ZERO } else { self.due.saturating_sub(now) }
    }

    /// A ping was sent. The next is due in a quarter of the lease, give or take a tenth as `draw` says, so
    /// that many verifiers do not ping at once.
    pub fn pinged(&mut self, now: Duration, draw: u8) {
        let quarter = self.lease / 4;
        self.due = now + quarter * 9 / 10 + quarter / 5 * u32::from(draw) / u32::from(u8::MAX);
        self.on_their_way += 1;
        self.owes_acknowledgement = false;
    }

    /// What [`Verifier::apply`](crate::Verifier::apply) made of a frame.
    pub fn took(&mut self, taken: Result<Applied, FrameRefused>, now: Duration) -> Onward {
        let onward = match taken {
            Err(refused) if refused.ends_stream() => return Onward::Leave(refused),
            // A broker that only repeats itself is left.
            Err(refused) => return Onward::PassedOver(refused),
            Ok(Applied::Lease(lease)) => {
                self.lease = lease;
                self.on_their_way = 0;
                Onward::Leased
            }
            Ok(Applied::Life) => {
                self.on_their_way = 0;
                Onward::Stay
            }
            Ok(Applied::Delta | Applied::Snapshot) => {
                self.owes_acknowledgement = true;
                Onward::Stay
            }
            Ok(Applied::KeySet | Applied::SnapshotPart | Applied::Reset) => Onward::Stay,
        };
        self.heard = now;
        onward
    }

    /// Whether the stream has said nothing for too long.
    pub fn is_silent(&self, now: Duration) -> bool {
        now.saturating_sub(self.heard) > self.lease.max(SILENCE_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(100);

    fn millis(millis: u64) -> Duration {
        START + Duration::from_millis(millis)
    }

    #[test]
    fn it_pings_four_times_a_lease_and_at_once_for_what_was_applied() {
        let mut pace = Pace::begin(START);
        assert_eq!(pace.until_ping(START), Duration::ZERO);
        pace.pinged(START, 0);
        assert_eq!(pace.until_ping(START), Duration::from_millis(450));
        pace.pinged(START, u8::MAX);
        assert_eq!(pace.until_ping(START), Duration::from_millis(550));
        assert_eq!(pace.took(Ok(Applied::Lease(Duration::from_secs(8))), START), Onward::Leased);
        assert_eq!(pace.took(Ok(Applied::Delta), START), Onward::Stay);
        assert_eq!(pace.until_ping(START), Duration::ZERO);
        pace.pinged(START, 0);
        assert_eq!(pace.until_ping(START), Duration::from_millis(1_800));
        // Unanswered acknowledgements are bounded; the next is sent when it is due anyway.
        for _ in 0..PINGS_MAX {
            assert_eq!(pace.took(Ok(Applied::Delta), START), Onward::Stay);
            pace.pinged(START, 0);
        }
        assert_eq!(pace.took(Ok(Applied::Delta), START), Onward::Stay);
        assert_eq!(pace.until_ping(START), Duration::from_millis(1_800));
    }

    #[test]
    fn a_stream_that_is_silent_or_only_repeats_itself_is_left() {
        let mut pace = Pace::begin(START);
        assert!(!pace.is_silent(millis(2_000)) && pace.is_silent(millis(2_001)));
        assert_eq!(pace.took(Ok(Applied::Life), millis(1_000)), Onward::Stay);
        assert!(!pace.is_silent(millis(3_000)) && pace.is_silent(millis(3_001)));
        for refused in [FrameRefused::Replayed, FrameRefused::Unasked] {
            assert_eq!(pace.took(Err(refused.clone()), millis(3_000)), Onward::PassedOver(refused));
        }
        assert!(pace.is_silent(millis(3_001)));
        assert_eq!(pace.took(Err(FrameRefused::Gap), millis(3_000)), Onward::Leave(FrameRefused::Gap));
        assert_eq!(pace.took(Ok(Applied::Lease(Duration::from_secs(8))), millis(3_000)), Onward::Leased);
        assert!(!pace.is_silent(millis(11_000)) && pace.is_silent(millis(11_001)));
    }
}
