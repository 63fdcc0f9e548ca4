//! [`Stage`]: our server with tokens in it, and the server that does nothing, side by side.

use std::process::Command;
use std::time::Duration;

use locum_benches::Report;
use locum_benches::drive::{Slot, flat_out};
use locum_benches::histogram::Histogram;
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

/// The middle of what `share` of each round's latencies did not exceed, in microseconds.
pub(crate) fn middle_micros(rounds: &[Histogram], share: f64) -> f64 {
    middle(rounds.iter().map(|round| round.micros(share)).collect())
}

/// Turns that each server takes.
pub(crate) const ROUNDS: u32 = 5;

impl Size {
    /// How long a turn of ours is, and of the empty call.
    pub(crate) fn turn(&self) -> Duration {
        self.span / ROUNDS
    }

    /// How long one of a peer is: what drives it opens its connections in each.
    pub(crate) fn turn_of_a_peer(&self) -> Duration {
        self.span / 2
    }
}

impl Stage {
    /// Lets our server, come to by `door`, and the one that does nothing have turns alternately, so that whatever
    /// else the machine does slows them alike. Whose turn it is not stands still; both do when `between` is called,
    /// once a round. What each came to, for each round.
    pub(crate) async fn in_turns<T>(
        &self,
        door: &Door,
        turn: impl AsyncFn(&Process, &Door) -> T,
        mut between: impl AsyncFnMut(),
    ) -> [Vec<T>; 2] {
        let sides = [(&self.served.process, door), (&self.nothing.process, &self.nothing.door)];
        let mut rounds = [Vec::new(), Vec::new()];
        sides.iter().for_each(|(server, _)| server.pause());
        for _ in 0..ROUNDS {
            for (rounds, (server, door)) in rounds.iter_mut().zip(sides) {
                server.resume();
                rounds.push(turn(server, door).await);
                server.pause();
            }
            between().await;
        }
        sides.iter().for_each(|(server, _)| server.resume());
        rounds
    }

    /// Drives both as fast as answers come, in turns; for each the middle of its rounds.
    pub(crate) async fn flat_out<S: Slot>(
        &self,
        door: &Door,
        slots: impl AsyncFn(&Door) -> Vec<S>,
        between: impl AsyncFnMut(),
    ) -> [Costed; 2] {
        let turn =
            async |server: &Process, door: &Door| costed(server, slots(door).await, self.size.turn()).await;
        self.in_turns(door, turn, between).await.map(|rounds| Costed {
            rate: middle(rounds.iter().map(|round| round.rate).collect()),
            cpu_micros: middle(rounds.iter().map(|round| round.cpu_micros).collect()),
        })
    }
}
