//! [`Verifier`]: what is known, and the check against it.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use locum_jose::compact::NotCompact;
#[cfg(bug_zoo)]
use locum_model::bug_zoo::{Bug, is_planted};
use locum_model::event::KeyPurpose;
use locum_model::limits::CLOCK_SKEW_MAX;
use locum_model::{Digest, DigestKey, Position, Timestamp, WorkloadNo};
use locum_token::dpop::{NotAdmitted, NotProved, Presented, Proofs};
use locum_token::{Refusal, verify_by};
use parking_lot::Mutex;

use crate::answer::{Answer, Inactive, Unknown};
use crate::figures::{Figures, Tallies};
use crate::follow::Follower;
use crate::marks::Marks;
use crate::memo::{Memo, Seen};
use crate::moment::Moment;
use crate::options::Options;
use crate::world::World;

/// Checks tokens offline. Shared by reference among as many threads as there are.
#[derive(Debug)]
pub struct Verifier {
    pub(crate) options: Options,
    pub(crate) world: ArcSwap<World>,
    pub(crate) marks: Marks,
    pub(crate) memo: Memo,
    pub(crate) standing: Standing,
    pub(crate) tallies: Tallies,
    pub(crate) follower: Mutex<Follower>,
    proofs: Proofs,
    digest_key: DigestKey,
}

/// Until when something can be said, and by which time. Loads alone.
#[derive(Debug)]
pub(crate) struct Standing {
    /// BOOTTIME in nanoseconds until which the lease runs, exclusive; 0 without a lease.
    lease_until: AtomicU64,
    /// Why there is no lease, as [`Lack`].
    lack: AtomicU8,
    /// The broker's time minus BOOTTIME, in milliseconds, as of the last heartbeat that counted.
    broker_offset: AtomicI64,
    /// No check takes the time to be before this: watermarks were forgotten by it, or a check took it to be
    /// so late. So no clock that goes back brings anything back.
    floor: AtomicI64,
    #[cfg(bug_zoo)]
    watched: AtomicU64,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Lack {
    NotStarted,
    Behind,
    NotUnderstood,
    Full,
}

// === impl Standing ===

impl Standing {
    fn new() -> Self {
        Self {
            lease_until: AtomicU64::new(0),
            lack: AtomicU8::new(Lack::NotStarted as u8),
            broker_offset: AtomicI64::new(0),
            floor: AtomicI64::new(i64::MIN),
            #[cfg(bug_zoo)]
            watched: AtomicU64::new(0),
        }
    }

    /// Ends the lease now.
    pub(crate) fn end_lease(&self, lack: Lack) {
        self.lack.store(lack as u8, Ordering::Relaxed);
        self.lease_until.store(0, Ordering::Release);
    }

    /// A heartbeat that counts came at `now`: the lease runs until `until`.
    pub(crate) fn set_lease(&self, until: Duration, broker_time: Timestamp, now: Moment) {
        let offset = broker_time.as_millis().saturating_sub(now.millis());
        self.broker_offset.store(offset, Ordering::Release);
        let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
        self.lease_until.store(until, Ordering::Release);
    }

    #[cfg(bug_zoo)]
    pub(crate) fn watch(&self, now: Moment) {
        self.watched.store(now.nanos(), Ordering::Release);
    }

    /// What is left of the lease.
    fn left(&self, now: Moment) -> Result<Duration, Unknown> {
        #[cfg(bug_zoo)]
        let now = if is_planted(Bug::FeedLeaseUnwatched) {
            Moment { elapsed: Duration::from_nanos(self.watched.load(Ordering::Acquire)), ..now }
        } else {
            now
        };
        let until = self.lease_until.load(Ordering::Acquire);
        match until.checked_sub(now.nanos()) {
            Some(left) if left > 0 => Ok(Duration::from_nanos(left)),
            _ if until > 0 => Err(Unknown::LeaseOver),
            _ => Err(self.why_none()),
        }
    }

    fn why_none(&self) -> Unknown {
        let lack = self.lack.load(Ordering::Relaxed);
        match [Lack::NotStarted, Lack::Behind, Lack::NotUnderstood].into_iter().find(|l| *l as u8 == lack) {
            Some(Lack::NotStarted) => Unknown::NotStarted,
            Some(Lack::Behind) => Unknown::Behind,
            Some(Lack::NotUnderstood) => Unknown::NotUnderstood,
            Some(Lack::Full) | None => Unknown::Full,
        }
    }

