//! The hot table at ten million live rows: a check in process, alone and in batches, beside bare maps,
//! a naive table and a signature check; what a row costs in memory; what a flood of bad tokens does.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use hashbrown::HashTable;
use locum_benches::memory::{in_own_process_under, resident_bytes};
use locum_benches::turns::quantile;
use locum_benches::{Even, Goal, ISSUED, Report, Row, digest_key, filled_table_of, in_turn, jti, record};
use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::registry::Algorithm;
use locum_model::{DigestKey, Event, Live, TaskId, Timestamp, TokenId};
use locum_table::{Lookup, Table};
use locum_token::{KeyRing, MemoryKeyStore};
use parking_lot::RwLock;
use ring::digest::{SHA256, digest};

/// Checks of one round. Few, so that rounds alternate quickly; each of another row.
const CASES: usize = 1_000;
/// Checks of one batch, as on the stream.
const BATCH: usize = 256;
/// What a row of ours and of every other map holds beside its key.
type Kept = [u64; 6];

/// A token as it is presented.
struct Shown {
    jti: TokenId,
    key: u128,
    compact: String,
}

/// A key that is random already needs no hashing.
#[derive(Clone, Copy, Default)]
struct Identity(u64);

/// Tokens of a filled table.
struct Tokens {
    rows: u64,
    even: Even,
    tail: String,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--memory") {
        let number = |offset: usize| arguments[at + offset].parse().expect("a number");
        return measure_memory(number(1), number(2));
    }
    let mut report = Report::asked();
    let rows = report.sized([10_000_000, 1_000_000, 5_000]);
    if report.wants(11) {
        memory(&mut report, rows);
    }
    if report.wants(1) || report.wants(2) || report.wants(9) {
        let (ring, compact) = signed();
        let mut tokens = Tokens { rows, even: Even(7), tail: "x".repeat(compact.len() - 32) };
        report.progress(format!("filling a table with {rows} tokens of {} bytes", compact.len()));
        let table = filled_table_of(rows, 10);
        (0..rows).for_each(|n| table.remember(jti(n), &tokens.show(n).compact));
        if report.wants(1) {
            alone(&mut report, &table, &mut tokens);
            beside_signature(&mut report, &table, &mut tokens, (&ring, &compact));
            beside_maps(&mut report, &table, &mut tokens);
        }
        if report.wants(2) {
            in_batches(&mut report, &table, &mut tokens);
        }
        if report.wants(9) {
            flood(&mut report, &table, &mut tokens);
        }
    }
}

fn now() -> Timestamp {
    ISSUED.plus(Duration::from_secs(1))
}

// === one check ===

fn check(table: &Table, cases: &[Shown]) {
    for case in cases {
        let answer = table.lookup(black_box(case.jti), black_box(&case.compact), now());
        assert!(matches!(answer, Lookup::Live(_)));
    }
}

fn digest_only(key: &DigestKey, cases: &[Shown]) {
    for case in cases {
        black_box(key.digest(black_box(&case.compact)));
    }
}

fn sha256_only(cases: &[Shown]) {
    for case in cases {
        black_box(digest(&SHA256, black_box(case.compact.as_bytes())));
    }
}

fn rounds(report: &Report) -> usize {
    report.sized([400, 100, 2])
}

fn alone(report: &mut Report, table: &Table, tokens: &mut Tokens) {
    let key = digest_key();
    let turns = in_turn(
        rounds(report),
        |_| tokens.draw(CASES),
        &mut [&mut |cases| check(table, cases), &mut |cases| digest_only(&key, cases), &mut |cases| {
            sha256_only(cases);
        }],
    );
    let whole = Row::new(1, "check of a live token, whole", turns.median(0), "ns");
    report.show(whole.beside("the digest of its bytes alone", turns.median(1)).goal(Goal::AtMost(1_000.0)));
    let digest = Row::new(1, "digest of a token's bytes, keyed for this process", turns.median(1), "ns");
    report.show(digest.beside("SHA-256", turns.median(2)));
}

