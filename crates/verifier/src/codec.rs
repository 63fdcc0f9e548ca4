//! A frame as it comes off the wire.

use std::fmt;

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
