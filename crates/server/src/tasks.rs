//! Background work: the one place of `locumd` that starts concurrent work.
//!
//! [`Tasks`] holds the long-lived loops (listeners, the reaper, reloading). Each has a name and
//! runs until it is asked to stop; one that fails, panics or ends early stops the whole process,
//! because a broker without its reaper or its listeners keeps promises no more. [`Group`] holds
//! short work such as handshakes and connections; dropping it aborts what is left.
//!
//! Whatever was started is awaited or aborted; the calls of a connection alone are detached ([`RunCalls`]): they end with it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// How nice what runs [`behind`] is: a tenth of a core where all others want it.
const NICENESS_BEHIND: i32 = 10;

/// The long-lived loops of the process.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<Result<(), String>>,
    names: HashMap<Id, &'static str>,
    stop: watch::Sender<bool>,
}

/// Tells a loop when to stop. Clones all hear the same.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

/// Why the process has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// A loop failed.
    #[error("`{name}` failed: {cause}")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        cause: String,
    },
    /// A loop ended although nobody asked it to.
    #[error("`{0}` ended although nobody asked it to")]
    EndedEarly(&'static str),
    /// Loops did not stop in time and were aborted.
    #[error("did not stop in time: {}", .0.join(", "))]
    StoppedLate(Vec<&'static str>),
}

/// Short work of one kind.
#[derive(Debug)]
pub struct Group<T>(JoinSet<T>);

/// Runs the calls of one connection, which end with it: each in a task of its own, but those that have nothing to wait
/// for, where the connection is read. Clones share.
#[derive(Clone, Debug, Default)]
pub struct RunCalls {
    at_once: Arc<AtomicBool>,
}

// === impl Tasks ===

impl Default for Tasks {
    fn default() -> Self {
        Self { set: JoinSet::new(), names: HashMap::new(), stop: watch::Sender::new(false) }
    }
}

impl Tasks {
    /// No loops yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a loop waits on to learn that it should stop.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stop.subscribe())
    }

    /// Starts a loop. It has to return `Ok` soon after [`Stopping`] says so, and never before.
    pub fn start(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let handle = self.set.spawn(work);
        self.names.insert(handle.id(), name);
    }

    /// Runs until `signal` or until a loop breaks its promise, then stops the rest within `grace`.
    ///
    /// # Errors
    ///
    /// [`Fatal`] with the first cause; the process should end with a failure.
    pub async fn run(mut self, signal: impl Future<Output = ()>, grace: Duration) -> Result<(), Fatal> {
        let broken = tokio::select! {
            () = signal => None,
            Some(ended) = self.set.join_next_with_id() => Some(self.judge(ended, Phase::Running)),
        };
        self.stop.send_replace(true);
        let late = self.drain(grace).await;
        match broken {
            Some(verdict) => verdict,
            None => late,
        }
    }

    async fn drain(&mut self, grace: Duration) -> Result<(), Fatal> {
        let mut first = Ok(());
        let all_ended = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                first =
                    std::mem::replace(&mut first, Ok(())).and(judge(&mut self.names, ended, Phase::Stopping));
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_ok() {
            return first;
        }
        self.set.abort_all();
        let mut late: Vec<_> = self.names.values().copied().collect();
        late.sort_unstable();
        first.and(Err(Fatal::StoppedLate(late)))
    }

    fn judge(&mut self, ended: Joined, phase: Phase) -> Result<(), Fatal> {
        judge(&mut self.names, ended, phase)
    }
}

type Joined = Result<(Id, Result<(), String>), JoinError>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
}

fn judge(names: &mut HashMap<Id, &'static str>, ended: Joined, phase: Phase) -> Result<(), Fatal> {
    let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
    let name = names.remove(&id).unwrap_or("unnamed");
    match ended {
        Ok((_, Ok(()))) if phase == Phase::Stopping => Ok(()),
        Ok((_, Ok(()))) => Err(Fatal::EndedEarly(name)),
        Ok((_, Err(cause))) => Err(Fatal::Failed { name, cause }),
        Err(lost) => Err(Fatal::Failed { name, cause: lost.to_string() }),
    }
}

// === impl Stopping ===

impl Stopping {
    /// Returns once the process should stop; at once when it already should.
    pub async fn wait(&mut self) {
        // An error means that the sender is gone, and with it the process.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the process should stop.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

// === impl Group ===

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self(JoinSet::new())
    }
}

impl<T: Send + 'static> Group<T> {
    /// Nothing in it yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts one piece of work.
    pub fn start(&mut self, work: impl Future<Output = T> + Send + 'static) -> AbortHandle {
        self.0.spawn(work)
    }

    /// The next result; `None` when nothing is running. Work that panicked or was aborted is
    /// skipped: the panic concerns that piece alone and the panic hook has told about it.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            match self.0.join_next().await? {
                Ok(result) => return Some(result),
                Err(_lost) => {}
            }
        }
    }

    /// How much is running.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is running.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl RunCalls ===

