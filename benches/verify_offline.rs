//! The offline check: a token seen before and one seen for the first time, beside ring's bare signature
//! check of the same bytes; the same while revocations come in; and what a million watermarks cost.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use locum_api::feed;
use locum_api::feed::Wire;
use locum_benches::{Even, Goal, ISSUED, Report, Row, digest_key, jti, median, nanos, record, timed};
use locum_jose::{SigningKey, base64url};
use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::feed::{Body, Entry, Frame, Key, SnapshotEnd};
use locum_model::limits::FEED_ENTRIES_PER_FRAME;
use locum_model::registry::Algorithm;
use locum_model::{ConnectorNo, Event, Level, Live, TaskId, TokenId};
use locum_token::{KeyRing, KeyStore, MemoryKeyStore, sha256};
use locum_verifier::{Answer, Moment, Options, Presented, SignedFrame, Verifier};

const ISSUER: &str = "https://locum.acme.test";
const AUDIENCE: &str = "https://orders.acme.test";
const NOW: Moment = Moment { wall: ISSUED, elapsed: Duration::from_secs(1000) };
const BARE: Presented<'_> = Presented { certificate: None, proof: None };
/// Calls of one round: short enough that the middle round is not interrupted.
const ROUND: usize = 1_000;
const TOKENS: u64 = 10_000;
const WATERMARKS: u64 = 1_000_000;

/// A broker as far as a verifier sees it.
struct Broker {
    root: SigningKey,
    feed: SigningKey,
    ring: KeyRing,
    sequence: u64,
    head: [u8; 32],
}

impl Broker {
    fn new() -> Self {
        let fresh = || {
            let pkcs8 = SigningKey::generate(Algorithm::Es256).expect("entropy");
            SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("just made")
        };
        let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
        let (published, private) =
            locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, ISSUED).expect("a key");
        let moved = KeyMoved { kid: published.kid, by: By::Broker, at: ISSUED };
        store.save(&published.kid, &private).expect("stored");
        ring.apply(&Event::KeyPublished(published), &store).expect("published");
        ring.apply(&Event::KeyActivated(moved), &store).expect("active");
        Self { root: fresh(), feed: fresh(), ring, sequence: 2, head: [7; 32] }
    }

    fn token(&self, jti: TokenId) -> String {
        let mut allowed = record(jti, TaskId::new(1, 1));
        allowed.kid = *self.ring.keys().next().expect("one key").kid();
        let signed = locum_token::sign(&self.ring, ISSUER, &Live::assertion(allowed)).expect("signed");
        signed.compact().to_owned()
    }

    fn send(&self, verifier: &Verifier, signer: &SigningKey, body: Body) -> [u8; 32] {
        let frame = Frame {
            issuer: ISSUER.to_owned(),
            home: 1,
            partition: ConnectorNo(1),
            epoch: 1,
            sequence: self.sequence,
            previous: self.head,
            server_time: NOW.wall,
            body,
        };
        let payload = feed::encode(&frame);
        let signature = signer.sign(&feed::signing_input(&payload)).expect("signed");
        let kid = signer.public().thumbprint().0;
        let signed = SignedFrame { payload: &payload, kid: &kid, signature: &signature };
        verifier.apply(&Wire, signed, NOW).expect("a good frame");
        sha256(&payload)
    }

    /// A verifier that has heard these entries, with a lease of ten minutes.
    fn verifier(&self, entries: &[Entry]) -> Verifier {
        let mut options = Options::new(ISSUER, self.root.public().thumbprint(), AUDIENCE);
        options.memo_tokens = 4 * TOKENS as usize;
        let verifier = Verifier::new(options, digest_key());
        let ping = verifier.ping([1; 16], NOW);
        let key = |key: &SigningKey, purpose| Key {
            kid: key.public().thumbprint(),
            purpose,
            algorithm: Algorithm::Es256,
            public_key: key.public().as_bytes().to_vec(),
        };
        let token = self.ring.keys().next().expect("one key");
        let token = Key {
            kid: *token.kid(),
            purpose: KeyPurpose::Token,
            algorithm: Algorithm::Es256,
            public_key: token.public().as_bytes().to_vec(),
        };
        let keys = vec![token, key(&self.feed, KeyPurpose::Feed)];
        let root = key(&self.root, KeyPurpose::KeysetRoot);
        self.send(&verifier, &self.root, Body::KeySet { number: 1, keys, root });
        self.snapshot(&verifier, entries);
        let lease = Duration::from_secs(600);
        self.send(
            &verifier,
            &self.feed,
            Body::Heartbeat { nonce: Some(ping.nonce), key_set: 1, lease, journal: None },
        );
        verifier
    }

    fn snapshot(&self, verifier: &Verifier, entries: &[Entry]) {
        let hashed: Vec<u8> = entries.iter().flat_map(feed::encode_entry).collect();
        let whole = SnapshotEnd { count: entries.len() as u64, entries_sha256: sha256(hashed) };
        let parts = entries.len().div_ceil(FEED_ENTRIES_PER_FRAME).max(1);
        for part in 0..parts {
            let from = part * FEED_ENTRIES_PER_FRAME;
            let entries = entries[from..entries.len().min(from + FEED_ENTRIES_PER_FRAME)].to_vec();
            let end = (part + 1 == parts).then_some(whole);
            self.send(verifier, &self.feed, Body::SnapshotPart { part: part as u32, end, entries });
        }
    }

    fn delta(&mut self, verifier: &Verifier, entry: Entry) {
        self.sequence += 1;
        self.head = self.send(verifier, &self.feed, Body::Delta { entries: vec![entry] });
    }
}

