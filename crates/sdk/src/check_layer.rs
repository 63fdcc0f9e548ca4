//! [`CheckLayer`]: lets a request through to an HTTP service only with a token that covers it.
//!
//! Works for everything over `http::Request`, axum and tonic included. Exactly one `Authorization`
//! header with one bearer token (RFC 6750) is taken; the broker is asked; the claims travel on as a
//! [`VerifiedToken`] in the request's extensions. Everything else is answered here: 401
//! `invalid_token` the same for every cause, 403 `insufficient_scope`, 503 when the broker cannot be
//! asked. A gRPC request gets the same answers as a gRPC status.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use locum_model::ResourcePattern;
use locum_model::scope::Operation;
use tower_layer::Layer;
use tower_service::Service;

use crate::checker::{Checker, Decision, Presentation, PresentedCertificate};
use crate::error::Error;
use crate::verified_token::VerifiedToken;

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The operation that it is.
    pub operation: Operation,
    /// The one resource that it touches. Without one, only a token for all resources passes.
    pub resource: Option<String>,
}

type Rule = Arc<dyn Fn(&Parts) -> Option<Need> + Send + Sync>;

/// Puts a [`Check`] before a service.
#[derive(Clone)]
pub struct CheckLayer {
    checker: Checker,
    rule: Rule,
}

/// A service behind a check.
#[derive(Clone)]
pub struct Check<S> {
    inner: S,
    checker: Checker,
    rule: Rule,
}

/// Why a request does not get through.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    /// There was no token at all.
    NoToken,
    /// The token must not be believed.
    Inactive,
    /// The token does not cover this.
    Insufficient(Operation),
    /// No rule says what this request needs.
    NoRule,
    /// Nobody could be asked.
    Unknown,
}

// === impl CheckLayer ===

impl CheckLayer {
    /// Demands `connector:action` of every request; see [`CheckLayer::resource`] for on what.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when that is no operation.
    pub fn operation(checker: Checker, operation: &str) -> Result<Self, Error> {
        let operation: Operation = operation.parse()?;
        let rule = move |_: &Parts| Some(Need { operation: operation.clone(), resource: None });
        Ok(Self::by_route(checker, rule))
    }

    /// Demands what `rule` says of each request; a request that it says nothing of is refused.
    pub fn by_route(checker: Checker, rule: impl Fn(&Parts) -> Option<Need> + Send + Sync + 'static) -> Self {
        Self { checker, rule: Arc::new(rule) }
    }

    /// Says which resource a request touches.
    #[must_use]
    pub fn resource(self, of: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        let rule = self.rule;
        let narrowed = move |parts: &Parts| rule(parts).map(|need| Need { resource: of(parts), ..need });
        Self { checker: self.checker, rule: Arc::new(narrowed) }
    }
}

impl<S> Layer<S> for CheckLayer {
    type Service = Check<S>;

    fn layer(&self, inner: S) -> Check<S> {
        Check { inner, checker: self.checker.clone(), rule: self.rule.clone() }
    }
}

impl fmt::Debug for CheckLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckLayer").finish_non_exhaustive()
    }
}

// === impl Check ===

impl<S, B, R> Service<Request<B>> for Check<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: Default + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one that has to be called.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let (checker, rule) = (self.checker.clone(), self.rule.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.remove::<VerifiedToken>();
            match check(&checker, &rule, &parts).await {
                Ok(token) => {
                    parts.extensions.insert(token);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(stop) if is_grpc(&parts.headers) => Ok(stop.grpc_response()),
                Err(stop) => Ok(stop.response()),
            }
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Check<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("inner", &self.inner).finish_non_exhaustive()
    }
}

