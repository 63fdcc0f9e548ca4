//! The three methods of the service before the table of paths that all other methods are found in.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::check::{Answer, AuthorizeCodec, CheckCodec, Message};
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::codec::Codec;
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, Checks};
use crate::grpc::Answering;
use crate::service::asked::workload;
use crate::service::gate::{Admitted, Taken};

const INTROSPECT_TOKEN: &str = "/locum.broker.v1.CheckService/IntrospectToken";
const INTROSPECT_TOKENS: &str = "/locum.broker.v1.CheckService/IntrospectTokens";
const AUTHORIZE: &str = "/locum.broker.v1.CheckService/Authorize";

/// Batches of tokens are the largest messages that are not an operator's.
const MESSAGE_BYTES_MAX: usize = 4 * GRPC_MESSAGE_BYTES_MAX;

struct IntrospectToken(Arc<Checks>);
struct IntrospectTokens(Arc<Checks>);
struct Authorize(Arc<Checks>);

/// What becomes a message, or a refusal.
type Answered<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

// === impl Checks ===

impl Checks {
    /// Answers a request for one of its methods; another one is given back.
    pub(crate) fn answer<'g>(self: &Arc<Self>, admitted: Admitted<'g>) -> Either<Answering, Admitted<'g>> {
        let checks = Arc::clone(self);
        Either::Left(match admitted.path() {
            INTROSPECT_TOKEN => match admitted.take(MESSAGE_BYTES_MAX) {
                Taken::Whole(asked, request) => {
                    match checks.introspect_token(asked, request.into_body(), Self::answered) {
                        Either::Left(answer) => Answering::now(answer),
                        Either::Right(answer) => Answering::later(answer),
                    }
                }
                Taken::Body(request) => Answering::generated(async move {
                    bounded(CheckCodec).unary(IntrospectToken(checks), request).await
                }),
            },
            INTROSPECT_TOKENS => {
                let request = admitted.generated();
                Answering::generated(async move {
                    bounded(CheckCodec).streaming(IntrospectTokens(checks), request).await
                })
            }
            AUTHORIZE => {
                let request = admitted.generated();
                Answering::generated(async move {
                    bounded(AuthorizeCodec::default()).unary(Authorize(checks), request).await
                })
            }
            _ => return Either::Right(admitted),
        })
    }
}

fn bounded<C: Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), None)
}

// === the methods ===

impl UnaryService<Message> for IntrospectToken {
    type Response = Answer;
    type Future = Answered<Answer>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        let checks = Arc::clone(&self.0);
        Box::pin(async move {
            let (asked, message) = workload(request)?;
            let answer = match checks.introspect_token(Ok(asked), message.into_bytes(), Checks::message) {
                Either::Left(answer) => answer,
                Either::Right(answer) => answer.await,
            };
            answer.map(Response::new)
        })
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
    type Future = Answered<wire::AuthorizeResponse>;

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
