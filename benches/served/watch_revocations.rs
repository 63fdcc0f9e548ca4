//! Row 8: from a revocation's request to the refusal of what it kills, at verifiers in another process.
//!
//! Beside it what a backend has otherwise: asking the broker until it refuses; and, as yardsticks, how
//! long Redis and NATS take over one message to as many subscribers, which is neither durable nor signed,
//! encrypted or acknowledged.

use std::time::{Duration, Instant};

use locum_api::admin::v1 as admin;
use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_benches::histogram::Histogram;
use locum_benches::peer::nats;
use locum_benches::process::Cores;
use locum_benches::served::{INTROSPECT, ISSUE, REVOKE, Served, ask_all, question, says_active};
use locum_benches::wire::{Line, framed};
use locum_benches::write_floor::encrypt_and_write;
use locum_benches::{Goal, Report, Row};
use locum_jose::base64url;
use locum_model::KeyId;
use prost::Message as _;

use crate::Size;
use crate::followers::{Followers, Told};

/// Followers that check, where there are more: they share a core with all the others.
const CHECKING: usize = 10;
/// A frame of one revocation as it goes over the wire, about, in bytes.
const FRAME_BYTES: usize = 330;
/// A revocation has to be everywhere within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one crowd of verifiers came to.
#[derive(Default)]
struct Taken {
    /// To the frame at each of them.
    heard: Histogram,
    /// To the refusal, at those that check.
    refused: Histogram,
    /// To the answer that it is everywhere.
    everywhere: Histogram,
    /// CPU of the server for each revocation, in microseconds, acknowledgements included and pings not.
    cost: f64,
    /// The share of a core that they take when nothing happens.
    idle: f64,
    checking: usize,
}

/// A token of a task that nothing else is in.
struct Doomed {
    task: String,
    token: String,
}

pub(crate) async fn show(report: &mut Report, size: Size) {
    let [_, _, (most, _)] = size.verifiers;
    for ((followers, times), p50_goal) in size.verifiers.into_iter().zip([1e3, 2e3, 1e4]) {
        report.progress(format_args!("{times} revocations, {followers} verifiers"));
        let served = Served::start(Cores::One);
        let taken = measure(&served, followers, times).await;
        rows(report, followers, (p50_goal, followers == most), &taken).await;
        if followers == 1 {
            let asked = by_asking(&served, times).await;
            let what = "revocation to refusal by introspection, asked without a pause";
            report.show(Row::new(8, format!("{what}, p50"), asked.micros(0.5), "µs"));
        }
        let what = format!("a revocation's CPU in the server, {followers} verifiers");
        if followers == most {
            let what = format!("{what}, their acknowledgements included");
            let floor = encrypt_and_write(&served.site, FRAME_BYTES).as_secs_f64() * 1e6 * most as f64;
            let row = Row::new(8, what, taken.cost, "µs");
            report.show(row.beside(format!("{most} times: encrypt and write a frame"), floor));
        } else {
            report.show(Row::new(8, what, taken.cost, "µs"));
        }
    }
}

async fn rows(report: &mut Report, followers: usize, (p50_goal, most): (f64, bool), taken: &Taken) {
    let Taken { heard, refused, everywhere, checking, .. } = taken;
    let sampled = if *checking < followers { format!(" ({checking} of them check)") } else { String::new() };
    let what = |name: &str| format!("revocation to refusal, {followers} verifiers{sampled}, {name}");
    let p50 = Row::new(8, what("p50"), refused.micros(0.5), "µs").goal(Goal::AtMost(p50_goal));
    report.show(match nats::nats(followers).await {
        Some(nats) => p50.beside(format!("NATS, one message to {followers}, p50"), nats.micros(0.5)),
        None => p50,
    });
    let p99 = Row::new(8, what("p99"), refused.micros(0.99), "µs");
    report.show(match nats::redis(followers).await {
        Some(redis) => p99.beside(format!("Redis pub/sub to {followers}, p99"), redis.micros(0.99)),
        None => p99,
    });
    let worst = |row: Row| if most { row.goal(Goal::AtMost(5e4)) } else { row };
    report.show(worst(Row::new(8, what("p99.9"), refused.micros(0.999), "µs")));
    let what = |name: &str| format!("revocation to its frame, {followers} verifiers, {name}");
    report.show(Row::new(8, what("p50"), heard.micros(0.5), "µs"));
    report.show(Row::new(8, what("p99.9"), heard.micros(0.999), "µs"));
    let what =
        |name: &str| format!("Revoke that waits until it is everywhere, {followers} verifiers, {name}");
    report.show(Row::new(8, what("p50"), everywhere.micros(0.5), "µs"));
    report.show(worst(Row::new(8, what("p99.9"), everywhere.micros(0.999), "µs")));
    if followers > 1 {
        let what = format!("a core's share for the pings of {followers} verifiers at the default lease");
        report.show(Row::new(8, what, taken.idle * 100.0, "%"));
    }
}

