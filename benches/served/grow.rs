//! Curves over live tokens, connections and cores, drawn as SVG.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use locum_benches::chart::{Chart, Curve};
use locum_benches::process::{Cores, run_on};
use locum_benches::served::{self, INTROSPECT, Served, says_active};
use locum_benches::wire::Unary;
use locum_benches::{Even, ISSUED, Report, filled_table, jti, timed};
use locum_table::{Lookup, Table};

use crate::Size;
use crate::stage::{IN_FLIGHT, costed};

/// Curves that belong to one picture: a file's name and its chart.
pub(crate) type Picture = (&'static str, Chart);

/// Measures what only a picture needs, and draws it with the `pictures` of others.
pub(crate) async fn draw(report: &Report, size: Size, mut pictures: Vec<Picture>, folder: &Path) {
    let decades = if size.crowd < 1_000_000 { 3..=4 } else { 3..=7 };
    let sizes: Vec<u64> = decades.map(|decade| 10_u64.pow(decade)).collect();
    pictures.push(lookups(report, size.lookups, &sizes));
    pictures.push(connections(report, size).await);
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, chart) in pictures {
        std::fs::write(folder.join(name), chart.svg()).expect("written");
    }
}

/// In process: what a check takes, by one thread and by two at once.
fn lookups(report: &Report, each: u64, sizes: &[u64]) -> Picture {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    run_on(None);
    for &rows in sizes {
        report.progress(format_args!("a table of {rows} rows"));
        let table = Arc::new(filled_table(rows));
        for number in 0..rows.min(100_000) {
            let jti = jti(number * (rows / rows.min(100_000)));
            table.remember(jti, &compact(&jti.to_string()));
        }
        one.push((rows as f64, lookup_nanos(&table, (rows, each), 1)));
        two.push((rows as f64, lookup_nanos(&table, (rows, each), 2)));
    }
    run_on(Some(1));
    let curves =
        vec![Curve { name: "one core".into(), points: one }, Curve { name: "two cores".into(), points: two }];
    let y = "nanoseconds of a core for each check in process: digest, row, every revocation level";
    ("check_in_process.svg", chart("Check of a live token in process", "live tokens", y, curves))
}

/// Nanoseconds of one thread for each lookup, while `threads` of them look `each` up in each round.
fn lookup_nanos(table: &Arc<Table>, (rows, each): (u64, u64), threads: u64) -> f64 {
    let look = |seed: u64| {
        let known = rows.min(100_000);
        let tokens: Vec<_> = (0..known)
            .map(|number| jti(number * (rows / known)))
            .map(|jti| (jti, compact(&jti.to_string())))
            .collect();
        let mut even = Even(seed);
        let now = ISSUED.plus(std::time::Duration::from_secs(1));
        let (_, took) = timed(|| {
            for _ in 0..each {
                let (jti, compact) = &tokens[(even.draw() % known) as usize];
                assert!(matches!(table.lookup(black_box(*jti), black_box(compact), now), Lookup::Live(_)));
            }
        });
        took.as_nanos() as f64 / each as f64
    };
    let mut rounds: Vec<f64> = (0..3)
        .map(|round| {
            std::thread::scope(|scope| {
                let running: Vec<_> =
                    (0..threads).map(|thread| scope.spawn(move || look(7 + round * 2 + thread))).collect();
                let took = running.into_iter().map(|thread| thread.join().expect("a thread"));
                took.sum::<f64>() / threads as f64
            })
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[1]
}

/// A text as long as a token.
fn compact(jti: &str) -> String {
    format!("{jti}{}", "x".repeat(880))
}

/// Checks a second over connections, with the server on one core and on two.
async fn connections(report: &Report, size: Size) -> Picture {
    let mut curves = Vec::new();
    for (name, cores) in [("server on one core", Cores::One), ("both share two cores", Cores::All)] {
        let served = Served::start(cores);
        let asked = served.tokens(0, size.tokens).await;
        let questions = served::questions(&asked);
        let mut points = Vec::new();
        for count in [1, 2, 4, 8] {
            report.progress(format_args!("{name}, {count} connections"));
            let lines = served.backend().lines(count).await;
            let slots = Unary::slots(&lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
            let came_to = costed(&served.process, slots, size.span / 3).await;
            points.push((count as f64, came_to.rate));
        }
        curves.push(Curve { name: name.into(), points });
    }
    let y = "checks a second, 64 in flight, mTLS";
    ("connections.svg", chart("Unary checks over connections", "connections", y, curves))
}

pub(crate) fn chart(title: &str, x: &str, y: &str, curves: Vec<Curve>) -> Chart {
    Chart { title: title.into(), x: x.into(), y: y.into(), curves }
}
