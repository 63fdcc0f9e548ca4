//! [`paced`]: work beside the server that rests for longer than it works.

use std::cell::Cell;
use std::time::Duration;

use locum_model::Clock;

/// How long it works before it rests: whoever wants the core meanwhile waits for about this long, at each turn that he
/// needs; a few times that where a whole batch is checked or 256 KiB are hashed and written. A revocation needs three turns.
const WORK: Duration = Duration::from_micros(100);
/// How many times as long as it worked it rests then: a third of a core, or of a disk, is its own. With a fifth, what is
/// committed while a large snapshot is written would grow longer than the snapshot makes the next start shorter.
const RESTS: u32 = 2;
/// The longest rest: after a disk that hung, or a core that others had.
const REST_MAX: Duration = Duration::from_millis(20);

/// What long work calls again and again, every few microseconds: it calls `rest` where it has worked for long enough.
pub(crate) fn paced(clock: &dyn Clock, rest: impl Fn(Duration)) -> impl Fn() {
    let begun = Cell::new(clock.elapsed());
    move || {
        let worked = clock.elapsed().saturating_sub(begun.get());
        if worked >= WORK {
            rest(worked.saturating_mul(RESTS).min(REST_MAX));
            begun.set(clock.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use locum_model::{ClockUnsettled, Timestamp};

    use super::*;

    #[derive(Default)]
    struct Micros(AtomicU64);

    impl Clock for Micros {
        fn now(&self) -> Result<Timestamp, ClockUnsettled> {
            Err(ClockUnsettled)
        }

        fn elapsed(&self) -> Duration {
            Duration::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    /// How long it rests after each of these pieces of work, in microseconds.
    fn rests(pieces: &[u64]) -> Vec<u64> {
        let clock = Micros::default();
        let rested = Cell::new(Duration::ZERO);
        let breathe = paced(&clock, |rest| {
            rested.set(rest);
            clock.0.fetch_add(rest.as_micros() as u64, Ordering::Relaxed);
        });
        let rest_after = |piece: &u64| {
            clock.0.fetch_add(*piece, Ordering::Relaxed);
            breathe();
            rested.take().as_micros() as u64
        };
        pieces.iter().map(rest_after).collect()
    }

    #[test]
    fn rests_twice_as_long_as_it_worked_once_that_is_a_tenth_of_a_millisecond() {
        assert_eq!(rests(&[30, 30, 30, 30, 30, 99, 1]), [0, 0, 0, 240, 0, 258, 0]);
    }

    #[test]
    fn rests_after_a_slow_disk_too_but_not_for_ever() {
        assert_eq!(rests(&[2_000, 9_999, 10_001, 3_000_000, 100]), [4_000, 19_998, 20_000, 20_000, 200]);
    }
}
