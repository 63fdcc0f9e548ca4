//! How frames become state. One writer; every check that starts after [`Verifier::apply`] returned
//! sees what the frame said.
//!
//! The chain is made of deltas alone: each names the hash of the one before. Everything else names the
//! chain's newest sequence and head, so that a heartbeat which names another place than the one held
//! tells that something is missing. A signed entry is never un-said: what is joined stays joined, even
//! when the frame turns out to come after a gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use locum_jose::PublicKey;
#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::event::KeyPurpose;
use locum_model::feed::{Acknowledgement, Body, Codec, Entry, Frame, Key, SIGNING_CONTEXT, SnapshotEnd};
use locum_model::limits::{FEED_PAYLOAD_BYTES_MAX, STALENESS_BOUND_MAX, VERIFIER_NONCES_MAX};
use locum_model::{ConnectorNo, KeyId, Timestamp};

use crate::codec::SignedFrame;
use crate::eras::Era;
use crate::frame_refused::FrameRefused;
use crate::moment::Moment;
use crate::snapshot::{Collecting, Standing};
use crate::verifier::{Lack, Verifier};
use crate::world::{KeySet, World};

/// What a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The keys are those of this set now.
    KeySet,
    /// A part of a snapshot is kept until the others are there.
    SnapshotPart,
    /// Everything that was in force is known. To be acknowledged.
    Snapshot,
    /// What is new is known. To be acknowledged.
    Delta,
    /// The lease runs on; the broker gives this much from each ping.
    Lease(Duration),
    /// A sign of life that answers no ping, and extends nothing.
    Life,
    /// A snapshot is to come; until then nothing can be answered.
    Reset,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The nonce that a heartbeat has to echo.
    pub nonce: [u8; 16],
    /// How far the verifier is.
    pub acknowledgement: Option<Acknowledgement>,
}

/// The writer's side.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// Where the chain is, in the era of the world; none before the first snapshot.
    chain: Option<Chain>,
    /// The partition of our own streams: the newest one in which a ping of ours was answered.
    proved: Option<ConnectorNo>,
    /// Only a whole snapshot helps: nothing is known yet, or the broker said so.
    needs_snapshot: bool,
    collecting: Option<Collecting>,
    /// Pings of this stream that wait for their heartbeat, and when they were sent.
    nonces: VecDeque<([u8; 16], Duration)>,
    /// Something signed was not understood on this stream.
    not_understood: bool,
    /// Counts heartbeats, to sweep a part of what is over at each.
    turn: usize,
    #[cfg(bug_zoo)]
    unjoined: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain {
    sequence: u64,
    head: [u8; 32],
}

impl Follower {
    pub(crate) fn sequence(&self) -> Option<u64> {
        self.chain.map(|chain| chain.sequence)
    }
}

// === impl Verifier, the writer's side ===

impl Verifier {
    /// A new stream begins: answers to the pings of the one before do not count any more. The lease, and
    /// everything that is known, stays.
    pub fn begin_stream(&self) {
        let mut follower = self.follower.lock();
        follower.nonces.clear();
        follower.collecting = None;
        follower.not_understood = false;
        follower.needs_snapshot = follower.chain.is_none();
    }

    /// A ping to be sent at `now`, with a nonce of fresh randomness.
    pub fn ping(&self, nonce: [u8; 16], now: Moment) -> Ping {
        let mut follower = self.follower.lock();
        if follower.nonces.len() >= VERIFIER_NONCES_MAX {
            follower.nonces.pop_front();
        }
        follower.nonces.push_back((nonce, now.elapsed));
        Ping { nonce, acknowledgement: self.reached(&follower) }
    }

    /// How far it is, to be said at once when a delta was applied; none before the first snapshot. Unlike a
    /// ping it asks for nothing: the lease that runs goes on.
    pub fn acknowledgement(&self) -> Option<Acknowledgement> {
        self.reached(&self.follower.lock())
    }

    fn reached(&self, follower: &Follower) -> Option<Acknowledgement> {
        let Chain { sequence, head } = follower.chain?;
        let world = self.world.load();
        let strayed = follower.proved.is_some_and(|proved| world.partition != Some(proved));
        let epoch = world.eras.current().filter(|_| !strayed)?.epoch;
        Some(Acknowledgement { epoch, sequence, head })
    }

