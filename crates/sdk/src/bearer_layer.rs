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
pub struct BearerLayer(TokenSource);

/// A client whose requests carry a token.
#[derive(Clone, Debug)]
pub struct Bearer<S> {
    inner: S,
    source: TokenSource,
}

impl BearerLayer {
    /// Adds tokens of `source`.
    pub fn new(source: TokenSource) -> Self {
        Self(source)
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = Bearer<S>;

    fn layer(&self, inner: S) -> Bearer<S> {
        Bearer { inner, source: self.0.clone() }
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
        let source = self.source.clone();
        Box::pin(async move {
            let token = source.get().await?;
            request.headers_mut().insert(AUTHORIZATION, token.header());
            let response = inner.call(request).await.map_err(Into::into)?;
            if response.status() == StatusCode::UNAUTHORIZED {
                source.refused(&token);
            }
            Ok(response)
        })
    }
}
