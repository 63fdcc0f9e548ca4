//! A broker as a verifier sees it: keys, a chain of frames, tokens. Everything is signed for real.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use locum_api::feed::{self, Wire};
use locum_jose::SigningKey;
use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::feed::{Body, Entry, Frame, Key, SnapshotEnd};
use locum_model::registry::Algorithm;
use locum_model::{
    Actor, ConnectorNo, DigestKey, Event, Grant, IssueRecord, KeyId, Live, ModelNo, OwnerNo, PolicyRevision,
    Position, RegistryRevision, Resources, Scope, Standing, Target, TaskId, TenantNo, Timestamp, TokenId,
    WorkloadNo,
};
use locum_token::{KeyRing, KeyStore, MemoryKeyStore, sha256, subject_key};

use crate::{Applied, FrameRefused, Moment, Options, Presented, SignedFrame, Verifier};

pub(crate) const ISSUER: &str = "https://locum.test";
pub(crate) const AUDIENCE: &str = "https://orders.test";
pub(crate) const LEASE: Duration = Duration::from_secs(2);
pub(crate) const START: i64 = 1_800_000_000;

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) payload: Vec<u8>,
    pub(crate) kid: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Sent {
    pub(crate) fn to(&self, verifier: &Verifier, now: Moment) -> Result<Applied, FrameRefused> {
        let Self { payload, kid, signature } = self;
        verifier.apply(&Wire, SignedFrame { payload, kid, signature }, now)
    }
}

/// Keys are made once for all tests.
pub(crate) struct Keys {
    pub(crate) root: SigningKey,
    pub(crate) other_root: SigningKey,
    pub(crate) feed: SigningKey,
    pub(crate) other_feed: SigningKey,
    pub(crate) ring: KeyRing,
    pub(crate) token: KeyId,
    pub(crate) other_token: KeyId,
}

pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let fresh = || {
        let pkcs8 = SigningKey::generate(Algorithm::Es256).expect("entropy");
        SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).expect("just made")
    };
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let mut token_key = || {
        let at = Timestamp::from_seconds(START);
        let (published, pkcs8) =
            locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, at).expect("entropy");
        let kid = published.kid;
        store.save(&kid, &pkcs8).expect("memory");
        ring.apply(&Event::KeyPublished(published), &store).expect("new");
        ring.apply(&Event::KeyActivated(KeyMoved { kid, by: By::Broker, at }), &store).expect("published");
        kid
    };
    let (other_token, token) = (token_key(), token_key());
    let (root, other_root, feed, other_feed) = (fresh(), fresh(), fresh(), fresh());
    Keys { root, other_root, feed, other_feed, ring, token, other_token }
});

pub(crate) fn as_key(key: &SigningKey, purpose: KeyPurpose) -> Key {
    let public = key.public();
    let (kid, public_key) = (public.thumbprint(), public.as_bytes().to_vec());
    Key { kid, purpose, algorithm: Algorithm::Es256, public_key }
}

fn token_key(kid: &KeyId) -> Key {
    let public_key = KEYS.ring.key(kid).expect("in the ring").public().as_bytes().to_vec();
    Key { kid: *kid, purpose: KeyPurpose::Token, algorithm: Algorithm::Es256, public_key }
}

/// A moment this many milliseconds after the start, on both clocks.
pub(crate) fn at(millis: u64) -> Moment {
    let wall = Timestamp::from_seconds(START).plus(Duration::from_millis(millis));
    // BOOTTIME has another zero.
    Moment { wall, elapsed: Duration::from_millis(5_000_000 + millis) }
}

pub(crate) fn digest_key() -> DigestKey {
    let mut word = 1_u64;
    DigestKey::of_words(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.rotate_left(32)
    })
}

pub(crate) fn options() -> Options {
    let mut options = Options::new(ISSUER, KEYS.root.public().thumbprint(), AUDIENCE);
    options.memo_tokens = 256;
    options
}

/// One partition of a broker.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) home: u16,
    pub(crate) epoch: u32,
    pub(crate) partition: u32,
    pub(crate) sequence: u64,
    pub(crate) head: [u8; 32],
    pub(crate) key_set: u64,
    pub(crate) token_keys: Vec<KeyId>,
    pub(crate) lease: Duration,
    /// Everything in force.
    pub(crate) entries: HashMap<Target, Entry>,
}

