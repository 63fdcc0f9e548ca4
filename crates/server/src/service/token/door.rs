//! The methods of the service as a generated service would hand them on, for their door.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::codec::Messages;
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

use super::Tokens;
use crate::service::door::{Answering, Methods};

pub(super) const ISSUE_TOKEN: &str = "/locum.broker.v1.TokenService/IssueToken";
const REVOKE_TOKEN: &str = "/locum.broker.v1.TokenService/RevokeToken";

struct IssueToken(Arc<Tokens>);
struct RevokeToken(Arc<Tokens>);

/// What becomes a message, or a refusal.
type Asking<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

// === impl Methods ===

impl Methods for Tokens {
    fn answer(self: &Arc<Self>, request: http::Request<Body>) -> Either<Answering, http::Request<Body>> {
        let tokens = || Arc::clone(self);
        let answering: Answering = match request.uri().path() {
            ISSUE_TOKEN => {
                let method = IssueToken(tokens());
                Box::pin(async move { bounded(Messages::default()).unary(method, request).await })
            }
            REVOKE_TOKEN => {
                let method = RevokeToken(tokens());
                Box::pin(async move { bounded(Messages::default()).unary(method, request).await })
            }
            _ => return Either::Right(request),
        };
        Either::Left(answering)
    }
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
        Box::pin(async move { tokens.issue_token(request).await })
    }
}

impl UnaryService<wire::RevokeTokenRequest> for RevokeToken {
    type Response = wire::RevokeTokenResponse;
    type Future = Asking<wire::RevokeTokenResponse>;

    fn call(&mut self, request: Request<wire::RevokeTokenRequest>) -> Self::Future {
        let tokens = Arc::clone(&self.0);
        Box::pin(async move { tokens.revoke_token(request).await })
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
