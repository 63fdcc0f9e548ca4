//! How long a thread keeps a core that others want: its time slice.
//!
//! Linux shares a core fairly, but lets who runs go on for a slice, of one to three milliseconds, before somebody
//! who woke meanwhile has his turn. Shorter slices change nothing about anybody's share; everybody just waits less.
//! See `sched_setattr(2)` and the kernel's `Documentation/scheduler/sched-eevdf.rst`.
//!
//! This is the only crate with unsafe code: no library offers these two system calls.

use std::io;
use std::time::Duration;

/// Asks for a slice for this thread, and for those that it starts from now on. The system keeps it between
/// 0.1 ms and 100 ms. A thread with a policy of its own, such as a realtime one, is left as it is.
///
/// Linux before 6.12 has one slice for all: then nothing changes.
///
/// # Errors
///
/// When the system is none that has slices, or a sandbox does not allow it. Nothing has changed then.
pub fn set(slice: Duration) -> io::Result<()> {
    let mut attributes = system::get()?;
    if system::is_shared_fairly(&attributes) {
        attributes.sched_runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
        system::set(&attributes)?;
    }
    Ok(())
}

/// The slice of this thread; zero where the system does not tell.
///
/// # Errors
///
/// When the system is none that has slices, or a sandbox does not allow to ask.
pub fn current() -> io::Result<Duration> {
    system::get().map(|attributes| Duration::from_nanos(attributes.sched_runtime))
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use libc::{SYS_sched_getattr, SYS_sched_setattr, sched_attr, syscall};

    /// The calling thread, to both calls.
    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    const BYTES: u32 = size_of::<sched_attr>() as u32;

    pub(super) fn get() -> io::Result<sched_attr> {
        let mut attributes = sched_attr {
            size: BYTES,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        let into = &raw mut attributes;
        // SAFETY: the system writes at most `BYTES` to where `into` points, which is as large, is ours alone, and
        // outlives the call; every pattern of bits is a `sched_attr`.
        done(unsafe { syscall(SYS_sched_getattr, THIS_THREAD, into, BYTES, NO_FLAGS) })?;
        Ok(attributes)
    }

    pub(super) fn set(attributes: &sched_attr) -> io::Result<()> {
        let from = &raw const *attributes;
        // SAFETY: the system reads as much as `size` says from where `from` points, which `get` has set and which is
        // no more than a `sched_attr`, and keeps nothing of it.
        done(unsafe { syscall(SYS_sched_setattr, THIS_THREAD, from, NO_FLAGS) })
    }

    /// Batches are shared fairly too.
    pub(super) fn is_shared_fairly(attributes: &sched_attr) -> bool {
        let fair = [libc::SCHED_OTHER, libc::SCHED_BATCH];
        fair.iter().any(|policy| i64::from(*policy) == i64::from(attributes.sched_policy))
    }

    fn done(answer: libc::c_long) -> io::Result<()> {
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) struct Attributes {
        pub(super) sched_runtime: u64,
    }

    pub(super) fn get() -> io::Result<Attributes> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set(_: &Attributes) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_shared_fairly(_: &Attributes) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// What a thread of its own finds, so that tests do not see each other.
    fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(work).join().expect("no panic")
    }

    /// Whether this system tells, and so has, a slice for each thread.
    fn told() -> bool {
        !beside(|| current().expect("told")).is_zero()
    }

    #[test]
    fn a_thread_and_those_that_it_starts_have_the_slice() {
        let asked = Duration::from_micros(300);
        let (own, started) = beside(move || {
            set(asked).expect("allowed");
            (current().expect("told"), beside(|| current().expect("told")))
        });
        assert_eq!((own, started), if told() { (asked, asked) } else { Default::default() });
    }

    #[test]
    fn threads_beside_it_keep_theirs() {
        let before = current().expect("told");
        beside(|| set(Duration::from_micros(300)).expect("allowed"));
        assert_eq!(current().expect("told"), before);
    }

    #[test]
    fn the_system_keeps_it_within_bounds() {
        let most = beside(|| {
            set(Duration::MAX).expect("allowed");
            current().expect("told")
        });
        assert!(most <= Duration::from_millis(100), "{most:?}");
        let least = beside(|| {
            set(Duration::from_nanos(1)).expect("allowed");
            current().expect("told")
        });
        assert!(!told() || least >= Duration::from_micros(100), "{least:?}");
    }

    #[test]
    fn nothing_else_changes() {
        let (before, after) = beside(|| {
            let before = system::get().expect("told");
            set(Duration::from_micros(300)).expect("allowed");
            (before, system::get().expect("told"))
        });
        let others = |attributes: libc::sched_attr| {
            (
                attributes.sched_policy,
                attributes.sched_flags,
                attributes.sched_nice,
                attributes.sched_priority,
            )
        };
        assert_eq!(others(after), others(before));
    }
}
