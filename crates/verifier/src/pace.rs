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
/// Acknowledgements are at least this far apart: far fewer than a broker reads, and one says what those
/// before it would have said.
const ACKNOWLEDGEMENT_SPACING: Duration = Duration::from_millis(2);

/// When to ping, on BOOTTIME: every quarter of the lease, and at once when everything in force was applied,
/// which gives no lease by itself. A delta is acknowledged at once, so that the broker knows how far this
/// verifier is, without a ping: nobody has to sign an answer.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    lease: Duration,
    due: Duration,
    heard: Duration,
    /// Something was applied that nothing sent has acknowledged.
    owes_acknowledgement: bool,
    /// From when on the next acknowledgement may be sent.
    acknowledges_from: Duration,
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// A ping: a nonce, and how far the verifier is.
    Ping,
    /// How far the verifier is, without a nonce.
    Acknowledgement,
    /// Nothing for so long, unless a frame comes.
    Nothing(Duration),
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
        Self {
            lease: LEASE_ASSUMED,
            due: now,
            heard: now,
            owes_acknowledgement: false,
            acknowledges_from: now,
        }
    }

    /// The stream is open since `now`: silence is counted from here.
    pub fn opened(&mut self, now: Duration) {
        self.heard = now;
    }

    /// What is to be sent now.
    pub fn due(&self, now: Duration) -> Due {
        if now >= self.due {
            return Due::Ping;
        }
        match self.owes_acknowledgement {
            true if now >= self.acknowledges_from => Due::Acknowledgement,
            true => Due::Nothing(self.due.min(self.acknowledges_from) - now),
            false => Due::Nothing(self.due - now),
        }
    }

    /// An acknowledgement was sent.
    pub fn acknowledged(&mut self, now: Duration) {
        self.acknowledges_from = now + ACKNOWLEDGEMENT_SPACING;
        self.owes_acknowledgement = false;
    }

    /// A ping was sent. The next is due in a quarter of the lease, give or take a tenth as `draw` says, so
    /// that many verifiers do not ping at once.
    pub fn pinged(&mut self, now: Duration, draw: u8) {
        let quarter = self.lease / 4;
        self.due = now + quarter * 9 / 10 + quarter / 5 * u32::from(draw) / u32::from(u8::MAX);
        // It says how far the verifier is too.
        self.acknowledged(now);
    }

    /// What [`Verifier::apply`](crate::Verifier::apply) made of a frame.
    pub fn took(&mut self, taken: Result<Applied, FrameRefused>, now: Duration) -> Onward {
        let onward = match taken {
            Err(refused) if refused.ends_stream() => return Onward::Leave(refused),
            // A broker that only repeats itself is left.
            Err(refused) => return Onward::PassedOver(refused),
            Ok(Applied::Lease(lease)) => {
                self.lease = lease;
                Onward::Leased
            }
            Ok(Applied::Delta) => {
                self.owes_acknowledgement = true;
                Onward::Stay
            }
            Ok(Applied::Snapshot) => {
                self.due = now;
                Onward::Stay
            }
            Ok(Applied::Life | Applied::KeySet | Applied::SnapshotPart | Applied::Reset) => Onward::Stay,
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
    fn it_pings_four_times_a_lease_and_at_once_for_a_snapshot() {
        let mut pace = Pace::begin(START);
        assert_eq!(pace.due(START), Due::Ping);
        pace.pinged(START, 0);
        assert_eq!(pace.due(START), Due::Nothing(Duration::from_millis(450)));
        pace.pinged(START, u8::MAX);
        assert_eq!(pace.due(START), Due::Nothing(Duration::from_millis(550)));
        assert_eq!(pace.took(Ok(Applied::Lease(Duration::from_secs(8))), START), Onward::Leased);
        pace.pinged(START, 0);
        assert_eq!(pace.due(millis(1_799)), Due::Nothing(Duration::from_millis(1)));
        assert_eq!(pace.due(millis(1_800)), Due::Ping);
        assert_eq!(pace.took(Ok(Applied::Snapshot), START), Onward::Stay);
        assert_eq!(pace.due(START), Due::Ping, "everything in force gives no lease by itself");
    }

    #[test]
    fn a_delta_is_acknowledged_at_once_and_many_together() {
        let mut pace = Pace::begin(START);
        pace.pinged(START, 0);
        let later = millis(100);
        assert_eq!(pace.took(Ok(Applied::Delta), later), Onward::Stay);
        assert_eq!(pace.due(later), Due::Acknowledgement);
        pace.acknowledged(later);
        assert_eq!(
            pace.due(later),
            Due::Nothing(Duration::from_millis(350)),
            "the next ping is due as before"
        );
        for _ in 0..3 {
            assert_eq!(pace.took(Ok(Applied::Delta), later), Onward::Stay);
            assert_eq!(pace.due(later), Due::Nothing(ACKNOWLEDGEMENT_SPACING));
        }
        assert_eq!(pace.due(later + ACKNOWLEDGEMENT_SPACING), Due::Acknowledgement);
        assert_eq!(pace.due(millis(450)), Due::Ping, "a ping says it as well");
        pace.pinged(millis(450), 0);
        assert_eq!(pace.due(millis(450)), Due::Nothing(Duration::from_millis(450)));
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
