//! Whoever supervises the process (systemd, most often), told by datagrams as `sd_notify(3)` has them:
//! ready, reloading, stopping, how it is, and that it lives.
//!
//! What always holds: a sign of life is sent only when everything vital has turned since the last
//! one. A process whose writer hangs in a flush, or whose reaper hangs in a lock, falls silent and is
//! restarted, although its listeners still answer. Text from elsewhere cannot add an assignment.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use locum_broker::Status;

use crate::config::{NotifySocket, Supervised};
use crate::tasks::Stopping;

/// Signs of life in the time after which a supervisor gives up.
const SIGNS_PER_WATCHDOG: u32 = 3;
/// Between two reports of how it is where no watchdog is set.
const REPORT_PERIOD: Duration = Duration::from_secs(10);
/// How long a datagram may wait for a place in the supervisor's queue.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest text that is told, in characters.
const STATUS_CHARS_MAX: usize = 400;

/// The way to whoever supervises. Without a socket it says nothing.
#[derive(Debug)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// What a supervisor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Traffic is taken, after a start or a reload.
    Ready,
    /// Files are read again, since this moment of CLOCK_MONOTONIC.
    Reloading(Duration),
    /// It drains and will end.
    Stopping,
    /// How it is, for people.
    Status(&'a str),
    /// It lives.
    Alive,
}

/// Something that has to turn for the process to be of use.
pub struct Vital {
    name: &'static str,
    turns: Box<dyn Fn() -> u64 + Send + Sync>,
    seen: Option<u64>,
}

// === impl Supervisor ===

impl Supervisor {
    /// The way to the supervisor that `supervised` names.
    ///
    /// # Errors
    ///
    /// What the system says when the socket is not there.
    pub fn connect(supervised: &Supervised) -> io::Result<Self> {
        let socket = supervised.socket.as_ref().map(|address| {
            let socket = UnixDatagram::unbound()?;
            match address {
                NotifySocket::Path(path) => socket.connect(path)?,
                NotifySocket::Abstract(name) => {
                    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
                }
            }
            socket.set_write_timeout(Some(SEND_TIMEOUT))?;
            Ok::<_, io::Error>(socket)
        });
        Ok(Self { socket: socket.transpose()?, watchdog: supervised.watchdog })
    }

    /// Tells it. What cannot be sent is logged and lost: serving goes on.
    pub fn tell(&self, notice: &Notice<'_>) {
        let Some(socket) = &self.socket else { return };
        if let Err(cause) = socket.send(notice.datagram().as_bytes()) {
            tracing::warn!(%cause, "the supervisor could not be told");
        }
    }

    fn period(&self) -> Duration {
        self.watchdog.map_or(REPORT_PERIOD, |span| span / SIGNS_PER_WATCHDOG)
    }
}

// === impl Notice ===

impl Notice<'_> {
    fn datagram(&self) -> String {
        match self {
            Self::Ready => "READY=1\n".to_owned(),
            Self::Reloading(since) => format!("RELOADING=1\nMONOTONIC_USEC={}\n", since.as_micros()),
            Self::Stopping => "STOPPING=1\nSTATUS=draining\n".to_owned(),
            Self::Status(text) => format!("STATUS={}\n", one_line(text)),
            Self::Alive => "WATCHDOG=1\n".to_owned(),
        }
    }
}

/// A line break would begin another assignment.
fn one_line(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.take(STATUS_CHARS_MAX).collect()
}

// === impl Vital ===

impl Vital {
    /// `turns` has to grow at least twice a second.
    pub fn new(name: &'static str, turns: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { name, turns: Box::new(turns), seen: None }
    }

    /// Whether it has turned since the last look; at the first look it has.
    fn has_turned(&mut self) -> bool {
        let turns = (self.turns)();
        self.seen.replace(turns) != Some(turns)
    }
}

// === the loop ===

/// Tells `supervisor` how it is, and that it lives while all `vitals` turn, until `stopping`.
pub async fn supervision(
    supervisor: Arc<Supervisor>,
    mut vitals: Vec<Vital>,
    status: impl Fn() -> Status + Send + 'static,
    mut stopping: Stopping,
) -> Result<(), String> {
    loop {
        tokio::select! {
            () = stopping.wait() => return Ok(()),
            () = tokio::time::sleep(supervisor.period()) => {}
        }
        // Each is looked at, whatever the others did.
        let stuck: Vec<_> =
            vitals.iter_mut().filter_map(|vital| (!vital.has_turned()).then_some(vital.name)).collect();
        if !stuck.is_empty() {
            tracing::error!(?stuck, "stuck: the supervisor gets no sign of life");
            supervisor.tell(&Notice::Status(&format!("stuck: {}", stuck.join(", "))));
            continue;
        }
        if supervisor.watchdog.is_some() {
            supervisor.tell(&Notice::Alive);
        }
        supervisor.tell(&Notice::Status(&told(&status())));
    }
}

fn told(status: &Status) -> String {
    let Status { tokens, tasks, registry, policy, warnings, .. } = status;
    let counts = format!("{tokens} tokens, {tasks} tasks; registry {}, policy {}", registry.0, policy.0);
    if warnings.is_empty() { counts } else { format!("{counts}; degraded: {}", warnings.join("; ")) }
}

#[cfg(test)]
mod tests;
