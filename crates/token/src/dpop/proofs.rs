//! [`Proofs`]: lets each proof through once.
//!
//! Remembered are 128 bits of each, in two generations that take turns: a proof is remembered for at
//! least as long as it could be shown again, and for less than twice as long. A tenant that has no room
//! left gets nothing more through until the next turn: forgetting early would let a replay in.
//!
//! Room is shared by tenants, and none can take all of it: a tenant may have its most, and never more than is
//! still free (the dynamic thresholds of Choudhury and Hahne, 1998). So each that floods leaves half of what
//! it found for those that are quiet. A tenant's workloads share its most by the same rule.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use locum_model::limits::{PROOF_AGE_MAX, PROOF_AHEAD_MAX, PROOFS_REMEMBERED_MAX};
use locum_model::{TenantNo, Timestamp, WorkloadNo};

use super::Proof;

/// Between the first and the last moment at which one proof could be taken.
const WINDOW: Duration = Duration::from_secs(PROOF_AGE_MAX.as_secs() + PROOF_AHEAD_MAX.as_secs());

/// The proofs that were let through lately. Shared by reference.
#[derive(Debug)]
pub struct Proofs {
    seen: Mutex<Seen>,
    /// Of one tenant, in each generation.
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
    /// How many of the younger generation are whose.
    shares: HashMap<TenantNo, usize>,
    /// The same of each workload. At most one entry for each proof, as above.
    shares_within: HashMap<(TenantNo, WorkloadNo), usize>,
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
    /// The tenant or the workload has as many proofs remembered as it may; passing.
    #[error("too many proofs are shown at once")]
    Full,
}

// === impl Proofs ===

impl Proofs {
    /// Remembers [`PROOFS_REMEMBERED_MAX`] of a tenant in each generation.
    pub fn new() -> Self {
        Self::with_room_for(PROOFS_REMEMBERED_MAX)
    }

    /// Remembers this many of a tenant in each generation, of all tenants twice as many, and of one workload
    /// alone half as many.
    pub fn with_room_for(most: usize) -> Self {
        let begin = Timestamp::from_millis(0);
        let (younger, older) = (HashSet::new(), HashSet::new());
        let (shares, shares_within) = (HashMap::new(), HashMap::new());
        let seen = Seen { now: begin, since: begin, younger, older, shares, shares_within };
        Self { seen: Mutex::new(seen), most }
    }

