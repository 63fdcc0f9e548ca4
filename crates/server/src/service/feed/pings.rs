//! [`Pings`]: what a follower sends: nonces to answer, and how far it is.
//!
//! A message without a nonce says how far the follower is and wants no answer: what a revocation costs
//! at a thousand followers is a thousand writes, and not as many signatures.
//!
//! A ping is answered once the follower's stream has carried everything that was published when the
//! ping came: a lease never begins after a revocation that its holder may not know. One ping waits for
//! its answer and one more stands behind it, the newest; those between them are answered by it. Who
//! pings faster than is read only makes its own pings late.

use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsRequest;
use locum_api::convert::id::optional_bytes_from_wire;
use locum_api::feed::acknowledgement_from_wire;
use locum_api::violation::Malformed;
use locum_model::feed::Acknowledgement;
use locum_model::limits::{FEED_HEARTBEAT_SPACING, FEED_PINGS_PER_SECOND};

/// A ping as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// To be echoed by a heartbeat; none when no answer is wanted.
    pub nonce: Option<[u8; 16]>,
    /// How far the verifier is.
    pub acknowledgement: Option<Acknowledgement>,
}

/// A ping that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub nonce: [u8; 16],
    pub received: Duration,
    /// What the stream has to have carried.
    pub sequence: u64,
    /// The set of keys that it has to have carried.
    pub key_set: u64,
}

/// The pings of one follower.
pub(super) struct Pings {
    allowance: Allowance,
    waiting: Option<Asked>,
    behind: Option<Asked>,
    answered: Duration,
}

/// How many pings may be read now: a second's worth at most, refilled as time goes by.
struct Allowance {
    left: Duration,
    refilled: Duration,
}

const PING: Duration = Duration::from_secs(1).checked_div(FEED_PINGS_PER_SECOND).expect("not zero");

// === impl Ping ===

impl Ping {
    /// A ping as it came.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for what is not as the contract says.
    pub fn of(message: &WatchRevocationsRequest) -> Result<Self, Malformed> {
        let shown = message.acknowledgement.as_ref();
        let nonce = optional_bytes_from_wire(&message.nonce, "nonce")?;
        if nonce.is_none() && shown.is_none() {
            return Err(Malformed::of("nonce", "is required where nothing is acknowledged"));
        }
        let acknowledgement =
            shown.map(|shown| acknowledgement_from_wire(shown, "acknowledgement")).transpose()?;
        Ok(Self { nonce, acknowledgement })
    }
}

// === impl Pings ===

impl Pings {
    pub(super) fn new(now: Duration) -> Self {
        let allowance = Allowance { left: Duration::from_secs(1), refilled: now };
        Self { allowance, waiting: None, behind: None, answered: Duration::ZERO }
    }

    /// Whether another may be heard now.
    pub(super) fn may_hear(&mut self, now: Duration) -> bool {
        self.allowance.refill(now);
        self.allowance.left >= PING
    }

    /// One was heard.
    pub(super) fn heard(&mut self) {
        self.allowance.left = self.allowance.left.saturating_sub(PING);
    }

    /// A ping waits for its answer.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.waiting.is_none() { self.waiting = Some(asked) } else { self.behind = Some(asked) }
    }

    /// The ping that is to be answered now by a stream that is here, if any.
    pub(super) fn answer(&mut self, sequence: u64, key_set: u64, now: Duration) -> Option<Asked> {
        let is_early = now < self.answered + FEED_HEARTBEAT_SPACING;
        #[cfg(bug_zoo)]
        let sequence = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedHeartbeatEarly) {
            u64::MAX
        } else {
            sequence
        };
        let asked = self.waiting.filter(|asked| asked.sequence <= sequence && asked.key_set <= key_set)?;
        if is_early {
            return None;
        }
        self.answered = now;
        self.waiting = self.behind.take();
        Some(asked)
    }

    /// Whether one could be answered as soon as it is not too early.
    pub(super) fn is_asked(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Allowance {
    fn refill(&mut self, now: Duration) {
        let gone = now.saturating_sub(self.refilled);
        self.left = (self.left + gone).min(Duration::from_secs(1));
        self.refilled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_is_read_at_once_and_then_as_time_goes_by() {
        let start = Duration::from_secs(100);
        let mut allowance = Allowance { left: Duration::from_secs(1), refilled: start };
        let mut read = |at: Duration| {
            allowance.refill(at);
            let mut count = 0;
            while allowance.left >= PING {
                allowance.left -= PING;
                count += 1;
            }
            count
        };
        assert_eq!(read(start), FEED_PINGS_PER_SECOND);
        assert_eq!(read(start), 0);
        assert_eq!(read(start + Duration::from_millis(10)), 10);
        assert_eq!(read(start + Duration::from_secs(60)), FEED_PINGS_PER_SECOND, "no more is saved up");
    }
}
