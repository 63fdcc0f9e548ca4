//! The gate on instruction counts of the core paths.
//!
//! Without arguments, counts every path under callgrind and compares with
//! `benches/baseline/instructions.json`; exit code 1 when one takes more than the tolerance allows. With
//! `--record`, writes that file instead; with `--record FILE`, writes that one, and compares too. Run it from
//! the root.

use std::fs;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use locum_benches::instructions::{Counts, TOLERANCE, collected, compare, each};
use locum_benches::parts::{deciding, drafting, reading, signing, verifying};
use locum_benches::turns::middle;
use locum_benches::{ISSUED, filled_table, jti, record};
use locum_model::event::{By, Revoked};
use locum_model::{Committed, Event, Position, Selector, Target, TaskId, Timestamp, WorkloadNo};
use locum_table::Lookup;
use serde_json::{Value, json};

const BASELINE: &str = "benches/baseline/instructions.json";
/// Rows of the table that paths work on.
const ROWS: u64 = 2_000;
/// Rows that a reaper's turn may free.
const ROWS_AT_ONCE: usize = 1_024;
/// How often each path is counted: seeds of hash maps differ, the middle count is taken.
const TAKES: usize = 5;
/// The most repetitions; what they need is made before, whatever is run of it.
const MANY: u64 = 2_000;

type Error = Box<dyn std::error::Error>;
type Path = Box<dyn FnMut(u64)>;

/// Name, few repetitions, many, and what sets the path up.
type Known = (&'static str, u64, u64, fn() -> Path);

/// The digest is most of a lookup where a processor has no instructions for it, as callgrind's has none;
/// a lookup without it shows what the table does.
const PATHS: [Known; 10] = [
    ("lookup of a live token", 100, MANY, looking_up),
    ("lookup without the digest", 100, MANY, looking_up_verified),
    ("claims of a recognised token", 100, MANY, || repeated(reading())),
    ("claims of a record, drafted", 100, MANY, || repeated(drafting())),
    ("verification by signature", 5, 55, || repeated(verifying())),
    ("apply of TokenIssued", 100, MANY, applying),
    ("apply of a revocation", 100, MANY, revoking),
    ("turn of the reaper with one row", 0, MANY, reaping),
    ("decision", 50, 450, || repeated(deciding())),
    ("signature", 5, 55, || repeated(signing())),
];

fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path, times] = arguments.as_slice()
        && flag == "--run"
    {
        let (_, _, _, set_up) = PATHS.iter().find(|known| known.0 == path).ok_or("no such path")?;
        let mut run = set_up();
        (0..times.parse()?).for_each(&mut run);
        return Ok(ExitCode::SUCCESS);
    }
    let file = match arguments.as_slice() {
        [] => None,
        [flag] if flag == "--record" => Some(BASELINE),
        [flag, file] if flag == "--record" => Some(file.as_str()),
        _ => return Err("locum-instructions [--record [FILE]]".into()),
    };
    let now = counted()?;
    if let Some(file) = file {
        record_counts(file, &now)?;
    }
    if file == Some(BASELINE) { Ok(ExitCode::SUCCESS) } else { judge(&now) }
}

fn record_counts(file: &str, now: &Counts) -> Result<(), Error> {
    let recorded = json!({
        "machine": machine(),
        "valgrind": valgrind_version()?,
        "tolerance": TOLERANCE,
        "instructions": now,
    });
    Ok(fs::write(file, format!("{recorded:#}\n"))?)
}

