//! Frames of the revocation feed: what is signed, as bytes and as checked values.
//!
//! What always holds: [`decode`] gives back only frames whose every field is as the contract says,
//! and what it does not know (a version, a level, a body, an algorithm) is an error that a verifier
//! treats as *unknown*, never as nothing. The bytes that are signed and hashed are the bytes that
//! travel: nobody encodes a received frame again. Signatures, hashes and order are not judged here.

mod read;
mod write;

use locum_model::event::KeyPurpose;
use locum_model::limits::FEED_PAYLOAD_BYTES_MAX;
use locum_model::registry::Algorithm;
use locum_model::{ConnectorNo, KeyId, Level, Timestamp};

use crate::violation::Malformed;

pub use read::decode;
pub use write::{encode, encode_entry, signing_input};

/// The one version of the payload.
pub const VERSION: u32 = 1;
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
    /// Counts frames within epoch and partition, without gaps.
    pub sequence: u64,
    /// SHA-256 of the payload before; zeros for the first frame of a stream.
    pub previous: [u8; 32],
    /// The broker's time.
    pub server_time: Timestamp,
    /// The frame's substance.
    pub body: Body,
}

/// The substance of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The keys that count from now on.
    KeySet {
        /// Grows with every change.
        number: u64,
        /// At most [`FEED_KEYS_MAX`].
        keys: Vec<Key>,
    },
    /// A part of everything that is in force.
    SnapshotPart {
        /// Counts from 0.
        part: u32,
        /// What closes the snapshot; in the last part alone.
        end: Option<SnapshotEnd>,
        /// The journal sequence that the snapshot brings the verifier to.
        position: u64,
        /// Joined with what is known by maximum.
        entries: Vec<Entry>,
    },
    /// What is new.
    Delta {
        /// The journal sequence that the entries bring the verifier to.
        position: u64,
        /// Joined with what is known by maximum.
        entries: Vec<Entry>,
    },
    /// A sign of life.
    Heartbeat {
        /// The nonce of the newest ping; none when there was none.
        nonce: Option<[u8; 16]>,
        /// The journal sequence that everything sent so far covers.
        position: u64,
    },
    /// Forget the position; no lease until a snapshot is whole.
    Reset,
}

/// What closes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// Entries of all parts.
    pub count: u64,
    /// SHA-256 over [`encode_entry`] of all entries, in order.
    pub entries_sha256: [u8; 32],
}

/// Everything of this level and id that was decided at or below a sequence is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The kind of id.
    pub level: Level,
    /// The id, as [`locum_model::Target::id_bytes`] writes it.
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
    /// Tokens or the feed; never the root, which verifiers pin.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// An uncompressed P-256 point of 65 bytes, or 32 bytes of Ed25519.
    pub public_key: Vec<u8>,
}

/// Why bytes are not a frame. A verifier that meets any of these answers *unknown*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFrame {
    /// Larger than any frame.
    #[error("a frame has at most {FEED_PAYLOAD_BYTES_MAX} bytes, not {0}")]
    TooLarge(usize),
    /// Not an encoded payload at all.
    #[error("not an encoded payload")]
    Encoding(#[source] prost::DecodeError),
    /// Another version.
    #[error("version {0} of the feed is not known")]
    Version(u32),
    /// An entry of another level.
    #[error("level {0} of an entry is not known")]
    Level(i32),
    /// No body, or one that this version does not know.
    #[error("a frame without a body that is known")]
    Body,
    /// A field is not as the contract says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}
