//! Frames of the revocation feed ([`locum_model::feed`]) as the bytes that are signed, and back.
//!
//! What always holds: [`decode`] gives back only frames whose every field is as the contract says,
//! and what it does not know (a version, a level, a body, an algorithm) is an error that a verifier
//! treats as *unknown*, never as nothing. The bytes that are signed and hashed are the bytes that
//! travel: nobody encodes a received frame again. Signatures, hashes and order are not judged here.

mod read;
mod write;

use locum_model::feed::{Codec, Entry, Frame};
use locum_model::limits::FEED_PAYLOAD_BYTES_MAX;

use crate::violation::Malformed;

pub use locum_model::feed::SIGNING_CONTEXT;
pub use read::{acknowledgement_from_wire, decode};
pub use write::{acknowledgement_to_wire, encode, encode_entry, signing_input};

/// The one version of the payload.
pub const VERSION: u32 = 1;

/// The contract's wire, for whoever feeds a verifier.
#[derive(Clone, Copy, Debug)]
pub struct Wire;

impl Codec for Wire {
    type Error = NotAFrame;

    fn decode(&self, payload: &[u8]) -> Result<Frame, NotAFrame> {
        decode(payload)
    }

    fn encode_entry(&self, entry: &Entry) -> Vec<u8> {
        encode_entry(entry)
    }
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
