//! [`TokenSource`]: the token for the next call, issued when needed and renewed in time.
//!
//! A token is kept until two thirds of its life (the broker says when) and then replaced; one
//! request to the broker is under way at most, and whoever comes meanwhile waits for it or goes on
//! with the token that still lives. Once the task is over there is no token, kept or new. A token
//! with a limited number of uses is never kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use locum_api::broker::v1 as wire;
use locum_api::broker::v1::token_service_client::TokenServiceClient;
use locum_api::convert;
use locum_model::limits::TOKEN_TTL_MAX;
use locum_model::{EntropyFailed, Scope};
use locum_verifier::dpop::ProofKey;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use zeroize::Zeroizing;

use crate::client::Repeat;
use crate::entropy::request_id;
use crate::error::Error;
use crate::grants::Grants;
use crate::task_handle::TaskHandle;
use crate::token::{self, Token, proof};
use crate::untrusted::bounded;
use crate::wire::{required_time, span};

/// Where tokens are issued, after the issuer's URL.
const ISSUE_TOKEN: &str = "/locum.broker.v1.TokenService/IssueToken";

/// A token that is being described; made by [`TaskHandle::token`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `source`"]
pub struct TokenBuilder {
    task: TaskHandle,
    connector: String,
    scope: Grants,
    ttl: Option<Duration>,
    uses_max: u32,
    binding: Binding,
}

/// Whether the token is bound, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Bearer,
    Certificate,
    Key,
}

/// Gives the token for the next call. Cheap to clone; clones share the token.
#[derive(Clone)]
pub struct TokenSource(Arc<Source>);

struct Source {
    task: TaskHandle,
    scope: Scope,
    ttl: Option<Duration>,
    uses_max: u32,
    binding: Binding,
    /// What tokens are bound to, where they are.
    key: Option<Arc<ProofKey>>,
    /// The issuer's URL, once it was asked for.
    issuer: OnceCell<String>,
    kept: Mutex<Option<Kept>>,
    /// INVARIANT: who asks the broker holds this, so that one request is under way at most.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    token: Token,
    renew_at: Instant,
    dead_at: Instant,
}

/// What came back from a call that presented a token: tells whether the token was refused.
pub trait Answer {
    /// The HTTP status, where there is one.
    fn status(&self) -> Option<StatusCode>;
}

// === impl TokenBuilder ===

impl TaskHandle {
    /// Begins to describe a token for `connector`.
    pub fn token(&self, connector: &str) -> TokenBuilder {
        TokenBuilder {
            task: self.clone(),
            connector: connector.to_owned(),
            scope: Grants::new(),
            ttl: None,
            uses_max: 0,
            binding: Binding::Bearer,
        }
    }
}

impl TokenBuilder {
    /// Asks for `connector:action` on these resources; none means all that the action has.
    pub fn scope<R: AsRef<str>>(mut self, operation: &str, resources: impl IntoIterator<Item = R>) -> Self {
        self.scope.add(operation, resources);
        self
    }

    /// Asks for this life instead of the usual one.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Limits how often each token may be used. Such a token is new at every [`TokenSource::get`].
    pub fn uses_max(mut self, uses: u32) -> Self {
        self.uses_max = uses;
        self
    }

    /// Binds the token to the client's certificate (RFC 8705): stolen, it is worth nothing.
    pub fn bind_to_certificate(mut self) -> Self {
        self.binding = Binding::Certificate;
        self
    }

    /// Binds the token to a key that lives in this source alone (DPoP, RFC 9449): stolen, it is worth nothing,
    /// and nothing that ends TLS on the way has to pass a certificate on. Each request then carries a proof
    /// beside the token, see [`Token::proof`]; [`crate::BearerLayer`] adds it.
    pub fn bind_to_key(mut self) -> Self {
        self.binding = Binding::Key;
        self
    }

