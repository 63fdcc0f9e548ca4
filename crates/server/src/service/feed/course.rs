//! [`Course`]: where one follower is in its partition's frames, and what it is told next.
//!
//! A value that is asked, not a loop: its stream ([`follower`](super::follower)) waits and sends, and
//! so does a simulation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_broker::{Refusal, VerifierPlace};
use locum_model::feed::{Acknowledgement, Body};
use locum_model::limits::FEED_HEARTBEAT_SPACING;
use locum_model::{Caller, ConnectorNo, Reason};

use super::chain::Judged;
use super::pings::{Asked, Ping, Pings};
use super::ring::{At, Place};
use super::snapshot::Opening;
use super::track::{Beginning, Track, spelled};

/// How often a stream with nothing to do asks whether its caller may still follow.
const RIGHT_CHECK: Duration = Duration::from_secs(1);
/// A stream that says nothing for this long says that it lives. It extends no lease.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One follower's course through its partition's frames.
pub struct Course {
    track: Arc<Track>,
    caller: Caller,
    place: VerifierPlace,
    pings: Pings,
    at: Where,
}

/// What there is to do.
pub enum Next {
    /// To be sent.
    Say(WatchRevocationsResponse),
    /// Only everything in force helps: [`Course::open`] it.
    Open,
    /// Nothing, until the track has grown, a ping came, or [`Course::patience`] is over.
    Wait,
}

/// Where a stream is.
struct Where {
    /// What is to be sent before anything else.
    ready: VecDeque<WatchRevocationsResponse>,
    /// The chain that it follows, none before its opening, and the index of its next frame there.
    chain: Option<u64>,
    next: u64,
    /// Where the stream brings a verifier, once `ready` is sent.
    place: Place,
    key_set: u64,
    /// It has something that the next opening replaces.
    resets: bool,
    /// The newest link that was acknowledged.
    acknowledged: u64,
    said: Duration,
}

// === impl Where ===

impl Where {
    fn begin(track: &Track, follower: &Caller, shown: Option<&Acknowledgement>) -> Result<Self, Refusal> {
        let mut at = Self {
            ready: VecDeque::new(),
            chain: None,
            next: 0,
            place: Place { sequence: 0, head: [0; 32] },
            key_set: 0,
            // A follower that showed something is told first that it cannot be resumed.
            resets: shown.is_some(),
            acknowledged: 0,
            said: Duration::ZERO,
        };
        if let Beginning::Resumed { index, place, chain } = track.begin(follower, shown)? {
            let current = track.chain();
            #[cfg(bug_zoo)]
            let index = if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedResumedWithoutTail)
            {
                current.ring().end()
            } else {
                index
            };
            let keys = current.keys();
            (at.chain, at.next, at.place, at.key_set) = (Some(chain), index, place, keys.number);
            at.ready.push_back(current.press.key_set(keys, current.newest())?);
        }
        Ok(at)
    }
}

// === impl Course ===

impl Course {
    /// Begins the course of a follower that was let in, with what its first ping shows.
    ///
    /// # Errors
    ///
    /// FEED_POSITION_INVALID for what cannot be; CLOCK_UNSETTLED; INTERNAL when nothing signs.
    pub fn begin(
        track: Arc<Track>,
        (caller, place): (Caller, VerifierPlace),
        first: Ping,
    ) -> Result<Self, Refusal> {
        let at = Where::begin(&track, &caller, first.acknowledgement.as_ref())?;
        let pings = Pings::new(track.now());
        let mut course = Self { track, caller, place, pings, at };
        course.hear(first)?;
        Ok(course)
    }

    /// What comes next.
    ///
    /// # Errors
    ///
    /// What ends the stream: CONNECTOR_NOT_SERVED when the caller may follow no more, FOLLOWER_TOO_SLOW
    /// when what comes next is gone, and whatever keeps a heartbeat from being signed.
    pub fn step(&mut self) -> Result<Next, Reason> {
        let around = &self.track.around;
        if !around.broker.may_follow(&self.caller, self.track.connector()) {
            return Err(Reason::ConnectorNotServed);
        }
        let frame = match self.at.ready.pop_front() {
            Some(frame) => Some(frame),
            None => match self.next_of_chain()? {
                Some(Next::Say(frame)) => Some(frame),
                Some(other) => return Ok(other),
                None => self.answer()?,
            },
        };
        let Some(frame) = frame else { return Ok(Next::Wait) };
        self.at.said = self.track.now();
        Ok(Next::Say(frame))
    }

    /// Whose partition it follows.
    pub fn connector(&self) -> ConnectorNo {
        self.track.connector()
    }

    /// Who follows, for people.
    pub(super) fn workload(&self) -> String {
        spelled(&self.caller)
    }

    /// Goes on with everything in force.
    pub fn open(&mut self, opening: &Opening) {
        let reset = std::mem::replace(&mut self.at.resets, true);
        // The keys come first: whoever was away for long knows none of those that sign now.
        self.at.ready = VecDeque::from([opening.keys.clone()]);
        self.at.ready.extend(reset.then(|| opening.reset.clone()));
        self.at.ready.extend(opening.parts.iter().cloned());
        (self.at.chain, self.at.next) = (Some(opening.chain), opening.next);
        (self.at.place, self.at.key_set) = (opening.place, opening.key_set);
    }

