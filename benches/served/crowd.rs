//! Row 7, and the curves over live tokens: servers with one token to ten million of them, revoked in turns.

use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_benches::chart::Curve;
use locum_benches::histogram::Histogram;
use locum_benches::past::{CROWDED, Past};
use locum_benches::process::{Cores, on_the_servers_core};
use locum_benches::served::{self, INTROSPECT, REVOKE, Served, says_active};
use locum_benches::wire::{Unary, framed};
use locum_benches::{Goal, Report, Row, parts, timed_async};
use prost::bytes::Bytes;

use crate::grow::{Picture, chart};
use crate::peers::openbao_tree;
use crate::stage::{IN_FLIGHT, LINES, Nothing, costed};
use crate::{Drawing, Size};

/// Longer than the bench takes.
const TTL: Duration = Duration::from_secs(880);

/// A server with live tokens of one plugin, and what it came to.
struct Crowd {
    tokens: u64,
    served: Served,
    /// The revocation that killed them, in microseconds.
    first: f64,
    /// Those after it.
    revokes: Histogram,
    /// One `fdatasync` on its disk, in the same turns.
    syncs: Histogram,
    /// Microseconds of the server for each check, and for each empty call.
    checks: Option<[f64; 2]>,
}

/// Revokes everything that a workload has, whatever that is; the pictures when they are wanted.
pub(crate) async fn show(report: &mut Report, size: Size, drawing: Drawing) -> Vec<Picture> {
    let tree = openbao_tree(report, size.children).await;
    let sizes = match drawing {
        Drawing::Wanted => [1]
            .into_iter()
            .chain((3..8).map(|decade| 10_u64.pow(decade)))
            .filter(|n| *n <= size.crowd)
            .collect(),
        Drawing::Unwanted => vec![1, 1_000, size.crowd],
    };
    let mut crowds = Vec::new();
    for tokens in sizes {
        report.progress(format_args!("a server with {tokens} live tokens"));
        crowds.push(Crowd::stand(tokens, size, drawing).await);
    }
    report.progress("until the large ones have written their snapshots");
    for crowd in &crowds {
        crowd.served.snapshot_after(crowd.tokens).await;
    }
    report.progress("revoking all that a workload has, in turns");
    // All share the core: who has a turn has it alone.
    crowds.iter().for_each(|crowd| crowd.served.process.pause());
    let (rounds, each) = size.rounds;
    for _ in 0..rounds {
        for crowd in &mut crowds {
            crowd.served.process.resume();
            crowd.turn(each).await;
            crowd.served.process.pause();
        }
    }
    rows(report, size, tree, &crowds);
    match drawing {
        Drawing::Wanted => pictures(&crowds).into(),
        Drawing::Unwanted => Vec::new(),
    }
}

// === impl Crowd ===

impl Crowd {
    async fn stand(tokens: u64, size: Size, drawing: Drawing) -> Self {
        let few = usize::try_from(tokens).unwrap_or(usize::MAX);
        let asked = size.tokens.min(few);
        let past =
            Past { tokens, per_task: 10, lease: TTL, crowds: 1, ttl: TTL, apart: Duration::ZERO, asked };
        let made = past.make().await;
        let served = Served::start_on(made.site, Cores::One);
        let checks = match drawing {
            Drawing::Wanted => Some(checks(&served, &made.tokens, size).await),
            Drawing::Unwanted => None,
        };
        let operator = served.operator().line().await.expect("a connection");
        let (answer, took) = timed_async(operator.unary(REVOKE, body())).await;
        answer.expect("revoked");
        let first = took.as_secs_f64() * 1e6;
        let (revokes, syncs) = (Histogram::default(), Histogram::default());
        Self { tokens, served, first, revokes, syncs, checks }
    }

    /// Revokes so many times, one in flight.
    async fn turn(&mut self, each: usize) {
        // A connection for each turn: while a larger crowd was written nobody answered the server's pings, and it
        // closes a connection that does not.
        let operator = self.served.operator().line().await.expect("a connection");
        for _ in 0..each {
            let (answer, took) = timed_async(operator.unary(REVOKE, body())).await;
            answer.expect("revoked");
            self.revokes.add(took);
        }
        for took in on_the_servers_core(|| parts::bare_syncs(self.served.site.dir(), each)) {
            self.syncs.add(took);
        }
    }

    fn revoke_p50(&self) -> f64 {
        self.revokes.micros(0.5)
    }

    fn sync_p50(&self) -> f64 {
        self.syncs.micros(0.5)
    }
}

// === free functions ===

fn body() -> Bytes {
    framed(&locum_tests::work::revoke(Target::Workload(format!("agent-{CROWDED}"))))
}

async fn checks(served: &Served, asked: &[String], size: Size) -> [f64; 2] {
    served.recognise(asked).await;
    let nothing = Nothing::start(served, &asked[0]);
    let questions = served::questions(asked);
    let slots = |lines: &[_]| Unary::slots(lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
    let lines = served.backend().lines(LINES).await;
    let check = costed(&served.process, slots(&lines), size.span / 3).await;
    let bare = costed(&nothing.process, slots(&nothing.door.lines(LINES).await), size.span / 3).await;
    [check.cpu_micros, bare.cpu_micros]
}

fn rows(report: &mut Report, size: Size, tree: Option<Duration>, crowds: &[Crowd]) {
    for crowd in crowds.iter().filter(|crowd| [1, 1_000, size.crowd].contains(&crowd.tokens)) {
        let what = format!("Revoke, durable, of {} live tokens, p50", crowd.tokens);
        let row = Row::new(7, what, crowd.revoke_p50(), "µs").beside("one fdatasync", crowd.sync_p50());
        report.show(row.goal(Goal::RatioAtMost(2.0)));
    }
    let (Some(few), Some(many)) = (crowds.first(), crowds.last()) else { return };
    let what = format!("Revoke of {} live tokens", many.tokens);
    let row = Row::new(7, format!("{what}, p50"), many.revoke_p50(), "µs");
    report.show(row.beside("the same of 1 live token", few.revoke_p50()).goal(Goal::RatioAtMost(1.1)));
    if let Some(tree) = tree {
        let row = Row::new(7, format!("{what}, the first one"), many.first, "µs")
            .beside(format!("OpenBao, {} children", size.children), tree.as_secs_f64() * 1e6);
        report.show(row.goal(Goal::RatioAtMost(1e-5)));
    }
}

fn pictures(crowds: &[Crowd]) -> [Picture; 2] {
    let curve = |name: &str, of: &dyn Fn(&Crowd) -> Option<f64>| Curve {
        name: name.into(),
        points: crowds.iter().filter_map(|crowd| Some((crowd.tokens as f64, of(crowd)?))).collect(),
    };
    let checks = vec![
        curve("IntrospectToken", &|crowd| crowd.checks.map(|[check, _]| check)),
        curve("an empty call", &|crowd| crowd.checks.map(|[_, bare]| bare)),
    ];
    let revokes = vec![
        curve("Revoke, p50", &|crowd| Some(crowd.revoke_p50())),
        curve("one fdatasync", &|crowd| Some(crowd.sync_p50())),
    ];
    let x = "live tokens";
    let y = "microseconds of the server's core for each call, mTLS";
    let checks = chart("Check over the wire", x, y, checks);
    let y = "microseconds until it is durable and in force, over the wire";
    [("check_served.svg", checks), ("revoke.svg", chart("Revocation of everything", x, y, revokes))]
}