    /// How far this machine's clock is ahead of the broker's, as of the last heartbeat that counted.
    fn ahead_millis(&self, now: Moment) -> i64 {
        now.wall.as_millis().saturating_sub(self.broker_time(now).as_millis())
    }

    fn broker_time(&self, now: Moment) -> Timestamp {
        Timestamp::from_millis(self.broker_offset.load(Ordering::Acquire).saturating_add(now.millis()))
    }

    /// From now on no check takes the time to be before `now`.
    pub(crate) fn raise_floor(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(self.floor.fetch_max(now.as_millis(), Ordering::AcqRel).max(now.as_millis()))
    }

    /// What watermarks may be forgotten by.
    pub(crate) fn floor(&self) -> Timestamp {
        Timestamp::from_millis(self.floor.load(Ordering::Acquire))
    }

    /// The time by which a token is judged: the later of both machines' clocks, and never before a second
    /// that was reached. Tokens begin and end with whole seconds, so that it is written once a second.
    fn judged_by(&self, now: Moment) -> Result<Timestamp, Unknown> {
        #[cfg(bug_zoo)]
        if is_planted(Bug::FeedWallClockBelieved) {
            return Ok(now.wall);
        }
        let ahead_millis = self.ahead_millis(now);
        if u128::from(ahead_millis.unsigned_abs()) > CLOCK_SKEW_MAX.as_millis() {
            return Err(Unknown::Clock { ahead_millis });
        }
        let time = now.wall.max(self.broker_time(now)).floor_to_second();
        let floor = self.floor();
        #[cfg(bug_zoo)]
        if is_planted(Bug::FeedTimeGoesBack) {
            return Ok(time.max(floor));
        }
        Ok(if time > floor { self.raise_floor(time) } else { floor })
    }
}

// === impl Verifier ===

impl Verifier {
    /// A verifier that has heard nothing yet: it answers *unknown* until it is fed. What tokens were seen it
    /// knows by digests that the key makes.
    pub fn new(options: Options, digest_key: DigestKey) -> Self {
        Self {
            world: ArcSwap::default(),
            marks: Marks::new(),
            digest_key,
            memo: Memo::with_room_for(options.memo_tokens),
            standing: Standing::new(),
            tallies: Tallies::new(),
            follower: Mutex::new(Follower::default()),
            proofs: Proofs::with_room_for(options.proofs_max),
            options,
        }
    }

    /// Whether a token may be believed now.
    ///
    /// Outside the lease the token is not even looked at. A token seen before costs a digest and a
    /// probe; one seen for the first time a signature check. Takes no lock unless something was
    /// revoked since the token was last compared.
    pub fn check(&self, compact: &str, presented: &Presented<'_>, now: Moment) -> Answer {
        // Of a signature, the last character has few values.
        let stripe = compact.bytes().rev().nth(1).unwrap_or(0).into();
        let answer = self.judge(compact, presented, now, stripe).unwrap_or_else(|unsaid| unsaid.into());
        self.tallies.note(stripe, &answer);
        answer
    }

    fn judge(
        &self,
        compact: &str,
        presented: &Presented<'_>,
        now: Moment,
        stripe: usize,
    ) -> Result<Answer, Unsaid> {
        self.standing.left(now)?;
        let time = self.standing.judged_by(now)?;
        let Some(digest) = self.digest_key.digest(compact) else {
            return Err(Inactive::Refused(Refusal::Form(NotCompact::TooLong)).into());
        };
        let world = self.world.load();
        let judge = |seen: &Seen| self.judge_seen(seen, compact, presented, time);
        if let Some(answer) = self.memo.with(digest, world.number, judge) {
            self.tallies.note_recognised(stripe);
            return answer;
        }
        let seen = self.see(compact, digest, &world)?;
        let answer = judge(&seen);
        // What is over, or not for us, is not worth a place: it is refused before it can take one.
        if seen.check_times(time).is_ok() {
            self.memo.remember(seen, time);
        }
        answer
    }

