//! [`Codec`]: the wire, as far as a verifier has to know it; and the frame as it comes off it.

use std::fmt;

use locum_model::feed::{Entry, Frame};

/// Bytes to frames. The SDK passes the contract's.
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

/// A frame as it was received: nothing about it has been believed yet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignedFrame<'a> {
    /// The bytes that are signed and hashed.
    pub payload: &'a [u8],
    /// The thumbprint of the key; 32 bytes, or it is nobody's.
    pub kid: &'a [u8],
    /// Over the signing context and the payload.
    pub signature: &'a [u8],
}

impl fmt::Debug for SignedFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedFrame").field("payload_bytes", &self.payload.len()).finish_non_exhaustive()
    }
}
