//! [`whole`] and [`Said`]: messages of calls with one of them each way, as they stand in HTTP/2.
//!
//! Nearly every request has come whole, in one frame, before it is taken up. Then its message is a part of
//! what was read. Everything else (several frames, trailers, compression, what is broken) goes on to tonic as a
//! body that says again what was looked at, so that there is one place that knows what to do with it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// Bytes before each message: a flag and its length.
pub(super) const PREFIX_BYTES: usize = 5;

/// The body of an answer.
#[derive(Default)]
pub enum Said {
    /// One message with its prefix, and then that all is well.
    Message(Bytes),
    /// That all is well.
    Well,
    /// Nothing more.
    #[default]
    Nothing,
    /// What a generated service says.
    Other(Body),
}

/// A body of which the first frame may have been looked at.
pub(crate) struct LookedAt {
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    rest: Incoming,
}

// === impl Said ===

impl From<Body> for Said {
    fn from(body: Body) -> Self {
        Self::Other(body)
    }
}

impl hyper::body::Body for Said {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let said = match &mut *self {
            Self::Other(body) => return Pin::new(body).poll_frame(cx),
            said => std::mem::take(said),
        };
        Poll::Ready(match said {
            Self::Message(bytes) => {
                *self = Self::Well;
                Some(Ok(Frame::data(bytes)))
            }
            Self::Well => Some(Ok(Frame::trailers(well()))),
            Self::Nothing | Self::Other(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Message(_) | Self::Well => false,
            Self::Nothing => true,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Message(_) | Self::Well => SizeHint::default(),
            Self::Nothing => SizeHint::with_exact(0),
            Self::Other(body) => body.size_hint(),
        }
    }
}

// === impl LookedAt ===

impl From<Incoming> for LookedAt {
    fn from(rest: Incoming) -> Self {
        Self { first: None, rest }
    }
}

impl hyper::body::Body for LookedAt {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

// === free functions ===

/// The one message of a request, if it has come whole and takes at most `bytes_max`; else the request, untouched.
pub(crate) fn whole(
    request: Request<Incoming>,
    bytes_max: usize,
) -> Either<Request<Bytes>, Request<LookedAt>> {
    let (head, mut body) = request.into_parts();
    // Nobody is to be woken: who goes on to wait for more asks again.
    let first = match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending | Poll::Ready(None) => {
            return Either::Right(Request::from_parts(head, LookedAt::from(body)));
        }
        Poll::Ready(Some(first)) => first,
    };
    if body.is_end_stream()
        && !head.headers.contains_key("grpc-encoding")
        && let Ok(frame) = &first
        && let Some(bytes) = frame.data_ref()
        && let Some(message) = only_message(bytes).filter(|message| message.len() <= bytes_max)
    {
        return Either::Left(Request::from_parts(head, message));
    }
    Either::Right(Request::from_parts(head, LookedAt { first: Some(first), rest: body }))
}

/// The message, where the bytes are one that is not compressed, and nothing more.
fn only_message(bytes: &Bytes) -> Option<Bytes> {
    let (prefix, message) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
    let [compressed, length @ ..] = prefix;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (*compressed == 0 && length == message.len()).then(|| bytes.slice(PREFIX_BYTES..))
}

/// The response with one message, which `write` appends to what it is given.
pub fn one_message(bytes_likely: usize, write: impl FnOnce(&mut Vec<u8>)) -> Response<Said> {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + bytes_likely);
    bytes.extend_from_slice(&[0; PREFIX_BYTES]);
    write(&mut bytes);
    let length = u32::try_from(bytes.len() - PREFIX_BYTES).expect("an answer is far below 4 GiB");
    bytes[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    let mut response = Response::new(Said::Message(bytes.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The trailers of an answer that is none of the refusals.
fn well() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn only_what_is_exactly_one_message_is_taken() {
        let taken = |bytes: &'static [u8]| only_message(&Bytes::from_static(bytes));
        assert_eq!(taken(&[0, 0, 0, 0, 0]).as_deref(), Some(&[][..]));
        assert_eq!(taken(&[0, 0, 0, 0, 2, 7, 8]).as_deref(), Some(&[7, 8][..]));
        for bad in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[0, 0, 0, 0, 1, 7, 8],
            &[1, 0, 0, 0, 1, 7],
            &[7, 0, 0, 0, 1, 7],
            &[0, 0xff, 0xff, 0xff, 0xff, 7],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(taken(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_its_message_and_then_that_all_is_well() {
        let response = one_message(2, |bytes| bytes.extend_from_slice(b"abc"));
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let (mut said, mut frames) = (response.into_body(), Vec::new());
        assert!(!said.is_end_stream());
        while let Some(frame) = said.frame().await {
            frames.push(frame.expect("it does not fail"));
        }
        assert!(said.is_end_stream());
        let [message, trailers] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(message.data_ref().map(|data| &data[..]), Some(&b"\0\0\0\0\x03abc"[..]));
        assert_eq!(trailers.trailers_ref(), Some(&well()));
        assert!(Said::default().is_end_stream());
    }
}
