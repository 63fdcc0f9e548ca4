//! The whole server over its real wire, beside the same calls that do nothing and beside its peers, in one
//! run: rows 4 to 9, 14 and 15.
//!
//! Servers have the first core, whatever drives them the second. Ours speaks mTLS; peers speak plainly,
//! which is in their favour. `--grow FOLDER` draws curves too.

mod crowd;
mod followers;
mod grow;
mod hold_task;
mod introspect_token;
mod issue_token;
mod leases;
mod meanwhile;
mod peers;
mod revoke;
mod stage;
mod start_up;
mod watch_revocations;

use std::path::PathBuf;
use std::time::Duration;

use locum_benches::Report;
use peers::Peers;
use stage::Stage;

/// Whether curves are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawing {
    Wanted,
    Unwanted,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Each load runs for this long.
    pub span: Duration,
    /// Tokens that are asked about.
    pub tokens: usize,
    /// Live tokens in the largest table.
    pub crowd: u64,
    /// Tokens that die at once while others are checked.
    pub dying: u64,
    /// Streams that are held.
    pub holds: usize,
    /// Children of OpenBao's token.
    pub children: usize,
    /// Crowds of verifiers, each with the revocations that it hears of.
    pub verifiers: [(usize, usize); 3],
    /// Checks a second while others die: about a third of what one core answers.
    pub check_rate: f64,
    /// The span before anything happens to them, and after each thing.
    pub storm: Duration,
    /// How long the others live: replaying them takes time, and they have to be alive when they are revoked.
    pub dying_ttl: Duration,
    /// From when a server has come up to when the leases run out: enough to be asking by then.
    pub lease: Duration,
    /// Rounds in which every crowd is revoked, and revocations of each.
    pub rounds: (usize, usize),
    /// Starts of the server.
    pub starts: usize,
    /// Looked up for one point of a curve.
    pub lookups: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut report = Report::asked();
    let size = report.sized([Size::FULL, Size::QUICK, Size::SMOKE]);
    let folder = std::env::args().skip_while(|argument| argument != "--grow").nth(1).map(PathBuf::from);
    let drawing = if folder.is_some() { Drawing::Wanted } else { Drawing::Unwanted };
    let mut pictures = Vec::new();
    if (4..=7).any(|number| report.wants(number)) {
        let mut peers = Peers::start(&report).await;
        let stage = Stage::set(&report, size).await;
        introspect_token::unary(&mut report, &stage, &mut peers).await;
        introspect_token::streams(&mut report, &stage, &peers).await;
        issue_token::show(&mut report, &stage, &mut peers).await;
        revoke::show(&mut report, &stage, &mut peers).await;
    }
    if report.wants(7) {
        pictures = crowd::show(&mut report, size, drawing).await;
    }
    if report.wants(8) {
        watch_revocations::show(&mut report, size).await;
    }
    if report.wants(9) {
        meanwhile::show(&mut report, size).await;
        meanwhile::flood(&mut report, size).await;
        leases::show(&mut report, size).await;
    }
    if report.wants(14) {
        start_up::show(&mut report, size).await;
    }
    if report.wants(15) {
        hold_task::show(&mut report, size).await;
    }
    if let Some(folder) = folder {
        grow::draw(&report, size, pictures, &folder).await;
    }
}

impl Size {
    const FULL: Self = Self {
        span: Duration::from_secs(3),
        tokens: 20_000,
        crowd: 10_000_000,
        dying: 1_000_000,
        holds: 100_000,
        children: 4_800,
        verifiers: [(1, 1_000), (100, 400), (1_000, 200)],
        check_rate: 8_000.0,
        storm: Duration::from_secs(3),
        dying_ttl: Duration::from_secs(150),
        lease: Duration::from_secs(60),
        rounds: (10, 100),
        starts: 9,
        lookups: 300_000,
    };
    const QUICK: Self = Self {
        span: Duration::from_secs(1),
        tokens: 2_000,
        crowd: 20_000,
        dying: 20_000,
        holds: 2_000,
        children: 100,
        verifiers: [(1, 100), (100, 20), (1_000, 20)],
        dying_ttl: Duration::from_secs(61),
        lease: Duration::from_secs(15),
        ..Self::FULL
    };
    /// So little that a server without optimisation keeps up with it, and a neighbour too.
    const SMOKE: Self = Self {
        span: Duration::from_millis(150),
        tokens: 600,
        crowd: 10_000,
        dying: 1_000,
        holds: 60,
        children: 20,
        verifiers: [(1, 5), (20, 3), (40, 3)],
        check_rate: 100.0,
        storm: Duration::from_millis(300),
        dying_ttl: Duration::from_secs(8),
        lease: Duration::from_secs(15),
        rounds: (2, 5),
        starts: 2,
        lookups: 2_000,
    };
}
