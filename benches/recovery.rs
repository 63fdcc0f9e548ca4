//! A start: ten million live tokens from a snapshot and a tail, through the one fold, beside reading
//! and decoding the same events alone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use locum_benches::memory::{in_own_process, resident_bytes};
use locum_benches::on_disk::{broker_options, surroundings};
use locum_benches::process::own_cpu;
use locum_benches::turns::middle;
use locum_benches::{Goal, ISSUED, Report, Row, jti, record, started, timed};
use locum_journal::{DiskFiles, Given, Lane, Replay};
use locum_model::issue_record::RequestKey;
use locum_model::{Committed, Event, IssueRecord, TaskId, TokenId};

const TOKENS_PER_TASK: u64 = 10;
/// One token in this many comes after the snapshot.
const TAIL: u64 = 20;
/// Events of one batch.
const BATCH: usize = 1_000;

/// Whether tokens were asked for with request ids, as the SDK asks.
#[derive(Clone, Copy, PartialEq)]
enum Ids {
    None,
    Given,
}

/// What recoveries of one journal took: the middle of some rounds.
struct Recovered {
    /// Bytes of the journal and its snapshot.
    bytes: u64,
    /// Seconds, whole and of reading and decoding alone.
    took: [f64; 2],
    /// Seconds of CPU, the same.
    spent: [f64; 2],
    /// Resident bytes, and those that stay when the tokens are over.
    resident: [f64; 2],
}

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
        let ids = arguments.iter().any(|argument| argument == "--ids");
        write(
            &Report::asked(),
            Path::new(&arguments[at + 1]),
            tokens,
            if ids { Ids::Given } else { Ids::None },
        );
        return;
    }
    let mut report = Report::asked();
    if report.wants(12) {
        run(&mut report);
    }
}

fn run(report: &mut Report) {
    let tokens = report.sized([10_000_000, 500_000, 5_000]);
    let plain = measured(report, tokens, Ids::None);
    let goal = Goal::AtMost(6.0 * tokens as f64 / 10_000_000.0);
    let each = |figure: f64, tokens: u64| figure / tokens as f64;
    report.show(
        Row::new(12, format!("recovery of {tokens} live tokens, whole broker"), plain.took[0], "s")
            .beside("reading and decoding the same events alone", plain.took[1])
            .goal(goal),
    );
    let cpu = |spent: f64, tokens: u64| each(spent * 1e6, tokens);
    report.show(
        Row::new(12, "CPU of a recovery, both threads, for each token", cpu(plain.spent[0], tokens), "µs")
            .beside("reading and decoding alone", cpu(plain.spent[1], tokens)),
    );
    report.show(Row::new(12, "live tokens recovered", tokens as f64 / plain.took[0], "1/s"));
    report.show(Row::new(12, "snapshot and segments a token", each(plain.bytes as f64, tokens), "B"));
    report.show(Row::new(12, "resident after a recovery, a token", each(plain.resident[0], tokens), "B"));
    let asked = report.sized([2_000_000, 500_000, 5_000]);
    let ids = measured(report, asked, Ids::Given);
    let what = format!("CPU of a recovery, for each of {asked} tokens asked for with request ids");
    let row = Row::new(12, what, cpu(ids.spent[0], asked), "µs");
    report.show(row.beside("without request ids", cpu(plain.spent[0], tokens)));
    let what = "resident after it, a token asked for with a request id of 32 characters";
    let row = Row::new(12, what, each(ids.resident[0], asked), "B");
    report.show(row.beside("without request ids", each(plain.resident[0], tokens)));
    let row = Row::new(12, "still resident a token when all that is over", each(ids.resident[1], asked), "B");
    report.show(row.beside("while they lived", each(ids.resident[0], asked)));
}

fn measured(report: &Report, tokens: u64, ids: Ids) -> Recovered {
    let dir = tempfile::tempdir().expect("a temporary directory");
    report.progress(format!("writing a journal with {tokens} tokens"));
    let bytes = write(report, dir.path(), tokens, ids);
    let own = |mode: &str| in_own_process(&[mode.to_owned(), dir.path().to_string_lossy().into_owned()]);
    let rounds = report.sized([3, 3, 1]);
    let (mut whole, mut alone) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        report.progress(format!("recovering, round {} of {rounds}", round + 1));
        let figures = own("--recover");
        assert_eq!(figures[1], tokens as f64, "every token is back");
        whole.push(figures);
        alone.push(own("--decode"));
    }
    let of = |rounds: &[Vec<f64>], figure: usize| middle(rounds.iter().map(|round| round[figure]).collect());
    Recovered {
        bytes,
        took: [of(&whole, 0), of(&alone, 0)],
        spent: [of(&whole, 3), of(&alone, 1)],
        resident: [of(&whole, 2), of(&whole, 4)],
    }
}

/// Writes the journal and its snapshot; their size in bytes.
fn write(report: &Report, dir: &Path, tokens: u64, ids: Ids) -> u64 {
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
        let request = (ids == Ids::Given).then(|| request(jti(number)));
        batch.push(Event::TokenIssued(Arc::new(IssueRecord { request, ..record(jti(number), task) })));
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

/// What a caller names a request, as long as the SDK's names, and the hash of what it asked.
fn request(jti: TokenId) -> RequestKey {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&jti.0);
    RequestKey { id: format!("{:032x}", u128::from_be_bytes(jti.0).swap_bytes()), hash }
}

/// Prints the seconds that a broker takes to come up, its tokens, its resident bytes, its CPU, and the bytes
/// that stay when all tokens are over and the reaper has been.
#[expect(clippy::print_stdout, reason = "the answer to the process that asked")]
fn recover(dir: &Path) {
    let before = resident_bytes();
    let ((broker, _committer), took) =
        timed(|| locum_broker::Broker::open(broker_options(), surroundings(dir)).expect("a broker"));
    let resident = resident_bytes() - before;
    let spent = own_cpu().as_secs_f64();
    let tokens = broker.table().counts().tokens;
    let over = ISSUED.plus(Duration::from_secs(2_000));
    let mut quiet = 0;
    while quiet < 600 {
        quiet = if broker.tick(over).freed > 0 { 0 } else { quiet + 1 };
    }
    assert_eq!(broker.table().counts().tokens, 0);
    let left = resident_bytes().saturating_sub(before);
    println!("{} {tokens} {resident} {spent} {left}", took.as_secs_f64());
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
