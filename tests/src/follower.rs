//! [`Follower`]: a verifier's side of the revocation feed that believes nothing it has not checked.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_api::admin::v1::{Key, ListKeysRequest};
use locum_api::broker::v1 as wire;
use locum_api::feed::{acknowledgement_to_wire, decode, encode_entry, signing_input};
use locum_jose::digest::sha256;
use locum_jose::{PublicKey, base64url};
use locum_model::event::KeyPurpose;
use locum_model::feed::{Acknowledgement, Body, Entry, Frame};
use locum_model::{KeyId, Level};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::daemon::Daemon;
use crate::party::Party;
use crate::wait::within;
use crate::work::random;

/// A verifier that trusts nothing but the root's thumbprint.
pub struct Follower {
    /// Where pings go.
    pub pings: mpsc::Sender<wire::WatchRevocationsRequest>,
    /// What comes, unchecked.
    pub frames: Streaming<wire::WatchRevocationsResponse>,
    /// Who it is when it comes again.
    pub instance: [u8; 16],
    /// What is dead, as far as it knows: the newest dead decision by level and id.
    pub dead: BTreeMap<(Level, [u8; 16]), u64>,
    /// Where it is in the chain.
    pub at: Acknowledgement,
    /// The number of the set of keys that it holds.
    pub key_set: u64,
    /// The keys of that set.
    pub keys: Vec<locum_model::feed::Key>,
    /// How often it was reset.
    pub resets: usize,
    /// Snapshots that it took whole.
    pub snapshots: usize,
    root: KeyId,
    begun: bool,
    parts: Vec<Entry>,
    nonce: [u8; 16],
}

/// The thumbprint that a verifier pins.
///
/// # Panics
///
/// When there is no root.
pub async fn root_of(daemon: &Daemon) -> KeyId {
    let keys = daemon.operator("viewer").control().list_keys(ListKeysRequest {}).await.expect("listed");
    let is_root = |key: &Key| key.purpose == "keyset-root" && key.state == "active";
    let root = keys.into_inner().keys.into_iter().find(is_root).expect("a root");
    base64url::parse_kid(&root.kid).expect("a thumbprint")
}

/// The first message of somebody new.
pub fn hello(connector: &str) -> wire::WatchRevocationsRequest {
    wire::WatchRevocationsRequest {
        nonce: random::<16>().to_vec(),
        acknowledgement: None,
        connector: connector.to_owned(),
        instance: random::<16>().to_vec(),
        version: "follower 1.0".to_owned(),
        witness: None,
    }
}

/// A stream that begins with this message.
///
/// # Errors
///
/// As refused.
///
/// # Panics
///
/// When the message cannot be queued.
pub async fn open(
    party: &Party,
    first: wire::WatchRevocationsRequest,
) -> Result<(mpsc::Sender<wire::WatchRevocationsRequest>, Streaming<wire::WatchRevocationsResponse>), Status>
{
    let (pings, stream) = mpsc::channel(8);
    pings.send(first).await.expect("room");
    let frames = party.feed().watch_revocations(ReceiverStream::new(stream)).await?.into_inner();
    Ok((pings, frames))
}

impl Follower {
    /// Somebody new.
    ///
    /// # Errors
    ///
    /// As refused.
    ///
    /// # Panics
    ///
    /// When the daemon has no root.
    pub async fn new(daemon: &Daemon, party: &Party, connector: &str) -> Result<Self, Status> {
        let first = hello(connector);
        let (nonce, instance) = (array(&first.nonce), array(&first.instance));
        let (pings, frames) = open(party, first).await?;
        Ok(Self {
            pings,
            frames,
            instance,
            dead: BTreeMap::new(),
            at: Acknowledgement { epoch: 0, sequence: 0, head: [0; 32] },
            key_set: 0,
            keys: Vec::new(),
            resets: 0,
            snapshots: 0,
            root: root_of(daemon).await,
            begun: false,
            parts: Vec::new(),
            nonce,
        })
    }

    /// The same verifier on a new stream, with what it knows.
    ///
    /// # Errors
    ///
    /// As refused.
    pub async fn again(&mut self, party: &Party, connector: &str) -> Result<(), Status> {
        self.nonce = random();
        let first = wire::WatchRevocationsRequest {
            nonce: self.nonce.to_vec(),
            acknowledgement: Some(acknowledgement_to_wire(self.at)),
            instance: self.instance.to_vec(),
            ..hello(connector)
        };
        (self.pings, self.frames) = open(party, first).await?;
        Ok(())
    }

    /// Sends a ping that acknowledges what was applied.
    ///
    /// # Panics
    ///
    /// When the stream is gone.
    pub async fn ping(&mut self) {
        self.nonce = random();
        let ping = wire::WatchRevocationsRequest {
            nonce: self.nonce.to_vec(),
            acknowledgement: Some(acknowledgement_to_wire(self.at)),
            ..Default::default()
        };
        self.pings.send(ping).await.expect("the stream is open");
    }

