//! [`CheckLayer`]: lets a request through to an HTTP service only with a token that covers it.
//!
//! Works for everything over `http::Request`, axum and tonic included. Exactly one `Authorization`
//! header with one bearer token (RFC 6750) is taken, or, where the layer knows its own origin, one `DPoP`
//! token with one proof (RFC 9449); the broker is asked; the claims travel on as a
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

use locum_verifier::dpop::ALGORITHMS;

use crate::checker::{Checker, Decision, Presentation, PresentedCertificate};
use crate::error::Error;
use crate::verified_token::VerifiedToken;

/// The header of proofs.
const PROOF: &str = "dpop";

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
    origin: Option<Arc<str>>,
}

/// A service behind a check.
#[derive(Clone)]
pub struct Check<S> {
    inner: S,
    checker: Checker,
    rule: Rule,
    origin: Option<Arc<str>>,
}

/// What came in `Authorization`, and beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown<'a> {
    Bearer(&'a str),
    Dpop { token: &'a str, proof: &'a str },
}

/// By which scheme a request came, and which ones are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Schemes {
    /// No proofs are taken here.
    BearerAlone,
    /// Both are, and this came as a bearer token or not at all.
    Both,
    /// Both are, and a proof was meant.
    BothByDpop,
}

/// Why a request does not get through.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stop {
    /// There was no token at all.
    NoToken,
    /// The token must not be believed.
    Inactive,
    /// The proof does not hold for this request, whatever the token is.
    ProofInvalid,
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
        Self { checker, rule: Arc::new(rule), origin: None }
    }

    /// Says which resource a request touches.
    #[must_use]
    pub fn resource(self, of: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        let Self { rule, checker, origin } = self;
        let rest = Self { rule: Arc::clone(&rule), checker, origin };
        let narrowed = move |parts: &Parts| rule(parts).map(|need| Need { resource: of(parts), ..need });
        Self { rule: Arc::new(narrowed), ..rest }
    }

    /// Takes tokens that are bound to a key as well, with a DPoP proof for each request (RFC 9449). `origin` is
    /// what callers know this API as, `https://orders.test` for example; the proof has to name it followed by
    /// the path. The request's own `Host` is not believed. Put the layer where the path is still whole.
    #[must_use]
    pub fn origin(self, origin: &str) -> Self {
        Self { origin: Some(origin.trim_end_matches('/').into()), ..self }
    }
}

impl<S> Layer<S> for CheckLayer {
    type Service = Check<S>;

