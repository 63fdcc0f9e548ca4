//! [`Coming`]: what a caller has yet to say, which is waited for until the process stops.
//!
//! Whoever opens a stream, or a request, and says nothing more keeps a handler waiting. Here all of them stop waiting
//! together, whatever the service: the next message is then the refusal DRAINING. What has come is taken all
//! the same, the bytes of the largest message at most, and a stream answers the message that it is at.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame};
use locum_model::Reason;
use locum_model::limits::{GRPC_MESSAGE_BYTES_MAX, POLICY_BYTES_MAX};
use tonic::Status;

use super::request_id::RequestId;
use crate::grpc::LookedAt;
use crate::tasks::Stopping;

/// What is still heard of one request once the process stops: a caller who never pauses is not heard for ever.
const HEARD_BYTES_MAX: usize = POLICY_BYTES_MAX + GRPC_MESSAGE_BYTES_MAX;

/// The body of a request.
pub(super) struct Coming {
    said: LookedAt,
    stopping: Stopping,
    /// Bytes that came since the process was told to stop.
    heard: usize,
    /// Made when it turns out that there is something to wait for.
    stopped: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    request_id: RequestId,
}

// === impl Coming ===

impl Coming {
    pub(super) fn new(said: LookedAt, stopping: Stopping, request_id: RequestId) -> Self {
        Self { said, stopping, heard: 0, stopped: None, request_id }
    }

    fn refusal(&self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(Some(Err(locum_api::status::status(Reason::Draining, None, &self.request_id, &[]))))
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.heard > HEARD_BYTES_MAX {
            return self.refusal();
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.said).poll_frame(cx) {
            if self.stopping.is_set()
                && let Some(Ok(frame)) = &frame
            {
                // An empty frame is not for nothing either.
                self.heard += frame.data_ref().map_or(0, Bytes::len).max(1);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| Status::from_error(error.into()))));
        }
        let Self { stopping, stopped, .. } = &mut *self;
        let stopped = stopped.get_or_insert_with(|| {
            let mut stopping = stopping.clone();
            Box::pin(async move { stopping.wait().await })
        });
        ready!(stopped.as_mut().poll(cx));
        self.refusal()
    }

    fn is_end_stream(&self) -> bool {
        self.said.is_end_stream()
    }
}