impl Broker {
    pub(crate) fn new() -> Self {
        Self {
            home: 1,
            epoch: 1,
            partition: 4,
            sequence: 100,
            head: [0xa0; 32],
            key_set: 7,
            token_keys: vec![KEYS.other_token, KEYS.token],
            lease: LEASE,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn frame(&self, body: Body, now: Moment) -> Frame {
        Frame {
            issuer: ISSUER.to_owned(),
            home: self.home,
            partition: ConnectorNo(self.partition),
            epoch: self.epoch,
            sequence: self.sequence,
            previous: self.head,
            server_time: now.wall,
            body,
        }
    }

    pub(crate) fn key_set(&self, now: Moment) -> Sent {
        let mut keys: Vec<Key> = self.token_keys.iter().map(token_key).collect();
        keys.push(as_key(&KEYS.feed, KeyPurpose::Feed));
        let root = as_key(&KEYS.root, KeyPurpose::KeysetRoot);
        sign(&KEYS.root, &self.frame(Body::KeySet { number: self.key_set, keys, root }, now))
    }

    /// Everything in force, in parts of at most `size` entries.
    pub(crate) fn snapshot(&self, size: usize, now: Moment) -> Vec<Sent> {
        let mut entries: Vec<Entry> = self.entries.values().copied().collect();
        entries.sort_unstable();
        let hashed: Vec<u8> = entries.iter().flat_map(feed::encode_entry).collect();
        let whole = SnapshotEnd { count: entries.len() as u64, entries_sha256: sha256(hashed) };
        let mut parts: Vec<Vec<Entry>> = entries.chunks(size).map(<[Entry]>::to_vec).collect();
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        let body = |(part, entries): (usize, Vec<Entry>)| Body::SnapshotPart {
            part: part as u32,
            end: (part == last).then_some(whole),
            entries,
        };
        parts.into_iter().enumerate().map(|part| self.signed(body(part), now)).collect()
    }

    pub(crate) fn heartbeat(&self, nonce: [u8; 16], now: Moment) -> Sent {
        let (key_set, lease) = (self.key_set, self.lease);
        let body = Body::Heartbeat { nonce: Some(nonce), key_set, lease, journal: None };
        self.signed(body, now)
    }

    /// Revokes at every target what was decided so far, and tells it.
    pub(crate) fn revoke(&mut self, targets: &[Target], now: Moment) -> Sent {
        let below = self.sequence;
        self.sequence += 2;
        let entry = |target: &Target| entry(*target, below, now);
        let entries: Vec<Entry> = targets.iter().map(entry).collect();
        self.entries.extend(targets.iter().copied().zip(entries.iter().copied()));
        let sent = self.signed(Body::Delta { entries }, now);
        self.head = sha256(&sent.payload);
        sent
    }

    pub(crate) fn signed(&self, body: Body, now: Moment) -> Sent {
        sign(&KEYS.feed, &self.frame(body, now))
    }

    /// Another process takes the journal up: the sequence goes on, the chain begins anew.
    pub(crate) fn restart(&mut self) {
        self.head = sha256(self.head);
    }

    /// The whole beginning of a stream, and an answer to its first ping.
    pub(crate) fn greet(&self, verifier: &Verifier, now: Moment) {
        verifier.begin_stream();
        let ping = verifier.ping(nonce(now), now);
        let mut sent = vec![self.key_set(now)];
        sent.extend(self.snapshot(1000, now));
        sent.push(self.heartbeat(ping.nonce, now));
        for frame in sent {
            frame.to(verifier, now).expect("a good frame");
        }
        assert_eq!(verifier.lack(now), None);
    }

    /// A ping and its answer, at once.
    pub(crate) fn beat(&self, verifier: &Verifier, now: Moment) -> Result<Applied, FrameRefused> {
        let ping = verifier.ping(nonce(now), now);
        self.heartbeat(ping.nonce, now).to(verifier, now)
    }
}

/// A nonce for each moment.
pub(crate) fn nonce(now: Moment) -> [u8; 16] {
    now.elapsed.as_nanos().to_be_bytes()
}

pub(crate) fn entry(target: Target, below_sequence: u64, now: Moment) -> Entry {
    let kept = now.wall.plus(Duration::from_secs(1000));
    let drop_after = (!matches!(target, Target::SigningKey(_))).then_some(kept);
    Entry { level: target.level(), id: target.id_bytes(), below_sequence, drop_after }
}

pub(crate) fn sign(key: &SigningKey, frame: &Frame) -> Sent {
    sign_bytes(key, feed::encode(frame))
}

pub(crate) fn sign_bytes(key: &SigningKey, payload: Vec<u8>) -> Sent {
    let signature = key.sign(&feed::signing_input(&payload)).expect("signed");
    Sent { payload, kid: key.public().thumbprint().0.to_vec(), signature }
}

/// A verifier that has just heard everything from this broker.
pub(crate) fn fresh(broker: &Broker, now: Moment) -> Verifier {
    let verifier = Verifier::new(options(), digest_key());
    broker.greet(&verifier, now);
    verifier
}

/// A record whose every number is known; tests change one field.
pub(crate) fn record() -> IssueRecord {
    let issued_at = Timestamp::from_seconds(START);
    let subject = "spiffe://acme.test/agents/refunder";
    IssueRecord {
        jti: TokenId([0x5a; 16]),
        tasks: vec![TaskId::new(1, 40), TaskId::new(1, 41), TaskId::new(1, 42)],
        standing: Standing {
            actors: vec![
                Actor { workload: WorkloadNo(7), owner: OwnerNo(3), model: Some(ModelNo(2)) },
                Actor { workload: WorkloadNo(8), owner: OwnerNo(9), model: None },
            ],
            tenant: TenantNo(1),
            connector: ConnectorNo(4),
            connector_owner: OwnerNo(5),
            policy_revision: PolicyRevision(6),
        },
        subject: subject.to_owned(),
        subject_key: subject_key(TenantNo(1), subject),
        client_id: subject.parse().expect("good"),
        audience: AUDIENCE.to_owned(),
        scope: Scope::of([Grant {
            operation: "orders:read".parse().expect("good"),
            resources: Resources::All,
        }])
        .expect("good"),
        at: issued_at,
        issued_at,
        not_before: Timestamp::from_seconds(START - 5),
        expires_at: Timestamp::from_seconds(START + 600),
        uses_max: None,
        confirmation: None,
        kid: KEYS.token,
        decided_at: Position { home: 1, epoch: 1, sequence: 100 },
        registry_revision: RegistryRevision(1),
        policies: vec!["p".to_owned()],
        request: None,
    }
}

/// Everything that the record above rests on, the other things of each level beside it.
pub(crate) fn targets() -> Vec<(Target, Target)> {
    let record = record();
    vec![
        (Target::Token(record.jti), Target::Token(TokenId([1; 16]))),
        (Target::Task(TaskId::new(1, 40)), Target::Task(TaskId::new(1, 39))),
        (Target::Task(TaskId::new(1, 41)), Target::Task(TaskId::new(2, 41))),
        (Target::Task(TaskId::new(1, 42)), Target::Task(TaskId::new(1, 43))),
        (Target::Subject(record.subject_key), Target::Subject(subject_key(TenantNo(2), &record.subject))),
        (Target::Workload(WorkloadNo(7)), Target::Workload(WorkloadNo(6))),
        (Target::Workload(WorkloadNo(8)), Target::Workload(WorkloadNo(5))),
        (Target::Connector(ConnectorNo(4)), Target::Connector(ConnectorNo(7))),
        (Target::Tenant(TenantNo(1)), Target::Tenant(TenantNo(4))),
        (Target::Owner(OwnerNo(3)), Target::Owner(OwnerNo(7))),
        (Target::Owner(OwnerNo(9)), Target::Owner(OwnerNo(1))),
        (Target::Owner(OwnerNo(5)), Target::Owner(OwnerNo(4))),
        (Target::Model(ModelNo(2)), Target::Model(ModelNo(7))),
        (Target::SigningKey(KEYS.token), Target::SigningKey(KEYS.other_token)),
        (Target::PolicyRevision(PolicyRevision(6)), Target::PolicyRevision(PolicyRevision(4))),
    ]
}

pub(crate) fn token(record: &IssueRecord) -> String {
    let live = Live::assertion(record.clone());
    locum_token::sign(&KEYS.ring, ISSUER, &live).expect("it fits").compact().to_owned()
}

pub(crate) const BARE: Presented<'_> = Presented { certificate: None, proof: None };
