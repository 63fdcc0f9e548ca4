//! Followers of the feed: connections, streams and pings of their own, as verifiers have them.
//!
//! A thousand verifiers are a thousand machines. Here they share a core, so that only some of them
//! verify every frame and check the token that is being revoked; the others read each frame,
//! acknowledge it and ping as often, but believe its signature.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use locum_api::broker::v1 as wire;
use locum_api::feed::Wire;
use locum_api::feed::{acknowledgement_to_wire, decode};
use locum_benches::digest_key;
use locum_benches::served::{BACKENDS, FEED, Served};
use locum_benches::wire::{Line, TwoWay, framed};
use locum_jose::digest::sha256;
use locum_model::feed::{Acknowledgement, Body};
use locum_model::{KeyId, Timestamp};
use locum_tests::work::random;
use locum_verifier::{Answer, Applied, Due, Inactive, Moment, Onward, Options, Pace, Presented};
use locum_verifier::{SignedFrame, Verifier};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a follower says of one revocation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// Its frame is here.
    Heard(Instant),
    /// The token that it kills was checked, and is refused.
    Refused(Instant),
}

/// Followers of one server. Dropped, their connections close.
pub(crate) struct Followers {
    /// Those that check.
    verifiers: Vec<Arc<Verifier>>,
    pub told: mpsc::UnboundedReceiver<Told>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What they have in common.
struct Shared {
    begun: Instant,
    /// The token whose refusal is awaited.
    token: Mutex<Arc<str>>,
    tells: mpsc::UnboundedSender<Told>,
}

/// One follower.
struct Follower {
    _line: Line,
    stream: TwoWay,
    pace: Pace,
    way: Way,
    shared: Arc<Shared>,
}

enum Way {
    /// Verifies everything, and checks the token.
    Checks(Arc<Verifier>),
    /// Reads frames, and says how far it is.
    KeepsUp(Option<Acknowledgement>),
}

// === impl Followers ===

impl Followers {
    /// Connects `count` followers, `checking` of them evenly among all; each has a lease on return.
    pub(crate) async fn connect(served: &Served, root: KeyId, count: usize, checking: usize) -> Self {
        let (tells, told) = mpsc::unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
        let begun = Instant::now();
        let shared = Arc::new(Shared { begun, token: Mutex::new("".into()), tells });
        let (mut verifiers, mut tasks) = (Vec::new(), JoinSet::new());
        for number in 0..count {
            let checks = number % count.div_ceil(checking) == 0;
            let way = if checks {
                let options = Options::new(locum_tests::site::ISSUER, root, "https://orders.acme.test");
                verifiers.push(Arc::new(Verifier::new(options, digest_key())));
                Way::Checks(verifiers.last().cloned().expect("just pushed"))
            } else {
                Way::KeepsUp(None)
            };
            let follower = Follower::connect(served, number % BACKENDS, way, &shared).await;
            tasks.spawn(follower.follow());
        }
        Self { verifiers, told, shared, _tasks: tasks }
    }

    /// How many of them check.
    pub(crate) fn checking(&self) -> usize {
        self.verifiers.len()
    }