/// Compares with what is recorded, and says so.
#[expect(clippy::print_stdout, reason = "the answer of a program")]
fn judge(now: &Counts) -> Result<ExitCode, Error> {
    let baseline: Value = serde_json::from_str(&fs::read_to_string(BASELINE)?)?;
    if baseline["machine"] != machine() {
        return Err(format!("{} has no baseline: one is for {}", machine(), baseline["machine"]).into());
    }
    let before: Counts = serde_json::from_value(baseline["instructions"].clone())?;
    let mut held = true;
    for compared in compare(&before, now) {
        let count = |count: Option<f64>| count.map_or("none".to_owned(), |count| format!("{count:.0}"));
        let verdict = match (compared.holds(), compared.is_better()) {
            (false, _) => "MORE than is tolerated",
            (true, true) => "less: record it with --record",
            (true, false) => "ok",
        };
        let (before, now) = (count(compared.before), count(compared.now));
        println!("{:<28} {now:>9} instructions, baseline {before:>9}: {verdict}", compared.path);
        held &= compared.holds();
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn counted() -> Result<Counts, Error> {
    let mut counts = Counts::new();
    for (path, few, many, _) in PATHS {
        let mut takes = Vec::with_capacity(TAKES);
        for _ in 0..TAKES {
            takes.push(each((few, instructions(path, few)?), (many, instructions(path, many)?)));
        }
        counts.insert(path.to_owned(), middle(takes).round());
    }
    Ok(counts)
}

/// The instructions of a whole run of this program.
fn instructions(path: &str, times: u64) -> Result<u64, Error> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(std::env::current_exe()?).args(["--run", path, &times.to_string()]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{path}: {said}").into());
    }
    Ok(collected(&said).ok_or_else(|| format!("{path}: callgrind says no sum: {said}"))?)
}

/// The kind of machine that counts are the same on: libraries choose their code by what it can do.
fn machine() -> String {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let vectors =
        if known.split_whitespace().any(|flag| flag == "avx2") { "with AVX2" } else { "without AVX2" };
    format!("{} {vectors}", std::env::consts::ARCH)
}

fn valgrind_version() -> Result<String, Error> {
    let output = Command::new("valgrind").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

// === the paths ===

fn repeated(mut work: impl FnMut() + 'static) -> Path {
    Box::new(move |_| work())
}

fn now() -> Timestamp {
    ISSUED.plus(Duration::from_secs(1))
}

fn looking_up_verified() -> Path {
    let table = filled_table(ROWS);
    let tokens: Vec<_> = (0..ROWS).map(jti).collect();
    Box::new(move |n| {
        let answer = table.lookup_verified(tokens[(n % ROWS) as usize], now());
        assert!(matches!(answer, Lookup::Live(_)));
    })
}

/// One row a repetition: each ends in a second of its own.
fn reaping() -> Path {
    let table = filled_table(1);
    let end = |n| ISSUED.plus(Duration::from_secs(1_000 + n));
    for n in 1..=MANY {
        let mut issued = record(jti(n), TaskId::new(1, 1));
        issued.expires_at = end(n);
        let position = Position { home: 1, epoch: 1, sequence: 10 + n };
        table.apply(&Committed::assertion(Event::TokenIssued(Arc::new(issued)), position));
    }
    table.reap(end(0), ROWS_AT_ONCE);
    Box::new(move |n| assert_eq!(table.reap(end(n + 1), ROWS_AT_ONCE).rows, 1))
}

fn looking_up() -> Path {
    let table = filled_table(ROWS);
    let filler = "x".repeat(880);
    let tokens: Vec<_> = (0..ROWS).map(jti).map(|jti| (jti, format!("{jti}{filler}"))).collect();
    for (jti, compact) in &tokens {
        table.remember(*jti, compact);
    }
    Box::new(move |n| {
        let (jti, compact) = &tokens[(n % ROWS) as usize];
        assert!(matches!(table.lookup(*jti, compact, now()), Lookup::Live(_)));
    })
}

fn applying() -> Path {
    let table = filled_table(ROWS);
    let event = |n| {
        let issued = Event::TokenIssued(Arc::new(record(jti(ROWS + n), TaskId::new(1, 1 + n % (ROWS / 10)))));
        Committed::assertion(issued, Position { home: 1, epoch: 1, sequence: 10 * ROWS + n })
    };
    let events: Vec<_> = (0..MANY).map(event).collect();
    Box::new(move |n| {
        table.apply(&events[n as usize]);
    })
}

fn revoking() -> Path {
    let table = filled_table(ROWS);
    let event = |n| {
        let revoked = Revoked {
            selector: Selector::Workload("refunder".parse().expect("plain")),
            targets: vec![Target::Workload(WorkloadNo(1))],
            until: None,
            reason: "count".into(),
            by: By::Broker,
            at: ISSUED,
        };
        let position = Position { home: 1, epoch: 1, sequence: 10 * ROWS + n };
        Committed::assertion(Event::Revoked(Box::new(revoked)), position)
    };
    let events: Vec<_> = (0..MANY).map(event).collect();
    Box::new(move |n| {
        table.apply(&events[n as usize]);
    })
}
