//! [`Messages`]: generated messages, in buffers of the size that most of them have.
//!
//! tonic begins every message, of a request and of an answer, with a buffer of 8 KiB. Ours have some hundred
//! bytes, and memory of more than a kilobyte is what an allocator takes longest to find and to give back.

use std::fmt;
use std::marker::PhantomData;

pub use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::ProstCodec;

/// A token with what it says fits. What does not makes the buffer grow.
const BUFFER_BYTES: usize = 1_024;
/// Answers that are ready are sent together up to this.
const SENT_TOGETHER_BYTES: usize = 32 * 1_024;

/// The codec of a method that answers `In` with `Out`.
pub struct Messages<Out, In>(PhantomData<fn(In) -> Out>);

impl<Out, In> Default for Messages<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out, In> fmt::Debug for Messages<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Messages")
    }
}

impl<Out: Message + Send + 'static, In: Message + Default + Send + 'static> Codec for Messages<Out, In> {
    type Encode = Out;
    type Decode = In;
    type Encoder = <ProstCodec<Out, In> as Codec>::Encoder;
    type Decoder = <ProstCodec<Out, In> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Out, In>::raw_encoder(BufferSettings::new(BUFFER_BYTES, SENT_TOGETHER_BYTES))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Out, In>::raw_decoder(BufferSettings::new(BUFFER_BYTES, SENT_TOGETHER_BYTES))
    }
}

/// A message of a request, refused as a generated service refuses what it cannot decode.
///
/// # Errors
///
/// `INTERNAL`, with what prost says.
pub fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, Status> {
    M::decode(bytes).map_err(|why| Status::internal(why.to_string()))
}

/// Appends a message of an answer to `out`.
pub fn write(message: &impl Message, out: &mut Vec<u8>) {
    out.reserve(message.encoded_len());
    message.encode_raw(out);
}
