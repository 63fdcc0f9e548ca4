//! [`Stage`]: our server with tokens in it, and the server that does nothing, side by side.

use std::process::Command;
use std::time::Duration;

use locum_benches::Report;
use locum_benches::drive::{Slot, flat_out};
use locum_benches::process::{Cores, Process, built};
use locum_benches::served::{self, Served};
use locum_benches::turns::middle;
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

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costed {
    /// Answers a second.
    pub rate: f64,
    /// Microseconds of the server on a core, for each answer.
    pub cpu_micros: f64,
}

/// Drives as fast as answers come.
pub(crate) async fn costed<S: Slot>(server: &Process, slots: Vec<S>, span: Duration) -> Costed {
    let mut before = Duration::ZERO;
    let driven = flat_out(slots, span, || before = server.cpu()).await;
    let spent = server.cpu() - before;
    let cpu_micros = spent.as_secs_f64() * 1e6 / driven.answered.max(1) as f64;
    Costed { rate: driven.rate(), cpu_micros }
}

/// Rounds of [`Stage::beside_nothing`].
const ROUNDS: u32 = 5;

impl Stage {
    /// Drives our server, come to by `door`, and the one that does nothing in turns, so that whatever else the
    /// machine does slows them alike; for each the middle of its rounds. Both are idle when `between` is called, once
    /// a round.
    pub(crate) async fn beside_nothing<S: Slot>(
        &self,
        door: &Door,
        slots: impl AsyncFn(&Door) -> Vec<S>,
        mut between: impl FnMut(),
    ) -> [Costed; 2] {
        let mut rounds = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let sides = [(&self.served.process, door), (&self.nothing.process, &self.nothing.door)];
            for (rounds, (server, door)) in rounds.iter_mut().zip(sides) {
                rounds.push(costed(server, slots(door).await, self.size.span / ROUNDS).await);
            }
            between();
        }
        rounds.map(|rounds| Costed {
            rate: middle(rounds.iter().map(|round| round.rate).collect()),
            cpu_micros: middle(rounds.iter().map(|round| round.cpu_micros).collect()),
        })
    }
}
