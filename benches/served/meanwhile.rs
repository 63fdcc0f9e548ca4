//! Row 9: checks while a million tokens die at once, while the reaper frees them, and in a flood of
//! forgeries.

use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_benches::drive::at_rate;
use locum_benches::histogram::Histogram;
use locum_benches::past::{CROWDED, Made, Past};
use locum_benches::process::Cores;
use locum_benches::served::{self, INTROSPECT, REVOKE, Served, says_active};
use locum_benches::turns::middle;
use locum_benches::wire::{Unary, framed};
use locum_benches::{Goal, Report, Row};
use locum_model::Clock as _;

use crate::Size;
use crate::stage::{IN_FLIGHT, LINES};

/// Crowds of tokens that die, one after the other: one pause of the machine would decide about a span by itself.
const CROWDS: usize = 5;
/// Spans of each crowd: calm, after its revocation, calm again, after its tokens expired.
const SPANS: u32 = 4;
/// Longer than the bench takes.
const TASK_LEASE: Duration = Duration::from_secs(600);
/// Forgeries a second for each check. Each costs a signature's verification.
const FORGERIES: f64 = 0.25;
/// Spans with forgeries, and as many without.
const FLOODS: usize = 5;

pub(crate) async fn show(report: &mut Report, size: Size) {
    let Size { check_rate, storm, dying, .. } = size;
    report.progress(format_args!("a past with {CROWDS} times {dying} live tokens"));
    let past = Past {
        tokens: dying,
        per_task: 10,
        lease: TASK_LEASE,
        crowds: CROWDS,
        ttl: size.dying_ttl,
        apart: storm * SPANS,
        asked: size.asked(),
    };
    let Made { site, expires_at, tokens } = past.make().await;
    let served = Served::start_on(site, Cores::One);
    served.recognise(&tokens).await;
    report.progress("until it has written its snapshot");
    served.snapshot_after(CROWDS as u64 * dying).await;
    let operator = served.operator().line().await.expect("a connection");
    let questions = served::questions(&tokens);
    let lines = served.backend().lines(LINES).await;
    let slots = Unary::slots(&lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
    let clock = locum_server::clock::SystemClock::open(&served.site.path("bench-clock")).expect("a clock");
    let left = expires_at.since(clock.now().expect("settled"));
    let begin = left.checked_sub(storm * 3).expect("setting up took too long: they are to be revoked alive");
    report.progress(format_args!(
        "checks at {check_rate:.0} a second until all have expired, from {begin:?} on"
    ));
    tokio::time::sleep(begin).await;
    let revokes = tokio::spawn(async move {
        for crowd in 0..CROWDS {
            tokio::time::sleep(if crowd == 0 { storm } else { storm * SPANS }).await;
            let workload = format!("agent-{}", CROWDED + crowd);
            let body = framed(&locum_tests::work::revoke(Target::Workload(workload)));
            operator.unary(REVOKE, body).await.expect("revoked");
        }
    });
    let mut spans = vec![Histogram::default(); CROWDS * SPANS as usize];
    let told = |(at, took): (Duration, Duration)| {
        spans[(at.as_nanos() / storm.as_nanos()) as usize].add(took);
    };
    at_rate(slots, check_rate, storm * SPANS * CROWDS as u32, told).await;
    revokes.await.expect("revoked");
    for (what, at) in [("die at once", 1), ("are freed", 3)] {
        let p99 = |span: usize| {
            middle(spans.iter().skip(span).step_by(SPANS as usize).map(|span| span.micros(0.99)).collect())
        };
        let what = format!("p99 of checks while {dying} tokens {what}");
        let row = Row::new(9, what, p99(at), "µs").beside("calm", p99(0));
        report.show(row.goal(Goal::RatioAtMost(2.0)));
    }
}

/// Checks of live tokens, while another backend asks about forgeries; beside the same while it asks about
/// live tokens.
pub(crate) async fn flood(report: &mut Report, size: Size) {
    let (rate, flood_rate) = (size.check_rate / 2.0, size.check_rate * FORGERIES);
    let served = Served::start(Cores::One);
    let tokens = served.tokens(0, size.asked()).await;
    report.progress(format_args!("a flood of forgeries, {flood_rate:.0} a second"));
    let forged: Vec<String> = tokens.iter().map(|token| forged(token)).collect();
    let checks = async |others: &[String], good: fn(&[u8]) -> bool| {
        let (questions, theirs) = (served::questions(&tokens), served::questions(others));
        let lines = served.backend().lines(LINES).await;
        let their_lines = served.door("services/backend-1").lines(LINES).await;
        let ours = Unary::slots(&lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
        let theirs = Unary::slots(&their_lines, IN_FLIGHT, INTROSPECT, &theirs, good);
        let both = (at_rate(ours, rate, size.storm, drop), at_rate(theirs, flood_rate, size.storm, drop));
        tokio::join!(both.0, both.1).0.latency
    };
    // In turns, as above.
    let (mut calm, mut flooded) = (Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        calm.push(checks(&tokens, says_active).await);
        flooded.push(checks(&forged, |answer| !says_active(answer)).await);
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let what = format!("{name} of checks in a flood of forged tokens, over the wire");
        let [ours, beside] =
            [&flooded, &calm].map(|spans| middle(spans.iter().map(|span| span.micros(share)).collect()));
        let row = Row::new(9, what, ours, "µs").beside("in as many checks of live ones", beside);
        report.show(if name == "p99" { row.goal(Goal::RatioAtMost(2.0)) } else { row });
    }
}

impl Size {
    /// Tokens that are asked about while others die.
    pub(crate) fn asked(self) -> usize {
        self.tokens.min(2_000)
    }
}

/// The same token with another signature: nothing tells before that is verified.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{other}{}", &signature[1..])
}
