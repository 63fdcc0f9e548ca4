//! [`Opening`]: what a follower hears that starts from nothing: keys, and everything in force.
//!
//! Made once and shared by all who come within a short while: a follower that starts from an older
//! snapshot reads the deltas since then from the ring.

use std::time::Duration;

use locum_api::broker::v1::WatchRevocationsResponse;
use locum_api::feed::encode_entry;
use locum_broker::{Cursor, Partition};
use locum_model::Reason;
use locum_model::feed::{Body, Entry, SnapshotEnd};
use locum_model::limits::{FEED_ENTRIES_PER_FRAME, FEED_RING_FRAMES, FEED_SNAPSHOT_AGE_MAX};

use super::chain::Chain;
use super::press::{KeySet, Press, entry_of};
use super::ring::Place;

/// Frames to begin with, and where they bring a follower.
pub struct Opening {
    /// The set of keys, before anything that one of them signed.
    pub(super) keys: WatchRevocationsResponse,
    /// For those who have something that cannot be resumed.
    pub(super) reset: WatchRevocationsResponse,
    /// The snapshot.
    pub(super) parts: Vec<WatchRevocationsResponse>,
    /// The chain that it is of.
    pub(super) chain: u64,
    /// Where in the chain it brings a follower.
    pub(super) place: Place,
    /// The index of the frame that comes next.
    pub(super) next: u64,
    /// The number of the set of keys that it begins with.
    pub(super) key_set: u64,
    made_at: Duration,
}

/// A moment of a chain, at which an opening is made.
pub(super) struct Moment {
    chain: u64,
    place: Place,
    next: u64,
    keys: KeySet,
}

// === impl Moment ===

impl Moment {
    pub(super) fn of(chain: &Chain) -> Self {
        let (place, next) = (chain.newest(), chain.ring().end());
        Self { chain: chain.number, place, next, keys: chain.keys().clone() }
    }
}

// === impl Opening ===

impl Opening {
    /// Makes the frames. Copies everything in force and signs a frame for every 1,024 entries: call it
    /// where it may take its time.
    ///
    /// What is raised while this reads comes as a delta after `moment` and may stand in the snapshot
    /// too, which changes nothing: entries join by maximum.
    pub(super) fn make(
        press: &Press,
        source: &Partition,
        moment: Moment,
        made_at: Duration,
    ) -> Result<Self, Reason> {
        let Moment { chain, place, next, keys } = moment;
        let mut frames = Vec::new();
        let mut part = 0;
        let mut parts = Parts { source, cursor: Cursor::default(), count: 0, hashed: Vec::new() };
        let mut entries = parts.next();
        loop {
            let after = parts.next();
            let is_last = after.is_empty();
            let end = is_last.then(|| parts.end());
            frames.push(press.frame(&keys, place, Body::SnapshotPart { part, end, entries })?);
            if is_last {
                break;
            }
            (entries, part) = (after, part + 1);
        }
        Ok(Self {
            keys: press.key_set(&keys, place)?,
            reset: press.frame(&keys, place, Body::Reset)?,
            parts: frames,
            chain,
            place,
            next,
            key_set: keys.number,
            made_at,
        })
    }

    /// Whether somebody who comes now may begin with it.
    pub(super) fn serves(&self, chain: &Chain, now: Duration) -> bool {
        let missed = chain.ring().end().saturating_sub(self.next);
        self.chain == chain.number
            && self.key_set == chain.keys().number
            && self.next >= chain.ring().first()
            && missed <= FEED_RING_FRAMES as u64 / 4
            && !self.is_old(now)
    }

    /// Whether nobody may begin with it any more.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.made_at) > FEED_SNAPSHOT_AGE_MAX
    }
}

/// Reads what is in force, as much as a frame holds at a time.
struct Parts<'a> {
    source: &'a Partition,
    cursor: Cursor,
    count: u64,
    hashed: Vec<u8>,
}

impl Parts<'_> {
    fn next(&mut self) -> Vec<Entry> {
        let read = self.source.in_force(&mut self.cursor, FEED_ENTRIES_PER_FRAME);
        let entries: Vec<_> = read.iter().map(entry_of).collect();
        self.count += entries.len() as u64;
        entries.iter().for_each(|entry| self.hashed.extend(encode_entry(entry)));
        entries
    }

    fn end(&self) -> SnapshotEnd {
        SnapshotEnd { count: self.count, entries_sha256: locum_token::sha256(&self.hashed) }
    }
}
