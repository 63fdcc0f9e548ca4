//! The machine's two clocks, for the verifier; the only file of this crate that reads them.
//!
//! BOOTTIME counts suspend, which `Instant` does not: a lease must run out while a machine sleeps.

use std::time::Duration;

use locum_model::Timestamp;
use locum_verifier::Moment;
use rustix::time::{ClockId, clock_gettime};

/// Both clocks, now.
pub(crate) fn moment() -> Moment {
    let (real, boot) = (clock_gettime(ClockId::Realtime), clock_gettime(ClockId::Boottime));
    let millis = real.tv_sec.saturating_mul(1000).saturating_add(real.tv_nsec / 1_000_000);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or(0);
    Moment { wall: Timestamp::from_millis(millis), elapsed: Duration::new(seconds, nanos) }
}
