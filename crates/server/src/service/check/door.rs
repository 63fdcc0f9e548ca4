//! [`CheckDoor`]: the three methods of the service, as a generated service would hand them on.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use locum_api::broker::v1 as wire;
use locum_api::check::{Answer, AuthorizeCodec, CheckCodec, Message};
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tower::Service;

use super::{Answers, Checks};

const INTROSPECT_TOKEN: &str = "/locum.broker.v1.CheckService/IntrospectToken";
const INTROSPECT_TOKENS: &str = "/locum.broker.v1.CheckService/IntrospectTokens";
const AUTHORIZE: &str = "/locum.broker.v1.CheckService/Authorize";

/// Batches of tokens are the largest messages that are not an operator's.
const MESSAGE_BYTES_MAX: usize = 4 * GRPC_MESSAGE_BYTES_MAX;

/// The service.
#[derive(Clone)]
pub(crate) struct CheckDoor(pub Arc<Checks>);

struct IntrospectToken(Arc<Checks>);
struct IntrospectTokens(Arc<Checks>);
struct Authorize(Arc<Checks>);

type Answering<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

// === impl CheckDoor ===

impl NamedService for CheckDoor {
    const NAME: &'static str = "locum.broker.v1.CheckService";
}

impl Service<http::Request<Body>> for CheckDoor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let checks = Arc::clone(&self.0);
        match request.uri().path() {
            INTROSPECT_TOKEN => {
                Box::pin(async move { Ok(bounded(CheckCodec).unary(IntrospectToken(checks), request).await) })
            }
            INTROSPECT_TOKENS => {
                Box::pin(
                    async move { Ok(bounded(CheckCodec).streaming(IntrospectTokens(checks), request).await) },
                )
            }
            AUTHORIZE => Box::pin(async move {
                Ok(bounded(AuthorizeCodec::default()).unary(Authorize(checks), request).await)
            }),
            _ => Box::pin(ready(Ok(Status::unimplemented("no such method").into_http()))),
        }
    }
}

fn bounded<C: Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None)
}

// === the methods ===

impl UnaryService<Message> for IntrospectToken {
    type Response = Answer;
    type Future = Ready<Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        ready(self.0.introspect_token(request))
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
        let service = format!("/{}/", CheckDoor::NAME);
        let paths: Vec<&str> =
            METHODS.iter().map(|(path, _)| *path).filter(|path| path.starts_with(&service)).collect();
        assert_eq!(paths, [INTROSPECT_TOKEN, INTROSPECT_TOKENS, AUTHORIZE]);
    }
}
