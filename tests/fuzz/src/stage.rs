//! A broker as a verifier sees it, with keys that everybody knows.

use std::sync::LazyLock;
use std::time::Duration;

use locum_api::feed::{self, Wire};
use locum_jose::SigningKey;
use locum_model::event::{By, KeyMoved, KeyPublished, KeyPurpose};
use locum_model::feed::{Body, Entry, Frame, JournalHead, Key, SnapshotEnd};
use locum_model::registry::Algorithm;
use locum_model::{
    Actor, Confirmation, ConnectorNo, DigestKey, Event, Grant, IssueRecord, KeyId, Live, OwnerNo,
    PolicyRevision, Position, RegistryRevision, Resources, Scope, Standing, Target, TaskId, TenantNo,
    Timestamp, TokenId, WorkloadNo,
};
use locum_token::{KeyRing, KeyStore as _, MemoryKeyStore, sha256, subject_key};
use locum_verifier::{Moment, Options, SignedFrame, Verifier};

pub(crate) const ISSUER: &str = "https://locum.test";
pub(crate) const AUDIENCE: &str = "https://orders.test";
pub(crate) const START: i64 = 1_800_000_000;
/// Watermarks that a verifier keeps here: few, so that they can be filled.
pub(crate) const WATERMARKS_MAX: usize = 64;
/// Tokens that a verifier remembers here.
pub(crate) const TOKENS_MAX: usize = 16;
pub(crate) const HEAD: [u8; 32] = [0xa0; 32];
pub(crate) const SEQUENCE: u64 = 100;
pub(crate) const LEASE: Duration = Duration::from_secs(2);
const HOME: u16 = 1;
const EPOCH: u32 = 1;
const PARTITION: ConnectorNo = ConnectorNo(4);

pub(crate) struct Keys {
    pub(crate) root: SigningKey,
    pub(crate) feed: SigningKey,
    pub(crate) token: SigningKey,
    ring: KeyRing,
}

/// Made for this, known to everybody, trusted nowhere.
pub(crate) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let read = |pkcs8: &[u8]| SigningKey::from_pkcs8(Algorithm::Es256, pkcs8).expect("a key");
    let token_pkcs8 = include_bytes!("../keys/token.pk8");
    let token = read(token_pkcs8);
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    let (kid, at) = (token.public().thumbprint(), Timestamp::from_seconds(START));
    store.save(&kid, token_pkcs8).expect("memory");
    let published = KeyPublished {
        kid,
        purpose: KeyPurpose::Token,
        algorithm: Algorithm::Es256,
        public_key: token.public().as_bytes().to_vec(),
        by: By::Broker,
        at,
    };
    ring.apply(&Event::KeyPublished(published), &store).expect("new");
    ring.apply(&Event::KeyActivated(KeyMoved { kid, by: By::Broker, at }), &store).expect("published");
    let (root, feed) = (read(include_bytes!("../keys/root.pk8")), read(include_bytes!("../keys/feed.pk8")));
    Keys { root, feed, token, ring }
});

/// A frame on its way.
pub(crate) struct Sent {
    pub(crate) payload: Vec<u8>,
    pub(crate) kid: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Sent {
    pub(crate) fn signed(key: &SigningKey, payload: Vec<u8>) -> Self {
        let signature = key.sign(&feed::signing_input(&payload)).expect("randomness");
        Self { payload, kid: key.public().thumbprint().0.to_vec(), signature }
    }

    /// Whether it was applied.
    pub(crate) fn to(&self, verifier: &Verifier, now: Moment) -> bool {
        let Self { payload, kid, signature } = self;
        verifier.apply(&Wire, SignedFrame { payload, kid, signature }, now).is_ok()
    }
}

/// A moment so many milliseconds after the start, on both clocks.
pub(crate) fn at(millis: u64) -> Moment {
    let wall = Timestamp::from_seconds(START).plus(Duration::from_millis(millis));
    Moment { wall, elapsed: Duration::from_millis(5_000_000 + millis) }
}

pub(crate) fn verifier() -> Verifier {
    let mut options = Options::new(ISSUER, KEYS.root.public().thumbprint(), AUDIENCE);
    options.memo_tokens = TOKENS_MAX;
    options.watermarks_max = WATERMARKS_MAX;
    options.proofs_max = 64;
    let mut word = 1_u64;
    let even = || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.rotate_left(32)
    };
    Verifier::new(options, DigestKey::of_words(even))
}