    /// Says what was applied, and wants no answer.
    ///
    /// # Panics
    ///
    /// When the stream is gone.
    pub async fn acknowledge(&self) {
        let acknowledgement = Some(acknowledgement_to_wire(self.at));
        let said = wire::WatchRevocationsRequest { acknowledgement, ..Default::default() };
        self.pings.send(said).await.expect("the stream is open");
    }

    /// Reads until a heartbeat answers the newest ping; the lease that it gives.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn beat(&mut self) -> Duration {
        loop {
            if let Frame { body: Body::Heartbeat { nonce: Some(nonce), key_set, lease, .. }, .. } =
                self.next().await
                && nonce == self.nonce
            {
                assert_eq!(key_set, self.key_set, "the set that it holds is the one that counts");
                return lease;
            }
        }
    }

    /// Reads until it knows that this is dead.
    ///
    /// # Panics
    ///
    /// When that does not come.
    pub async fn hears(&mut self, level: Level, id: [u8; 16]) -> u64 {
        loop {
            if let Some(below) = self.dead.get(&(level, id)) {
                return *below;
            }
            self.next().await;
        }
    }

    /// The next frame, checked and applied.
    ///
    /// # Panics
    ///
    /// When it is not as the contract says, or none comes.
    pub async fn next(&mut self) -> Frame {
        let frame = within("a frame", self.frames.message()).await.expect("no failure").expect("a frame");
        self.take(&frame)
    }

    /// Checks a frame and applies it.
    ///
    /// # Panics
    ///
    /// When it is not as the contract says.
    pub fn take(&mut self, frame: &wire::WatchRevocationsResponse) -> Frame {
        let said = decode(&frame.payload).expect("a frame as the contract says");
        assert_eq!(said.issuer, crate::site::ISSUER);
        self.believe(frame, &said);
        let place = Acknowledgement { epoch: said.epoch, sequence: said.sequence, head: said.previous };
        match &said.body {
            Body::KeySet { number, keys, .. } => {
                assert!(*number >= self.key_set, "sets of keys only grow");
                (self.key_set, self.keys) = (*number, keys.clone());
            }
            Body::Reset => (self.begun, self.resets) = (false, self.resets + 1),
            Body::SnapshotPart { part: _, end, entries } => {
                self.parts.extend(entries);
                if let Some(end) = end {
                    let back = place.epoch == self.at.epoch && place.sequence < self.at.sequence;
                    assert!(!back, "a snapshot never goes back");
                    let hashed: Vec<u8> = self.parts.iter().flat_map(encode_entry).collect();
                    assert_eq!((end.count, end.entries_sha256), (self.parts.len() as u64, sha256(&hashed)));
                    let parts = std::mem::take(&mut self.parts);
                    self.join(&parts);
                    (self.at, self.begun, self.snapshots) = (place, true, self.snapshots + 1);
                }
            }
            Body::Delta { entries } => {
                assert!(self.begun, "nothing before a snapshot");
                assert_eq!(said.previous, self.at.head, "no gap");
                assert!(said.sequence > self.at.sequence, "it grows with every delta");
                self.at = Acknowledgement { head: sha256(&frame.payload), ..place };
                self.join(entries);
            }
            Body::Heartbeat { .. } => assert_eq!(place, self.at, "a sign of life is where the verifier is"),
        }
        said
    }

    fn join(&mut self, entries: &[Entry]) {
        for entry in entries {
            let below = self.dead.entry((entry.level, entry.id)).or_default();
            *below = entry.below_sequence.max(*below);
        }
    }

    fn believe(&self, frame: &wire::WatchRevocationsResponse, said: &Frame) {
        let kid = KeyId(array(&frame.kid));
        let key = if let Body::KeySet { root, .. } = &said.body {
            assert_eq!((kid, root.kid), (self.root, self.root), "the root signs sets of keys");
            let root = PublicKey::from_bytes(root.algorithm, &root.public_key).expect("a key");
            assert_eq!(root.thumbprint(), kid, "what is pinned is enough");
            root
        } else {
            let key = self.keys.iter().find(|key| key.kid == kid && key.purpose == KeyPurpose::Feed);
            let key = key.expect("a feed key of the set signs all else");
            PublicKey::from_bytes(key.algorithm, &key.public_key).expect("a key")
        };
        key.verify(&signing_input(&frame.payload), &frame.signature).expect("the signature holds");
        let mut bent = frame.payload.to_vec();
        bent[0] ^= 1;
        assert!(key.verify(&signing_input(&bent), &frame.signature).is_err());
        assert!(key.verify(&frame.payload, &frame.signature).is_err(), "the context counts");
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("as many bytes as the contract says")
}