fn beside_signature(report: &mut Report, table: &Table, tokens: &mut Tokens, signed: (&KeyRing, &str)) {
    let (ring, compact) = signed;
    let public = ring.keys().next().expect("one key").public().as_bytes().to_vec();
    let parts = compact.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(parts.1).expect("base64url");
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, public);
    let turns = in_turn(
        report.sized([50, 50, 2]),
        |_| tokens.draw(100),
        &mut [&mut |cases| check(table, cases), &mut |cases| {
            for _ in cases {
                key.verify(black_box(parts.0.as_bytes()), &signature).expect("it is signed");
            }
        }],
    );
    report.show(
        Row::new(1, "check of a live token, whole", turns.median(0), "ns")
            .beside("ring's bare ES256 verify", turns.median(1))
            .goal(Goal::RatioAtMost(0.01)),
    );
}

/// Each map holds as many rows of the same size under the same keys, and is gone before the next.
fn beside_maps(report: &mut Report, table: &Table, tokens: &mut Tokens) {
    let rows = tokens.rows;
    let keys = || (0..rows).map(|n| (u128::from_be_bytes(jti(n).0), [n; 6]));
    report.progress("a bare DashMap");
    let dash: DashMap<u128, Kept, BuildHasherDefault<Identity>> = keys().collect();
    beside(report, table, tokens, "DashMap, identity hasher", &mut |key| dash.get(key).map(|row| *row));
    drop(dash);
    report.progress("papaya");
    let papaya: papaya::HashMap<u128, Kept, BuildHasherDefault<Identity>> = keys().collect();
    beside(report, table, tokens, "papaya, identity hasher", &mut |key| papaya.pin().get(key).copied());
    drop(papaya);
    report.progress("scc");
    let scc =
        scc::HashMap::with_capacity_and_hasher(rows as usize, BuildHasherDefault::<Identity>::default());
    for (key, row) in keys() {
        scc.insert_sync(key, row).expect("ids differ");
    }
    beside(report, table, tokens, "scc, identity hasher", &mut |key| scc.read_sync(key, |_, row| *row));
    drop(scc);
    report.progress("hashbrown in shards");
    let shards: Vec<RwLock<HashTable<(u128, Kept)>>> = (0..1024).map(|_| RwLock::default()).collect();
    for (key, row) in keys() {
        shards[shard_of(key)].write().insert_unique(key as u64, (key, row), |(key, _)| *key as u64);
    }
    beside(report, table, tokens, "hashbrown in 1,024 shards", &mut |key| {
        shards[shard_of(*key)].read().find(*key as u64, |(found, _)| found == key).map(|(_, row)| *row)
    });
    drop(shards);
    report.progress("a naive table");
    let naive: RwLock<HashMap<u128, (Kept, AtomicBool)>> =
        RwLock::new(keys().map(|(key, row)| (key, (row, AtomicBool::new(false)))).collect());
    beside(report, table, tokens, "RwLock<HashMap> with a flag a token", &mut |key| {
        let rows = naive.read();
        rows.get(key).filter(|(_, revoked)| !revoked.load(Ordering::Relaxed)).map(|(row, _)| *row)
    });
}

fn shard_of(key: u128) -> usize {
    (key >> 118) as usize
}

/// What a check costs beyond the digest, beside what a map's bare get costs beyond the same digest. The
/// digest stands between two gets there too: without it they would overlap, as no two checks can.
fn beside(
    report: &mut Report,
    table: &Table,
    tokens: &mut Tokens,
    name: &str,
    get: &mut dyn FnMut(&u128) -> Option<Kept>,
) {
    let (key, get) = (digest_key(), RefCell::new(get));
    let turns = in_turn(
        rounds(report),
        |_| tokens.draw(CASES),
        &mut [
            &mut |cases| check(table, cases),
            &mut |cases| digest_only(&key, cases),
            &mut |cases| {
                for case in cases {
                    assert!(black_box(get.borrow_mut()(black_box(&case.key))).is_some());
                    black_box(key.digest(black_box(&case.compact)));
                }
            },
            &mut |cases| {
                for case in cases {
                    assert!(black_box(get.borrow_mut()(black_box(&case.key))).is_some());
                    black_box(digest(&SHA256, black_box(case.compact.as_bytes())));
                }
            },
        ],
    );
    report.show(
        Row::new(1, "lookup after the digest", turns.beyond(0, 1), "ns")
            .beside(format!("{name}: bare get"), turns.beyond(2, 1))
            .goal(Goal::RatioAtMost(1.3)),
    );
    report.show(
        Row::new(1, "check of a live token, whole", turns.median(0), "ns")
            .beside(format!("{name}: SHA-256 and a bare get"), turns.median(3)),
    );
}

