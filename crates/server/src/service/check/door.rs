//! The three methods of the service as a generated service would hand them on, for their door.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::check::{Answer, AuthorizeCodec, CheckCodec, Message};
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Checks, OneAnswer};
use crate::service::door::{Answering, Methods};

const INTROSPECT_TOKEN: &str = "/locum.broker.v1.CheckService/IntrospectToken";
const INTROSPECT_TOKENS: &str = "/locum.broker.v1.CheckService/IntrospectTokens";
const AUTHORIZE: &str = "/locum.broker.v1.CheckService/Authorize";

/// Batches of tokens are the largest messages that are not an operator's.
const MESSAGE_BYTES_MAX: usize = 4 * GRPC_MESSAGE_BYTES_MAX;

struct IntrospectToken(Arc<Checks>);
struct IntrospectTokens(Arc<Checks>);
struct Authorize(Arc<Checks>);

/// What becomes a message, or a refusal.
type Authorizing = Pin<Box<dyn Future<Output = Result<Response<wire::AuthorizeResponse>, Status>> + Send>>;

// === impl Methods ===

impl Methods for Checks {
    fn answer(self: &Arc<Self>, request: http::Request<Body>) -> Either<Answering, http::Request<Body>> {
        let checks = || Arc::clone(self);
        let answering: Answering = match request.uri().path() {
            INTROSPECT_TOKEN => {
                let method = IntrospectToken(checks());
                Box::pin(async move { bounded(CheckCodec).unary(method, request).await })
            }
            INTROSPECT_TOKENS => {
                let method = IntrospectTokens(checks());
                Box::pin(async move { bounded(CheckCodec).streaming(method, request).await })
            }
            AUTHORIZE => {
                let method = Authorize(checks());
                Box::pin(async move { bounded(AuthorizeCodec::default()).unary(method, request).await })
            }
            _ => return Either::Right(request),
        };
        Either::Left(answering)
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
    type Future = Authorizing;

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
