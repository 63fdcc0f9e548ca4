//! Stopping a process where it stands, its connections and all.

use rustix::process::{Pid, Signal, kill_process};

/// Looks at a process so often before it is taken for one that cannot be stopped; a look takes a few
/// microseconds, and gives way to others.
const LOOKS_MAX: usize = 1_000_000;

/// Stops a process, and returns once none of its threads runs any more: the signal alone says nothing
/// about when that is.
///
/// # Panics
///
/// When there is no such process, or it does not stop.
pub fn stop(process: Pid) {
    kill_process(process, Signal::STOP).expect("signalled");
    let stops = (0..LOOKS_MAX).any(|_| {
        std::thread::yield_now();
        is_stopped(process)
    });
    assert!(stops, "process {process:?} does not stop");
}

/// Lets it go on.
///
/// # Panics
///
/// When there is no such process.
pub fn go_on(process: Pid) {
    kill_process(process, Signal::CONT).expect("signalled");
}

fn is_stopped(process: Pid) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_pid()));
    tasks.expect("there is such a process").map_while(Result::ok).all(|thread| {
        // A thread that has ended since runs no more either.
        let Ok(stat) = std::fs::read_to_string(thread.path().join("stat")) else { return true };
        // `PID (NAME) STATE …`, where the name may hold anything.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}
