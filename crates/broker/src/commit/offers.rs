//! [`Offers`]: the core, offered now and then to whoever waits for it while lapses are applied.
//!
//! Nobody waits for lapses, and they come in batches as long as leases run out. A check on the same core waits for a few of
//! them then, and not for the batch. But the system may give a core that is offered away for milliseconds, to
//! somebody who hardly ever sleeps: for a while it is offered no more, so that the reaper falls
//! behind by a few hundredths of the time and no more.

use std::time::Duration;

use locum_model::Clock;

/// Lapses between two offers.
const LAPSES: u32 = 32;
/// An offer that lasts longer was taken by somebody who hardly ever sleeps.
const OFFER_MAX: Duration = Duration::from_micros(500);
/// For how long there is none after such a one.
const PAUSE: Duration = Duration::from_millis(100);

/// The writer's offers.
#[derive(Default)]
pub(super) struct Offers {
    /// Lapses since the last one.
    lapses: u32,
    not_before: Duration,
}

impl Offers {
    /// A lapse is about to be applied that nobody waits for.
    pub(super) fn look(&mut self, clock: &dyn Clock) {
        self.lapses += 1;
        if self.lapses < LAPSES {
            return;
        }
        self.lapses = 0;
        let begun = clock.elapsed();
        if begun < self.not_before {
            return;
        }
        std::thread::yield_now();
        let ended = clock.elapsed();
        if ended.saturating_sub(begun) >= OFFER_MAX {
            self.not_before = ended + PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use locum_model::{ClockUnsettled, Timestamp};

    use super::*;

    /// A clock that goes on by as much whenever it is looked at.
    struct Stepping {
        step: Duration,
        looks: AtomicU32,
    }

    impl Stepping {
        fn by(step: Duration) -> Self {
            Self { step, looks: AtomicU32::new(0) }
        }
    }

    impl Clock for Stepping {
        fn now(&self) -> Result<Timestamp, ClockUnsettled> {
            Err(ClockUnsettled)
        }

        fn elapsed(&self) -> Duration {
            self.step * self.looks.fetch_add(1, Ordering::Relaxed)
        }
    }

    /// How often the clock is looked at for so many lapses: twice for an offer, once for one that is left out.
    fn looks(offers: &mut Offers, clock: &Stepping, lapses: u32) -> u32 {
        let before = clock.looks.load(Ordering::Relaxed);
        (0..lapses).for_each(|_| offers.look(clock));
        clock.looks.load(Ordering::Relaxed) - before
    }

    #[test]
    fn the_core_is_offered_once_in_32_lapses() {
        let (mut offers, clock) = (Offers::default(), Stepping::by(OFFER_MAX / 5));
        assert_eq!(looks(&mut offers, &clock, LAPSES - 1), 0);
        assert_eq!(looks(&mut offers, &clock, 1), 2);
        assert_eq!(looks(&mut offers, &clock, 3 * LAPSES), 6);
    }

    #[test]
    fn who_keeps_the_core_is_offered_it_again_after_a_pause_only() {
        let (mut offers, clock) = (Offers::default(), Stepping::by(OFFER_MAX));
        assert_eq!(looks(&mut offers, &clock, LAPSES), 2);
        let paused = 199; // As many steps as fit in a pause, the last of which ends it.
        assert_eq!(looks(&mut offers, &clock, paused * LAPSES), paused);
        assert_eq!(looks(&mut offers, &clock, LAPSES), 2);
    }
}
