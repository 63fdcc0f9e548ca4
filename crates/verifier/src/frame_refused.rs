//! [`FrameRefused`]: why a frame changed nothing, or showed that something is missing.

use locum_model::KeyId;
use locum_token::kid_text;

/// Why a frame was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameRefused {
    /// Larger than any frame.
    #[error("larger than any frame")]
    TooLarge,
    /// Signed by nobody that this verifier knows, and no key set either.
    #[error("signed with a key that is not in the key set")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signature does not hold")]
    Signature,
    /// A key set under another root than the pinned one.
    #[error("signed by the root `{}`, but `{}` is pinned", kid_text(.shown), kid_text(.pinned))]
    OtherRoot {
        /// The root that signed it.
        shown: KeyId,
        /// The root that is pinned.
        pinned: KeyId,
    },
    /// Of another issuer.
    #[error("of the issuer `{}`, but `{}` is pinned", .shown.escape_debug(), .pinned.escape_debug())]
    OtherIssuer {
        /// As the frame says.
        shown: String,
        /// As is pinned.
        pinned: String,
    },
    /// Of a home that is not the pinned one.
    #[error("of home {0}, which is not the pinned one")]
    OtherHome(u16),
    /// Of another connector's partition.
    #[error("of another connector's partition")]
    OtherPartition,
    /// Of a home or epoch that was left, or that no snapshot has led to.
    #[error("of home {home}, epoch {epoch}, which is not followed")]
    OtherEra {
        /// The home.
        home: u16,
        /// The epoch.
        epoch: u32,
    },
    /// A set of keys that is older than the one held.
    #[error("key set {shown} is older than {held}")]
    KeySetOlder {
        /// The number that it has.
        shown: u64,
        /// The number that is held.
        held: u64,
    },
    /// Another set of keys under the number that is held: the root signed both.
    #[error("another key set under the same number {0}")]
    KeySetForked(u64),
    /// A key in the set is not what its `kid` names, is there twice, or is a root.
    #[error("a key set with a key that is not what it says")]
    KeySetMalformed,
    /// Bytes that name the root and are no key set of this version; nobody knows who sent them.
    #[error("names the root, but is no key set that this version understands: {0}")]
    NotAKeySet(String),
    /// Heard before.
    #[error("heard before")]
    Replayed,
    /// A delta is missing before this frame. The lease is gone; connect again to get it.
    #[error("a delta is missing")]
    Gap,
    /// The broker's chain is elsewhere at the same sequence: its history was forked.
    #[error("another history at the same position")]
    Forked,
    /// A newer set of keys is in force than the one held. The lease is gone.
    #[error("a set of keys is missing")]
    KeySetMissing,
    /// An answer to a ping that is not waiting for one.
    #[error("an answer to no ping of this stream")]
    Unasked,
    /// No snapshot has been whole yet.
    #[error("no snapshot has been whole yet")]
    NoSnapshot,
    /// A snapshot of what was before; or a reset to there.
    #[error("older than what is known")]
    Older,
    /// A part of a snapshot that does not follow the part before.
    #[error("a part of a snapshot out of order")]
    PartOutOfOrder,
    /// The parts are not what the last one counts and hashes.
    #[error("a snapshot that is not what its end says")]
    SnapshotMismatch,
    /// More than may be kept. The lease is gone.
    #[error("more watermarks than may be kept")]
    Full,
    /// Signed, but this version does not understand it. The lease is gone for this stream.
    #[error("signed, but not understood: {0}")]
    NotUnderstood(String),
}

impl FrameRefused {
    /// Whether the stream is of no more use: only another one can bring what is missing.
    pub fn ends_stream(&self) -> bool {
        match self {
            Self::Replayed | Self::Unasked => false,
            Self::TooLarge
            | Self::UnknownKey
            | Self::Signature
            | Self::OtherRoot { .. }
            | Self::OtherIssuer { .. }
            | Self::OtherHome(_)
            | Self::OtherPartition
            | Self::OtherEra { .. }
            | Self::KeySetOlder { .. }
            | Self::KeySetForked(_)
            | Self::KeySetMalformed
            | Self::NotAKeySet(_)
            | Self::Gap
            | Self::Forked
            | Self::KeySetMissing
            | Self::NoSnapshot
            | Self::Older
            | Self::PartOutOfOrder
            | Self::SnapshotMismatch
            | Self::Full
            | Self::NotUnderstood(_) => true,
        }
    }
}
