//! Curves over live tokens, connections and cores, drawn as SVG.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use locum_benches::chart::{Chart, Curve};
use locum_benches::past::Past;
use locum_benches::process::{Cores, run_on};
use locum_benches::served::{self, INTROSPECT, Served, says_active};
use locum_benches::wire::Unary;
use locum_benches::{Even, ISSUED, Report, filled_table, jti, median, parts, timed};
use locum_table::{Lookup, Table};

use crate::Size;
use crate::revoke::revoke_p50;
use crate::stage::{IN_FLIGHT, LINES, Nothing, costed};

/// Looked up in each round, by each thread.
const LOOKUPS: u64 = 300_000;
const TTL: Duration = Duration::from_secs(850);

/// Curves that belong to one picture: a file's name and its chart.
type Picture = (&'static str, Chart);

/// The folder behind `--grow`.
pub(crate) fn asked_for() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--grow");
    arguments.nth(1).map(PathBuf::from)
}

/// Measures and draws all of them.
pub(crate) async fn draw(report: &Report, size: Size, folder: &Path) {
    let decades = if size.crowd < 1_000_000 { 3..=5 } else { 3..=7 };
    let sizes: Vec<u64> = decades.map(|decade| 10_u64.pow(decade)).collect();
    let mut pictures = vec![lookups(report, &sizes)];
    pictures.extend(over_the_wire(report, size, &sizes).await);
    pictures.push(connections(report, size).await);
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, chart) in pictures {
        std::fs::write(folder.join(name), chart.svg()).expect("written");
    }
}

/// In process: what a check takes, by one thread and by two at once.
fn lookups(report: &Report, sizes: &[u64]) -> Picture {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    run_on(None);
    for &rows in sizes {
        report.progress(format_args!("a table of {rows} rows"));
        let table = Arc::new(filled_table(rows));
        for number in 0..rows.min(100_000) {
            let jti = jti(number * (rows / rows.min(100_000)));
            table.remember(jti, &compact(&jti.to_string()));
        }
        one.push((rows as f64, lookup_nanos(&table, rows, 1)));
        two.push((rows as f64, lookup_nanos(&table, rows, 2)));
    }
    run_on(Some(1));
    let curves =
        vec![Curve { name: "one core".into(), points: one }, Curve { name: "two cores".into(), points: two }];
    let y = "nanoseconds of a core for each check in process: digest, row, every revocation level";
    ("check_in_process.svg", chart("Check of a live token in process", "live tokens", y, curves))
}

/// Nanoseconds of one thread for each lookup, while `threads` of them look up.
fn lookup_nanos(table: &Arc<Table>, rows: u64, threads: u64) -> f64 {
    let look = |seed: u64| {
        let known = rows.min(100_000);
        let tokens: Vec<_> = (0..known)
            .map(|number| jti(number * (rows / known)))
            .map(|jti| (jti, compact(&jti.to_string())))
            .collect();
        let mut even = Even(seed);
        let now = ISSUED.plus(Duration::from_secs(1));
        let (_, took) = timed(|| {
            for _ in 0..LOOKUPS {
                let (jti, compact) = &tokens[(even.draw() % known) as usize];
                assert!(matches!(table.lookup(black_box(*jti), black_box(compact), now), Lookup::Live(_)));
            }
        });
        took.as_nanos() as f64 / LOOKUPS as f64
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

/// Over the wire: what a check costs the server, and how long a revocation of all takes.
async fn over_the_wire(report: &Report, size: Size, sizes: &[u64]) -> [Picture; 2] {
    let (mut ours, mut empty, mut revokes, mut syncs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &tokens in sizes {
        report.progress(format_args!("a server with {tokens} live tokens"));
        let (site, _) = Past { tokens, ttl: TTL }.make().await;
        let served = Served::start_on(site, Cores::One);
        let asked = served.tokens(0, size.tokens.min(tokens as usize)).await;
        let nothing = Nothing::start(&served, &asked[0]);
        let questions = served::questions(&asked);
        let slots = |lines: &[_]| Unary::slots(lines, IN_FLIGHT, INTROSPECT, &questions, says_active);
        let lines = served.backend().lines(LINES).await;
        let check = costed(&served.process, slots(&lines), size.span / 2).await;
        let bare = costed(&nothing.process, slots(&nothing.door.lines(LINES).await), size.span / 2).await;
        let x = tokens as f64;
        ours.push((x, check.cpu_micros));
        empty.push((x, bare.cpu_micros));
        revokes.push((x, revoke_p50(&served, size.span / 2).await));
        syncs.push((x, median(parts::bare_syncs(served.site.dir(), 300)).as_secs_f64() * 1e6));
    }
    let checks = vec![
        Curve { name: "IntrospectToken".into(), points: ours },
        Curve { name: "an empty call".into(), points: empty },
    ];
    let revokes = vec![
        Curve { name: "Revoke, p50".into(), points: revokes },
        Curve { name: "one fdatasync".into(), points: syncs },
    ];
    let x = "live tokens";
    let y = "microseconds of the server's core for each call, mTLS";
    let checks = chart("Check over the wire", x, y, checks);
    let y = "microseconds until it is durable and in force, over the wire";
    [("check_served.svg", checks), ("revoke.svg", chart("Revocation of everything", x, y, revokes))]
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
            let driven = costed(&served.process, slots, size.span / 2).await;
            points.push((count as f64, driven.driven.rate()));
        }
        curves.push(Curve { name: name.into(), points });
    }
    let y = "checks a second, 64 in flight, mTLS";
    ("connections.svg", chart("Unary checks over connections", "connections", y, curves))
}

fn chart(title: &str, x: &str, y: &str, curves: Vec<Curve>) -> Chart {
    Chart { title: title.into(), x: x.into(), y: y.into(), curves }
}
