//! The reaper and mass death: how many rows a second it frees beside the usual queues, and what checks
//! notice while a million tokens end in the same second, are revoked at once, and are freed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use locum_benches::turns::{middle, quantile};
use locum_benches::{Even, Goal, ISSUED, Report, Row, filled_table, jti, record, started, timed};
use locum_model::event::{By, Revoked};
use locum_model::limits::REAP_ROWS_PER_TICK;
use locum_model::{Committed, Event, Position, Selector, Target, TaskId, Timestamp, WorkloadNo};
use locum_table::{Lookup, Table};

/// Rounds of which the middle one counts.
const ROUNDS: usize = 5;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    /// Rows that are freed, or revoked.
    rows: u64,
    /// Live tokens that are checked while others die.
    live: u64,
    /// Checks of one stretch.
    checks: usize,
    /// Stretches during which others are revoked, and as many without.
    stretches: usize,
}

fn main() {
    let mut report = Report::asked();
    let full = Size { rows: 1_000_000, live: 100_000, checks: 20_000, stretches: 30 };
    let smoke = Size { rows: 5_000, live: 1_000, checks: 500, stretches: 2 };
    let size = report.sized([full, Size { rows: 200_000, ..full }, smoke]);
    if report.wants(10) {
        rate(&mut report, size.rows);
    }
    if report.wants(7) || report.wants(9) {
        revoked(&mut report, size);
    }
    if report.wants(9) {
        expired(&mut report, size);
    }
}

/// When every token of a filled table is over, and not yet those of [`with_living`].
fn over() -> Timestamp {
    ISSUED.plus(Duration::from_secs(900))
}

// === how fast ===

/// The middle of some rounds, in which both ways take turns.
fn rate(report: &mut Report, rows: u64) {
    let (mut ours, mut naive, mut longest) = (Vec::new(), Vec::new(), Duration::ZERO);
    for round in 0..ROUNDS {
        report.progress(format!("freeing {rows} rows, round {} of {ROUNDS}", round + 1));
        let (took, tick) = freed(rows);
        ours.push(rows as f64 / took.as_secs_f64());
        naive.push(rows as f64 / freed_naively(rows).as_secs_f64());
        longest = longest.max(tick);
    }
    report.show(
        Row::new(10, "rows freed, everything that rests on them included", middle(ours), "1/s")
            .beside("BinaryHeap and HashMap", middle(naive))
            .goal(Goal::AtLeast(1_500_000.0)),
    );
    report.show(Row::new(10, format!("longest tick of {REAP_ROWS_PER_TICK} rows"), millis(longest), "ms"));
}

/// How long the reaper takes for all rows of a table, and its longest tick.
fn freed(rows: u64) -> (Duration, Duration) {
    let table = filled_table(rows);
    let mut longest = Duration::ZERO;
    let (freed, took) = timed(|| {
        let mut freed = 0;
        loop {
            let (reaped, tick) = timed(|| table.reap(over(), REAP_ROWS_PER_TICK));
            longest = longest.max(tick);
            freed += reaped.rows;
            if reaped.rows == 0 {
                return freed;
            }
        }
    });
    assert_eq!(freed as u64, rows);
    (took, longest)
}

/// The naive way: a heap of ends and a map, one pop and one removal a token.
fn freed_naively(rows: u64) -> Duration {
    let mut heap: BinaryHeap<_> = (0..rows).map(|n| (Reverse(n % 600), jti(n).0)).collect();
    let mut map: std::collections::HashMap<[u8; 16], [u64; 6]> =
        (0..rows).map(|n| (jti(n).0, [n; 6])).collect();
    let drain = || {
        while let Some((_, id)) = heap.pop() {
            map.remove(&id);
        }
    };
    timed(drain).1
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

// === who notices ===

/// Many tokens of one workload that end at [`over`], and some of another that live on.
struct Stage {
    table: Table,
    position: Position,
    even: Even,
    size: Size,
}

impl Stage {
    fn with(size: Size) -> Self {
        let Size { rows, live, .. } = size;
        let table = filled_table(rows);
        let position = Position { home: 1, epoch: 1, sequence: 2 * rows };
        let mut stage = Self { table, position, even: Even(3), size };
        let task = TaskId::new(1, 2 * rows);
        let mut begun = started(task);
        begun.workload = WorkloadNo(2);
        begun.owner.0 = 9;
        stage.apply(Event::TaskStarted(Arc::new(begun)));
        for number in 0..live {
            let mut living = record(jti(10 * rows + number), task);
            living.standing.actors[0].workload = WorkloadNo(2);
            living.standing.actors[0].owner.0 = 9;
            living.expires_at = over().plus(Duration::from_secs(500));
            stage.apply(Event::TokenIssued(Arc::new(living)));
        }
        (0..live).map(|n| jti(10 * rows + n)).for_each(|jti| stage.table.remember(jti, &text(jti)));
        stage
    }

    fn apply(&mut self, event: Event) {
        self.position = self.position.next();
        self.table.apply(&Committed::assertion(event, self.position));
    }

    fn living(&mut self) -> Vec<(locum_model::TokenId, String)> {
        let Size { rows, live, checks, .. } = self.size;
        let ids = (0..checks).map(|_| jti(10 * rows + self.even.draw() % live));
        ids.map(|jti| (jti, text(jti))).collect()
    }
}

fn text(jti: locum_model::TokenId) -> String {
    format!("{jti}{}", "x".repeat(632))
}

/// Nanoseconds of checks of the living, while another thread does `work`, once at least, until the checks
/// are through.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn meanwhile(
    table: &Table,
    cases: &[(locum_model::TokenId, String)],
    work: &mut (dyn FnMut(&AtomicBool) + Send),
) -> Vec<u64> {
    let through = AtomicBool::new(false);
    let now = over();
    std::thread::scope(|scope| {
        scope.spawn(|| work(&through));
        let check = |(jti, compact): &(locum_model::TokenId, String)| {
            let begun = Instant::now();
            let answer = table.lookup(*jti, compact, now);
            let span = begun.elapsed().as_nanos() as u64;
            assert!(matches!(answer, Lookup::Live(_)));
            span
        };
        let spans = cases.iter().map(check).collect();
        through.store(true, Ordering::Relaxed);
        spans
    })
}

