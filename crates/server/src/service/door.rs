//! [`Door`]: the methods of one service, before the table of paths that all other methods are found in. What is
//! asked most need not pass it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::{Either, Map};
use tonic::body::Body;
use tower::{Layer, Service};

/// Methods that answer as a generated service would.
pub(crate) trait Methods: Send + Sync + 'static {
    /// What becomes the answer; the request itself where it is for none of them.
    fn answer(self: &Arc<Self>, request: http::Request<Body>) -> Either<Answering, http::Request<Body>>;
}

/// What becomes an answer. An error is one, too.
pub(crate) type Answering = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// The layer that stands before what answers all other methods.
pub(crate) struct DoorLayer<M>(Arc<M>);

/// Some methods, and what answers all others.
pub(crate) struct Door<M, S> {
    methods: Arc<M>,
    others: S,
}

/// An answer, as a service that may fail gives it.
type Answered<E> = Map<Answering, fn(http::Response<Body>) -> Result<http::Response<Body>, E>>;

// === impl DoorLayer ===

impl<M> DoorLayer<M> {
    pub(crate) fn new(methods: M) -> Self {
        Self(Arc::new(methods))
    }
}

impl<M> Clone for DoorLayer<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M, S> Layer<S> for DoorLayer<M> {
    type Service = Door<M, S>;

    fn layer(&self, others: S) -> Door<M, S> {
        Door { methods: Arc::clone(&self.0), others }
    }
}

// === impl Door ===

impl<M, S: Clone> Clone for Door<M, S> {
    fn clone(&self) -> Self {
        Self { methods: Arc::clone(&self.methods), others: self.others.clone() }
    }
}

impl<M: Methods, S> Service<http::Request<Body>> for Door<M, S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<Answered<S::Error>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.others.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self.methods.answer(request) {
            Either::Left(answering) => Either::Left(answering.map(Ok as fn(_) -> _)),
            Either::Right(request) => Either::Right(self.others.call(request)),
        }
    }
}
