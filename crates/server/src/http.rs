//! Public documents over HTTPS, and metrics over plain HTTP on loopback.
//!
//! Served: the key set (`/.well-known/jwks.json`), what there is of authorization server metadata
//! (RFC 8414), `/livez` and `/readyz`; on the other listener `/metrics`. Everything else is 404.
//! All answers come from memory; no request body is read; nothing here knows a caller.
//!
//! What always holds: only GET and HEAD, bounded headers, URI and time, bounded connections. The
//! key set may be cached for at most half the time that a new key is published ahead, so that no
//! verifier meets a key it could not know. Follows RFC 9110 (conditional requests in section 13).

use locum_model::limits::{
    HTTP_CONNECTION_LIFE_MAX, HTTP_HEAD_TIMEOUT, HTTP_HEADERS_MAX, METRICS_CONNECTIONS_MAX, URI_BYTES_MAX,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use locum_model::limits::{HEADER_LIST_BYTES_MAX, LOCAL_RESETS_MAX, STREAMS_PER_CONNECTION_MAX};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::accept::Incoming;
use crate::metrics::Metrics;
use crate::tasks::{Group, Stopping};
use crate::tls::ALPN_H2;

/// The pause after an accept error of the metrics listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A text that may change while we serve.
pub type Current = Arc<dyn Fn() -> Arc<str> + Send + Sync>;

/// What the HTTPS listener serves.
#[derive(Clone)]
pub struct Documents {
    jwks: Current,
    jwks_cache: HeaderValue,
    metadata: Arc<str>,
    readiness: Readiness,
}

/// Whether we are ready for traffic. Clones share.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<watch::Sender<bool>>);

type Answer = Response<Full<Bytes>>;

// === impl Readiness ===

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on ready: policies, keys and the table are loaded.
    pub fn ready(&self) {
        self.0.send_replace(true);
    }

    /// From now on not ready: draining or broken.
    pub fn not_ready(&self) {
        self.0.send_replace(false);
    }

    /// Whether it is ready now.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }
}

// === impl Documents ===

impl Documents {
    /// Documents of `issuer`; `jwks` gives the key set of this moment.
    pub fn new(issuer: &str, publish_ahead: Duration, jwks: Current, readiness: Readiness) -> Self {
        let cache = format!("public, max-age={}", publish_ahead.as_secs() / 2);
        let jwks_cache = HeaderValue::from_str(&cache).expect("words and digits are a header value");
        // Only what exists: tokens are asked for over gRPC, so there is no OAuth endpoint to name.
        let metadata = serde_json::json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "response_types_supported": [],
            "grant_types_supported": [],
        });
        Self { jwks, jwks_cache, metadata: metadata.to_string().into(), readiness }
    }

    /// The answer to one request.
    pub fn answer<B>(&self, request: &Request<B>) -> Answer {
        if let Some(refused) = refusal(request) {
            return refused;
        }
        match request.uri().path() {
            "/.well-known/jwks.json" => self.key_set(request.headers()),
            "/.well-known/oauth-authorization-server" => {
                text(StatusCode::OK, "application/json", self.metadata.to_string())
            }
            "/livez" => plain(StatusCode::OK, "live\n"),
            "/readyz" if self.readiness.is_ready() => plain(StatusCode::OK, "ready\n"),
            "/readyz" => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => plain(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    fn key_set(&self, asked: &HeaderMap) -> Answer {
        let body = (self.jwks)();
        let tag = entity_tag(&body);
        let mut answer = if is_known(asked, &tag) {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        } else {
            text(StatusCode::OK, "application/jwk-set+json", body.to_string())
        };
        answer.headers_mut().insert(ETAG, tag);
        answer.headers_mut().insert(CACHE_CONTROL, self.jwks_cache.clone());
        answer
    }
}

/// A strong tag: the content's digest.
fn entity_tag(body: &str) -> HeaderValue {
    let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    let hex: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal in quotes is a header value")
}

/// RFC 9110 section 13.1.2: `*`, or a list in which the tag stands; compared weakly.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut each = tags.flat_map(|list| list.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    each.any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
}

/// What every listener refuses before it looks at the path.
fn refusal<B>(request: &Request<B>) -> Option<Answer> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(answer);
    }
    let uri = request.uri();
    let long = uri.path().len() + uri.query().map_or(0, str::len) > URI_BYTES_MAX;
    let announced = request.headers().get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if long {
        Some(plain(StatusCode::URI_TOO_LONG, "uri too long\n"))
    } else if announced || request.headers().contains_key(TRANSFER_ENCODING) {
        Some(plain(StatusCode::PAYLOAD_TOO_LARGE, "no body is taken here\n"))
    } else {
        None
    }
}

