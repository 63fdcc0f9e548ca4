//! [`Stage`]: our server with tokens in it, and the server that does nothing, side by side.

use std::process::Command;
use std::time::Duration;

use locum_benches::Report;
use locum_benches::drive::{Driven, Slot, flat_out};
use locum_benches::process::{Cores, Process, built};
use locum_benches::served::{self, Served};
use locum_benches::wire::Door;

use crate::Size;

/// Connections that calls are spread over.
pub(crate) const LINES: usize = 8;
/// Calls in flight.
pub(crate) const IN_FLIGHT: usize = 64;

/// Both servers.
pub(crate) struct Stage {
    pub served: Served,
    /// Live tokens of the first plugin.
    pub tokens: Vec<String>,
    /// The server that does nothing.
    pub nothing: Nothing,
    pub size: Size,
}

/// The server that does nothing.
pub(crate) struct Nothing {
    pub process: Process,
    pub door: Door,
}

impl Stage {
    pub(crate) async fn set(report: &Report, size: Size) -> Self {
        report.progress(format_args!("issuing {} tokens", size.tokens));
        let served = Served::start(Cores::One);
        let tokens = served.tokens(0, size.tokens).await;
        let nothing = Nothing::start(&served, &tokens[0]);
        Self { served, tokens, nothing, size }
    }
}

impl Nothing {
    /// On the same installation, answering with `token`.
    pub(crate) fn start(served: &Served, token: &str) -> Self {
        let file = served.site.put("token", token);
        let mut command = Command::new(built("locum-nothing"));
        command.arg(served.site.config()).arg(file);
        let (process, grpc) =
            Process::start_until("locum-nothing", &mut command, Cores::One, served::listening);
        Self { process, door: served::door(&served.site, grpc, "services/backend-0") }
    }
}

/// A load, and what each answer cost the server in CPU.
pub(crate) struct Costed {
    pub driven: Driven,
    /// Microseconds on a core, for each answer.
    pub cpu_micros: f64,
}

/// Drives as fast as answers come.
pub(crate) async fn costed<S: Slot>(server: &Process, slots: Vec<S>, span: Duration) -> Costed {
    let mut before = Duration::ZERO;
    let driven = flat_out(slots, span, || before = server.cpu()).await;
    let spent = server.cpu() - before;
    let cpu_micros = spent.as_secs_f64() * 1e6 / driven.answered.max(1) as f64;
    Costed { driven, cpu_micros }
}
