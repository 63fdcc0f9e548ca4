//! [`Wire`]: frames of the feed as the contract has them, for verifiers that a bench feeds itself.

use locum_api::feed::{self, NotAFrame};
use locum_model::feed::{Entry, Frame};
use locum_verifier::Codec;

/// The contract's wire.
#[derive(Clone, Copy, Debug)]
pub struct Wire;

impl Codec for Wire {
    type Error = NotAFrame;

    fn decode(&self, payload: &[u8]) -> Result<Frame, NotAFrame> {
        feed::decode(payload)
    }

    fn encode_entry(&self, entry: &Entry) -> Vec<u8> {
        feed::encode_entry(entry)
    }
}