fn plain(status: StatusCode, body: &str) -> Answer {
    text(status, "text/plain; charset=utf-8", body.to_owned())
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniff = HeaderName::from_static("x-content-type-options");
    headers.insert(no_sniff, HeaderValue::from_static("nosniff"));
    answer
}

fn metrics_answer<B>(metrics: &Metrics, request: &Request<B>) -> Answer {
    if let Some(refused) = refusal(request) {
        return refused;
    }
    match request.uri().path() {
        "/metrics" => text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render()),
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

// === the loops ===

/// Serves `documents` on finished TLS connections until told to stop.
///
/// # Errors
///
/// When the accept loop ended before it was told to.
pub async fn serve(
    documents: Documents,
    mut incoming: Incoming,
    mut stopping: Stopping,
) -> Result<(), String> {
    let mut connections = Group::new();
    loop {
        tokio::select! {
            () = stopping.wait() => return Ok(()),
            Some(()) = connections.next() => {}
            next = incoming.next() => {
                let Some(connection) = next else {
                    return if stopping.is_set() { Ok(()) } else { Err("no more connections".to_owned()) };
                };
                let documents = documents.clone();
                // Agreed on in the handshake, so that no bytes are read to guess it.
                let version = if connection.protocol() == Some(ALPN_H2) { Version::H2 } else { Version::H1 };
                connections.start(one(connection, version, move |request| documents.answer(request)));
            }
        }
    }
}

/// Serves metrics on a bound plain listener until told to stop. The listener must be on loopback.
///
/// # Errors
///
/// When the listener is not on loopback.
pub async fn serve_metrics(
    metrics: Arc<Metrics>,
    listener: TcpListener,
    mut stopping: Stopping,
) -> Result<(), String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    if !address.ip().is_loopback() {
        return Err(format!("metrics are served on loopback alone, not on {address}"));
    }
    let mut connections = Group::new();
    loop {
        tokio::select! {
            () = stopping.wait() => return Ok(()),
            Some(()) = connections.next() => {}
            accepted = listener.accept(), if connections.len() < METRICS_CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let metrics = metrics.clone();
                    connections.start(one(stream, Version::H1, move |request| metrics_answer(&metrics, request)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the metrics listener just now");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

#[derive(Clone, Copy)]
enum Version {
    H1,
    H2,
}

async fn one<S>(
    stream: S,
    version: Version,
    answer: impl Fn(&Request<hyper::body::Incoming>) -> Answer + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(&request);
        async move { Ok::<_, io::Error>(answer) }
    });
    let builder = guarded(version);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(HTTP_CONNECTION_LIFE_MAX, served).await {
        tracing::debug!(%error, "http connection failed");
    }
}

fn guarded(version: Version) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let head_bytes = usize::try_from(HEADER_LIST_BYTES_MAX).expect("16 KiB fit");
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_HEAD_TIMEOUT)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP_HEAD_TIMEOUT)
        .keep_alive_timeout(HTTP_HEAD_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX);
    match version {
        Version::H1 => builder.http1_only(),
        Version::H2 => builder.http2_only(),
    }
}

#[cfg(test)]
mod tests;
