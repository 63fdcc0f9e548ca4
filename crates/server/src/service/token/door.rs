//! The methods of the service before the table of paths that all other methods are found in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::TryFutureExt as _;
use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::codec::{Message, Messages, read, write};
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::codec::Codec;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

use super::{Tokens, shown_proof};
use crate::grpc::{Answering, Said, one_message};
use crate::service::asked::workload;
use crate::service::gate::{Admitted, Taken};

pub(super) const ISSUE_TOKEN: &str = "/locum.broker.v1.TokenService/IssueToken";
const REVOKE_TOKEN: &str = "/locum.broker.v1.TokenService/RevokeToken";

/// Room for an answer: a token with what it says fits.
const MESSAGE_BYTES: usize = 1_019;

struct IssueToken(Arc<Tokens>);
struct RevokeToken(Arc<Tokens>);

/// What becomes a message, or a refusal.
type Asking<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

// === impl Tokens ===

impl Tokens {
    /// Answers a request for one of its methods; another one is given back.
    pub(crate) fn answer<'g>(self: &Arc<Self>, admitted: Admitted<'g>) -> Either<Answering, Admitted<'g>> {
        let tokens = Arc::clone(self);
        Either::Left(match admitted.path() {
            ISSUE_TOKEN => match admitted.take(GRPC_MESSAGE_BYTES_MAX) {
                Taken::Whole(asked, request) => {
                    let ready = asked.and_then(|asked| {
                        let shown = shown_proof(request.headers());
                        let ask = tokens.asked_for(&asked, shown, &read(request.body())?)?;
                        Ok((asked, ask))
                    });
                    match ready {
                        Ok((asked, ask)) => {
                            let issued = async move { tokens.issue_token(asked, ask).await };
                            Answering::later(issued.map_ok(|message| said(&message)))
                        }
                        Err(refused) => Answering::now(Err(refused)),
                    }
                }
                Taken::Body(request) => Answering::generated(async move {
                    bounded(Messages::default()).unary(IssueToken(tokens), request).await
                }),
            },
            REVOKE_TOKEN => match admitted.take(GRPC_MESSAGE_BYTES_MAX) {
                Taken::Whole(asked, request) => Answering::later(async move {
                    Ok(said(&tokens.revoke_token(asked?, read(request.body())?).await?))
                }),
                Taken::Body(request) => Answering::generated(async move {
                    bounded(Messages::default()).unary(RevokeToken(tokens), request).await
                }),
            },
            _ => return Either::Right(admitted),
        })
    }
}

fn said(message: &impl Message) -> http::Response<Said> {
    one_message(MESSAGE_BYTES, |bytes| write(message, bytes))
}

fn bounded<C: Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).apply_max_message_size_config(Some(GRPC_MESSAGE_BYTES_MAX), None)
}

// === the methods ===

impl UnaryService<wire::IssueTokenRequest> for IssueToken {
    type Response = wire::IssueTokenResponse;
    type Future = Asking<wire::IssueTokenResponse>;

    fn call(&mut self, request: Request<wire::IssueTokenRequest>) -> Self::Future {
        let tokens = Arc::clone(&self.0);
        Box::pin(async move {
            let shown = shown_proof(request.metadata().as_ref());
            let (asked, message) = workload(request)?;
            let ask = tokens.asked_for(&asked, shown, &message)?;
            tokens.issue_token(asked, ask).await.map(Response::new)
        })
    }
}

impl UnaryService<wire::RevokeTokenRequest> for RevokeToken {
    type Response = wire::RevokeTokenResponse;
    type Future = Asking<wire::RevokeTokenResponse>;

    fn call(&mut self, request: Request<wire::RevokeTokenRequest>) -> Self::Future {
        let tokens = Arc::clone(&self.0);
        Box::pin(async move {
            let (asked, message) = workload(request)?;
            tokens.revoke_token(asked, message).await.map(Response::new)
        })
    }
}

#[cfg(test)]
mod tests {
    use locum_api::roles::METHODS;

    use super::*;

    #[test]
    fn every_method_of_the_service_has_an_arm() {
        let service = "/locum.broker.v1.TokenService/";
        let paths: Vec<&str> =
            METHODS.iter().map(|(path, _)| *path).filter(|path| path.starts_with(service)).collect();
        assert_eq!(paths, [ISSUE_TOKEN, REVOKE_TOKEN]);
    }
}