fn in_batches(report: &mut Report, table: &Table, tokens: &mut Tokens) {
    let key = digest_key();
    let turns = in_turn(
        rounds(report),
        |_| tokens.draw(BATCH),
        &mut [
            &mut |cases: &[Shown]| {
                let asked: Vec<_> = cases.iter().map(|case| (case.jti, case.compact.as_str())).collect();
                let answers = table.lookup_batch(black_box(&asked), now());
                assert!(answers.iter().all(|answer| matches!(answer, Lookup::Live(_))));
            },
            &mut |cases| check(table, cases),
            &mut |cases| digest_only(&key, cases),
        ],
    );
    report.show(
        Row::new(2, format!("check of a token in a batch of {BATCH}"), turns.median(0), "ns")
            .beside("one by one", turns.median(1))
            .goal(Goal::AtMost(700.0)),
    );
    report.show(
        Row::new(2, format!("check of a token in a batch of {BATCH}"), turns.median(0), "ns")
            .beside("the digest of its bytes alone", turns.median(2)),
    );
}

// === a flood of bad tokens ===

/// Live tokens are checked while another core floods the table, in turns with a core that burns.
fn flood(report: &mut Report, table: &Table, tokens: &mut Tokens) {
    let bad = bad_tokens(tokens);
    let (mut calm, mut flooded) = (Vec::new(), Vec::new());
    let turns = report.sized([100, 20, 1]);
    for _ in 0..turns {
        let cases = tokens.draw(5 * CASES);
        calm.extend(while_busy(table, &cases, &|| {
            // The other core is as busy, and leaves the table alone.
            black_box(digest(&SHA256, black_box(bad[0].1.as_bytes())));
        }));
        flooded.extend(while_busy(table, &cases, &|| {
            for (jti, compact) in &bad {
                assert_eq!(table.lookup(*jti, black_box(compact), now()), Lookup::Unrecognised);
            }
        }));
    }
    for (share, name) in [(0.5, "p50"), (0.99, "p99")] {
        let (calm, flooded) = (quantile(&mut calm, share), quantile(&mut flooded, share));
        let row = Row::new(9, format!("check, {name}, in a flood of bad tokens"), flooded as f64, "ns")
            .beside("with the other core busy elsewhere", calm as f64);
        report.show(if share > 0.9 { row.goal(Goal::RatioAtMost(2.0)) } else { row });
    }
}

/// Nanoseconds of each check while another thread does `work`, again and again.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn while_busy(table: &Table, cases: &[Shown], work: &(dyn Fn() + Sync)) -> Vec<u64> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                work();
            }
        });
        let spans = cases
            .iter()
            .map(|case| {
                let begun = Instant::now();
                let answer = table.lookup(case.jti, &case.compact, now());
                let span = begun.elapsed().as_nanos() as u64;
                assert!(matches!(answer, Lookup::Live(_)));
                span
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        spans
    })
}

/// Unknown, one bit off, cut short, spliced of two, and of 8 KiB.
fn bad_tokens(tokens: &mut Tokens) -> Vec<(TokenId, String)> {
    let rows = tokens.rows;
    let mut bad: Vec<_> = (0..CASES as u64).map(|n| (jti(rows + n), tokens.show(rows + n).compact)).collect();
    for case in tokens.draw(CASES) {
        let mut off = case.compact.clone().into_bytes();
        off[300] ^= 1;
        bad.push((case.jti, String::from_utf8(off).expect("plain text")));
        bad.push((case.jti, case.compact[..case.compact.len() - 1].to_owned()));
        let other = tokens.show(0).compact;
        bad.push((case.jti, format!("{}{}", &other[..100], &case.compact[100..])));
        bad.push((case.jti, case.compact.repeat(16)[..8 * 1024].to_owned()));
    }
    bad
}

