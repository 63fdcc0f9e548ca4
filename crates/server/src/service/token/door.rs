//! [`TokenDoor`]: the methods of the service, as a generated service would hand them on. Like the door of the
//! checks it stands before the table of paths that all other methods are found in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use locum_api::broker::v1 as wire;
use locum_api::codec::Messages;
use locum_model::limits::GRPC_MESSAGE_BYTES_MAX;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};
use tower::{Layer, Service};

use super::Tokens;

pub(super) const ISSUE_TOKEN: &str = "/locum.broker.v1.TokenService/IssueToken";
const REVOKE_TOKEN: &str = "/locum.broker.v1.TokenService/RevokeToken";

/// The layer that stands before what answers all other methods.
#[derive(Clone)]
pub(crate) struct TokenDoorLayer(Arc<Tokens>);

/// The service, and what answers all other methods.
#[derive(Clone)]
pub(crate) struct TokenDoor<S> {
    tokens: Arc<Tokens>,
    others: S,
}

struct IssueToken(Arc<Tokens>);
struct RevokeToken(Arc<Tokens>);

type Answering<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Answered<E> = Pin<Box<dyn Future<Output = Result<http::Response<Body>, E>> + Send>>;

// === impl TokenDoor ===

impl TokenDoorLayer {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self(Arc::new(tokens))
    }
}

impl<S> Layer<S> for TokenDoorLayer {
    type Service = TokenDoor<S>;

    fn layer(&self, others: S) -> TokenDoor<S> {
        TokenDoor { tokens: Arc::clone(&self.0), others }
    }
}

impl<S> Service<http::Request<Body>> for TokenDoor<S>
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
        let tokens = || Arc::clone(&self.tokens);
        let answered: Answered<S::Error> = match request.uri().path() {
            ISSUE_TOKEN => {
                let method = IssueToken(tokens());
                Box::pin(async move { Ok(bounded(Messages::default()).unary(method, request).await) })
            }
            REVOKE_TOKEN => {
                let method = RevokeToken(tokens());
                Box::pin(async move { Ok(bounded(Messages::default()).unary(method, request).await) })
            }
            _ => return Either::Right(self.others.call(request)),
        };
        Either::Left(answered)
    }
}

fn bounded<C: Codec>(codec: C) -> Grpc<C> {
    Grpc::new(codec).apply_max_message_size_config(Some(GRPC_MESSAGE_BYTES_MAX), None)
}

// === the methods ===

impl UnaryService<wire::IssueTokenRequest> for IssueToken {
    type Response = wire::IssueTokenResponse;
    type Future = Answering<wire::IssueTokenResponse>;

    fn call(&mut self, request: Request<wire::IssueTokenRequest>) -> Self::Future {
        let tokens = Arc::clone(&self.0);
        Box::pin(async move { tokens.issue_token(request).await })
    }
}

impl UnaryService<wire::RevokeTokenRequest> for RevokeToken {
    type Response = wire::RevokeTokenResponse;
    type Future = Answering<wire::RevokeTokenResponse>;

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
