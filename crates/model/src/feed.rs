//! What a frame of the revocation feed says.
//!
//! A feed is one *partition* for each connector: everything that may concern its tokens. Its
//! deltas form a *chain*: each names the SHA-256 of the payload of the delta before. The newest
//! delta's hash is the chain's *head*; a chain that has no delta yet has its *anchor* there, 32
//! random bytes. All other frames stand beside the chain and name its head, so that whoever missed
//! a delta notices at the next sign of life.
//!
//! These are values: signatures, hashes and order are judged by who receives them (`verifier`), the
//! bytes are made elsewhere (`api`).

use std::fmt;
use std::time::Duration;

use crate::event::KeyPurpose;
use crate::id::KeyId;
use crate::number::ConnectorNo;
use crate::registry::Algorithm;
use crate::selector::Level;
use crate::time::Timestamp;

/// What stands before the payload in the signing input: no other signature of ours begins so.
pub const SIGNING_CONTEXT: &[u8] = b"locum-feed-v1\0";

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The issuer's URL.
    pub issuer: String,
    /// The broker whose feed this is.
    pub home: u16,
    /// The connector whose partition this is.
    pub partition: ConnectorNo,
    /// The journal's epoch.
    pub epoch: u32,
    /// The journal sequence, of 48 bits, that a verifier is brought to by having applied everything
    /// up to this frame. It grows from delta to delta, also over a restart of the broker, with gaps.
    pub sequence: u64,
    /// A delta: the hash of the delta before it, or the chain's anchor. All else: the chain's head.
    pub previous: [u8; 32],
    /// The broker's time.
    pub server_time: Timestamp,
    /// The frame's substance.
    pub body: Body,
}

/// The substance of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The keys that count from now on; signed by the root, unlike all else.
    KeySet {
        /// Grows with every change: a smaller one is refused, an equal one is the same set.
        number: u64,
        /// At most [`FEED_KEYS_MAX`](crate::limits::FEED_KEYS_MAX); never a root.
        keys: Vec<Key>,
        /// The root itself, so that its pinned thumbprint is enough to check the signature.
        root: Key,
    },
    /// A part of everything that is in force.
    SnapshotPart {
        /// Counts from 0.
        part: u32,
        /// What closes the snapshot; in the last part alone.
        end: Option<SnapshotEnd>,
        /// Joined with what is known by maximum; never in its place.
        entries: Vec<Entry>,
    },
    /// What is new: the one link of the chain.
    Delta {
        /// Joined with what is known by maximum.
        entries: Vec<Entry>,
    },
    /// A sign of life: the chain is where this frame says.
    Heartbeat {
        /// The nonce of the ping that it answers; none when it answers none, and extends nothing.
        nonce: Option<[u8; 16]>,
        /// The number of the key set that counts.
        key_set: u64,
        /// How long a verifier may answer, from when it sent the nonce; whole milliseconds.
        lease: Duration,
        /// The newest batch of the broker's journal; none from one that does not say so.
        journal: Option<JournalHead>,
    },
    /// The position that the follower showed cannot be resumed; no lease until a snapshot is whole.
    Reset,
}

/// The end of a batch in a broker's journal, and with it all that stands up to there: two histories that have
/// parted have no later one in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHead {
    /// The batch's last event, a sequence of 48 bits.
    pub sequence: u64,
    /// The hash of the journal's chain with that batch.
    pub hash: [u8; 32],
}

/// What closes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// Entries of all parts.
    pub count: u64,
    /// SHA-256 over all entries as encoded, in order.
    pub entries_sha256: [u8; 32],
}

/// Everything of this level and id that was decided at or below a sequence is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The kind of id.
    pub level: Level,
    /// The id, as [`Target::id_bytes`](crate::Target::id_bytes) writes it.
    pub id: [u8; 16],
    /// The newest decision that is dead.
    pub below_sequence: u64,
    /// From when the entry may be forgotten; none for signing keys.
    pub drop_after: Option<Timestamp>,
}

/// A public key that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its RFC 7638 thumbprint.
    pub kid: KeyId,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// An uncompressed P-256 point of 65 bytes, or 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
}

/// How far a verifier is in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The epoch of the journal.
    pub epoch: u32,
    /// The sequence that it was brought to.
    pub sequence: u64,
    /// The chain's head there.
    pub head: [u8; 32],
}

/// Bytes to frames: the wire, as far as a verifier has to know it. Whoever feeds one passes the contract's.
pub trait Codec {
    /// Why bytes are not a frame.
    type Error: fmt::Display;

    /// The frame that a payload says, every field checked. It is called for signed bytes alone, and
    /// for those that claim to be a key set.
    ///
    /// # Errors
    ///
    /// For everything that is not as the contract says, and for everything that it does not know.
    fn decode(&self, payload: &[u8]) -> Result<Frame, Self::Error>;

    /// An entry as it is hashed at the end of a snapshot.
    fn encode_entry(&self, entry: &Entry) -> Vec<u8>;
}
