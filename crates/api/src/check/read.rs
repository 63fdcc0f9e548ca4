//! Questions: `IntrospectTokenRequest` and `IntrospectTokensRequest`, borrowed from their bytes.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::convert::confirmation::{Presented, PresentedProof, presented_of};
use crate::violation::Malformed;

/// A question about a token, as it stands in the request's bytes. It carries a token: it has no `Debug`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Question<'a> {
    /// The token, as presented.
    pub token: &'a str,
    /// The connector that the caller expects it to be for.
    pub connector: &'a str,
    certificate_sha256: &'a [u8],
    proof: Option<PresentedProof<'a>>,
}

/// Bytes that are no request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotAQuestion {
    /// A field that does not end, or has another type or number than any field can have.
    #[error("failed to decode the request: {0}")]
    Encoding(#[from] DecodeError),
    /// A field that is known has another type.
    #[error("failed to decode the request: field `{0}` has another type")]
    Type(&'static str),
    /// A field says that it is longer than what is left.
    #[error("failed to decode the request: field `{0}` does not end")]
    Length(&'static str),
    /// A text that is not UTF-8.
    #[error("failed to decode the request: field `{0}` is not UTF-8")]
    Text(&'static str),
}

impl<'a> Question<'a> {
    /// What the presenter of the token showed.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when there is a digest and it has not 32 bytes, or a proof without method or URI.
    pub fn presented(&self) -> Result<Presented<'a>, Malformed> {
        presented_of(self.certificate_sha256, self.proof, "presented")
    }

    /// Takes what stands in a `Presented`. One that stands twice is one: the later value of a field counts.
    fn take_presented(&mut self, bytes: &'a [u8]) -> Result<(), NotAQuestion> {
        fields(bytes, |number, wire_type, rest| {
            match number {
                1 => self.certificate_sha256 = delimited("certificate_sha256", wire_type, rest)?,
                2 => {
                    let proof = self.proof.get_or_insert_default();
                    take_proof(proof, delimited("proof", wire_type, rest)?)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// The question that `bytes` ask.
///
/// # Errors
///
/// [`NotAQuestion`] for bytes that are no `IntrospectTokenRequest`.
pub fn question(bytes: &[u8]) -> Result<Question<'_>, NotAQuestion> {
    let mut question = Question::default();
    fields(bytes, |number, wire_type, rest| {
        match number {
            1 => question.token = text("token", wire_type, rest)?,
            2 => question.connector = text("connector", wire_type, rest)?,
            3 => question.take_presented(delimited("presented", wire_type, rest)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(question)
}

/// The questions that `bytes` ask, in order, appended to `questions` while they are at most `max`; gives how many
/// there are in all.
///
/// # Errors
///
/// [`NotAQuestion`] for bytes that are no `IntrospectTokensRequest`.
pub fn questions<'a>(
    bytes: &'a [u8],
    max: usize,
    questions: &mut Vec<Question<'a>>,
) -> Result<usize, NotAQuestion> {
    let mut count = 0;
    fields(bytes, |number, wire_type, rest| {
        if number != 1 {
            return Ok(false);
        }
        let one = question(delimited("tokens", wire_type, rest)?)?;
        count += 1;
        if count <= max {
            questions.push(one);
        }
        Ok(true)
    })?;
    Ok(count)
}

fn take_proof<'a>(proof: &mut PresentedProof<'a>, bytes: &'a [u8]) -> Result<(), NotAQuestion> {
    fields(bytes, |number, wire_type, rest| {
        match number {
            1 => proof.proof = text("proof", wire_type, rest)?,
            2 => proof.method = text("method", wire_type, rest)?,
            3 => proof.uri = text("uri", wire_type, rest)?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// Gives each field to `take`, which reads it, or says that it does not know it.
fn fields<'a>(
    bytes: &'a [u8],
    mut take: impl FnMut(u32, WireType, &mut &'a [u8]) -> Result<bool, NotAQuestion>,
) -> Result<(), NotAQuestion> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest)?;
        if !take(number, wire_type, &mut rest)? {
            skip_field(wire_type, number, &mut rest, DecodeContext::default())?;
        }
    }
    Ok(())
}

fn delimited<'a>(
    name: &'static str,
    wire_type: WireType,
    rest: &mut &'a [u8],
) -> Result<&'a [u8], NotAQuestion> {
    if wire_type != WireType::LengthDelimited {
        return Err(NotAQuestion::Type(name));
    }
    let length = decode_varint(rest)?;
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (inside, after) = split.ok_or(NotAQuestion::Length(name))?;
    *rest = after;
    Ok(inside)
}

fn text<'a>(name: &'static str, wire_type: WireType, rest: &mut &'a [u8]) -> Result<&'a str, NotAQuestion> {
    std::str::from_utf8(delimited(name, wire_type, rest)?).or(Err(NotAQuestion::Text(name)))
}