fn entry(level: Level, id: u128) -> Entry {
    let drop_after = Some(ISSUED.plus(Duration::from_secs(86_400)));
    Entry { level, id: id.to_be_bytes(), below_sequence: 1_000, drop_after }
}

fn check(verifier: &Verifier, token: &str) {
    assert!(matches!(verifier.check(black_box(token), &BARE, NOW), Answer::Active(_)));
}

fn main() {
    let mut report = Report::asked();
    if report.wants(3) {
        checks(&mut report);
        memory(&mut report);
    }
}

fn checks(report: &mut Report) {
    let mut broker = Broker::new();
    let verifier = broker.verifier(&[]);
    let count = report.sized([TOKENS, 1_000, 50]);
    report.progress(format_args!("{count} tokens are signed"));
    let tokens: Vec<String> = (0..count).map(|n| broker.token(jti(n))).collect();
    let public = broker.ring.keys().next().expect("one key").public();
    // Others than ours: who verifies one same signature twice does so faster, and each is to be new.
    let parts = |n| {
        let token = broker.token(jti(n));
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        (input.to_owned(), base64url::decode(signature).expect("our own"))
    };
    let others: Vec<_> = (count..2 * count).map(parts).collect();
    let ring = |(input, signature): &(String, Vec<u8>)| {
        public.verify(black_box(input.as_bytes()), signature).expect("it holds");
    };
    // In turns, one call at a time: whatever else the machine does, it does to both.
    let (firsts, bares): (Vec<_>, Vec<_>) = tokens
        .iter()
        .zip(&others)
        .map(|(token, other)| (timed(|| check(&verifier, token)).1, timed(|| ring(other)).1))
        .unzip();
    let [first, bare] = [firsts, bares].map(middle);
    report.show(
        Row::new(3, "offline check of a token seen for the first time", first, "ns")
            .beside("ring's bare signature check", bare)
            .goal(Goal::RatioAtMost(1.1)),
    );
    let mut even = Even(7);
    let mut any = || &tokens[(even.draw() % tokens.len() as u64) as usize];
    let digest = nanos(ROUND, |_| {
        black_box(sha256(any()));
    });
    let before = nanos(ROUND, |_| check(&verifier, any()));
    let same = nanos(ROUND, |_| {
        black_box(sha256(&tokens[0]));
    });
    let one = nanos(ROUND, |_| check(&verifier, &tokens[0]));
    let seen = "offline check of a token seen before";
    report.show(Row::new(3, seen, one, "ns").beside("SHA-256 of it", same).goal(Goal::AtMost(1_000.0)));
    let what = format!("{seen}, any of {count}, out of the cache");
    report.show(
        Row::new(3, what, before, "ns").beside("SHA-256 of any of them", digest).goal(Goal::AtMost(1_000.0)),
    );
    let what = format!("{seen}, of {} bytes", tokens[0].len());
    report.show(Row::new(3, what, one, "ns").beside("ring's bare signature check", bare));
    let both = together(&verifier, &tokens[0]);
    report.show(
        Row::new(3, "checks of one same token by two threads at once, each", both, "ns")
            .beside("by one thread", one)
            .goal(Goal::Told),
    );
    let mut id = 1 << 100;
    let mut after = |level| {
        let spans = (0..500).map(|_| {
            id += 1;
            broker.delta(&verifier, entry(level, id));
            timed(|| check(&verifier, &tokens[0])).1
        });
        middle(spans.collect())
    };
    let [own, shared] = [after(Level::Token), after(Level::Workload)];
    for (whose, figure) in [("token", own), ("workload", shared)] {
        let what = format!("the first check after a revocation of another {whose}");
        report.show(Row::new(3, what, figure, "ns").beside("a check", one));
    }
}

/// The middle of some spans, in nanoseconds.
fn middle(spans: Vec<Duration>) -> f64 {
    median(spans).as_nanos() as f64
}

/// Nanoseconds that a check takes each of two threads that check the same token all the time.
fn together(verifier: &Verifier, token: &str) -> f64 {
    thread::scope(|scope| {
        let work = || nanos(ROUND, |_| check(verifier, token));
        let other = scope.spawn(work);
        let mine = work();
        mine.max(other.join().expect("it ended"))
    })
}

fn memory(report: &mut Report) {
    let broker = Broker::new();
    let count = report.sized([WATERMARKS, WATERMARKS / 10, 1_000]);
    report.progress(format_args!("{count} watermarks are sent"));
    let id = |n: u64| u128::from_be_bytes(jti(n).0);
    let entries: Vec<Entry> = (0..count).map(|n| entry(Level::Token, id(n))).collect();
    let verifier = broker.verifier(&[]);
    let before = resident_bytes();
    let ((), took) = timed(|| broker.snapshot(&verifier, &entries));
    let grown = resident_bytes().saturating_sub(before);
    assert_eq!(verifier.figures(NOW).watermarks as u64, count);
    let each = grown as f64 / count as f64;
    report.show(Row::new(3, format!("memory of a verifier with {count} watermarks, each"), each, "B"));
    let seconds = took.as_secs_f64();
    report.show(Row::new(
        3,
        format!("a snapshot of {count} entries, made, signed and applied"),
        seconds,
        "s",
    ));
    let token = broker.token(jti(u64::MAX));
    check(&verifier, &token);
    let mut even = Even(3);
    let dead: Vec<String> = (0..500).map(|_| broker.token(jti(even.draw() % count))).collect();
    let mut each_dead = dead.iter().cycle();
    let found = nanos(500, |_| {
        let answer = verifier.check(each_dead.next().expect("endless"), &BARE, NOW);
        assert!(matches!(answer, Answer::Inactive(_)));
    });
    report.show(Row::new(3, format!("offline check of a dead token among {count} watermarks"), found, "ns"));
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a count of pages") * 4096
}
