//! [`CheckDoor`]: the three methods of the service, as a generated service would hand them on. It stands before the
//! table of paths that all other methods are found in: what is asked most need not pass it.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::check::{Answer, AuthorizeCodec, CheckCodec, Message};
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tower::{Layer, Service};

use super::{Answers, Checks, OneAnswer};

const INTROSPECT_TOKEN: &str = "/locum.broker.v1.CheckService/IntrospectToken";
const INTROSPECT_TOKENS: &str = "/locum.broker.v1.CheckService/IntrospectTokens";
const AUTHORIZE: &str = "/locum.broker.v1.CheckService/Authorize";

/// Batches of tokens are the largest messages that are not an operator's.
const MESSAGE_BYTES_MAX: usize = 4 * GRPC_MESSAGE_BYTES_MAX;

/// The layer that stands before what answers all other methods.
#[derive(Clone)]
pub(crate) struct CheckDoorLayer(Arc<Checks>);

/// The service, and what answers all other methods.
#[derive(Clone)]
pub(crate) struct CheckDoor<S> {
    checks: Arc<Checks>,
    others: S,
}

struct IntrospectToken(Arc<Checks>);
struct IntrospectTokens(Arc<Checks>);
struct Authorize(Arc<Checks>);

type Answering<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;
type Answered<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

// === impl CheckDoor ===

impl CheckDoorLayer {
    pub(crate) fn new(checks: Checks) -> Self {
        Self(Arc::new(checks))
    }
}

impl<S> Layer<S> for CheckDoorLayer {
    type Service = CheckDoor<S>;

    fn layer(&self, others: S) -> CheckDoor<S> {
        CheckDoor { checks: Arc::clone(&self.0), others }
    }
}

impl<S> Service<http::Request<Body>> for CheckDoor<S>
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
        let checks = || Arc::clone(&self.checks);
        let answered: Answered<S::Error> = match request.uri().path() {
            INTROSPECT_TOKEN => {
                let method = IntrospectToken(checks());
                Box::pin(async move { Ok(bounded(CheckCodec).unary(method, request).await) })
            }
            INTROSPECT_TOKENS => {
                let method = IntrospectTokens(checks());
                Box::pin(async move { Ok(bounded(CheckCodec).streaming(method, request).await) })
            }
            AUTHORIZE => {
                let method = Authorize(checks());
                Box::pin(async move { Ok(bounded(AuthorizeCodec::default()).unary(method, request).await) })
            }
            _ => return Either::Right(self.others.call(request)),
        };
        Either::Left(answered)
    }
}

fn bounded<C: Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None)
}

// === the methods ===

impl UnaryService<Message> for IntrospectToken {
    type Response = Answer;
    type Future = OneAnswer;

    fn call(&mut self, request: Request<Message>) -> OneAnswer {
        Arc::clone(&self.0).introspect_token(request)
    }
}

impl StreamingService<Message> for IntrospectTokens {
    type Response = Answer;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<Message>>) -> Self::Future {
        ready(Arc::clone(&self.0).introspect_tokens(request))
    }
}

impl UnaryService<wire::AuthorizeRequest> for Authorize {
    type Response = wire::AuthorizeResponse;
    type Future = Answering<Response<wire::AuthorizeResponse>>;

    fn call(&mut self, request: Request<wire::AuthorizeRequest>) -> Self::Future {
        let checks = Arc::clone(&self.0);
        Box::pin(async move { checks.authorize(request).await })
    }
}

#[cfg(test)]
mod tests {
    use locum_api::roles::METHODS;

    use super::*;

    #[test]
    fn every_method_of_the_service_has_an_arm() {
        let service = "/locum.broker.v1.CheckService/";
        let paths: Vec<&str> =
            METHODS.iter().map(|(path, _)| *path).filter(|path| path.starts_with(service)).collect();
        assert_eq!(paths, [INTROSPECT_TOKEN, INTROSPECT_TOKENS, AUTHORIZE]);
    }
}
