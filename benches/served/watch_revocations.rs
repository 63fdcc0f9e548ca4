//! Row 8: from a revocation's request to its frame at every follower of the feed.
//!
//! All followers live in this process, which is another one than the server; each has a connection and a
//! stream of its own, as verifiers do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_api::feed::decode;
use locum_benches::histogram::Histogram;
use locum_benches::peer::nats;
use locum_benches::process::Cores;
use locum_benches::served::{BACKENDS, FEED, REVOKE, Served};
use locum_benches::wire::{Line, TwoWay, framed};
use locum_benches::{Goal, Report, Row};
use locum_model::feed::Body;
use prost::Message as _;
use tokio::sync::mpsc;

use crate::Size;

/// A follower heard a revocation.
struct Heard(Instant);

pub(crate) async fn show(report: &mut Report, size: Size) {
    let served = Served::start(Cores::One);
    let operator = served.operator().line().await.expect("a connection");
    let (heard, mut hears) = mpsc::unbounded_channel();
    let (mut following, mut costs) = (0, Vec::new());
    let most = if size.holds < 100_000 { 100 } else { 1_000 };
    for (followers, p50_goal) in [(1, 1e3), (100, 2e3), (1_000, 1e4)] {
        if followers > most {
            break;
        }
        while following < followers {
            follow(&served, following % BACKENDS, heard.clone()).await;
            following += 1;
        }
        let times = (20_000 / followers).clamp(30, 500);
        report.progress(format_args!("{times} revocations, {followers} followers"));
        let before = served.process.cpu();
        let taken = revocations(&operator, (times, followers), &mut hears).await;
        costs.push((followers, (served.process.cpu() - before).as_secs_f64() * 1e6 / times as f64));
        let what = |name: &str| format!("revocation to its frame, {followers} followers, {name}");
        let p50 = Row::new(8, what("p50"), taken.micros(0.5), "µs").goal(Goal::AtMost(p50_goal));
        report.show(if followers == 1 { beside_nats(p50) } else { p50 });
        report.show(Row::new(8, what("p99"), taken.micros(0.99), "µs"));
        let last = Row::new(8, what("p99.9"), taken.micros(0.999), "µs");
        report.show(if followers == 1_000 { last.goal(Goal::AtMost(5e4)) } else { last });
    }
    if let Some(redis) = nats::redis() {
        report.show(Row::new(8, "Redis pub/sub, one message, p50: not durable", redis.micros(0.5), "µs"));
    }
    for (followers, cost) in costs {
        report.show(Row::new(
            8,
            format!("a revocation's CPU in the server, {followers} followers"),
            cost,
            "µs",
        ));
    }
}

fn beside_nats(row: Row) -> Row {
    match nats::nats() {
        Some(nats) => row.beside("NATS, one message, not durable", nats.micros(0.5)),
        None => row,
    }
}

/// Revokes one task after the other that nobody has; every follower hears of each.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
async fn revocations(
    operator: &Line,
    (times, followers): (usize, usize),
    hears: &mut mpsc::UnboundedReceiver<Heard>,
) -> Histogram {
    let mut taken = Histogram::default();
    let body = framed(&locum_tests::work::revoke(Target::Workload("agent-5".to_owned())));
    for _ in 0..times {
        let asked = Instant::now();
        let answer = operator.unary(REVOKE, body.clone());
        let all = async {
            for _ in 0..followers {
                let Heard(at) = hears.recv().await.expect("followers live");
                taken.add(at - asked);
            }
        };
        let both = async { tokio::join!(answer, all).0 };
        let answer = tokio::time::timeout(Duration::from_secs(20), both).await;
        answer.expect("every follower hears").expect("revoked");
    }
    taken
}

/// Opens a stream, reads what stands in force, and goes on telling of deltas.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
async fn follow(served: &Served, backend: usize, heard: mpsc::UnboundedSender<Heard>) {
    let line = served.door(&format!("services/backend-{backend}")).line().await.expect("a connection");
    let first = wire::WatchRevocationsRequest {
        nonce: vec![7; 16],
        connector: "orders".to_owned(),
        instance: locum_tests::work::random::<16>().to_vec(),
        ..Default::default()
    };
    let bodies: Arc<[_]> = [framed(&first)].into();
    let mut stream = line.two_way(FEED, bodies, (1, |_| true)).await.expect("a stream");
    // The nonce comes back when everything in force was said.
    while !matches!(next(&mut stream).await, Body::Heartbeat { .. }) {}
    tokio::spawn(async move {
        let _line = line;
        while let Ok(message) = stream.next().await {
            let at = Instant::now();
            if matches!(body(&message), Body::Delta { .. }) && heard.send(Heard(at)).is_err() {
                return;
            }
        }
    });
}

async fn next(stream: &mut TwoWay) -> Body {
    body(&stream.next().await.expect("a frame"))
}

fn body(message: &[u8]) -> Body {
    let frame = wire::WatchRevocationsResponse::decode(message).expect("a message");
    decode(&frame.payload).expect("a frame").body
}
