//! [`Proofs`]: lets each proof through once.
//!
//! Remembered are 128 bits of each, in two generations that take turns: a proof is remembered for at
//! least as long as it could be shown again, and for less than twice as long. When a generation is full,
//! nothing more is let through until the next turn: forgetting early would let a replay in.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use locum_model::Timestamp;
use locum_model::limits::{PROOF_AGE_MAX, PROOF_AHEAD_MAX, PROOFS_REMEMBERED_MAX};

use super::Proof;

/// Between the first and the last moment at which one proof could be taken.
const WINDOW: Duration = Duration::from_secs(PROOF_AGE_MAX.as_secs() + PROOF_AHEAD_MAX.as_secs());

/// The proofs that were let through lately. Shared by reference.
#[derive(Debug)]
pub struct Proofs {
    seen: Mutex<Seen>,
    most: usize,
}

#[derive(Debug)]
struct Seen {
    /// The latest time that was ever judged by: a clock that goes back brings no proof back.
    now: Timestamp,
    /// When the younger generation began.
    since: Timestamp,
    younger: HashSet<u128>,
    older: HashSet<u128>,
}

/// Why a proof that holds is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It was shown before.
    #[error("the proof was shown before")]
    Replayed,
    /// By the latest time that was seen here it is over.
    #[error("the proof is too old")]
    TooOld,
    /// More proofs are remembered than may be; passing.
    #[error("too many proofs are shown at once")]
    Full,
}

// === impl Proofs ===

impl Proofs {
    /// Remembers [`PROOFS_REMEMBERED_MAX`] in each generation.
    pub fn new() -> Self {
        Self::with_room_for(PROOFS_REMEMBERED_MAX)
    }

    /// Remembers this many in each generation.
    pub fn with_room_for(most: usize) -> Self {
        let begin = Timestamp::from_millis(0);
        let seen = Seen { now: begin, since: begin, younger: HashSet::new(), older: HashSet::new() };
        Self { seen: Mutex::new(seen), most }
    }

    /// Lets a proof through, the first time.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`].
    pub fn admit(&self, proof: &Proof, now: Timestamp) -> Result<(), NotAdmitted> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.turn(now);
        if seen.now > proof.issued_at.plus(PROOF_AGE_MAX) {
            return Err(NotAdmitted::TooOld);
        }
        if seen.younger.contains(&proof.id) || seen.older.contains(&proof.id) {
            return Err(NotAdmitted::Replayed);
        }
        if seen.younger.len() >= self.most {
            return Err(NotAdmitted::Full);
        }
        seen.younger.insert(proof.id);
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.younger.len() + seen.older.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Proofs {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// INVARIANT: whatever was let through within the last [`WINDOW`] is in one of both.
    fn turn(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let age = self.now.since(self.since);
        if age <= WINDOW {
            return;
        }
        let younger = mem::take(&mut self.younger);
        self.older = if age <= WINDOW * 2 { younger } else { HashSet::new() };
        self.since = self.now;
    }
}

#[cfg(test)]
mod tests {
    use locum_model::KeyId;
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(START + seconds)
    }

    fn proof(id: u128, issued: i64) -> Proof {
        Proof { key: KeyId([1; 32]), id, issued_at: at(issued) }
    }

    #[test]
    fn a_proof_passes_once() {
        let proofs = Proofs::new();
        assert!(proofs.is_empty());
        assert_eq!(proofs.admit(&proof(1, 0), at(0)), Ok(()));
        for later in [0, 1, 59, 60] {
            assert_eq!(proofs.admit(&proof(1, 0), at(later)), Err(NotAdmitted::Replayed), "{later}");
        }
        assert_eq!(proofs.admit(&proof(1, 0), at(61)), Err(NotAdmitted::TooOld));
        assert_eq!(proofs.admit(&proof(2, 61), at(61)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing_back() {
        let proofs = Proofs::new();
        assert_eq!(proofs.admit(&proof(1, 0), at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(2, 1_000), at(1_000)), Ok(()));
        assert_eq!(proofs.len(), 1, "the first is forgotten");
        assert_eq!(proofs.admit(&proof(1, 0), at(0)), Err(NotAdmitted::TooOld));
    }

    #[test]
    fn what_is_full_lets_nothing_through_until_it_has_room() {
        let proofs = Proofs::with_room_for(2);
        assert_eq!(proofs.admit(&proof(1, 0), at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(2, 0), at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(3, 0), at(0)), Err(NotAdmitted::Full));
        assert_eq!(proofs.admit(&proof(1, 0), at(0)), Err(NotAdmitted::Replayed), "known all the same");
        assert_eq!(proofs.admit(&proof(3, 60), at(71)), Ok(()), "the generations took turns");
        assert_eq!(proofs.len(), 3);
        assert_eq!(proofs.admit(&proof(4, 300), at(300)), Ok(()));
        assert_eq!(proofs.len(), 1, "nothing of before could be shown again");
    }

    proptest! {
        /// Beside a list that forgets nothing.
        #[test]
        fn no_proof_passes_twice(
            steps in prop::collection::vec((0_i64..40, 0_u128..12, -60_i64..11), 1..200),
        ) {
            let (proofs, mut passed, mut now) = (Proofs::with_room_for(8), Vec::new(), 0);
            for (ahead, id, age) in steps {
                now += ahead;
                // A proof is its id and its time together, as one that is signed.
                let shown = proof(id << 64 | (now + age + 1_000) as u128, now + age);
                let was_before = passed.contains(&shown.id);
                match proofs.admit(&shown, at(now)) {
                    Ok(()) => {
                        prop_assert!(!was_before);
                        passed.push(shown.id);
                    }
                    Err(NotAdmitted::Replayed) => prop_assert!(was_before),
                    Err(NotAdmitted::Full) => prop_assert!(!was_before),
                    Err(NotAdmitted::TooOld) => prop_assert!(false, "it was made within the minute"),
                }
                prop_assert!(proofs.len() <= 16);
            }
        }
    }
}
