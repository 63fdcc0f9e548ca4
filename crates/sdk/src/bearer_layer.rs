//! [`BearerLayer`]: adds the token to every request that a client sends.
//!
//! The token is taken anew for each request, so that long-lived clients never go on with a dead one.
//! A 401 makes the source forget the token; the request itself is not repeated, because its body
//! is gone: [`TokenSource::apply`] repeats.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::token_source::TokenSource;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Puts a [`Bearer`] before a client.
///
/// ```no_run
/// # use tower_layer::Layer;
/// # fn example(orders: locum_sdk::TokenSource, channel: tonic::transport::Channel) {
/// let channel = locum_sdk::BearerLayer::new(orders).layer(channel); // for any tonic client
/// # let _ = channel;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BearerLayer {
    source: TokenSource,
    origin: Option<String>,
}

/// A client whose requests carry a token.
#[derive(Clone, Debug)]
pub struct Bearer<S> {
    inner: S,
    source: TokenSource,
    origin: Option<String>,
}

impl BearerLayer {
    /// Adds tokens of `source`, and proofs where these are bound to a key
    /// ([`crate::TokenBuilder::bind_to_key`]).
    pub fn new(source: TokenSource) -> Self {
        Self { source, origin: None }
    }

    /// Says where requests go, `https://orders.test` for example: what the API knows itself as. Needed for
    /// proofs where requests are given by path alone, as tonic's are.
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        Self { origin: Some(origin.into()), ..self }
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = Bearer<S>;

    fn layer(&self, inner: S) -> Bearer<S> {
        Bearer { inner, source: self.source.clone(), origin: self.origin.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Bearer<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<AnyError>,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = AnyError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, AnyError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one that has to be called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (source, origin) = (self.source.clone(), self.origin.clone());
        Box::pin(async move {
            let token = source.get().await?;
            request.headers_mut().insert(AUTHORIZATION, token.header());
            let target = match origin {
                Some(origin) => format!("{}{}", origin.trim_end_matches('/'), request.uri().path()),
                None => request.uri().to_string(),
            };
            match token.proof(request.method().as_str(), &target)? {
                Some(proof) => request.headers_mut().insert("dpop", proof),
                None => None,
            };
            let response = inner.call(request).await.map_err(Into::into)?;
            if response.status() == StatusCode::UNAUTHORIZED {
                source.refused(&token);
            }
            Ok(response)
        })
    }
}