    fn layer(&self, inner: S) -> Check<S> {
        Check { inner, checker: self.checker.clone(), rule: self.rule.clone(), origin: self.origin.clone() }
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
        let (checker, rule, origin) = (self.checker.clone(), self.rule.clone(), self.origin.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            parts.extensions.remove::<VerifiedToken>();
            match check(&checker, &rule, origin.as_deref(), &parts).await {
                Ok(token) => {
                    parts.extensions.insert(token);
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(stop) if is_grpc(&parts.headers) => Ok(stop.grpc_response()),
                Err(stop) => Ok(stop.response(Schemes::of(&parts.headers, origin.is_some()))),
            }
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Check<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("inner", &self.inner).finish_non_exhaustive()
    }
}

async fn check(
    checker: &Checker,
    rule: &Rule,
    origin: Option<&str>,
    parts: &Parts,
) -> Result<VerifiedToken, Stop> {
    let shown = shown(&parts.headers)?;
    let uri = origin.map(|origin| format!("{origin}{}", parts.uri.path()));
    let Need { operation, resource } = rule(parts).ok_or(Stop::NoRule)?;
    // What a caller put into a path may be no resource at all, or a pattern: no token covers that,
    // and asking would only make it look as if the broker were out of reach.
    if resource.as_ref().is_some_and(|text| !is_one_resource(text)) {
        return Err(Stop::Insufficient(operation));
    }
    let mut presentation = match (shown, &uri) {
        (Shown::Bearer(token), _) => Presentation::bearer(token),
        (Shown::Dpop { token, proof }, Some(uri)) => {
            Presentation::bearer(token).with_proof(proof, parts.method.as_str(), uri)
        }
        (Shown::Dpop { .. }, None) => return Err(Stop::Inactive),
    };
    if let Some(certificate) = parts.extensions.get::<PresentedCertificate>() {
        presentation = presentation.with_certificate(*certificate);
    }
    match checker.authorize(presentation, &operation.to_string(), resource.as_deref()).await {
        Ok(Decision::Permitted(token)) => Ok(*token),
        Ok(Decision::Insufficient) => Err(Stop::Insufficient(operation)),
        // Whether a proof holds by itself, whoever made it can see: of the token that tells nothing.
        Ok(Decision::Inactive) if !presentation.proof_holds() => Err(Stop::ProofInvalid),
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

/// The token: of exactly one header, of exactly one `b64token` (RFC 6750 section 2.1, RFC 9449 section 7.1);
/// for the scheme `DPoP` with the proof, of exactly one header too.
fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Stop> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Stop::NoToken)?;
    if values.next().is_some() {
        return Err(Stop::Inactive);
    }
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    let text = value.to_str().ok().and_then(|text| text.split_once(' '));
    match text {
        Some((_, token)) if token.is_empty() || !token.bytes().all(plain) => Err(Stop::Inactive),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Shown::Bearer(token)),
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("dpop") => {
            let mut proofs = headers.get_all(PROOF).iter();
            match (proofs.next().map(HeaderValue::to_str), proofs.next()) {
                (Some(Ok(proof)), None) => Ok(Shown::Dpop { token, proof }),
                _ => Err(Stop::ProofInvalid),
            }
        }
        _ => Err(Stop::Inactive),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

// === impl Schemes ===

impl Schemes {
    fn of(headers: &HeaderMap, takes_proofs: bool) -> Self {
        let by_dpop = || {
            let value = headers.get(AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
            value.len() > 5 && value[..5].eq_ignore_ascii_case(b"dpop ")
        };
        match takes_proofs {
            false => Self::BearerAlone,
            true if by_dpop() => Self::BothByDpop,
            true => Self::Both,
        }
    }

    /// The challenges of a refusal: first of the scheme that was used, then of the other one that is offered.
    fn challenges(self, error: &str) -> Vec<String> {
        let parameter = if error.is_empty() { String::new() } else { format!(" {error}") };
        let (bearer, algorithms) = (format!("Bearer{parameter}"), format!("algs=\"{ALGORITHMS}\""));
        match self {
            Self::BearerAlone => vec![bearer],
            Self::Both => vec![bearer, format!("DPoP {algorithms}")],
            Self::BothByDpop => vec![format!("DPoP{parameter}, {algorithms}")],
        }
    }
}

// === impl Stop ===

impl Stop {
    fn response<R: Default>(&self, schemes: Schemes) -> Response<R> {
        let mut response = Response::new(R::default());
        let headers = response.headers_mut();
        let mut challenge = |error: &str| {
            for text in schemes.challenges(error) {
                let value = HeaderValue::try_from(text).expect("an operation is plain ASCII");
                headers.append(WWW_AUTHENTICATE, value);
            }
        };
        let status = match self {
            Self::NoToken => {
                challenge("");
                StatusCode::UNAUTHORIZED
            }
            // Where no proofs are taken, nothing is told of them.
            Self::ProofInvalid if schemes == Schemes::BothByDpop => {
                challenge("error=\"invalid_dpop_proof\"");
                StatusCode::UNAUTHORIZED
            }
            Self::Inactive | Self::ProofInvalid => {
                challenge("error=\"invalid_token\"");
                StatusCode::UNAUTHORIZED
            }
            Self::Insufficient(operation) => {
                challenge(&format!("error=\"insufficient_scope\", scope=\"{operation}\""));
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
            Self::NoToken | Self::Inactive | Self::ProofInvalid => ("16", "invalid token"),
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
        assert_eq!(shown(&headers(&["Bearer a.b-c_d"])), Ok(Shown::Bearer("a.b-c_d")));
        assert_eq!(shown(&headers(&["bearer abc=="])), Ok(Shown::Bearer("abc==")));
        assert_eq!(shown(&headers(&[])), Err(Stop::NoToken));
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
            assert_eq!(shown(&headers(bad)), Err(Stop::Inactive), "{bad:?}");
        }
    }

    #[test]
    fn a_proof_comes_once_and_with_its_scheme() {
        let with = |authorization: &str, proofs: &[&str]| {
            let mut all = headers(&[authorization]);
            for proof in proofs {
                all.append(PROOF, HeaderValue::from_str(proof).expect("a header"));
            }
            all
        };
        let one = with("dPoP a", &["p"]);
        assert_eq!(shown(&one), Ok(Shown::Dpop { token: "a", proof: "p" }));
        assert_eq!(shown(&with("Bearer a", &["p"])), Ok(Shown::Bearer("a")), "a bound token is inactive so");
        for proofs in [&[][..], &["p", "p"], &["p\u{e9}"]] {
            assert_eq!(shown(&with("DPoP a", proofs)), Err(Stop::ProofInvalid), "{proofs:?}");
        }
        for bad in ["DPoP", "DPoP ", "DPoP a b", "DPoP DPoP a", "DPoPa"] {
            assert_eq!(shown(&with(bad, &["p"])), Err(Stop::Inactive), "{bad}");
        }
    }

    #[test]
    fn proofs_are_asked_for_where_they_are_taken() {
        let told = |stop: Stop, schemes| {
            let response: Response<()> = stop.response(schemes);
            let all = response.headers().get_all(WWW_AUTHENTICATE).iter();
            all.map(|v| v.to_str().expect("ascii").to_owned()).collect::<Vec<_>>()
        };
        let algs = "algs=\"ES256 ES384 EdDSA RS256\"";
        let both = [String::from("Bearer"), format!("DPoP {algs}")];
        assert_eq!(told(Stop::NoToken, Schemes::Both), both);
        let both = [String::from("Bearer error=\"invalid_token\""), format!("DPoP {algs}")];
        assert_eq!(told(Stop::Inactive, Schemes::Both), both);
        for (stop, schemes, error) in [
            (Stop::Inactive, Schemes::BothByDpop, "invalid_token"),
            (Stop::ProofInvalid, Schemes::BothByDpop, "invalid_dpop_proof"),
        ] {
            assert_eq!(told(stop, schemes), [format!("DPoP error=\"{error}\", {algs}")]);
        }
        assert_eq!(told(Stop::ProofInvalid, Schemes::BearerAlone), ["Bearer error=\"invalid_token\""]);
        assert_eq!(Schemes::of(&headers(&["dpop x"]), true), Schemes::BothByDpop);
        assert_eq!(Schemes::of(&headers(&["dpop x"]), false), Schemes::BearerAlone);
        assert_eq!(Schemes::of(&headers(&[]), true), Schemes::Both);
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
            let response: Response<()> = stop.response(Schemes::BearerAlone);
            assert_eq!(response.status().as_u16(), status);
            let shown = response.headers().get(WWW_AUTHENTICATE).map(|v| v.to_str().expect("ascii"));
            assert_eq!(shown, challenge);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        }
    }
}
