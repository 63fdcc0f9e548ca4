//! [`Chain`]: a partition's frames in order, made once for all who follow.
//!
//! A chain begins at its anchor, 32 random bytes at the journal's position of that moment, and grows
//! by what the fold has published. When a delta cannot be made (there was too much at once), the chain
//! ends and a new one begins: its followers have to start from a snapshot.

use std::sync::Arc;
use std::time::Duration;

use locum_broker::{Broker, Partition, Taken};
use locum_model::feed::{Acknowledgement, Body};
use locum_model::{Clock, Entropy, Reason};

use super::press::{KeySet, Press, entry_of};
use super::ring::{Item, Place, Ring};
use crate::metrics::Metrics;

/// Frames that one turn makes: others wait for the chain meanwhile.
const FRAMES_PER_TURN: usize = 16;

/// What frames are made with.
#[derive(Clone)]
pub struct Around {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where things are counted.
    pub metrics: Arc<Metrics>,
}

/// A partition's frames.
pub(super) struct Chain {
    pub press: Arc<Press>,
    /// Counts chains; a follower of an earlier one has to begin anew.
    pub number: u64,
    anchor: Place,
    newest: Place,
    keys: KeySet,
    ring: Ring,
    /// The index of the first frame after the anchor.
    begins_at: u64,
    /// Whoever resumes may not begin before this: earlier frames were signed with a key that is gone.
    resumes_from: u64,
    is_broken: bool,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turned {
    /// There may be something new for the followers.
    pub grew: bool,
    /// There is more to make.
    pub more: bool,
}

/// What an acknowledgement says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It can go on with the frame at this index.
    At(u64),
    /// It is behind what is kept here, or of another chain: a snapshot brings it on.
    Behind,
    /// It was shown what this journal never said: one of the two has lost its history.
    Impossible,
}

// === impl Chain ===

impl Chain {
    /// A chain that begins where the fold is now.
    pub(super) fn begin(around: &Around, source: &Partition) -> Result<Self, Reason> {
        // Whatever waits is in force already: every follower of a new chain starts from a snapshot.
        let position = drained(source);
        let press = Press {
            issuer: around.broker.issuer().into(),
            home: position.home,
            epoch: position.epoch,
            partition: source.connector(),
            clock: Arc::clone(&around.clock),
        };
        let anchor = new_anchor(around, position.sequence)?;
        let keys = current_keys(&around.broker);
        Ok(Self {
            press: Arc::new(press),
            number: 0,
            anchor,
            newest: anchor,
            keys,
            ring: Ring::default(),
            begins_at: 0,
            resumes_from: 0,
            is_broken: false,
        })
    }

    /// Makes frames of what waits.
    ///
    /// # Errors
    ///
    /// CLOCK_UNSETTLED before anything is taken; INTERNAL when nothing signs. A later turn repairs both.
    pub(super) fn turn(
        &mut self,
        around: &Around,
        source: &Partition,
        bytes_max: usize,
    ) -> Result<Turned, Reason> {
        around.clock.now().map_err(|_unsettled| Reason::ClockUnsettled)?;
        let before = (self.number, self.ring.end());
        let made_at = around.clock.elapsed();
        let mut more = true;
        for _ in 0..FRAMES_PER_TURN {
            // Read before the deltas are taken, so that a set of keys is told before what they sign.
            let keys = current_keys(&around.broker);
            if keys.number != self.keys.number {
                self.change_keys(keys, made_at, bytes_max)?;
            }
            let taken = source.take();
            if taken.lost || self.is_broken {
                self.begin_anew(around, source)?;
            } else if !taken.deltas.is_empty() {
                // Taken and not yet made: should the making fail, they are lost to this chain.
                self.is_broken = true;
                self.append(&taken, made_at, bytes_max)?;
                self.is_broken = false;
            }
            more = taken.position.is_none();
            if !more {
                break;
            }
        }
        Ok(Turned { grew: before != (self.number, self.ring.end()), more })
    }

