//! [`Memo`]: tokens whose signature need not be checked again, known by a digest of all their
//! bytes.
//!
//! A table of fixed size, in sets of four, so that it cannot be flooded: only tokens that verified
//! enter, and each evicts at most one other. Readers take no lock; a slot is replaced whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use locum_model::{Digest, Level, Timestamp};
use locum_token::{Claims, Refusal};

use crate::marks::{Kind, MarkKey, Marks};

const WAYS: usize = 4;
/// Parts of the table that are swept one after another.
const PARTS: usize = 64;
/// Kept where nothing was compared yet.
const NEVER_COMPARED: u64 = u64::MAX;

/// A token whose signature was verified, in one world. What every check looks at stands together here:
/// of tokens that are seldom seen, each line that is fetched from memory costs more than the digest.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Seen {
    digest: Digest,
    /// The world in which it was verified.
    world: u64,
    /// Where its decision stands among the eras of that world.
    pub(crate) order: Option<u64>,
    not_before: Timestamp,
    expires_at: Timestamp,
    own: Levels,
    shared: Levels,
    pub(crate) is_bound: bool,
    pub(crate) is_online_only: bool,
    /// The level by which it was found dead; 0 while it was not. Death is for good.
    dead: AtomicU8,
    pub(crate) claims: Arc<Claims>,
}

/// Levels of one kind, and when they were last compared.
#[derive(Debug)]
struct Levels {
    keys: Box<[MarkKey]>,
    compared: AtomicU64,
}

/// One line of the table.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    /// A hint to the slot; 0 when empty. The slot itself decides.
    tags: [AtomicU64; WAYS],
    slots: [ArcSwapOption<Seen>; WAYS],
}

/// The table.
#[derive(Debug)]
pub(crate) struct Memo(Box<[Set]>);

// === impl Seen, Levels ===

impl Seen {
    pub(crate) fn new(digest: Digest, world: u64, claims: Claims, order: Option<u64>) -> Self {
        let levels = |keys| Levels { keys, compared: AtomicU64::new(NEVER_COMPARED) };
        #[cfg(bug_zoo)]
        let claims = forgetful(claims);
        Self {
            digest,
            world,
            order,
            not_before: claims.not_before,
            expires_at: claims.expires_at,
            is_bound: claims.confirmation.is_some(),
            is_online_only: claims.online_only || claims.single_use,
            own: levels(claims.own_targets().map(MarkKey::of).collect()),
            shared: levels(claims.shared_targets().map(MarkKey::of).collect()),
            claims: Arc::new(claims),
            dead: AtomicU8::new(0),
        }
    }

    /// Judges the times, as [`Claims::check_times`] does.
    pub(crate) fn check_times(&self, now: Timestamp) -> Result<(), Refusal> {
        let within = self.not_before <= now && now < self.expires_at;
        if within { Ok(()) } else { self.claims.check_times(now) }
    }

    /// The level by which a decision of this order, its own, is dead.
    pub(crate) fn dead_by(&self, marks: &Marks, order: u64) -> Option<Level> {
        let dead = self.dead.load(Ordering::Relaxed);
        if dead != 0 {
            return Level::ALL.into_iter().find(|level| *level as u8 == dead);
        }
        let level = self.own.covering(Kind::Own, marks, order);
        let level = level.or_else(|| self.shared.covering(Kind::Shared, marks, order))?;
        self.dead.store(level as u8, Ordering::Relaxed);
        Some(level)
    }
}

/// Claims of which something is not compared.
#[cfg(bug_zoo)]
fn forgetful(mut claims: Claims) -> Claims {
    use locum_model::OwnerNo;
    use locum_model::bug_zoo::{Bug, is_planted};
    if is_planted(Bug::FeedOwnerForgotten) {
        claims.standing.actors.iter_mut().for_each(|actor| actor.owner = OwnerNo(u32::MAX));
        claims.standing.connector_owner = OwnerNo(u32::MAX);
    }
    if is_planted(Bug::FeedAncestorForgotten) {
        claims.tasks = claims.tasks.split_off(claims.tasks.len() - 1);
    }
    claims
}

impl Levels {
    fn covering(&self, kind: Kind, marks: &Marks, order: u64) -> Option<Level> {
        // Loaded before the comparison, so that what is remembered holds for everything up to it.
        let generation = marks.generation(kind);
        if self.compared.load(Ordering::Relaxed) == generation {
            return None;
        }
        let covering = marks.covering(kind, &self.keys, order);
        if covering.is_none() {
            // Two readers may store in either order; the older generation only means one more compare.
            self.compared.store(generation, Ordering::Relaxed);
        }
        covering
    }
}

// === impl Memo ===

impl Memo {
    /// Room for this many tokens, rounded up to a power of two.
    pub(crate) fn with_room_for(tokens: usize) -> Self {
        let sets = tokens.div_ceil(WAYS).next_power_of_two();
        Self((0..sets).map(|_| Set::default()).collect())
    }

    /// Gives the token of this digest to `judge`, if it is remembered as of this world. No reference
    /// count is touched, so that many threads may check one token at once.
    pub(crate) fn with<T>(&self, digest: Digest, world: u64, judge: impl FnOnce(&Seen) -> T) -> Option<T> {
        let set = self.set(digest);
        for (tag, slot) in set.tags.iter().zip(&set.slots) {
            if tag.load(Ordering::Relaxed) != tag_of(digest) {
                continue;
            }
            let held = slot.load();
            if let Some(seen) = held.as_ref().filter(|seen| seen.digest.is(digest) && seen.world == world) {
                return Some(judge(seen));
            }
        }
        None
    }

    /// Remembers a token, in the place of itself, of nothing, of one that is over, or of any.
    pub(crate) fn remember(&self, seen: Seen, now: Timestamp) {
        let (set, digest) = (self.set(seen.digest), seen.digest);
        let is = |fits: &dyn Fn(&Seen) -> bool| {
            (0..WAYS).find(|way| set.slots[*way].load().as_ref().is_some_and(|held| fits(held)))
        };
        let place = is(&|held| held.digest.is(digest))
            .or_else(|| (0..WAYS).find(|way| set.slots[*way].load().is_none()))
            .or_else(|| is(&|held| now >= held.expires_at))
            .unwrap_or(digest.0[0] as usize >> 1 & (WAYS - 1));
        set.slots[place].store(Some(Arc::new(seen)));
        set.tags[place].store(tag_of(digest), Ordering::Relaxed);
    }

    /// Lets go of tokens that are over, in one part of the table, counted round and round.
    pub(crate) fn forget(&self, turn: usize, now: Timestamp) {
        for set in self.0.iter().skip(turn % PARTS).step_by(PARTS) {
            for (tag, slot) in set.tags.iter().zip(&set.slots) {
                let is_over = slot.load().as_ref().is_some_and(|seen| now >= seen.expires_at);
                if is_over {
                    tag.store(0, Ordering::Relaxed);
                    slot.store(None);
                }
            }
        }
    }

    /// How many tokens are remembered; walks over the table.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().flat_map(|set| &set.slots).filter(|slot| slot.load().is_some()).count()
    }

    fn set(&self, digest: Digest) -> &Set {
        &self.0[(digest.0[0] >> 8) as usize & (self.0.len() - 1)]
    }
}

/// A digest's hint, never 0. Like the place it is made of the first half alone: should it be told, by the time that
/// tokens take which share a place, the other half still tells nothing.
fn tag_of(digest: Digest) -> u64 {
    digest.0[0] | 1
}
