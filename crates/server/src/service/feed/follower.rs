//! [`Follower`]: one stream: where it is in its partition's frames, and what it is told next.

use std::collections::VecDeque;
use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_broker::VerifierPlace;
use locum_model::feed::{Acknowledgement, Body};
use locum_model::limits::FEED_HEARTBEAT_SPACING;
use locum_model::{Caller, Reason};
use tokio::sync::watch;
use tonic::Status;

use super::chain::{Around, Judged};
use super::hub::{Beginning, Share, State};
use super::pings::{Asked, Ping, Pings};
use super::ring::{At, Place};
use super::snapshot::Opening;
use crate::tasks::Stopping;

/// How often a stream with nothing to do asks whether its caller may still follow.
const RIGHT_CHECK: Duration = Duration::from_secs(1);
/// A stream that says nothing for this long says that it lives. It extends no lease.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// One follower's stream.
pub(super) struct Follower {
    pub around: Around,
    pub share: Share,
    pub place: VerifierPlace,
    pub pings: Pings,
    pub caller: Caller,
    pub request_id: String,
    pub stopping: Stopping,
    pub grown: watch::Receiver<State>,
    pub at: Where,
}

/// Where a stream is.
pub(super) struct Where {
    /// What is to be sent before anything else.
    ready: VecDeque<WatchRevocationsResponse>,
    /// The chain that it follows, and the index of its next frame there.
    chain: u64,
    next: u64,
    /// Where the stream brings a verifier, once `ready` is sent.
    place: Place,
    key_set: u64,
    /// The newest link that was acknowledged.
    acknowledged: u64,
    said: Duration,
    over: bool,
}

/// What there is to do.
enum Turn {
    Say(WatchRevocationsResponse),
    Wait,
    /// Without a word: the follower is gone, or the process stops.
    End,
}

// === impl Where ===

impl Where {
    /// At the beginning. A follower that showed something is told first that it cannot be resumed.
    pub(super) fn begin(beginning: Beginning, shown: bool, share: &Share) -> Result<Self, Reason> {
        let at = |chain, next, place, key_set| Self {
            ready: VecDeque::new(),
            chain,
            next,
            place,
            key_set,
            acknowledged: 0,
            said: Duration::ZERO,
            over: false,
        };
        match beginning {
            Beginning::Anew(opening) => {
                let mut at = at(opening.chain, opening.next, opening.place, opening.key_set);
                at.open(&opening, shown);
                Ok(at)
            }
            Beginning::Resumed { index, place, chain } => {
                let current = share.0.chain.lock();
                let keys = current.keys();
                let mut at = at(chain, index, place, keys.number);
                at.ready.push_back(current.press.key_set(keys, current.newest())?);
                Ok(at)
            }
        }
    }

    fn open(&mut self, opening: &Opening, reset: bool) {
        self.ready = reset.then(|| opening.reset.clone()).into_iter().collect();
        self.ready.extend(opening.frames.iter().cloned());
        (self.chain, self.next) = (opening.chain, opening.next);
        (self.place, self.key_set) = (opening.place, opening.key_set);
    }
}

// === impl Follower ===

