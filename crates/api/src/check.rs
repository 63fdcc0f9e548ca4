//! Questions and answers of `IntrospectToken` as bytes, without the generated messages between.
//!
//! A check costs less than copying its texts into a message and out again. [`question`] and
//! [`questions`] give what a request says as parts of its bytes; [`write_active`] and [`entry`]
//! write the answer that the generated messages would have been encoded to, byte for byte.
//!
//! What always holds: bytes are read exactly if the generated messages can be decoded from them, and
//! say the same. The tests compare both ways, over messages and over noise.

mod codec;
mod read;
mod write;

pub use codec::{Answer, AuthorizeCodec, CheckCodec, Message};
pub use read::{NotAQuestion, Question, question, questions};
pub use write::{Active, entry, write_active};

#[cfg(test)]
mod tests;
