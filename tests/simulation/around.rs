//! What the simulator gives the broker instead of the world: dice, a clock, and a way to poll.
//!
//! Everything follows from the seed. Files and the key store are the fakes that stand beside the
//! traits they fake (`locum_journal::MemoryFiles`, `locum_token::MemoryKeyStore`).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use locum_model::{Clock, ClockUnsettled, Entropy, EntropyFailed, Timestamp};

/// A step back of more than this leaves no time at all until the clock settles.
const STEP_BACK_MAX_MILLIS: i64 = 5_000;
/// 2026-11-21T23:54:39Z, and a bit, so that nothing is whole by accident.
pub(crate) const BEGINNING_MILLIS: i64 = 1_795_305_279_417;

/// SplitMix64 (Steele, Lea, Flood 2014): every choice of a run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of them, if there is any.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len())]) }
    }

    /// One of them, the later the likelier: what is new is what races.
    pub(crate) fn pick_late<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len()).max(self.below(all.len()))]) }
    }

    /// One of the choices, each as likely as its weight says.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(usize, T)]) -> T {
        let mut at = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        choices[0].1
    }
}

/// Randomness from a seed. One process draws from it, over all its restarts.
pub(crate) struct SeededEntropy(Mutex<Dice>);

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Dice::new(seed ^ 0x05ee_d0fe_470b_1e55)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyFailed> {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&dice.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// A clock that moves only when told to, and keeps what [`Clock`] promises when it is set back.
pub(crate) struct ManualClock(Mutex<Hands>);

struct Hands {
    /// What the machine's clock shows.
    wall: i64,
    /// The latest time ever given out; it survives restarts.
    high: i64,
    elapsed: Duration,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Hands { wall: BEGINNING_MILLIS, high: BEGINNING_MILLIS, elapsed: Duration::ZERO }))
    }

    pub(crate) fn advance(&self, span: Duration) {
        let mut hands = self.hands();
        hands.wall += i64::try_from(span.as_millis()).expect("a run is short");
        hands.elapsed += span;
    }

    /// Somebody sets the machine's clock back.
    pub(crate) fn step_back(&self, span: Duration) {
        self.hands().wall -= i64::try_from(span.as_millis()).expect("a step is short");
    }

    /// Somebody sets the machine's clock right.
    pub(crate) fn settle(&self) {
        let mut hands = self.hands();
        hands.wall = hands.wall.max(hands.high);
    }

    /// What a clock would show that nobody sets back.
    pub(crate) fn true_time(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING_MILLIS).plus(self.hands().elapsed)
    }

    /// It shows the true time again.
    pub(crate) fn put_right(&self) {
        let now = self.true_time();
        self.hands().wall = now.as_millis();
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Result<Timestamp, ClockUnsettled> {
        let mut hands = self.hands();
        if hands.high - hands.wall > STEP_BACK_MAX_MILLIS {
            return Err(ClockUnsettled);
        }
        hands.high = hands.high.max(hands.wall);
        Ok(Timestamp::from_millis(hands.high))
    }

    fn elapsed(&self) -> Duration {
        self.hands().elapsed
    }
}

/// Polls once with nobody to wake: the run decides when to look again.
pub(crate) fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
