//! [`CheckCodec`]: gRPC messages as the bytes they are.

use prost::bytes::{Buf as _, BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;

use crate::broker::v1 as wire;

/// A question about one token, or its answer, fits.
const BUFFER_BYTES: usize = 1_024;
/// Answers that are ready are sent together up to this.
const SENT_TOGETHER_BYTES: usize = 32 * 1_024;

/// The codec of both introspections.
#[derive(Clone, Copy, Debug)]
pub struct CheckCodec;

/// The codec of `Authorize`, as generated.
pub type AuthorizeCodec = ProstCodec<wire::AuthorizeResponse, wire::AuthorizeRequest>;

/// A request's message: a part of what was received, not a copy. It carries tokens: it has no `Debug`.
pub struct Message(Bytes);

/// The message of an answer.
#[derive(Debug)]
pub struct Answer(pub Vec<u8>);

impl Message {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Codec for CheckCodec {
    type Encode = Answer;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for CheckCodec {
    type Item = Answer;
    type Error = Status;

    fn encode(&mut self, Answer(bytes): Answer, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&bytes);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, SENT_TOGETHER_BYTES)
    }
}

impl Decoder for CheckCodec {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        let length = message.remaining();
        Ok(Some(Message(message.copy_to_bytes(length))))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, SENT_TOGETHER_BYTES)
    }
}
