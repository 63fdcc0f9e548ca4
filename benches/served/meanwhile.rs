//! Row 9: checks while a million tokens die at once, and while the reaper frees them.

use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_benches::drive::at_rate;
use locum_benches::histogram::Histogram;
use locum_benches::past::{CROWDED, Past};
use locum_benches::process::Cores;
use locum_benches::served::{self, INTROSPECT, REVOKE, Served, says_active};
use locum_benches::wire::{Unary, framed};
use locum_benches::{Goal, Report, Row};
use locum_model::Clock as _;

use crate::Size;
use crate::stage::{IN_FLIGHT, LINES};

/// Checks a second: about a third of what one core answers.
const RATE: f64 = 8_000.0;
/// The span before anything happens, and after each thing.
const SPAN: Duration = Duration::from_secs(3);

pub(crate) async fn show(report: &mut Report, size: Size) {
    // Replaying takes time, and the tokens have to be alive when the revocation comes.
    let ttl = Duration::from_secs(60 + size.crowd / 20_000);
    report.progress(format_args!("a past with {} live tokens", size.crowd));
    let (site, expires_at) = Past { tokens: size.crowd, ttl }.make().await;
    let served = Served::start_on(site, Cores::One);
    let tokens = served.tokens(0, 2_000).await;
    let clock = locum_server::clock::SystemClock::open(&served.site.path("bench-clock")).expect("a clock");
    let left = expires_at.since(clock.now().expect("settled"));
    assert!(left > SPAN * 3, "setting up took too long: the tokens live {left:?} more");
    let revoke_at = SPAN + Duration::from_millis(500);
    let revoke = {
        let line = served.operator().line().await.expect("a connection");
        let body = framed(&locum_tests::work::revoke(Target::Workload(format!("agent-{CROWDED}"))));
        tokio::spawn(async move {
            tokio::time::sleep(revoke_at).await;
            line.unary(REVOKE, body).await.expect("revoked")
        })
    };
    report.progress(format_args!("checks at {RATE:.0} a second until {SPAN:?} after everything expired"));
    let expiry = left;
    let (mut calm, mut dying, mut reaping) =
        (Histogram::default(), Histogram::default(), Histogram::default());
    let told = |(at, took): (Duration, Duration)| {
        if at < SPAN {
            calm.add(took);
        } else if (revoke_at..revoke_at + SPAN).contains(&at) {
            dying.add(took);
        } else if (expiry..expiry + SPAN).contains(&at) {
            reaping.add(took);
        }
    };
    let questions = served::questions(&tokens);
    let lines = served.backend().lines(LINES).await;
    let slots = Unary::slots(&lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
    at_rate(slots, RATE, expiry + SPAN, told).await;
    revoke.await.expect("revoked");
    for (what, histogram) in [("die at once", dying), ("are freed", reaping)] {
        let what = format!("p99 of checks while {} tokens {what}", size.crowd);
        let row = Row::new(9, what, histogram.micros(0.99), "µs").beside("calm", calm.micros(0.99));
        report.show(row.goal(Goal::RatioAtMost(2.0)));
    }
}
