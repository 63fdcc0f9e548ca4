//! Row 9: checks and revocations while a million leases run out in the same moment.
//!
//! A restart gives every task its lease anew. Where no holder comes back, as here, all of them run out at once.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use locum_api::admin::v1::GetStatusRequest;
use locum_api::admin::v1::selector::Target;
use locum_benches::drive::at_rate;
use locum_benches::histogram::Histogram;
use locum_benches::past::{CROWDED, Made, Past};
use locum_benches::process::Cores;
use locum_benches::served::{self, INTROSPECT, REVOKE, Served, says_active};
use locum_benches::turns::middle;
use locum_benches::wire::{Unary, framed};
use locum_benches::{Goal, Report, Row};
use locum_model::limits::REAPER_LAG_MAX;
use locum_tests::Party;

use crate::Size;
use crate::stage::{IN_FLIGHT, LINES};

/// Longer than the bench takes: what dies does so with its task.
const TTL: Duration = Duration::from_secs(600);
/// So much earlier than a calm span before it is asked, as nothing begins to the moment.
const AHEAD: Duration = Duration::from_secs(1);
/// How often a look is taken at how far it is.
const LOOK: Duration = Duration::from_millis(50);
/// What is asked is looked at in spans of this length.
const SPAN: Duration = Duration::from_secs(1);
/// Revocations a second, of what nobody has.
const REVOKES: f64 = 100.0;
const REVOKE_SLOTS: usize = 4;

pub(crate) async fn show(report: &mut Report, size: Size) {
    let Size { check_rate, storm, dying: tasks, lease, .. } = size;
    report.progress(format_args!("a past with {tasks} held tasks"));
    let past = Past {
        tokens: tasks,
        per_task: 1,
        lease,
        crowds: 1,
        ttl: TTL,
        apart: Duration::ZERO,
        asked: size.asked(),
    };
    let Made { site, tokens, .. } = past.make().await;
    let served = Served::start_on(site, Cores::One);
    let up = now();
    served.recognise(&tokens).await;
    let questions = served::questions(&tokens);
    let lines = served.backend().lines(LINES).await;
    let checking = Unary::slots(&lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
    let operator = served.operator().lines(1).await;
    let of_nobody = framed(&locum_tests::work::revoke(Target::Workload(format!("agent-{}", CROWDED + 1))));
    let revoking = Unary::slots(&operator, REVOKE_SLOTS, REVOKE, &[of_nobody].into(), |_| true);
    report.progress("until it has written its snapshot");
    served.snapshot_after(2 * tasks).await;
    let eye = Eye::open(&served).await;
    let begin = lease.checked_sub(storm + AHEAD + up.elapsed());
    let begin = begin.expect("setting up took too long: leases run out");
    report
        .progress(format_args!("checks at {check_rate:.0} a second until all have ended, from {begin:?} on"));
    tokio::time::sleep(begin).await;
    let (checks, revokes) = (RefCell::default(), RefCell::default());
    let heard = |by: &RefCell<Vec<_>>, told| by.borrow_mut().push(told);
    let span = storm + REAPER_LAG_MAX * 2;
    let (storm, ..) = tokio::join!(
        eye.watch(tasks, span),
        at_rate(checking, check_rate, span, |told| heard(&checks, told)),
        at_rate(revoking, REVOKES, span, |told| heard(&revokes, told)),
    );
    let [checks, revokes] = [checks, revokes].map(|told| storm.split(&told.into_inner()));
    let while_they_do = format!("while {tasks} leases run out at once");
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let [calm, ours] = checks.each_ref().map(|of| in_the_middle(of, share));
        let row = Row::new(9, format!("{name} of checks {while_they_do}"), ours, "µs").beside("calm", calm);
        report.show(if name == "p99" { row.goal(Goal::RatioAtMost(2.0)) } else { row });
        let [calm, ours] = revokes.each_ref().map(|of| in_the_middle(of, share));
        let row = Row::new(9, format!("{name} of Revoke {while_they_do}"), ours, "µs");
        report.show(row.beside("calm", calm));
    }
    let took = (storm.end - storm.begin).as_secs_f64();
    let row =
        Row::new(9, format!("until {tasks} leases that ran out at once have ended their tasks"), took, "s");
    report.show(row.goal(Goal::AtMost(REAPER_LAG_MAX.as_secs_f64())));
}

/// From when the first lease ran out to when the last task had ended, since the load began.
struct Storm {
    begin: Duration,
    end: Duration,
}

/// Looks at how many tasks have ended.
struct Eye {
    operator: Party,
    /// Events before the first of them.
    before: u64,
}

// === impl Eye ===

impl Eye {
    /// Opens while nothing ends yet.
    async fn open(served: &Served) -> Self {
        let mut eye = Self { operator: served.party("operators/admin"), before: 0 };
        eye.before = eye.events().await;
        eye
    }

    /// Events that were committed, but for revocations.
    async fn events(&self) -> u64 {
        let answer = self.operator.inspection().get_status(GetStatusRequest {}).await;
        let status = answer.expect("an operator").into_inner();
        let sequence = status.position.rsplit('.').next().and_then(|sequence| sequence.parse::<u64>().ok());
        sequence.expect("a position") - status.activity.expect("counted").revocations
    }

    /// Looks on until so many events were committed that `tasks` have ended.
    async fn watch(&self, tasks: u64, span: Duration) -> Storm {
        let began = now();
        let mut begin = Duration::ZERO;
        loop {
            tokio::time::sleep(LOOK).await;
            let done = self.events().await - self.before;
            // Sums of checks are committed too, a few now and then.
            if done < tasks / 50 {
                begin = began.elapsed();
            }
            if done >= tasks {
                assert!(!begin.is_zero(), "the leases ran out before anybody asked");
                return Storm { begin, end: began.elapsed() };
            }
            assert!(began.elapsed() < span, "{done} of {tasks} events after {span:?}");
        }
    }
}

// === impl Storm ===

impl Storm {
    /// What was asked in each span before, and in each meanwhile.
    fn split(&self, told: &[(Duration, Duration)]) -> [Vec<Histogram>; 2] {
        [Duration::ZERO..self.begin, self.begin..self.end].map(|span| {
            let spans = (span.end - span.start).div_duration_f64(SPAN).floor() as usize;
            let mut heard = vec![Histogram::default(); spans.max(1)];
            let last = heard.len() - 1;
            for (at, took) in told.iter().filter(|(at, _)| span.contains(at)) {
                let number = (*at - span.start).div_duration_f64(SPAN) as usize;
                heard[number.min(last)].add(*took);
            }
            heard
        })
    }
}

/// A quantile, in microseconds, of the span in the middle: a pause of the machine decides about one of them.
fn in_the_middle(spans: &[Histogram], share: f64) -> f64 {
    middle(spans.iter().map(|span| span.micros(share)).collect())
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