async fn measure(served: &Served, followers: usize, times: usize) -> Taken {
    let root = root_of(served).await;
    let mut crowd = Followers::connect(served, root, followers, CHECKING.min(followers)).await;
    let operator = served.operator().line().await.expect("a connection");
    let doomed = doomed(served, 2 * times).await;
    let (first, second) = doomed.split_at(times);
    let mut taken = Taken { checking: crowd.checking(), ..Taken::default() };
    taken.idle = share_of_a_core(served, Duration::from_secs(2)).await;
    let (before, began) = (served.process.cpu(), now());
    for victim in first {
        revoke(&operator, &mut crowd, victim, followers, &mut taken).await;
    }
    // What they acknowledge is part of it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let spent = (served.process.cpu() - before).as_secs_f64() - taken.idle * began.elapsed().as_secs_f64();
    taken.cost = spent * 1e6 / times as f64;
    for victim in second {
        crowd.await_refusal_of(&victim.token);
        taken.everywhere.add(revoke_everywhere(&operator, victim).await);
        // All have said so.
        while crowd.told.try_recv().is_ok() {}
    }
    taken
}

/// Revokes one task; every verifier hears of it, and those that check refuse its token.
async fn revoke(
    operator: &Line,
    crowd: &mut Followers,
    victim: &Doomed,
    followers: usize,
    taken: &mut Taken,
) {
    crowd.await_refusal_of(&victim.token);
    let body = framed(&locum_tests::work::revoke(Target::Task(victim.task.clone())));
    let asked = now();
    let answer = operator.unary(REVOKE, body);
    let expected = followers + crowd.checking();
    let all = async {
        for _ in 0..expected {
            match crowd.told.recv().await.expect("followers live") {
                Told::Heard(at) => taken.heard.add(at - asked),
                Told::Refused(at) => taken.refused.add(at - asked),
            }
        }
    };
    let both = async { tokio::join!(answer, all).0 };
    let answer = tokio::time::timeout(PATIENCE, both).await;
    answer.expect("every verifier hears").expect("revoked");
}

async fn revoke_everywhere(operator: &Line, victim: &Doomed) -> Duration {
    let request = admin::RevokeRequest {
        wait: locum_tests::work::seconds(20),
        ..locum_tests::work::revoke(Target::Task(victim.task.clone()))
    };
    let asked = now();
    let answer = operator.unary(REVOKE, framed(&request)).await.expect("revoked");
    let took = asked.elapsed();
    let answer = admin::RevokeResponse::decode(answer).expect("a good answer");
    assert!(answer.everywhere, "{} are missing", answer.missing.len());
    took
}

/// What a backend sees that asks about a token again and again: from a revocation to the first no.
async fn by_asking(served: &Served, times: usize) -> Histogram {
    let operator = served.operator().line().await.expect("a connection");
    let backend = served.backend().line().await.expect("a connection");
    let mut taken = Histogram::default();
    for victim in doomed(served, times).await {
        let question = framed(&question(&victim.token));
        let is_active =
            async || says_active(&backend.unary(INTROSPECT, question.clone()).await.expect("an answer"));
        assert!(is_active().await, "a token lives before it is revoked");
        let body = framed(&locum_tests::work::revoke(Target::Task(victim.task)));
        let asked = now();
        let refusal = async {
            while is_active().await {}
            asked.elapsed()
        };
        let (answer, took) = tokio::join!(operator.unary(REVOKE, body), refusal);
        answer.expect("revoked");
        taken.add(took);
    }
    taken
}

/// Tasks with one token each.
async fn doomed(served: &Served, count: usize) -> Vec<Doomed> {
    let tasks = served.tasks(0, count).await;
    let lines = served.plugin(0).lines(2).await;
    let bodies = tasks.iter().map(|task| framed(&task.ask())).collect();
    let answers = ask_all(&lines, ISSUE, bodies).await;
    let token = |answer| wire::IssueTokenResponse::decode(answer).expect("a good answer").token;
    let made = tasks.into_iter().zip(answers);
    made.map(|(task, answer)| Doomed { task: task.id, token: token(answer) }).collect()
}

/// The thumbprint that verifiers pin.
async fn root_of(served: &Served) -> KeyId {
    let keys = served.party("operators/admin").control().list_keys(admin::ListKeysRequest {}).await;
    let keys = keys.expect("listed").into_inner().keys;
    let root = keys.into_iter().find(|key| key.purpose == "keyset-root" && key.state == "active");
    base64url::parse_kid(&root.expect("a root").kid).expect("a thumbprint")
}

/// How much of a core the server takes by itself.
async fn share_of_a_core(served: &Served, span: Duration) -> f64 {
    let (before, began) = (served.process.cpu(), now());
    tokio::time::sleep(span).await;
    (served.process.cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
