//! [`Process`]: a server of ours or of others, on a core of its own, and what it costs.
//!
//! Servers run on the first core and whatever drives them on the second, where there are two. What a
//! server used of its core is read from the kernel, in nanoseconds: it does not depend on who else
//! was busy.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// A server's process. It is killed when dropped.
pub struct Process {
    child: Child,
    name: String,
}

/// Which cores a server may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// The first alone.
    One,
    /// All of them.
    All,
}

impl Process {
    /// Starts `command`, with its output thrown away.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command, cores: Cores) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self::spawn(name, command, cores)
    }

    /// Starts `command` and reads what it says on stderr until `found` gives something.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or ends before that.
    pub fn start_until<T>(
        name: &str,
        command: &mut Command,
        cores: Cores,
        found: impl Fn(&str) -> Option<T>,
    ) -> (Self, T) {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Self::spawn(name, command, cores);
        let mut stderr = BufReader::new(process.child.stderr.take().expect("piped"));
        let (mut said, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            let read = stderr.read_line(&mut line).expect("read");
            assert!(read > 0, "{name} ended: {said}");
            if let Some(found) = found(&line) {
                read_on(stderr);
                return (process, found);
            }
            said.push_str(&line);
        }
    }

    fn spawn(name: &str, command: &mut Command, cores: Cores) -> Self {
        // What is started inherits where it may run; then we go where we drive from.
        run_on(match cores {
            Cores::One => Some(0),
            Cores::All => None,
        });
        let child = command.spawn();
        run_on(match cores {
            Cores::One => Some(1),
            Cores::All => None,
        });
        let child = child.unwrap_or_else(|cause| broken(&format!("{name} cannot be started: {cause}")));
        Self { child, name: name.to_owned() }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The time that all its threads have spent on a core; those of its children too.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn cpu(&self) -> Duration {
        let of_threads = |pid: u32| -> u64 {
            let threads = fs::read_dir(format!("/proc/{pid}/task"));
            let threads = threads.map(|threads| threads.flatten()).into_iter().flatten();
            threads
                .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
                .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
                .sum()
        };
        Duration::from_nanos(self.family().into_iter().map(of_threads).sum())
    }

    /// Its resident memory, in bytes.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// Stops it and its children where they stand, so that others have its core to themselves.
    ///
    /// # Panics
    ///
    /// When it cannot be signalled.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        self.signal_children(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    ///
    /// When it cannot be signalled.
    pub fn resume(&self) {
        self.signal_children(Signal::CONT);
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }

    /// One that has ended meanwhile is passed over.
    fn signal_children(&self, signal: Signal) {
        let children = self.children().into_iter().filter_map(|id| Pid::from_raw(id.try_into().ok()?));
        for child in children {
            let _ = kill_process(child, signal);
        }
    }

    /// Ends it in order, and waits. Our connections to it are closed meanwhile: it waits for them.
    ///
    /// # Panics
    ///
    /// When it cannot be signalled.
    pub async fn terminate(mut self) {
        self.signal(Signal::TERM);
        let ended = tokio::task::spawn_blocking(move || self.child.wait().map(drop)).await;
        ended.expect("nothing panics").expect("it ended");
    }

    /// It and its children, for servers that fork.
    fn family(&self) -> Vec<u32> {
        let mut family = vec![self.id()];
        family.extend(self.children());
        family
    }

    fn children(&self) -> Vec<u32> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.id()));
        children.unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Children that stand still would not see that it is gone.
        self.signal_children(Signal::CONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.id())
    }
}

// === free functions ===

/// A program that was built beside this one: in the folder above `deps`.
///
/// # Panics
///
/// When it was not built.
pub fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let folder = own.ancestors().nth(2).expect("target/PROFILE/deps/program");
    let path = folder.join(name);
    assert!(path.exists(), "`{name}` is not built in this profile: run benches/run");
    path
}

/// What all threads of this process have spent on a core.
pub fn own_cpu() -> Duration {
    since_start(ClockId::ProcessCPUTime)
}

/// What this thread has spent on a core.
pub fn thread_cpu() -> Duration {
    since_start(ClockId::ThreadCPUTime)
}

fn since_start(clock: ClockId) -> Duration {
    let spent = clock_gettime(clock);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Puts this thread on one core, or on all.
pub fn run_on(core: Option<usize>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).max(known_cores());
    let mut set = CpuSet::new();
    match core {
        Some(core) if cores > 1 => set.set(core),
        _ => (0..cores).for_each(|core| set.set(core)),
    }
    // Where it is not allowed, the figures are only noisier.
    let _ = sched_setaffinity(None, &set);
}

/// Does `work` on the core that [`Cores::One`] gives to servers, and comes back to the one to drive from: a disk
/// interrupts one core, and what waits for it on another takes a third longer.
pub fn on_the_servers_core<T>(work: impl FnOnce() -> T) -> T {
    run_on(Some(0));
    let done = work();
    run_on(Some(1));
    done
}

/// All cores of the machine, whatever this thread may use just now.
pub fn known_cores() -> usize {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// A pipe that nobody reads would stop who writes to it.
fn read_on(mut stderr: BufReader<ChildStderr>) {
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
}

#[expect(clippy::panic, reason = "a bench that cannot run has nothing to say")]
pub(crate) fn broken(what: &str) -> ! {
    panic!("{what}")
}
