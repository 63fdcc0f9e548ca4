//! The process around a server: logs, runtime, signals.
//!
//! SIGTERM and SIGINT end in order, SIGHUP reads files again. The one line `listening` on standard
//! error names the addresses that were really bound.

use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::SystemClock;
use crate::config::{self, Flags, Problems};
use crate::logging;
use crate::serve::{self, NotStarted, Running, Stopped};

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

/// Serves until a signal ends it. Call it once, at the beginning of a process.
///
/// # Errors
///
/// [`DaemonError`]; the process should end with a failure.
pub fn run(path: &Path, flags: &Flags) -> Result<(), DaemonError> {
    let settings = config::load(path, flags)?;
    let system = |cause: &dyn std::fmt::Display| DaemonError::System(cause.to_string());
    logging::install(settings.log).map_err(|cause| system(&cause))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|cause| system(&cause))?.block_on(async {
        let asked = |kind| signal(kind).map_err(|cause| DaemonError::System(cause.to_string()));
        let (terminate, interrupt) = (asked(SignalKind::terminate())?, asked(SignalKind::interrupt())?);
        let hangup = asked(SignalKind::hangup())?;
        let running = serve::start(settings).await?;
        announce(&running);
        let reload = running.reload();
        running.run(until_told(terminate, interrupt, hangup, reload)).await?;
        tracing::info!("stopped");
        Ok(())
    })
}

/// Takes the machine's clock for right, on an operator's word, while no server runs: for a clock that
/// was ahead and has been set back by more than a server believes by itself.
///
/// Time still does not go back: it stands still until the clock has caught up with what was seen.
///
/// # Errors
///
/// [`DaemonError`].
pub fn accept_clock(path: &Path, flags: &Flags) -> Result<(), DaemonError> {
    let settings = config::load(path, flags)?;
    let system = |cause: &dyn std::fmt::Display| DaemonError::System(cause.to_string());
    let clock = SystemClock::open(&settings.data_dir.join("clock")).map_err(|cause| system(&cause))?;
    clock.settle();
    clock.persist().map_err(|cause| system(&cause))
}

fn announce(running: &Running) {
    let shown = |address: Option<std::net::SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    tracing::info!(
        grpc = %running.grpc,
        http = shown(running.http),
        metrics = shown(running.metrics),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
}

async fn until_told(
    mut terminate: Signal,
    mut interrupt: Signal,
    mut hangup: Signal,
    reload: std::sync::Arc<crate::reload::Reload>,
) {
    loop {
        tokio::select! {
            _ = terminate.recv() => return tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => return tracing::info!("SIGINT: draining"),
            _ = hangup.recv() => reload.everything().await,
        }
    }
}