    /// The source of such tokens. Asks the broker nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the scope is none, or names another connector; [`Error::Entropy`] when no key
    /// could be made.
    pub fn source(self) -> Result<TokenSource, Error> {
        let scope = self.scope.scope()?;
        if let Some(other) = scope.connectors().into_iter().find(|name| name.as_str() != self.connector) {
            return Err(Error::Malformed(format!(
                "a token is for one connector: `{other}` is not `{}`",
                bounded(&self.connector)
            )));
        }
        let fresh = || ProofKey::generate().map(Arc::new).or(Err(Error::Entropy(EntropyFailed)));
        Ok(TokenSource(Arc::new(Source {
            key: (self.binding == Binding::Key).then(fresh).transpose()?,
            issuer: OnceCell::new(),
            task: self.task,
            scope,
            ttl: self.ttl,
            uses_max: self.uses_max,
            binding: self.binding,
            kept: Mutex::new(None),
            flight: tokio::sync::Mutex::new(()),
        })))
    }
}

// === impl TokenSource ===

impl TokenSource {
    /// The token for the next call: the one that is kept, or a new one.
    ///
    /// When renewal fails for a passing cause, the kept token is given for as long as it lives.
    ///
    /// # Errors
    ///
    /// [`Error::TaskOver`] once the task is over; [`Error::Refused`] with the reasons of
    /// `IssueToken`, for instance `SCOPE_BEYOND_INTENT` or `POLICY_DENIED`.
    pub async fn get(&self) -> Result<Token, Error> {
        self.task_lives()?;
        if let Some(kept) = self.kept().filter(|kept| Instant::now() < kept.renew_at) {
            return Ok(kept.token);
        }
        let _flight = match self.0.flight.try_lock() {
            Ok(flight) => flight,
            Err(_) => match self.living() {
                Some(kept) => return Ok(kept.token),
                None => self.0.flight.lock().await,
            },
        };
        // Whoever held the flight before may have brought one.
        if let Some(kept) = self.kept().filter(|kept| Instant::now() < kept.renew_at) {
            return Ok(kept.token);
        }
        self.task_lives()?;
        match self.issue().await {
            Ok(kept) => {
                *self.0.kept.lock() = (self.0.uses_max == 0).then(|| kept.clone());
                Ok(kept.token)
            }
            Err(error) if error.retryable() => match self.living() {
                Some(kept) => Ok(kept.token),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Calls with a token, and once more with a new one when the answer is 401, unless the task is
    /// over: then the 401 stands, and more tokens would not help.
    ///
    /// ```no_run
    /// # async fn send(_: locum_sdk::Token) -> Result<http::Response<()>, std::io::Error> {
    /// #     Ok(http::Response::new(()))
    /// # }
    /// # async fn example(orders: locum_sdk::TokenSource) -> Result<(), locum_sdk::Error> {
    /// let answer = orders.apply(|token| send(token)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`TokenSource::get`], at the first token. The call's own failure is in its answer.
    pub async fn apply<A, Calling>(&self, call: impl Fn(Token) -> Calling) -> Result<A, Error>
    where
        A: Answer,
        Calling: Future<Output = A>,
    {
        let token = self.get().await?;
        let answer = call(token.clone()).await;
        if answer.status() != Some(StatusCode::UNAUTHORIZED) {
            return Ok(answer);
        }
        self.refused(&token);
        match self.get().await {
            Ok(next) => Ok(call(next).await),
            Err(_) => Ok(answer),
        }
    }

    /// Forgets `token` because a backend refused it; the next [`TokenSource::get`] asks anew.
    pub fn refused(&self, token: &Token) {
        let mut kept = self.0.kept.lock();
        if kept.as_ref().is_some_and(|kept| kept.token.is(token)) {
            *kept = None;
        }
    }

    fn kept(&self) -> Option<Kept> {
        self.0.kept.lock().clone()
    }

    fn living(&self) -> Option<Kept> {
        self.kept().filter(|kept| Instant::now() < kept.dead_at)
    }

    fn task_lives(&self) -> Result<(), Error> {
        match self.0.task.ending() {
            None => Ok(()),
            Some(ending) => {
                *self.0.kept.lock() = None;
                Err(Error::TaskOver(ending))
            }
        }
    }

    async fn issue(&self) -> Result<Kept, Error> {
        let Source { task, scope, ttl, uses_max, binding, .. } = &*self.0;
        let message = wire::IssueTokenRequest {
            task_id: task.id().to_string(),
            holder_secret: task.secret().to_wire(),
            scope: convert::scope::to_wire(scope),
            ttl: ttl.map(convert::time::duration_to_wire),
            uses_max: *uses_max,
            request_id: request_id(task.client().entropy())?,
            bind_to_certificate: *binding == Binding::Certificate,
        };
        let target = self.target().await?;
        // Counted from before the request: early is the safe side of both moments.
        let asked_at = Instant::now();
        let answer = task.client().ask(Repeat::Safe, message, |channel, request| {
            // Each attempt has a proof of its own.
            let request = self.proved(request, target.as_deref());
            async move { TokenServiceClient::new(channel).issue_token(request?).await }
        });
        kept(task.learn(answer.await)?, asked_at, self.0.key.clone())
    }

    /// The URI that a proof for the broker is for, where one is needed.
    async fn target(&self) -> Result<Option<String>, Error> {
        if self.0.key.is_none() {
            return Ok(None);
        }
        let ask = || async { self.0.task.client().who_am_i().await.map(|identity| identity.issuer) };
        let issuer = self.0.issuer.get_or_try_init(ask).await?;
        Ok(Some(format!("{}{ISSUE_TOKEN}", issuer.trim_end_matches('/'))))
    }

    /// The request with a proof for it, where the token is to be bound to a key.
    fn proved<M>(&self, mut request: Request<M>, target: Option<&str>) -> Result<Request<M>, Status> {
        if let (Some(key), Some(target)) = (&self.0.key, target) {
            let proof = proof(key, ("POST", target), None, self.0.task.client().entropy());
            let value = proof.ok().and_then(|proof| MetadataValue::try_from(proof).ok());
            let mut value = value.ok_or_else(|| Status::internal("no proof could be made"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("dpop", value);
        }
        Ok(request)
    }
}

/// Reads the answer. `refresh_in` is two thirds of the life, so half of it again is the rest.
fn kept(
    answer: wire::IssueTokenResponse,
    asked_at: Instant,
    key: Option<Arc<ProofKey>>,
) -> Result<Kept, Error> {
    let text = Zeroizing::new(answer.token);
    let scheme = if key.is_some() { "DPoP" } else { "Bearer" };
    let line = Zeroizing::new(format!("{scheme} {}", *text));
    let Ok(mut header) = HeaderValue::try_from(line.as_str()) else {
        return Err(Error::Unexpected("a token has characters that no token has"));
    };
    header.set_sensitive(true);
    let (Ok(jti), Ok(scope)) = (answer.jti.parse(), convert::scope::from_wire(&answer.scope, "scope")) else {
        return Err(Error::Unexpected("a token's id or scope is malformed"));
    };
    let refresh_in = span(answer.refresh_in)?.min(TOKEN_TTL_MAX);
    let token = Token::new(token::Inner {
        text,
        header,
        jti,
        expire_time: required_time(answer.expire_time)?,
        scope,
        audience: bounded(&answer.audience),
        key,
    });
    let (renew_at, dead_at) = (asked_at + refresh_in, asked_at + refresh_in + refresh_in / 2);
    Ok(Kept { token, renew_at, dead_at })
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("task", &self.0.task.id())
            .field("scope", &self.0.scope.to_string())
            .finish_non_exhaustive()
    }
}

// === impl Answer ===

impl<B> Answer for http::Response<B> {
    fn status(&self) -> Option<StatusCode> {
        Some(http::Response::status(self))
    }
}

/// For HTTP libraries with responses of their own: the status beside whatever else is wanted.
impl<T> Answer for (StatusCode, T) {
    fn status(&self) -> Option<StatusCode> {
        Some(self.0)
    }
}

/// A call that failed before there was an answer was not refused.
impl<A: Answer, E> Answer for Result<A, E> {
    fn status(&self) -> Option<StatusCode> {
        self.as_ref().ok().and_then(Answer::status)
    }
}