    fn append(&mut self, taken: &Taken, made_at: Duration, bytes_max: usize) -> Result<(), Reason> {
        let entries = taken.deltas.iter().flat_map(|delta| delta.entries.iter()).map(entry_of).collect();
        let sequence = taken.deltas.last().map_or(self.newest.sequence, |delta| delta.position.sequence);
        let place = Place { sequence, head: self.newest.head };
        let frame = self.press.frame(&self.keys, place, Body::Delta { entries })?;
        let head = locum_token::sha256(&frame.payload);
        self.newest = Place { sequence, head };
        let (place, key_set) = (self.newest, self.keys.number);
        self.ring.push(Item { frame, place, key_set, is_link: true, made_at }, bytes_max);
        Ok(())
    }

    fn change_keys(&mut self, keys: KeySet, made_at: Duration, bytes_max: usize) -> Result<(), Reason> {
        let frame = self.press.key_set(&keys, self.newest)?;
        if !keys.keeps_feed_keys_of(&self.keys) {
            self.resumes_from = self.ring.end();
        }
        let (place, key_set) = (self.newest, keys.number);
        self.ring.push(Item { frame, place, key_set, is_link: false, made_at }, bytes_max);
        self.keys = keys;
        Ok(())
    }

    fn begin_anew(&mut self, around: &Around, source: &Partition) -> Result<(), Reason> {
        self.is_broken = true;
        let position = drained(source);
        self.anchor = new_anchor(around, position.sequence)?;
        self.newest = self.anchor;
        self.number += 1;
        self.ring.clear();
        self.begins_at = self.ring.end();
        self.resumes_from = self.begins_at;
        self.is_broken = false;
        Ok(())
    }

    /// The chain's newest place.
    pub(super) fn newest(&self) -> Place {
        self.newest
    }

    /// The keys that its frames are signed with.
    pub(super) fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Its newest frames.
    pub(super) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// What an acknowledgement says, by what is known here; right after a turn.
    pub(super) fn judge(&self, shown: &Acknowledgement) -> Judged {
        let place = Place { sequence: shown.sequence, head: shown.head };
        if shown.epoch != self.press.epoch {
            return if shown.epoch > self.press.epoch { Judged::Impossible } else { Judged::Behind };
        }
        // An earlier chain ended at or before this one's anchor, and its heads are not known any more.
        if shown.sequence < self.anchor.sequence {
            return Judged::Behind;
        }
        let is_whole = self.ring.first() <= self.begins_at;
        if shown.sequence == self.anchor.sequence {
            let ours = place == self.anchor && is_whole && self.resumable(self.begins_at);
            return if ours { Judged::At(self.begins_at) } else { Judged::Behind };
        }
        match self.ring.link_at(shown.sequence) {
            Some((_, link)) if link.place != place => Judged::Impossible,
            Some((index, _)) if self.resumable(index + 1) => Judged::At(index + 1),
            Some(_) => Judged::Behind,
            None => {
                let oldest = self.ring.oldest_link(0).map(|item| item.place.sequence);
                let fell_off = oldest.is_none_or(|oldest| shown.sequence < oldest);
                let was_said = shown.sequence <= self.newest.sequence;
                if !is_whole && fell_off && was_said { Judged::Behind } else { Judged::Impossible }
            }
        }
    }

    /// Whether no link from `index` on was signed with a key that is gone.
    fn resumable(&self, index: u64) -> bool {
        index >= self.resumes_from || self.ring.oldest_link(index).is_none()
    }
}

/// Lets everything go that waits, and says where the fold was then.
fn drained(source: &Partition) -> locum_model::Position {
    loop {
        if let Taken { position: Some(position), .. } = source.take() {
            return position;
        }
    }
}

fn new_anchor(around: &Around, sequence: u64) -> Result<Place, Reason> {
    let mut head = [0; 32];
    around.entropy.fill(&mut head).map_err(|_failed| Reason::Internal)?;
    Ok(Place { sequence, head })
}

fn current_keys(broker: &Broker) -> KeySet {
    let (number, keys) = broker.key_set();
    KeySet { number, keys }
}