    /// Takes a frame that was received at `now`.
    ///
    /// # Errors
    ///
    /// [`FrameRefused`]. Whatever it is, no token can become active by it; [`FrameRefused::ends_stream`]
    /// says whether only another stream helps.
    pub fn apply(
        &self,
        codec: &impl Codec,
        signed: SignedFrame<'_>,
        now: Moment,
    ) -> Result<Applied, FrameRefused> {
        let mut follower = self.follower.lock();
        #[cfg(bug_zoo)]
        self.standing.watch(now);
        let taken = self.take(&mut follower, codec, signed, now);
        match &taken {
            Err(FrameRefused::Gap | FrameRefused::Forked | FrameRefused::KeySetMissing)
            | Ok(Applied::Reset) => {
                self.standing.end_lease(Lack::Behind);
            }
            Err(FrameRefused::NotUnderstood(_)) => {
                follower.not_understood = true;
                self.standing.end_lease(Lack::NotUnderstood);
            }
            Err(FrameRefused::Full) => self.standing.end_lease(Lack::Full),
            _ => {}
        }
        self.tallies.note_frame(&taken);
        taken
    }

    fn take(
        &self,
        follower: &mut Follower,
        codec: &impl Codec,
        signed: SignedFrame<'_>,
        now: Moment,
    ) -> Result<Applied, FrameRefused> {
        if signed.payload.len() > FEED_PAYLOAD_BYTES_MAX {
            return Err(FrameRefused::TooLarge);
        }
        let kid = KeyId(signed.kid.try_into().or(Err(FrameRefused::UnknownKey))?);
        let world = self.world.load_full();
        let feed_key = world.keys.as_ref().and_then(|keys| keys.key(&kid, KeyPurpose::Feed));
        let Some(key) = feed_key else {
            return self.take_key_set(codec, signed, kid, &world);
        };
        verify(key.public(), signed)?;
        let frame = codec.decode(signed.payload);
        let frame = frame.map_err(|error| FrameRefused::NotUnderstood(error.to_string()))?;
        self.check_origin(&frame)?;
        let standing = Standing::of(&frame);
        match frame.body {
            // Only the root signs key sets; a feed key that does is up to no good.
            Body::KeySet { .. } => Err(FrameRefused::UnknownKey),
            Body::SnapshotPart { part, end, entries } => {
                self.take_part(follower, codec, &world, standing, (part, end, entries))
            }
            Body::Delta { entries } => {
                let hash = locum_token::sha256(signed.payload);
                self.take_delta(follower, &world, standing, &entries, hash)
            }
            Body::Heartbeat { nonce, key_set, lease, .. } => {
                let beat = Beat { nonce, key_set, lease, server_time: frame.server_time };
                self.take_heartbeat(follower, &world, standing, &beat, now)
            }
            Body::Reset => self.take_reset(follower, &world, standing),
        }
    }

    /// The pins that every frame has to meet.
    fn check_origin(&self, frame: &Frame) -> Result<(), FrameRefused> {
        let is_ours = frame.issuer == self.options.issuer;
        #[cfg(bug_zoo)]
        let is_ours = is_ours || is_planted(Bug::FeedIssuerNotCompared);
        if !is_ours {
            let (shown, pinned) = (frame.issuer.clone(), self.options.issuer.clone());
            return Err(FrameRefused::OtherIssuer { shown, pinned });
        }
        match self.options.home {
            #[cfg(bug_zoo)]
            _ if is_planted(Bug::FeedHomeNotCompared) => Ok(()),
            Some(home) if home != frame.home => Err(FrameRefused::OtherHome(frame.home)),
            _ => Ok(()),
        }
    }

    // === keys ===

    /// A frame that no feed key signed can only be a key set. It brings the root's public key, which is
    /// believed when its thumbprint is the pinned one.
    fn take_key_set(
        &self,
        codec: &impl Codec,
        signed: SignedFrame<'_>,
        kid: KeyId,
        world: &World,
    ) -> Result<Applied, FrameRefused> {
        let frame = match codec.decode(signed.payload) {
            Ok(frame) => frame,
            Err(error) if kid == self.options.root => {
                return Err(FrameRefused::NotAKeySet(error.to_string()));
            }
            Err(_) => return Err(FrameRefused::UnknownKey),
        };
        let Body::KeySet { number, keys, root } = &frame.body else { return Err(FrameRefused::UnknownKey) };
        let pinned = self.options.root;
        if kid != pinned {
            return Err(FrameRefused::OtherRoot { shown: kid, pinned });
        }
        verify(&root_key(root, pinned)?, signed)?;
        self.check_origin(&frame)?;
        let set = KeySet::of(*number, keys).ok_or(FrameRefused::KeySetMalformed)?;
        match &world.keys {
            Some(held) if set.number < held.number => {
                Err(FrameRefused::KeySetOlder { shown: set.number, held: held.number })
            }
            Some(held) if set.number == held.number && set != *held => {
                Err(FrameRefused::KeySetForked(set.number))
            }
            Some(held) if set == *held => Ok(Applied::KeySet),
            _ => {
                self.replace(World { keys: Some(set), ..world.clone() });
                Ok(Applied::KeySet)
            }
        }
    }