fn frame(body: Body) -> Frame {
    Frame {
        issuer: ISSUER.to_owned(),
        home: HOME,
        partition: PARTITION,
        epoch: EPOCH,
        sequence: SEQUENCE,
        previous: HEAD,
        server_time: at(0).wall,
        body,
    }
}

pub(crate) fn payload(body: Body) -> Vec<u8> {
    feed::encode(&frame(body))
}

fn as_key(key: &SigningKey, purpose: KeyPurpose) -> Key {
    let public = key.public();
    let (kid, public_key) = (public.thumbprint(), public.as_bytes().to_vec());
    Key { kid, purpose, algorithm: Algorithm::Es256, public_key }
}

pub(crate) fn key_set() -> Body {
    let keys = vec![as_key(&KEYS.token, KeyPurpose::Token), as_key(&KEYS.feed, KeyPurpose::Feed)];
    Body::KeySet { number: 7, keys, root: as_key(&KEYS.root, KeyPurpose::KeysetRoot) }
}

pub(crate) fn heartbeat(nonce: [u8; 16]) -> Body {
    let journal = Some(JournalHead { sequence: SEQUENCE, hash: [7; 32] });
    Body::Heartbeat { nonce: Some(nonce), key_set: 7, lease: LEASE, journal }
}

pub(crate) fn snapshot_end(entries: &[Entry]) -> SnapshotEnd {
    let hashed: Vec<u8> = entries.iter().flat_map(feed::encode_entry).collect();
    SnapshotEnd { count: entries.len() as u64, entries_sha256: sha256(hashed) }
}

pub(crate) fn entry(target: Target, below_sequence: u64) -> Entry {
    let kept = at(0).wall.plus(Duration::from_secs(10_000));
    let drop_after = (!matches!(target, Target::SigningKey(_))).then_some(kept);
    Entry { level: target.level(), id: target.id_bytes(), below_sequence, drop_after }
}

/// Begins a stream and hears the keys; nothing else yet.
pub(crate) fn begin(verifier: &Verifier) {
    verifier.begin_stream();
    assert!(Sent::signed(&KEYS.root, payload(key_set())).to(verifier, at(0)), "good keys");
}

/// Sends a ping and hears its answer.
pub(crate) fn beat(verifier: &Verifier, nonce: u8, now: Moment) -> bool {
    let ping = verifier.ping([nonce; 16], now);
    Sent::signed(&KEYS.feed, payload(heartbeat(ping.nonce))).to(verifier, now)
}

/// A verifier with a lease that knows these to be dead.
pub(crate) fn fed(dead: &[Entry]) -> Verifier {
    let verifier = verifier();
    begin(&verifier);
    let body = Body::SnapshotPart { part: 0, end: Some(snapshot_end(dead)), entries: dead.to_vec() };
    assert!(Sent::signed(&KEYS.feed, payload(body)).to(&verifier, at(0)), "a good snapshot");
    assert!(beat(&verifier, 1, at(0)) && verifier.lack(at(0)).is_none(), "a lease");
    verifier
}

/// A token of this id, as the broker signs it.
pub(crate) fn token(jti: u8, confirmation: Option<Confirmation>) -> String {
    let subject = "spiffe://acme.test/agents/refunder";
    let begin = Timestamp::from_seconds(START);
    let record = IssueRecord {
        jti: TokenId([jti; 16]),
        tasks: vec![TaskId::new(1, 40)],
        standing: Standing {
            actors: vec![Actor { workload: WorkloadNo(7), owner: OwnerNo(3), model: None }],
            tenant: TenantNo(1),
            connector: PARTITION,
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
        at: begin,
        issued_at: begin,
        not_before: Timestamp::from_seconds(START - 5),
        expires_at: Timestamp::from_seconds(START + 600),
        uses_max: None,
        confirmation,
        kid: kid(),
        decided_at: Position { home: HOME, epoch: EPOCH, sequence: SEQUENCE },
        registry_revision: RegistryRevision(1),
        policies: vec!["p".to_owned()],
        request: None,
    };
    let live = Live::assertion(record);
    locum_token::sign(&KEYS.ring, ISSUER, &live).expect("it fits").compact().to_owned()
}

pub(crate) fn kid() -> KeyId {
    KEYS.token.public().thumbprint()
}
