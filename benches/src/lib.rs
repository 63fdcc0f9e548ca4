//! What the benches share: measured loops, filled tables, servers, peers, and what drives them.
//!
//! A figure is only worth something beside its alternative, measured in the same run on the same
//! machine: every bench prints ratios, and no test asserts a time.

pub mod chart;
#[cfg(feature = "all")]
pub mod drive;
#[cfg(feature = "all")]
pub mod histogram;
#[cfg(feature = "all")]
pub mod http1;
pub mod instructions;
pub mod memory;
#[cfg(feature = "all")]
pub mod on_disk;
pub mod parts;
#[cfg(feature = "all")]
pub mod past;
#[cfg(feature = "all")]
pub mod peer;
#[cfg(feature = "all")]
pub mod process;
pub mod row;
#[cfg(feature = "all")]
pub mod served;
pub mod tables;
pub mod turns;
#[cfg(feature = "all")]
pub mod wire;
#[cfg(feature = "all")]
pub mod write_floor;

pub use row::{Goal, Report, Row};
pub use tables::{ISSUED, digest_key, filled_table, filled_table_of, jti, record, started};
pub use turns::{Turns, in_turn};

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Nanoseconds that `work` takes: the median of nine rounds of `times` calls each.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn nanos(times: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut rounds: Vec<f64> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            (0..times).for_each(&mut work);
            begun.elapsed().as_nanos() as f64 / times as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// How long one call takes.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let made = black_box(work());
    (made, begun.elapsed())
}

/// The middle of some durations.
pub fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort();
    spans[spans.len() / 2]
}

/// A small generator of even, repeatable numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Even(pub u64);

impl Even {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How long it takes until a future is done.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn timed_async<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let made = work.await;
    (made, begun.elapsed())
}
