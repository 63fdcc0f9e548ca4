//! [`Moment`]: what both clocks of the machine say at one time.

use std::time::Duration;

use locum_model::Timestamp;

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since some fixed point, suspend included (BOOTTIME): leases are counted with it.
    pub elapsed: Duration,
}

impl Moment {
    /// `elapsed` in nanoseconds; 584 years fit.
    pub(crate) fn nanos(self) -> u64 {
        u64::try_from(self.elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// `elapsed` in milliseconds.
    pub(crate) fn millis(self) -> i64 {
        i64::try_from(self.elapsed.as_millis()).unwrap_or(i64::MAX)
    }
}