    /// Verifies a token in full, its times apart.
    fn see(&self, compact: &str, digest: Digest, world: &World) -> Result<Seen, Unsaid> {
        let keys = world.keys.as_ref().ok_or(Unknown::NotStarted)?;
        let claims = verify_by(|kid| keys.key(kid, KeyPurpose::Token), &self.options.issuer, compact)
            .map_err(Inactive::Refused)?;
        #[cfg(bug_zoo)]
        if is_planted(Bug::VerifierAudienceIgnored) {
            return Ok(Seen::new(digest, world.number, claims.clone(), world.eras.place(claims.decided_at)));
        }
        if claims.audience != self.options.audience || Some(claims.standing.connector) != world.partition {
            return Err(Inactive::WrongAudience.into());
        }
        let order = world.eras.place(claims.decided_at);
        Ok(Seen::new(digest, world.number, claims, order))
    }

    fn judge_seen(
        &self,
        seen: &Seen,
        compact: &str,
        presented: &Presented<'_>,
        time: Timestamp,
    ) -> Result<Answer, Unsaid> {
        seen.check_times(time).map_err(Inactive::Refused)?;
        let order = seen.order.ok_or(Unknown::Elsewhere)?;
        if let Some(level) = seen.dead_by(&self.marks, order) {
            return Err(Inactive::Revoked(level).into());
        }
        #[cfg(bug_zoo)]
        if is_planted(Bug::VerifierProofIgnored) {
            return Ok(Answer::Active(seen.claims.clone()));
        }
        let proof = match seen.is_bound || presented.proof.is_some() {
            true => presented.proves(seen.claims.confirmation, compact, time).map_err(Inactive::Unproved)?,
            false => None,
        };
        if seen.is_online_only {
            return Err(Unknown::OnlineOnly.into());
        }
        // Last: what is refused for anything else takes no place among the proofs.
        let admitted = proof.map_or(Ok(()), |proof| {
            // Read for a proof alone: actors lie where no other check has to look.
            let standing = &seen.claims.standing;
            let workload = standing.actors.last().map_or(WorkloadNo(0), |actor| actor.workload);
            self.proofs.admit(&proof, (standing.tenant, workload), time)
        });
        match admitted {
            Ok(()) => {}
            Err(NotAdmitted::Full) => return Err(Unknown::ProofsFull.into()),
            Err(NotAdmitted::Replayed) => return Err(Inactive::Unproved(NotProved::Replayed).into()),
            Err(NotAdmitted::TooOld) => return Err(Inactive::Unproved(NotProved::TooOld).into()),
        }
        Ok(Answer::Active(seen.claims.clone()))
    }

    /// How this verifier is doing. Walks over the memo: for metrics, not for every request.
    pub fn figures(&self, now: Moment) -> Figures {
        let world = self.world.load();
        let sequence = self.follower.lock().sequence();
        let position = world.eras.current().zip(sequence);
        let has_lease = self.standing.lease_until.load(Ordering::Acquire) > 0;
        let mut figures = Figures {
            lease_left: self.standing.left(now).ok(),
            position: position.map(|(era, sequence)| Position { home: era.home, epoch: era.epoch, sequence }),
            key_set: world.keys.as_ref().map(|keys| keys.number),
            watermarks: self.marks.len(),
            tokens: self.memo.len(),
            clock_ahead_millis: has_lease.then(|| self.standing.ahead_millis(now)),
            ..Figures::default()
        };
        self.tallies.fill(&mut figures);
        figures
    }

    /// Why nothing can be said now; none while it can.
    pub fn lack(&self, now: Moment) -> Option<Unknown> {
        self.standing.left(now).and_then(|_| self.standing.judged_by(now)).err()
    }
}

/// Every answer but *active*.
enum Unsaid {
    Inactive(Inactive),
    Unknown(Unknown),
}

impl From<Inactive> for Unsaid {
    fn from(inactive: Inactive) -> Self {
        Self::Inactive(inactive)
    }
}

impl From<Unknown> for Unsaid {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(unknown)
    }
}

impl From<Unsaid> for Answer {
    fn from(unsaid: Unsaid) -> Self {
        match unsaid {
            Unsaid::Inactive(inactive) => Self::Inactive(inactive),
            Unsaid::Unknown(unknown) => Self::Unknown(unknown),
        }
    }
}
