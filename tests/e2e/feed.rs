//! WatchRevocations: signed, chained frames, keys first, and every revocation as it happens.

use locum_api::admin::v1::selector::Target;
use locum_api::admin::v1::{Key, ListKeysRequest};
use locum_api::broker::v1 as wire;
use locum_api::feed::{decode, encode_entry, signing_input};
use locum_jose::digest::sha256;
use locum_jose::{PublicKey, base64url};
use locum_model::event::KeyPurpose;
use locum_model::feed::{Body, Frame};
use locum_model::limits::STALENESS_BOUND_DEFAULT;
use locum_model::{KeyId, Level, Reason};
use locum_tests::refused::{fields, reason};
use locum_tests::wait::within;
use locum_tests::work::{begin, grant, issue, random, revoke};
use locum_tests::{Daemon, Party, Site, plain_http};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::LOCUMD;

/// A verifier that trusts nothing but the root's thumbprint.
struct Follower {
    pings: mpsc::Sender<wire::WatchRevocationsRequest>,
    frames: Streaming<wire::WatchRevocationsResponse>,
    root: KeyId,
    feed_keys: Vec<PublicKey>,
    sequence: u64,
    head: Option<[u8; 32]>,
}

async fn open(party: &Party, connector: &str, nonce: &[u8]) -> Result<Follower, Status> {
    let (pings, stream) = mpsc::channel(8);
    let first = wire::WatchRevocationsRequest {
        nonce: nonce.to_vec(),
        connector: connector.to_owned(),
        instance: random::<16>().to_vec(),
        ..Default::default()
    };
    pings.send(first).await.expect("room");
    let frames = party.feed().watch_revocations(ReceiverStream::new(stream)).await?.into_inner();
    let (root, feed_keys) = (KeyId([0; 32]), Vec::new());
    Ok(Follower { pings, frames, root, feed_keys, sequence: 0, head: None })
}

impl Follower {
    /// The next frame, once everything about it holds.
    async fn next(&mut self) -> Frame {
        let frame = within("a frame", self.frames.message()).await.expect("no failure").expect("a frame");
        let said = decode(&frame.payload).expect("a frame as the contract says");
        assert_eq!(said.issuer, "https://locum.acme.test");
        assert_eq!(said.previous, *self.head.get_or_insert(said.previous), "one chain");
        if matches!(said.body, Body::Delta { .. }) {
            assert!(said.sequence > self.sequence, "it grows with every delta");
            self.head = Some(sha256(&frame.payload));
        } else if self.sequence > 0 {
            assert_eq!(said.sequence, self.sequence, "and with nothing else");
        }
        self.sequence = said.sequence;
        let kid = KeyId(frame.kid.as_slice().try_into().expect("32 bytes"));
        if let Body::KeySet { keys, root, .. } = &said.body {
            assert_eq!((kid, root.kid), (self.root, self.root), "the root signs key sets");
            let root = PublicKey::from_bytes(root.algorithm, &root.public_key).expect("a key");
            assert_eq!(root.thumbprint(), kid, "what is pinned is enough");
            root.verify(&signing_input(&frame.payload), &frame.signature).expect("the signature holds");
            let feed = keys.iter().filter(|key| key.purpose == KeyPurpose::Feed);
            self.feed_keys = feed
                .map(|key| PublicKey::from_bytes(key.algorithm, &key.public_key).expect("a key"))
                .collect();
        } else {
            let key = self.feed_keys.iter().find(|key| key.thumbprint() == kid);
            let key = key.expect("a feed key of the key set signs all else");
            key.verify(&signing_input(&frame.payload), &frame.signature).expect("the signature holds");
            let mut bent = frame.payload.clone();
            bent[0] ^= 1;
            assert!(key.verify(&signing_input(&bent), &frame.signature).is_err());
            assert!(key.verify(&frame.payload, &frame.signature).is_err(), "the context counts");
        }
        said
    }
}

async fn root_of(daemon: &Daemon) -> KeyId {
    let keys = daemon.operator("viewer").control().list_keys(ListKeysRequest {}).await.expect("listed");
    let is_root = |key: &Key| key.purpose == "keyset-root" && key.state == "active";
    let root = keys.into_inner().keys.into_iter().find(is_root).expect("a root");
    base64url::parse_kid(&root.kid).expect("a thumbprint")
}