    fn replace(&self, world: World) {
        self.world.store(Arc::new(World { number: world.number + 1, ..world }));
    }

    // === snapshots ===

    fn take_part(
        &self,
        follower: &mut Follower,
        codec: &impl Codec,
        world: &World,
        standing: Standing,
        (part, end, entries): (u32, Option<SnapshotEnd>, Vec<Entry>),
    ) -> Result<Applied, FrameRefused> {
        // Whatever goes wrong, the parts so far are of no more use.
        let collecting = follower.collecting.take();
        may_lead_to(follower, world, standing)?;
        let begun = (part == 0).then(|| Collecting::new(standing));
        #[cfg(bug_zoo)]
        if part == 0 && is_planted(Bug::FeedSnapshotReplaces) {
            self.marks.forget_everywhere(Timestamp::from_millis(i64::MAX));
        }
        let mut collecting = begun.or(collecting).ok_or(FrameRefused::PartOutOfOrder)?;
        if collecting.len() + entries.len() > self.options.watermarks_max {
            return Err(FrameRefused::Full);
        }
        collecting.take(standing, part, &entries, codec)?;
        let Some(end) = end else {
            follower.collecting = Some(collecting);
            return Ok(Applied::SnapshotPart);
        };
        let entries = collecting.whole(end)?;
        let mut eras = world.eras.clone();
        eras.enter(standing.era);
        self.join(&entries, |sequence| eras.order_now(sequence))?;
        if world.partition.is_some_and(|partition| partition != standing.partition) {
            // Ours is another now, or somebody showed us one that is not ours: the next heartbeat tells.
            self.standing.end_lease(Lack::Behind);
        }
        if eras != world.eras || world.partition != Some(standing.partition) {
            self.replace(World { eras, partition: Some(standing.partition), ..world.clone() });
        }
        follower.chain = Some(Chain { sequence: standing.sequence, head: standing.head });
        follower.needs_snapshot = false;
        Ok(Applied::Snapshot)
    }

    /// Joins entries by maximum, for every check that starts from here on; or none of them, when they
    /// might be more than may be kept.
    fn join(&self, entries: &[Entry], order: impl Fn(u64) -> u64) -> Result<(), FrameRefused> {
        let fits = || self.marks.len() + entries.len() <= self.options.watermarks_max;
        if !fits() {
            self.marks.forget_everywhere(self.standing.floor());
        }
        // The same ones once more are no more than before.
        if !fits() && self.marks.missing(entries) + self.marks.len() > self.options.watermarks_max {
            return Err(FrameRefused::Full);
        }
        self.marks.join(entries, order);
        self.marks.publish(entries);
        Ok(())
    }

    // === deltas, resets, heartbeats ===

    fn take_delta(
        &self,
        follower: &mut Follower,
        world: &World,
        standing: Standing,
        entries: &[Entry],
        hash: [u8; 32],
    ) -> Result<Applied, FrameRefused> {
        let chain = follower.place(world, standing)?;
        if standing.sequence <= chain.sequence {
            return Err(FrameRefused::Replayed);
        }
        #[cfg(bug_zoo)]
        let deferred = is_planted(Bug::FeedAcknowledgedBeforeApplied)
            .then(|| std::mem::replace(&mut follower.unjoined, entries.to_vec()));
        #[cfg(bug_zoo)]
        let entries = deferred.as_deref().unwrap_or(entries);
        self.join(entries, |sequence| world.eras.order_now(sequence))?;
        #[cfg(bug_zoo)]
        let standing = if is_planted(Bug::FeedHashNotCompared) {
            Standing { head: chain.head, ..standing }
        } else {
            standing
        };
        if standing.head != chain.head {
            return Err(FrameRefused::Gap);
        }
        follower.chain = Some(Chain { sequence: standing.sequence, head: hash });
        Ok(Applied::Delta)
    }

    fn take_reset(
        &self,
        follower: &mut Follower,
        world: &World,
        standing: Standing,
    ) -> Result<Applied, FrameRefused> {
        may_lead_to(follower, world, standing)?;
        #[cfg(bug_zoo)]
        if is_planted(Bug::FeedResetForgets) {
            self.marks.forget_everywhere(Timestamp::from_millis(i64::MAX));
        }
        follower.collecting = None;
        follower.needs_snapshot = true;
        Ok(Applied::Reset)
    }