impl Follower {
    /// The next frame of the stream.
    pub(super) async fn step(mut self) -> Option<(Result<WatchRevocationsResponse, Status>, Self)> {
        if self.at.over {
            return None;
        }
        loop {
            match self.turn().await {
                Ok(Turn::Say(frame)) => {
                    self.at.said = self.around.clock.elapsed();
                    return Some((Ok(frame), self));
                }
                Ok(Turn::Wait) => {}
                Ok(Turn::End) => return None,
                Err(status) => {
                    self.at.over = true;
                    return Some((Err(status), self));
                }
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, Status> {
        if !self.around.broker.may_follow(&self.caller, self.share.0.connector()) {
            return Err(self.refuse(Reason::ConnectorNotServed));
        }
        if let Some(frame) = self.at.ready.pop_front() {
            return Ok(Turn::Say(frame));
        }
        // Seen before the chain is looked at, so that no growth is missed.
        if *self.grown.borrow_and_update() == State::Closed {
            return if self.stopping.is_set() { Ok(Turn::End) } else { Err(self.refuse(Reason::Internal)) };
        }
        if let Some(frame) = self.next_of_chain().await.map_err(|reason| self.refuse(reason))? {
            return Ok(Turn::Say(frame));
        }
        if let Some(frame) = self.answer().map_err(|reason| self.refuse(reason))? {
            return Ok(Turn::Say(frame));
        }
        self.wait().await
    }

    /// The chain's next frame; or the first of a snapshot, when another chain began.
    async fn next_of_chain(&mut self) -> Result<Option<WatchRevocationsResponse>, Reason> {
        loop {
            {
                let chain = self.share.0.chain.lock();
                if chain.number == self.at.chain {
                    match chain.ring().at(self.at.next) {
                        At::End => return Ok(None),
                        At::Gone => {
                            self.around.metrics.feed_follower_cut();
                            return Err(Reason::FollowerTooSlow);
                        }
                        At::Item(item) => {
                            self.at.next += 1;
                            self.at.place = item.place;
                            // Told already, when it is as old as what a resumed stream began with.
                            if item.is_link || item.key_set > self.at.key_set {
                                self.at.key_set = self.at.key_set.max(item.key_set);
                                return Ok(Some(item.frame.clone()));
                            }
                            continue;
                        }
                    }
                }
            }
            let opening = self.share.0.opening().await?;
            self.at.open(&opening, true);
            return Ok(self.at.ready.pop_front());
        }
    }

    /// A heartbeat for a ping whose time has come, or one to break a long silence.
    fn answer(&mut self) -> Result<Option<WatchRevocationsResponse>, Reason> {
        let now = self.around.clock.elapsed();
        let asked = self.pings.answer(self.at.place.sequence, self.at.key_set, now);
        if asked.is_none() && now.saturating_sub(self.at.said) < SILENCE_MAX {
            return Ok(None);
        }
        let lease = self.around.broker.staleness_bound(self.share.0.connector());
        let nonce = asked.map(|asked| asked.nonce);
        let (press, keys) = {
            let chain = self.share.0.chain.lock();
            (chain.press.clone(), chain.keys().clone())
        };
        if keys.number != self.at.key_set {
            // Another set is on its way through the ring; what it signs comes after it.
            if let Some(asked) = asked {
                self.pings.ask(asked);
            }
            return Ok(None);
        }
        let body = Body::Heartbeat { nonce, key_set: self.at.key_set, lease };
        let frame = press.frame(&keys, self.at.place, body)?;
        if let Some(asked) = asked {
            self.place.told(lease, asked.received);
        }
        self.around.metrics.feed_frames("heartbeat", 1);
        Ok(Some(frame))
    }

    async fn wait(&mut self) -> Result<Turn, Status> {
        let may_read = self.pings.may_read(self.around.clock.elapsed());
        let soon = if self.pings.is_asked() || !may_read { FEED_HEARTBEAT_SPACING } else { RIGHT_CHECK };
        tokio::select! {
            biased;
            () = self.stopping.wait() => Ok(Turn::End),
            // The sender lives as long as the share.
            _ = self.grown.changed() => Ok(Turn::Wait),
            ping = self.pings.next(), if may_read => match ping {
                None => Ok(Turn::End),
                Some(ping) => {
                    let ping = Ping::of(&ping).map_err(|malformed| malformed.status(&self.request_id))?;
                    self.hear(ping)?;
                    Ok(Turn::Wait)
                }
            },
            () = tokio::time::sleep(soon) => Ok(Turn::Wait),
        }
    }

    /// Takes in a ping: how far the verifier is, and what it wants to be answered.
    pub(super) fn hear(&mut self, ping: Ping) -> Result<(), Status> {
        let acknowledged = match ping.acknowledgement {
            Some(shown) => self.judge(&shown)?,
            None => None,
        };
        self.place.pinged(acknowledged);
        let (sequence, key_set) = self.around.broker.due_for(self.share.0.connector());
        let received = self.around.clock.elapsed();
        self.pings.ask(Asked { nonce: ping.nonce, received, sequence, key_set });
        Ok(())
    }

    /// The sequence that is acknowledged; none for what says nothing about this epoch.
    fn judge(&mut self, shown: &Acknowledgement) -> Result<Option<u64>, Status> {
        let chain = self.share.0.chain.lock();
        let epoch = chain.press.epoch;
        let carried = self.at.place.sequence;
        let beyond = shown.epoch == epoch && chain.number == self.at.chain && shown.sequence > carried;
        if beyond || chain.judge(shown) == Judged::Impossible {
            drop(chain);
            return Err(self.witness(shown));
        }
        if shown.epoch < epoch {
            return Ok(None);
        }
        if shown.sequence > self.at.acknowledged {
            self.at.acknowledged = shown.sequence;
            if let Some((_, link)) = chain.ring().link_at(shown.sequence) {
                let took = self.around.clock.elapsed().saturating_sub(link.made_at);
                self.around.metrics.feed_acknowledged(took);
            }
        }
        Ok(Some(shown.sequence))
    }

    fn witness(&self, shown: &Acknowledgement) -> Status {
        witness(&self.around, &self.share, shown, &self.request_id)
    }

    fn refuse(&self, reason: Reason) -> Status {
        locum_api::status::status(reason, None, &self.request_id, &[])
    }
}

/// Refuses a position that this journal never told. The follower, or this broker, has lost its history:
/// whoever runs them has to hear of it.
pub(super) fn witness(around: &Around, share: &Share, shown: &Acknowledgement, request_id: &str) -> Status {
    let chain = share.0.chain.lock();
    let (epoch, Place { sequence, head }) = (chain.press.epoch, chain.newest());
    drop(chain);
    let partition = share.0.connector().0;
    tracing::error!(
        request_id,
        partition,
        epoch,
        sequence,
        shown_epoch = shown.epoch,
        shown_sequence = shown.sequence,
        "a follower shows a position of the feed that this journal never told: history was lost or forked",
    );
    around.metrics.feed_witness();
    let head: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
    let detail = format!("the feed is at epoch {epoch}, sequence {sequence}, head {head}");
    locum_api::status::status(Reason::FeedPositionInvalid, Some(&detail), request_id, &[])
}