    /// The chain's next frame; to open, when another chain began; none at its end.
    fn next_of_chain(&mut self) -> Result<Option<Next>, Reason> {
        let chain = self.track.chain();
        loop {
            if self.at.chain != Some(chain.number) {
                return Ok(Some(Next::Open));
            }
            match chain.ring().at(self.at.next) {
                At::End => return Ok(None),
                At::Gone => {
                    self.track.around.metrics.feed_follower_cut();
                    return Err(Reason::FollowerTooSlow);
                }
                At::Item(item) => {
                    self.at.next += 1;
                    self.at.place = item.place;
                    // Told already, when it is as old as what a resumed stream began with.
                    if item.is_link || item.key_set > self.at.key_set {
                        self.at.key_set = self.at.key_set.max(item.key_set);
                        return Ok(Some(Next::Say(item.frame.clone())));
                    }
                }
            }
        }
    }

    /// A heartbeat for a ping whose time has come, or one to break a long silence.
    fn answer(&mut self) -> Result<Option<WatchRevocationsResponse>, Reason> {
        let now = self.track.now();
        let asked = self.pings.answer(self.at.place.sequence, self.at.key_set, now);
        if asked.is_none() && now.saturating_sub(self.at.said) < SILENCE_MAX {
            return Ok(None);
        }
        let around = &self.track.around;
        let lease = around.broker.staleness_bound(self.track.connector());
        let nonce = asked.map(|asked| asked.nonce);
        let (press, keys) = {
            let chain = self.track.chain();
            (Arc::clone(&chain.press), chain.keys().clone())
        };
        if keys.number != self.at.key_set {
            // Another set is on its way through the ring; what it signs comes after it.
            if let Some(asked) = asked {
                self.pings.ask(asked);
            }
            return Ok(None);
        }
        let journal = around.broker.newest_batch();
        let body = Body::Heartbeat { nonce, key_set: self.at.key_set, lease, journal };
        let frame = press.frame(&keys, self.at.place, body)?;
        if let Some(asked) = asked {
            self.place.told(lease, asked.received);
        }
        around.metrics.feed_frames("heartbeat", 1);
        Ok(Some(frame))
    }

    /// How long there is nothing to do unless something happens.
    pub fn patience(&mut self) -> Duration {
        let soon = self.pings.is_asked() || !self.may_hear();
        if soon { FEED_HEARTBEAT_SPACING } else { RIGHT_CHECK }
    }

    /// Whether another ping may be heard now.
    pub fn may_hear(&mut self) -> bool {
        let now = self.track.now();
        self.pings.may_hear(now)
    }

    /// Takes in a ping: how far the verifier is, and what it wants to be answered.
    ///
    /// # Errors
    ///
    /// FEED_POSITION_INVALID for what this stream never told.
    pub fn hear(&mut self, ping: Ping) -> Result<(), Refusal> {
        let acknowledged = match ping.acknowledgement {
            Some(shown) => self.judge(&shown)?,
            None => None,
        };
        self.pings.heard();
        let Some(nonce) = ping.nonce else {
            self.place.acknowledged(acknowledged);
            return Ok(());
        };
        self.place.pinged(acknowledged);
        let (sequence, key_set) = self.track.around.broker.due_for(self.track.connector());
        let received = self.track.now();
        self.pings.ask(Asked { nonce, received, sequence, key_set });
        Ok(())
    }

    /// The sequence that is acknowledged; none for what says nothing about this epoch.
    fn judge(&mut self, shown: &Acknowledgement) -> Result<Option<u64>, Refusal> {
        let chain = self.track.chain();
        let epoch = chain.press.epoch;
        let carried = self.at.place.sequence;
        let beyond = shown.epoch == epoch && self.at.chain == Some(chain.number) && shown.sequence > carried;
        let never_told = beyond || chain.judge(shown) == Judged::Impossible;
        #[cfg(bug_zoo)]
        let never_told =
            never_told && !locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::FeedWitnessIgnored);
        if never_told {
            drop(chain);
            return Err(self.track.witness(&self.caller, shown));
        }
        let is_of_before = shown.epoch < epoch;
        #[cfg(bug_zoo)]
        let is_of_before = is_of_before
            && !locum_model::bug_zoo::is_planted(
                locum_model::bug_zoo::Bug::FeedEpochOfAcknowledgementIgnored,
            );
        if is_of_before {
            return Ok(None);
        }
        if shown.sequence > self.at.acknowledged {
            self.at.acknowledged = shown.sequence;
            if let Some((_, link)) = chain.ring().link_at(shown.sequence) {
                let took = self.track.now().saturating_sub(link.made_at);
                self.track.around.metrics.feed_acknowledged(took);
            }
        }
        Ok(Some(shown.sequence))
    }
}