    /// The lease runs from when the nonce was *sent*, and only if the broker's chain and keys are exactly
    /// those held here.
    fn take_heartbeat(
        &self,
        follower: &mut Follower,
        world: &World,
        standing: Standing,
        beat: &Beat,
        now: Moment,
    ) -> Result<Applied, FrameRefused> {
        let chain = follower.place(world, standing)?;
        if standing.sequence < chain.sequence {
            return Err(FrameRefused::Replayed);
        }
        #[cfg(bug_zoo)]
        let chain = if is_planted(Bug::FeedGapUnnoticed) {
            Chain { sequence: standing.sequence, head: standing.head }
        } else {
            chain
        };
        if standing.sequence > chain.sequence {
            return Err(FrameRefused::Gap);
        }
        if standing.head != chain.head {
            return Err(FrameRefused::Forked);
        }
        let held = world.keys.as_ref().map_or(0, |keys| keys.number);
        if beat.key_set > held {
            return Err(FrameRefused::KeySetMissing);
        }
        if beat.key_set < held {
            return Err(FrameRefused::Replayed);
        }
        let Some(nonce) = beat.nonce else { return Ok(Applied::Life) };
        let sent = follower.answered(nonce).ok_or(FrameRefused::Unasked)?;
        if follower.not_understood {
            return Ok(Applied::Life);
        }
        #[cfg(bug_zoo)]
        let sent = if is_planted(Bug::FeedLeaseFromReceipt) { now.elapsed } else { sent };
        follower.proved = Some(standing.partition);
        let lease = beat.lease.min(STALENESS_BOUND_MAX);
        self.standing.set_lease(sent.saturating_add(lease), beat.server_time, now);
        follower.turn = follower.turn.wrapping_add(1);
        let floor = self.standing.raise_floor(beat.server_time);
        self.marks.forget(follower.turn, floor);
        self.memo.forget(follower.turn, floor);
        Ok(Applied::Lease(lease))
    }
}

/// What a heartbeat says.
struct Beat {
    nonce: Option<[u8; 16]>,
    key_set: u64,
    lease: Duration,
    server_time: Timestamp,
}

impl Follower {
    /// The place in the chain, for a frame that has to stand in the very era and partition followed.
    fn place(&self, world: &World, standing: Standing) -> Result<Chain, FrameRefused> {
        let Some(chain) = self.chain.filter(|_| !self.needs_snapshot) else {
            return Err(FrameRefused::NoSnapshot);
        };
        let is_followed = world.eras.current() == Some(standing.era);
        #[cfg(bug_zoo)]
        let is_followed = is_followed || is_planted(Bug::FeedEpochNotCompared);
        if !is_followed {
            return Err(other_era(standing.era));
        }
        #[cfg(bug_zoo)]
        let standing = match world.partition {
            Some(partition) if is_planted(Bug::FeedOtherPartition) => Standing { partition, ..standing },
            _ => standing,
        };
        if world.partition != Some(standing.partition) {
            return Err(FrameRefused::OtherPartition);
        }
        Ok(chain)
    }

    /// When the ping of this nonce was sent. It and those before it wait no more: a stream is ordered.
    fn answered(&mut self, nonce: [u8; 16]) -> Option<Duration> {
        let at = self.nonces.iter().position(|(waiting, _)| *waiting == nonce)?;
        self.nonces.drain(..=at).next_back().map(|(_, sent)| sent)
    }
}

/// Whether a snapshot that stands here may be taken: onwards in the era followed, or in one to come.
///
/// A connector that is registered anew has a larger number, and so another partition. Whether a larger one
/// is ours is only known once a ping is answered there: until then there is a way back.
fn may_lead_to(follower: &Follower, world: &World, standing: Standing) -> Result<(), FrameRefused> {
    if !world.eras.may_enter(standing.era) {
        return Err(other_era(standing.era));
    }
    if follower.proved.is_some_and(|proved| standing.partition < proved) {
        return Err(FrameRefused::OtherPartition);
    }
    let goes_on = world.eras.current() == Some(standing.era) && world.partition == Some(standing.partition);
    #[cfg(bug_zoo)]
    let goes_on = goes_on && !is_planted(Bug::FeedOlderTaken);
    match follower.chain {
        Some(chain) if goes_on && standing.sequence < chain.sequence => Err(FrameRefused::Older),
        _ => Ok(()),
    }
}

fn other_era(era: Era) -> FrameRefused {
    FrameRefused::OtherEra { home: era.home, epoch: era.epoch }
}

/// The root's key, if the bytes are those that the pin names.
fn root_key(root: &Key, pinned: KeyId) -> Result<PublicKey, FrameRefused> {
    let key =
        PublicKey::from_bytes(root.algorithm, &root.public_key).or(Err(FrameRefused::KeySetMalformed))?;
    let shown = key.thumbprint();
    if shown == pinned { Ok(key) } else { Err(FrameRefused::OtherRoot { shown, pinned }) }
}

fn verify(key: &PublicKey, signed: SignedFrame<'_>) -> Result<(), FrameRefused> {
    let input = [SIGNING_CONTEXT, signed.payload].concat();
    key.verify(&input, signed.signature).or(Err(FrameRefused::Signature))
}