// === memory ===

/// What `deploy/systemd` and `deploy/container` have in the environment.
const AS_SHIPPED: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072");

fn memory(report: &mut Report, rows: u64) {
    for (per_task, goal) in [(10, Goal::AtMost(128.0)), (1, Goal::Told)] {
        report.progress(format!("filling a table with {rows} tokens, {per_task} a task, in its own process"));
        let measured = |variables: &[(&str, &str)]| {
            let arguments = ["--memory".into(), rows.to_string(), per_task.to_string()];
            let figures = in_own_process_under(&arguments, variables);
            let [row, left] = figures[..] else { unreachable!("two numbers are printed") };
            (row, left)
        };
        let (row, left) = measured(&[AS_SHIPPED]);
        let what = format!("resident a live token, {per_task} a task, {rows} tokens");
        report.show(Row::new(11, what, row, "B").goal(goal));
        let what = format!("still resident a token after they expired, {per_task} a task");
        let given_back = Row::new(11, what, left, "B").beside("while they lived", row);
        report.show(given_back.goal(Goal::RatioAtMost(0.1)));
        let (row, left) = measured(&[(AS_SHIPPED.0, "")]);
        let what = format!("the same, {per_task} a task, without the setting that packages and images carry");
        report.show(Row::new(11, what, left, "B").beside("while they lived", row));
    }
}

/// Prints the resident bytes a token while all live and after they were reaped.
#[expect(clippy::print_stdout, reason = "the answer to the process that asked")]
fn measure_memory(rows: u64, per_task: u64) {
    let before = resident_bytes();
    let table = filled_table_of(rows, per_task);
    let filled = resident_bytes();
    let end_of_all = ISSUED.plus(Duration::from_secs(4_000));
    let mut position = locum_model::Position { home: 1, epoch: 1, sequence: 3 * rows };
    for number in 0..rows / per_task {
        position = position.next();
        let lapsed = locum_model::event::TaskLapsed {
            task: TaskId::new(1, number + 1),
            cause: locum_model::event::LapseCause::DeadlinePassed,
            at: end_of_all,
        };
        table.apply(&locum_model::Committed::assertion(Event::TaskLapsed(lapsed), position));
    }
    // The reaper looks twenty times a second, at one shard of rows each time.
    let mut quiet = 0;
    while quiet < 600 {
        let reaped = table.reap(end_of_all, 16_384);
        quiet = if reaped.more { 0 } else { quiet + 1 };
    }
    assert_eq!((table.counts().tokens, table.counts().tasks), (0, 0));
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / rows as f64;
    println!("{} {}", each(filled), each(resident_bytes()));
}

// === impl Tokens ===

impl Tokens {
    /// The token of row `number`.
    fn show(&self, number: u64) -> Shown {
        let jti = jti(number);
        Shown { jti, key: u128::from_be_bytes(jti.0), compact: format!("{jti}{}", self.tail) }
    }

    /// Some tokens, of rows all over the table.
    fn draw(&mut self, count: usize) -> Vec<Shown> {
        (0..count)
            .map(|_| {
                let number = self.even.draw() % self.rows;
                self.show(number)
            })
            .collect()
    }
}

// === impl Identity ===

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are u128");
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

// === a signed token ===

/// A key ring and one token that it signed.
fn signed() -> (KeyRing, String) {
    let store = MemoryKeyStore::default();
    let (published, private) =
        locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, ISSUED).expect("a key");
    locum_token::KeyStore::save(&store, &published.kid, &private).expect("stored");
    let (kid, mut ring) = (published.kid, KeyRing::default());
    ring.apply(&Event::KeyPublished(published), &store).expect("published");
    ring.apply(&Event::KeyActivated(KeyMoved { kid, by: By::Broker, at: ISSUED }), &store).expect("active");
    let mut allowed = record(jti(1), TaskId::new(1, 1));
    allowed.kid = kid;
    let token = locum_token::sign(&ring, "https://locum.acme.test", &Live::assertion(allowed));
    (ring, token.expect("signed").compact().to_owned())
}