#[tokio::test]
async fn a_follower_hears_keys_then_all_there_is_then_each_revocation() {
    let daemon = Daemon::start(LOCUMD, Site::new()).await;
    let (refunder, mail) = (daemon.at("agents/refunder"), daemon.at("services/mail-api"));
    let operator = daemon.operator("operator");
    let task = begin(&daemon, &refunder, vec![grant("mail:list", &[])]).await.expect("allowed");
    let issued = issue(&daemon, &refunder, task.ask("mail:list", &["mailbox/1"])).await.expect("issued");
    let before = Target::Workload("reader".to_owned());
    operator.revocation().revoke(revoke(before)).await.expect("revoked");
    let nonce = random::<16>();
    let mut follower = open(&mail, "mail", &nonce).await.expect("served");
    follower.root = root_of(&daemon).await;
    let Body::KeySet { keys, number, .. } = follower.next().await.body else {
        unreachable!("keys come first")
    };
    assert!(number > 0 && keys.iter().all(|key| key.purpose != KeyPurpose::KeysetRoot));
    let jwks = plain_http::get(&daemon, "/.well-known/jwks.json", &[]).await.body;
    for key in keys.iter().filter(|key| key.purpose == KeyPurpose::Token) {
        assert!(jwks.contains(&base64url::kid_text(&key.kid)), "{jwks}");
    }
    let Body::SnapshotPart { part: 0, end: Some(end), entries } = follower.next().await.body else {
        unreachable!("then all there is, in one part")
    };
    assert_eq!((end.count, entries.len()), (1, 1));
    let hashed: Vec<u8> = entries.iter().flat_map(encode_entry).collect();
    assert_eq!((end.entries_sha256, entries[0].level), (sha256(&hashed), Level::Workload));
    let heartbeat = Body::Heartbeat { nonce: Some(nonce), key_set: number, lease: STALENESS_BOUND_DEFAULT };
    assert_eq!(follower.next().await.body, heartbeat);
    let target = Target::Token(issued.jti.clone());
    let done = operator.revocation().revoke(revoke(target)).await.expect("revoked").into_inner();
    let Frame { body: Body::Delta { entries }, sequence: position, .. } = follower.next().await else {
        unreachable!("then what is new")
    };
    assert_eq!((entries[0].level, entries.len()), (Level::Token, 1));
    let jti: String = entries[0].id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((jti, format!("1.1.{position}")), (issued.jti, done.position));
    assert!(entries[0].drop_after.is_some() && entries[0].below_sequence < position);
    refunder.tasks().end_task(task.end()).await.expect("ended");
    let Body::Delta { entries } = follower.next().await.body else { unreachable!("an end is told too") };
    assert_eq!(entries[0].level, Level::Task);
    let nonce = random::<16>();
    let ping = wire::WatchRevocationsRequest { nonce: nonce.to_vec(), ..Default::default() };
    follower.pings.send(ping).await.expect("room");
    let Body::Heartbeat { nonce: echoed, .. } = follower.next().await.body else { unreachable!("an echo") };
    assert_eq!(echoed, Some(nonce));
}

#[tokio::test]
async fn a_restart_brings_back_everything_in_force() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let operator = daemon.operator("operator");
    for name in ["reader", "refunder"] {
        let target = Target::Workload(name.to_owned());
        operator.revocation().revoke(revoke(target)).await.expect("revoked");
    }
    let mut before = Vec::new();
    for turn in 0..2 {
        let mut follower = open(&daemon.at("services/mail-api"), "mail", &[1; 16]).await.expect("served");
        follower.root = root_of(&daemon).await;
        follower.next().await;
        let Body::SnapshotPart { entries, .. } = follower.next().await.body else {
            unreachable!("a snapshot")
        };
        assert_eq!(entries.len(), 2);
        // When an entry may be forgotten is counted from now on, so it moves.
        let entries: Vec<_> =
            entries.iter().map(|entry| (entry.level, entry.id, entry.below_sequence)).collect();
        if turn == 0 {
            before = entries;
            daemon.kill().await;
            daemon.up().await;
        } else {
            assert_eq!(before, entries);
        }
    }
}

#[tokio::test]
async fn only_backends_follow_and_only_what_they_serve() {
    let daemon = Daemon::shared(LOCUMD);
    for (who, connector) in
        [("services/orders-api", "mail"), ("agents/refunder", "mail"), ("globex/vault-api", "mail")]
    {
        let refusal = open(&daemon.at(who), connector, &[0; 16]).await.map(drop);
        assert_eq!(reason(refusal), Reason::ConnectorNotServed, "{who}");
    }
    let mail = daemon.at("services/mail-api");
    assert_eq!(fields(open(&mail, "Mail!", &[0; 16]).await.map(drop)), ["connector"]);
    assert_eq!(fields(open(&mail, "mail", &[0; 15]).await.map(drop)), ["nonce"]);
    let follower = open(&mail, "mail", &[0; 16]).await.expect("served");
    let ping = wire::WatchRevocationsRequest { nonce: vec![0; 17], ..Default::default() };
    follower.pings.send(ping).await.expect("room");
    let mut frames = follower.frames;
    let refusal = loop {
        match within("a refusal", frames.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => unreachable!("ended without a word"),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(reason::<()>(Err(refusal)), Reason::RequestMalformed);
}