/// The other core is as busy, and leaves the table alone.
fn burn(through: &AtomicBool) {
    let mut even = Even(1);
    while !through.load(Ordering::Relaxed) {
        std::hint::black_box(even.draw());
    }
}

fn show(report: &mut Report, what: &str, mut calm: Vec<u64>, mut storm: Vec<u64>) {
    for (share, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9")] {
        let (calm, storm) = (quantile(&mut calm, share), quantile(&mut storm, share));
        let row = Row::new(9, format!("check, {name}, {what}"), storm as f64, "ns")
            .beside("with the other core busy elsewhere", calm as f64);
        report.show(if name == "p99" { row.goal(Goal::RatioAtMost(2.0)) } else { row });
    }
}

/// One workload's tokens are revoked, again and again, while another's are checked.
fn revoked(report: &mut Report, size: Size) {
    let rows = size.rows;
    report.progress(format!("revoking {rows} tokens at once"));
    let mut stage = Stage::with(size);
    let (mut calm, mut storm, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.stretches {
        let cases = stage.living();
        calm.extend(meanwhile(&stage.table, &cases, &mut burn));
        let (table, position) = (&stage.table, &mut stage.position);
        storm.extend(meanwhile(table, &cases, &mut |through| {
            loop {
                *position = position.next();
                let event = Committed::assertion(revocation(), *position);
                times.push(timed(|| table.apply(&event)).1.as_nanos() as u64);
                if through.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }));
    }
    show(report, &format!("while {rows} tokens are revoked, a thousand times a second"), calm, storm);
    let effect = quantile(&mut times, 0.5) as f64;
    let few = Stage::with(Size { rows: 1, ..size });
    let one = Committed::assertion(revocation(), few.position.next());
    let (_, alone) = timed(|| few.table.apply(&one));
    report.show(
        Row::new(7, format!("its effect on {rows} tokens, median"), effect, "ns")
            .beside("on one token", alone.as_nanos() as f64),
    );
}

fn revocation() -> Event {
    Event::Revoked(Box::new(Revoked {
        selector: Selector::Workload("refunder".parse().expect("plain")),
        targets: vec![Target::Workload(WorkloadNo(1))],
        until: None,
        reason: "bench".into(),
        by: By::Broker,
        at: ISSUED,
    }))
}

/// Everything of one second is due at once and is freed in ticks, while what lives is checked.
fn expired(report: &mut Report, size: Size) {
    let rows = size.rows;
    let (mut calm, mut storm) = (Vec::new(), Vec::new());
    for round in 0..3 {
        report.progress(format!("{rows} tokens end in the same second, round {}", round + 1));
        let mut stage = Stage::with(size);
        for _ in 0..5 {
            let cases = stage.living();
            calm.extend(meanwhile(&stage.table, &cases, &mut burn));
        }
        loop {
            let cases = stage.living();
            let mut freed = 0;
            let table = &stage.table;
            let spans = meanwhile(table, &cases, &mut |through| {
                loop {
                    freed += table.reap(over(), REAP_ROWS_PER_TICK).rows;
                    if through.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            if freed == 0 {
                break;
            }
            storm.extend(spans);
        }
    }
    show(report, &format!("while {rows} tokens of one second are freed"), calm, storm);
}