    /// Sets the token that is to be revoked next: every verifier believes it now.
    pub(crate) fn await_refusal_of(&self, token: &str) {
        *self.shared.token.lock() = token.into();
        for verifier in &self.verifiers {
            let answer = verifier.check(token, &Presented::default(), self.shared.moment());
            assert!(matches!(answer, Answer::Active(_)), "a token lives before it is revoked: {answer:?}");
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Both clocks. Nothing suspends the machine during a bench.
    #[expect(clippy::disallowed_methods, reason = "a verifier is told the time")]
    fn moment(&self) -> Moment {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let wall = Timestamp::from_millis(i64::try_from(wall.as_millis()).expect("a near year"));
        Moment { wall, elapsed: Duration::from_secs(1) + self.begun.elapsed() }
    }
}

// === impl Follower ===

impl Follower {
    async fn connect(served: &Served, backend: usize, way: Way, shared: &Arc<Shared>) -> Self {
        let line = served.door(&format!("services/backend-{backend}")).line().await.expect("a connection");
        let mut pace = Pace::begin(shared.moment().elapsed);
        let first = wire::WatchRevocationsRequest {
            connector: "orders".to_owned(),
            instance: random::<16>().to_vec(),
            ..way.ping(shared.moment())
        };
        pace.pinged(shared.moment().elapsed, random::<1>()[0]);
        let stream = line.two_way(FEED, [framed(&first)].into(), (1, |_| true)).await.expect("a stream");
        let mut follower = Self { _line: line, stream, pace, way, shared: Arc::clone(shared) };
        while follower.hear().await != Onward::Leased {}
        follower
    }

    /// Goes on until it is dropped.
    async fn follow(mut self) {
        loop {
            let now = self.shared.moment();
            match self.pace.due(now.elapsed) {
                // Reading can be given up between two messages.
                Due::Nothing(pause) => drop(tokio::time::timeout(pause, self.hear()).await),
                Due::Ping => {
                    let ping = self.way.ping(now);
                    self.pace.pinged(now.elapsed, random::<1>()[0]);
                    self.stream.send(framed(&ping)).expect("the stream goes on");
                }
                Due::Acknowledgement => {
                    self.pace.acknowledged(now.elapsed);
                    let said = self.way.acknowledgement();
                    self.stream.send(framed(&said)).expect("the stream goes on");
                }
            }
        }
    }

    /// Takes the next frame.
    async fn hear(&mut self) -> Onward {
        let message = self.stream.next().await.expect("the stream goes on");
        #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
        let at = Instant::now();
        let frame = wire::WatchRevocationsResponse::decode(message).expect("a message");
        let now = self.shared.moment();
        let applied = match &mut self.way {
            Way::Checks(verifier) => {
                let signed =
                    SignedFrame { payload: &frame.payload, kid: &frame.kid, signature: &frame.signature };
                verifier.apply(&Wire, signed, now).expect("a good frame")
            }
            Way::KeepsUp(shown) => keep_up(shown, &frame.payload),
        };
        if applied == Applied::Delta {
            self.tell(at);
        }
        self.pace.took(Ok(applied), now.elapsed)
    }

    fn tell(&self, at: Instant) {
        let _ = self.shared.tells.send(Told::Heard(at));
        if let Way::Checks(verifier) = &self.way {
            let token = Arc::clone(&self.shared.token.lock());
            let answer = verifier.check(&token, &Presented::default(), self.shared.moment());
            assert!(matches!(answer, Answer::Inactive(Inactive::Revoked(_))), "it is dead: {answer:?}");
            #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
            let _ = self.shared.tells.send(Told::Refused(Instant::now()));
        }
    }
}

// === impl Way ===

impl Way {
    fn ping(&self, now: Moment) -> wire::WatchRevocationsRequest {
        let nonce = match self {
            Self::Checks(verifier) => verifier.ping(random(), now).nonce,
            Self::KeepsUp(_) => random(),
        };
        wire::WatchRevocationsRequest { nonce: nonce.to_vec(), ..self.acknowledgement() }
    }

    fn acknowledgement(&self) -> wire::WatchRevocationsRequest {
        let shown = match self {
            Self::Checks(verifier) => verifier.acknowledgement(),
            Self::KeepsUp(shown) => *shown,
        };
        wire::WatchRevocationsRequest {
            acknowledgement: shown.map(acknowledgement_to_wire),
            ..Default::default()
        }
    }
}

// === free functions ===

/// What a verifier would make of a good frame, as far as its pings depend on it.
fn keep_up(shown: &mut Option<Acknowledgement>, payload: &[u8]) -> Applied {
    let frame = decode(payload).expect("a frame");
    let (epoch, sequence) = (frame.epoch, frame.sequence);
    match frame.body {
        Body::Delta { .. } => {
            *shown = Some(Acknowledgement { epoch, sequence, head: sha256(payload) });
            Applied::Delta
        }
        Body::SnapshotPart { end: Some(_), .. } => {
            *shown = Some(Acknowledgement { epoch, sequence, head: frame.previous });
            Applied::Snapshot
        }
        Body::SnapshotPart { .. } => Applied::SnapshotPart,
        Body::Heartbeat { nonce: Some(_), lease, .. } => Applied::Lease(lease),
        Body::Heartbeat { nonce: None, .. } => Applied::Life,
        Body::KeySet { .. } => Applied::KeySet,
        Body::Reset => Applied::Reset,
    }
}
