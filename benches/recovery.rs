//! A start: ten million live tokens from a snapshot and a tail, through the one fold, beside reading
//! and decoding the same events alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use locum_benches::memory::{in_own_process, resident_bytes};
use locum_benches::on_disk::{broker_options, surroundings};
use locum_benches::process::own_cpu;
use locum_benches::turns::middle;
use locum_benches::{Goal, Report, Row, jti, record, started, timed};
use locum_journal::{DiskFiles, Given, Lane, Replay};
use locum_model::{Committed, Event, TaskId};

const TOKENS_PER_TASK: u64 = 10;
/// One token in this many comes after the snapshot.
const TAIL: u64 = 20;
/// Events of one batch.
const BATCH: usize = 1_000;

/// How many events there were.
#[derive(Default)]
struct Counted(usize);

impl Replay for Counted {
    fn take(&mut self, events: &[Committed<Event>]) {
        self.0 += events.len();
    }

    fn start_over(&mut self) {
        self.0 = 0;
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--recover") {
        return recover(Path::new(&arguments[at + 1]));
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--decode") {
        return decode(Path::new(&arguments[at + 1]));
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--write") {
        let tokens = arguments[at + 2].parse().expect("a number of tokens");
        write(&Report::asked(), Path::new(&arguments[at + 1]), tokens);
        return;
    }
    let mut report = Report::asked();
    if report.wants(12) {
        run(&mut report);
    }
}

fn run(report: &mut Report) {
    let (tokens, rounds) = report.sized([(10_000_000, 3), (500_000, 3), (5_000, 1)]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    report.progress(format!("writing a journal with {tokens} tokens"));
    let bytes = write(report, dir.path(), tokens);
    let own = |mode: &str| in_own_process(&[mode.to_owned(), dir.path().to_string_lossy().into_owned()]);
    let (mut recovered, mut decoded, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    let mut spent = (Vec::new(), Vec::new());
    for round in 0..rounds {
        report.progress(format!("recovering, round {} of {rounds}", round + 1));
        let figures = own("--recover");
        assert_eq!(figures[1], tokens as f64, "every token is back");
        recovered.push(figures[0]);
        resident.push(figures[2]);
        spent.0.push(figures[3]);
        let figures = own("--decode");
        decoded.push(figures[0]);
        spent.1.push(figures[1]);
    }
    let (recovered, decoded) = (middle(recovered), middle(decoded));
    let goal = Goal::AtMost(6.0 * tokens as f64 / 10_000_000.0);
    report.show(
        Row::new(12, format!("recovery of {tokens} live tokens, whole broker"), recovered, "s")
            .beside("reading and decoding the same events alone", decoded)
            .goal(goal),
    );
    let each = |spent| middle(spent) * 1e6 / tokens as f64;
    report.show(
        Row::new(12, "CPU of a recovery, both threads, for each token", each(spent.0), "µs")
            .beside("reading and decoding alone", each(spent.1)),
    );
    report.show(Row::new(12, "live tokens recovered", tokens as f64 / recovered, "1/s"));
    report.show(Row::new(12, "snapshot and segments a token", bytes as f64 / tokens as f64, "B"));
    report.show(Row::new(12, "resident after a recovery, a token", middle(resident) / tokens as f64, "B"));
}

/// Writes the journal and its snapshot; their size in bytes.
fn write(report: &Report, dir: &Path, tokens: u64) -> u64 {
    std::fs::create_dir_all(dir.join("journal")).expect("a directory");
    let files = Arc::new(DiskFiles::open(dir.join("journal")).expect("a journal directory"));
    let options = locum_journal::Options { home: 1, ..locum_journal::Options::default() };
    let mut journal = locum_journal::open(files, options, &mut ()).expect("opens");
    let mut batch = Vec::with_capacity(BATCH);
    for number in 0..tokens {
        let task = TaskId::new(1, number / TOKENS_PER_TASK + 1);
        if number % TOKENS_PER_TASK == 0 {
            batch.push(Event::TaskStarted(Arc::new(started(task))));
        }
        batch.push(Event::TokenIssued(Arc::new(record(jti(number), task))));
        if batch.len() >= BATCH || number + 1 == tokens {
            let batch = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            journal.writer.append(Lane::Ordinary, batch).expect("written");
        }
        if number == tokens - tokens / TAIL {
            report.progress("compacting");
            journal.reader.snapshot(&|_| true, Given::default()).expect("written");
        }
        if number % 1_000_000 == 999_999 {
            report.progress(format!("{} tokens written", number + 1));
        }
    }
    journal.writer.seal().expect("sealed");
    let listed = std::fs::read_dir(dir.join("journal")).expect("listed");
    listed.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |file| file.len())).sum()
}

/// Prints the seconds that a broker takes to come up, its tokens, its resident bytes, and its CPU.
#[expect(clippy::print_stdout, reason = "the answer to the process that asked")]
fn recover(dir: &Path) {
    let before = resident_bytes();
    let ((broker, _committer), took) =
        timed(|| locum_broker::Broker::open(broker_options(), surroundings(dir)).expect("a broker"));
    let resident = resident_bytes() - before;
    let spent = own_cpu().as_secs_f64();
    println!("{} {} {resident} {spent}", took.as_secs_f64(), broker.table().counts().tokens);
}

/// Prints the seconds that it takes to read and decode alone, and its CPU.
#[expect(clippy::print_stdout, reason = "the answer to the process that asked")]
fn decode(dir: &Path) {
    let files = Arc::new(DiskFiles::open(dir.join("journal")).expect("a journal directory"));
    let mut counted = Counted::default();
    let (_, took) = timed(|| {
        locum_journal::open(files, broker_options().journal, &mut counted).expect("opens");
    });
    assert!(counted.0 > 0 && took > Duration::ZERO);
    println!("{} {}", took.as_secs_f64(), own_cpu().as_secs_f64());
}