    /// Lets a proof through, the first time. The room that it takes is that of the workload that shows it, within
    /// its tenant's.
    ///
    /// # Errors
    ///
    /// [`NotAdmitted`].
    pub fn admit(
        &self,
        proof: &Proof,
        holder: (TenantNo, WorkloadNo),
        now: Timestamp,
    ) -> Result<(), NotAdmitted> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.turn(now);
        if seen.now > proof.issued_at.plus(PROOF_AGE_MAX) {
            return Err(NotAdmitted::TooOld);
        }
        if seen.younger.contains(&proof.id) || seen.older.contains(&proof.id) {
            return Err(NotAdmitted::Replayed);
        }
        let free = (2 * self.most).saturating_sub(seen.younger.len());
        let share = seen.shares.get(&holder.0).copied().unwrap_or_default();
        let within = seen.shares_within.get(&holder).copied().unwrap_or_default();
        if share >= self.most.min(free) || within >= self.most.saturating_sub(share) {
            return Err(NotAdmitted::Full);
        }
        seen.shares.insert(holder.0, share + 1);
        seen.shares_within.insert(holder, within + 1);
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
        self.shares.clear();
        self.shares_within.clear();
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
    const US: (TenantNo, WorkloadNo) = (TenantNo(1), WorkloadNo(1));

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
        assert_eq!(proofs.admit(&proof(1, 0), US, at(0)), Ok(()));
        for later in [0, 1, 59, 60] {
            assert_eq!(proofs.admit(&proof(1, 0), US, at(later)), Err(NotAdmitted::Replayed), "{later}");
        }
        assert_eq!(proofs.admit(&proof(1, 0), US, at(61)), Err(NotAdmitted::TooOld));
        assert_eq!(proofs.admit(&proof(2, 61), US, at(61)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing_back() {
        let proofs = Proofs::new();
        assert_eq!(proofs.admit(&proof(1, 0), US, at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(2, 1_000), US, at(1_000)), Ok(()));
        assert_eq!(proofs.len(), 1, "the first is forgotten");
        assert_eq!(proofs.admit(&proof(1, 0), US, at(0)), Err(NotAdmitted::TooOld));
    }

    #[test]
    fn what_is_full_lets_nothing_through_until_it_has_room() {
        let proofs = Proofs::with_room_for(4);
        assert_eq!(proofs.admit(&proof(1, 0), US, at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(2, 0), US, at(0)), Ok(()));
        assert_eq!(proofs.admit(&proof(3, 0), US, at(0)), Err(NotAdmitted::Full));
        assert_eq!(proofs.admit(&proof(1, 0), US, at(0)), Err(NotAdmitted::Replayed), "known all the same");
        assert_eq!(proofs.admit(&proof(3, 60), US, at(71)), Ok(()), "the generations took turns");
        assert_eq!(proofs.len(), 3);
        assert_eq!(proofs.admit(&proof(4, 300), US, at(300)), Ok(()));
        assert_eq!(proofs.len(), 1, "nothing of before could be shown again");
    }

    #[test]
    fn a_tenant_that_floods_leaves_room_for_the_others() {
        let mut ids = 0_u128..;
        // By many of its workloads, so that none of them is what bounds it.
        let of = |tenant: u32, turn: u32| (TenantNo(tenant), WorkloadNo(turn));
        let mut flood = |proofs: &Proofs, tenant| {
            let mut next =
                |turn| proofs.admit(&proof(ids.next().expect("endless"), 0), of(tenant, turn), at(0));
            (0..1_000).filter(|turn| next(*turn).is_ok()).count()
        };
        let proofs = Proofs::with_room_for(60);
        assert_eq!(flood(&proofs, 1), 60, "one alone has its most");
        assert_eq!(proofs.admit(&proof(u128::MAX, 0), of(100, 1), at(0)), Ok(()));
        let (mut before, mut floods) = (proofs.len(), 1);
        while floods < 5 {
            floods += 1;
            let taken = flood(&proofs, floods);
            assert_eq!(taken, (120 - before).div_ceil(2), "half of what was free: {floods} floods");
            before = proofs.len();
            let once = proof(u128::MAX - u128::from(floods), 0);
            let quiet = of(100 + floods, 1);
            assert_eq!(proofs.admit(&once, quiet, at(0)), Ok(()), "quiet beside {floods} floods");
            assert_eq!(proofs.admit(&once, quiet, at(0)), Err(NotAdmitted::Replayed));
            assert_eq!(proofs.admit(&once, of(1, 1), at(0)), Err(NotAdmitted::Replayed), "whoever shows it");
            before += 1;
        }
        assert!(proofs.len() <= 120, "{}", proofs.len());
        assert_eq!(
            proofs.admit(&proof(u128::MAX / 2, 71), of(1, 1), at(71)),
            Ok(()),
            "room at the next turn"
        );
    }

    #[test]
    fn a_workload_that_floods_leaves_room_for_the_others_of_its_tenant() {
        let proofs = Proofs::with_room_for(64);
        let mut ids = 0_u128..;
        let mut show = |tenant, workload| {
            let holder = (TenantNo(tenant), WorkloadNo(workload));
            proofs.admit(&proof(ids.next().expect("endless"), 0), holder, at(0))
        };
        // Each takes half of what it found, after the one that is quiet.
        for (workload, taken) in [(1, 32), (2, 16), (3, 8), (4, 4)] {
            assert_eq!((0..1_000).filter(|_| show(1, workload).is_ok()).count(), taken, "{workload}");
        }
        assert_eq!(show(1, 1), Err(NotAdmitted::Full));
        assert_eq!(show(1, 100), Ok(()), "quiet beside four floods");
        assert_eq!(show(2, 1), Ok(()), "of another tenant, whatever its number");
    }

    proptest! {
        /// Beside a list that forgets nothing.
        #[test]
        fn no_proof_passes_twice(
            steps in prop::collection::vec((0_i64..40, 0_u128..12, -60_i64..11, 0_u32..3), 1..200),
        ) {
            let (proofs, mut passed, mut now) = (Proofs::with_room_for(8), Vec::new(), 0);
            for (ahead, id, age, tenant) in steps {
                now += ahead;
                // A proof is its id and its time together, as one that is signed.
                let shown = proof(id << 64 | (now + age + 1_000) as u128, now + age);
                let was_before = passed.contains(&shown.id);
                match proofs.admit(&shown, (TenantNo(tenant), WorkloadNo(0)), at(now)) {
                    Ok(()) => {
                        prop_assert!(!was_before);
                        passed.push(shown.id);
                    }
                    Err(NotAdmitted::Replayed) => prop_assert!(was_before),
                    Err(NotAdmitted::Full) => prop_assert!(!was_before),
                    Err(NotAdmitted::TooOld) => prop_assert!(false, "it was made within the minute"),
                }
                prop_assert!(proofs.len() <= 32);
            }
        }
    }
}