async fn check(checker: &Checker, rule: &Rule, parts: &Parts) -> Result<VerifiedToken, Stop> {
    let token = bearer(&parts.headers)?.to_owned();
    let Need { operation, resource } = rule(parts).ok_or(Stop::NoRule)?;
    // What a caller put into a path may be no resource at all, or a pattern: no token covers that,
    // and asking would only make it look as if the broker were out of reach.
    if resource.as_ref().is_some_and(|text| !is_one_resource(text)) {
        return Err(Stop::Insufficient(operation));
    }
    let mut presentation = Presentation::bearer(&token);
    if let Some(certificate) = parts.extensions.get::<PresentedCertificate>() {
        presentation = presentation.with_certificate(*certificate);
    }
    match checker.authorize(presentation, &operation.to_string(), resource.as_deref()).await {
        Ok(Decision::Permitted(token)) => Ok(*token),
        Ok(Decision::Insufficient) => Err(Stop::Insufficient(operation)),
        Ok(Decision::Inactive) => Err(Stop::Inactive),
        Err(error) => {
            tracing::warn!(%error, "a token could not be checked; the request is refused");
            Err(Stop::Unknown)
        }
    }
}

fn is_one_resource(text: &str) -> bool {
    text.parse::<ResourcePattern>().is_ok_and(|resource| resource.is_exact())
}

/// The bearer token: of exactly one header, of exactly one `b64token` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Stop> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Stop::NoToken)?;
    if values.next().is_some() {
        return Err(Stop::Inactive);
    }
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(plain) =>
        {
            Ok(token)
        }
        _ => Err(Stop::Inactive),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

// === impl Stop ===

impl Stop {
    fn response<R: Default>(&self) -> Response<R> {
        let mut response = Response::new(R::default());
        let headers = response.headers_mut();
        let status = match self {
            Self::NoToken => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                StatusCode::UNAUTHORIZED
            }
            Self::Inactive => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
                StatusCode::UNAUTHORIZED
            }
            Self::Insufficient(operation) => {
                let text = format!("Bearer error=\"insufficient_scope\", scope=\"{operation}\"");
                let value = HeaderValue::try_from(text).expect("an operation is plain ASCII");
                headers.insert(WWW_AUTHENTICATE, value);
                StatusCode::FORBIDDEN
            }
            Self::NoRule => StatusCode::FORBIDDEN,
            Self::Unknown => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        *response.status_mut() = status;
        response
    }

    fn grpc_response<R: Default>(&self) -> Response<R> {
        let (code, message) = match self {
            Self::NoToken | Self::Inactive => ("16", "invalid token"),
            Self::Insufficient(_) | Self::NoRule => ("7", "insufficient scope"),
            Self::Unknown => ("14", "the token cannot be checked now"),
        };
        let mut response = Response::new(R::default());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static(code));
        headers.insert("grpc-message", HeaderValue::from_static(message));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|v| (AUTHORIZATION, HeaderValue::from_str(v).expect("a header"))).collect()
    }

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        assert_eq!(bearer(&headers(&["Bearer a.b-c_d"])), Ok("a.b-c_d"));
        assert_eq!(bearer(&headers(&["bearer abc=="])), Ok("abc=="));
        assert_eq!(bearer(&headers(&[])), Err(Stop::NoToken));
        for bad in [
            &["Bearer a", "Bearer a"][..],
            &["Basic a"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer  a"],
            &["Bearer a "],
            &["Bearer a b"],
            &["Bearer Bearer a"],
            &["Bearer a,b"],
            &["Bearer a\tb"],
            &["a"],
            &[""],
        ] {
            assert_eq!(bearer(&headers(bad)), Err(Stop::Inactive), "{bad:?}");
        }
    }

    #[test]
    fn every_stop_has_its_answer() {
        let operation: Operation = "orders:read".parse().expect("good");
        for (stop, status, challenge) in [
            (Stop::NoToken, 401, Some("Bearer")),
            (Stop::Inactive, 401, Some("Bearer error=\"invalid_token\"")),
            (
                Stop::Insufficient(operation),
                403,
                Some("Bearer error=\"insufficient_scope\", scope=\"orders:read\""),
            ),
            (Stop::NoRule, 403, None),
            (Stop::Unknown, 503, None),
        ] {
            let response: Response<()> = stop.response();
            assert_eq!(response.status().as_u16(), status);
            let shown = response.headers().get(WWW_AUTHENTICATE).map(|v| v.to_str().expect("ascii"));
            assert_eq!(shown, challenge);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        }
    }
}
