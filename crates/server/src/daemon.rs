//! The process around a server: logs, runtime, signals.
//!
//! SIGTERM and SIGINT end in order, SIGHUP reads files again. The one line `listening` on standard
//! error names the addresses that were really bound. Where a supervisor listens, it is told too.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use locum_model::{Clock as _, Timestamp};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::{SystemClock, monotonic};
use crate::config::{self, Flags, Problems};
use crate::logging;
use crate::reload::Reload;
use crate::serve::{self, NotStarted, Stopped};
use crate::supervisor::{Notice, Supervisor};

/// Why a process ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The settings.
    #[error("{0}")]
    Settings(#[from] Problems),
    /// It could not come up.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    /// It stopped by itself.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The system.
    #[error("{0}")]
    System(String),
}

/// Where a server listens, once it does.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where the public documents are served.
    pub http: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
}

/// Serves until a signal ends it; tells `show` once where. Call it once, at the beginning of a process.
///
/// # Errors
///
/// [`DaemonError`]; the process should end with a failure.
pub fn run(path: &Path, flags: &Flags, show: &dyn Fn(Listening)) -> Result<(), DaemonError> {
    let settings = config::load(path, flags)?;
    let system = |cause: &dyn std::fmt::Display| DaemonError::System(cause.to_string());
    logging::install(settings.log).map_err(|cause| system(&cause))?;
    let supervised = config::supervised()?;
    let supervisor = Arc::new(Supervisor::connect(&supervised).map_err(|cause| system(&cause))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| system(&cause))?;
    let ended = runtime.block_on(serve_until_told(settings, &supervisor, show));
    // What has to be on the disk is there: a snapshot that is being written is left behind.
    runtime.shutdown_background();
    if let Err(cause) = &ended {
        supervisor.tell(&Notice::Status(&format!("failed: {cause}")));
    }
    ended
}

async fn serve_until_told(
    settings: config::Settings,
    supervisor: &Arc<Supervisor>,
    show: &dyn Fn(Listening),
) -> Result<(), DaemonError> {
    let asked = |kind| signal(kind).map_err(|cause| DaemonError::System(cause.to_string()));
    let signals = Signals {
        terminate: asked(SignalKind::terminate())?,
        interrupt: asked(SignalKind::interrupt())?,
        hangup: asked(SignalKind::hangup())?,
    };
    let mut running = serve::start(settings).await?;
    running.report_to(supervisor);
    let listening = Listening { grpc: running.grpc, http: running.http, metrics: running.metrics };
    announce(&listening);
    show(listening);
    supervisor.tell(&Notice::Ready);
    let reload = running.reload();
    running.run(signals.until_end(&reload, supervisor)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Takes the machine's clock for right, on an operator's word, while no server runs: for a clock that
/// was ahead and has been set back by more than a server believes by itself.
///
/// Time still does not go back: it stands still until the clock has caught up with what was seen. Answers with
/// the time that a server started now would go on from.
///
/// # Errors
///
/// [`DaemonError`].
pub fn accept_clock(path: &Path, flags: &Flags) -> Result<Timestamp, DaemonError> {
    let settings = config::load(path, flags)?;
    let system = |cause: &dyn std::fmt::Display| DaemonError::System(cause.to_string());
    let clock = SystemClock::open(&settings.data_dir.join("clock")).map_err(|cause| system(&cause))?;
    clock.settle();
    clock.persist().map_err(|cause| system(&cause))?;
    clock.now().map_err(|cause| system(&cause))
}

fn announce(listening: &Listening) {
    let shown = |address: Option<SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    tracing::info!(
        grpc = %listening.grpc,
        http = shown(listening.http),
        metrics = shown(listening.metrics),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Reloads at every SIGHUP; returns when it is time to end.
    async fn until_end(mut self, reload: &Reload, supervisor: &Supervisor) {
        let name = loop {
            tokio::select! {
                _ = self.terminate.recv() => break "SIGTERM",
                _ = self.interrupt.recv() => break "SIGINT",
                _ = self.hangup.recv() => {
                    supervisor.tell(&Notice::Reloading(monotonic()));
                    reload.everything().await;
                    supervisor.tell(&Notice::Ready);
                }
            }
        };
        supervisor.tell(&Notice::Stopping);
        tracing::info!("{name}: draining");
    }
}