impl RunCalls {
    /// The next call has its answer already.
    pub(crate) fn next_at_once(&self) {
        self.at_once.store(true, Ordering::Relaxed);
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for RunCalls {
    fn execute(&self, call: F) {
        if !self.at_once.swap(false, Ordering::Relaxed) {
            tokio::spawn(call);
            return;
        }
        let mut call = Box::pin(call);
        // Where there is something to wait for after all (the peer's window is full), it is asked again in its task.
        if call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(call);
        }
    }
}

// === work that blocks ===

/// Runs `work` where blocking on the disk is allowed.
///
/// # Errors
///
/// A sentence when it panicked or the process is ending.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|lost| lost.to_string())
}

/// Runs `work` that nobody waits for, on a thread of its own: where cores are short, everybody else goes first.
///
/// # Errors
///
/// A sentence when it panicked or the system gives no thread.
pub async fn behind<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (done, answer) = tokio::sync::oneshot::channel();
    let body = move || {
        // Of this thread alone, and for good: that is why it is not one of a pool. A sandbox may refuse it, and
        // then it is as any other.
        let _ = rustix::process::setpriority_process(None, NICENESS_BEHIND);
        // Nobody waits for it any more where the server stops.
        let _ = done.send(work());
    };
    let started = std::thread::Builder::new().name("behind".into()).spawn(body);
    started.map_err(|cause| cause.to_string())?;
    answer.await.map_err(|_panicked| "it panicked".to_owned())
}

/// Starts the journal's one writer on a thread of its own; the answer says how it ended.
///
/// # Errors
///
/// When the system gives no thread.
pub fn writer_thread<E: Send + 'static>(
    run: impl FnOnce() -> Result<(), E> + Send + 'static,
) -> std::io::Result<tokio::sync::oneshot::Receiver<Result<(), E>>> {
    let (ended, answer) = tokio::sync::oneshot::channel();
    let body = move || {
        // Nobody may be waiting any more; a failure has then been told by the refused commits.
        let _ = ended.send(run());
    };
    std::thread::Builder::new().name("journal-writer".into()).spawn(body)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn obedient(tasks: &mut Tasks, name: &'static str) {
        let mut stopping = tasks.stopping();
        tasks.start(name, async move {
            stopping.wait().await;
            Ok(())
        });
    }

    #[tokio::test]
    async fn stops_all_on_the_signal() {
        let mut tasks = Tasks::new();
        obedient(&mut tasks, "one");
        obedient(&mut tasks, "two");
        assert_eq!(tasks.run(async {}, GRACE).await, Ok(()));
    }

    #[tokio::test]
    async fn one_that_breaks_its_promise_stops_the_rest() {
        type Add = fn(&mut Tasks);
        let cases: [(&str, Add); 3] = [
            ("`bad` failed: no disk", |tasks| tasks.start("bad", async { Err("no disk".to_owned()) })),
            ("`bad` ended although nobody asked it to", |tasks| tasks.start("bad", async { Ok(()) })),
            ("panicked", |tasks| tasks.start("bad", async { panic!("on purpose") })),
        ];
        for (expected, add) in cases {
            let mut tasks = Tasks::new();
            obedient(&mut tasks, "good");
            add(&mut tasks);
            let fatal = tasks.run(std::future::pending(), GRACE).await.expect_err("it broke");
            assert!(fatal.to_string().contains(expected), "{fatal}");
        }
    }

    #[tokio::test]
    async fn aborts_and_names_those_that_do_not_stop() {
        let mut tasks = Tasks::new();
        tasks.start("deaf", std::future::pending());
        let fatal = tasks.run(async {}, Duration::from_millis(20)).await;
        assert_eq!(fatal, Err(Fatal::StoppedLate(vec!["deaf"])));
    }

    #[tokio::test]
    async fn a_panic_in_a_group_concerns_that_piece_alone() {
        let mut group = Group::new();
        group.start(async { panic!("on purpose") });
        group.start(async { 7 });
        assert_eq!(group.next().await, Some(7));
        assert_eq!(group.next().await, None);
    }

    #[tokio::test]
    async fn a_call_that_has_its_answer_runs_where_it_is_and_others_in_a_task() {
        use hyper::rt::Executor as _;
        let (run, done) = (RunCalls::default(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
        let call = |waits: bool| {
            let done = Arc::clone(&done);
            async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        let count = || done.load(Ordering::Relaxed);
        run.next_at_once();
        run.execute(call(false));
        assert_eq!(count(), 1, "at once");
        run.execute(call(false));
        assert_eq!(count(), 1, "the next one is none of those");
        run.next_at_once();
        run.execute(call(true));
        assert_eq!(count(), 1, "it has something to wait for after all");
        while count() < 3 {
            tokio::task::yield_now().await;
        }
    }
}
