//! [`VerifiedToken`]: what a token says, once it was checked and may be believed.
//!
//! Made from the broker's or the verifier's answer alone, so having one means that the question was asked. In axum
//! it is an extractor behind a [`CheckLayer`](crate::CheckLayer).

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use locum_api::broker::v1 as wire;
use locum_api::convert;
use locum_model::scope::Operation;
use locum_model::{ResourcePattern, Scope, TaskId, Timestamp, TokenId};
use locum_verifier::Claims;

use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::{required_time, task_id};

/// The claims of an active token.
///
/// ```no_run
/// use axum::{Router, routing::post};
/// use locum_sdk::{CheckLayer, Checker, Client, VerifiedToken};
///
/// async fn refund(token: VerifiedToken) -> String {
///     format!("refunded for {} in {}", token.subject(), token.task())
/// }
///
/// # fn example() -> Result<Router, locum_sdk::Error> {
/// let checker = Checker::new(Client::from_env()?);
/// let check = CheckLayer::operation(checker, "orders:refund")?
///     .resource(|parts| Some(parts.uri.path().trim_start_matches('/').to_owned()));
/// Ok(Router::new().route("/order/{id}", post(refund)).layer(check))
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    jti: TokenId,
    subject: String,
    client_id: String,
    audience: String,
    scope: Scope,
    issue_time: Timestamp,
    expire_time: Timestamp,
    task: TaskId,
    root_task: TaskId,
    uses_left: Option<u32>,
}

impl VerifiedToken {
    pub(crate) fn from_wire(token: wire::ActiveToken) -> Result<Self, Error> {
        let (Ok(jti), Ok(scope)) = (token.jti.parse(), convert::scope::from_wire(&token.scope, "scope"))
        else {
            return Err(Error::Unexpected("a token's id or scope is malformed"));
        };
        Ok(Self {
            jti,
            subject: bounded(&token.subject),
            client_id: bounded(&token.client_id),
            audience: bounded(&token.audience),
            scope,
            issue_time: required_time(token.issue_time)?,
            expire_time: required_time(token.expire_time)?,
            task: task_id(&token.task_id)?,
            root_task: task_id(&token.root_task_id)?,
            uses_left: token.use_limited.then_some(token.uses_left),
        })
    }

    /// What an offline check found; its uses are not limited, or it would have been *unknown*.
    pub(crate) fn of_claims(claims: &Claims) -> Self {
        Self {
            jti: claims.jti,
            subject: bounded(&claims.subject),
            client_id: bounded(claims.client_id.as_str()),
            audience: bounded(&claims.audience),
            scope: claims.scope.clone(),
            issue_time: claims.issued_at,
            expire_time: claims.expires_at,
            task: claims.task(),
            root_task: claims.tasks[0],
            uses_left: None,
        }
    }

    /// The token's id: what to write into the API's own log.
    pub fn jti(&self) -> TokenId {
        self.jti
    }

    /// On whose behalf.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The SPIFFE ID of the workload that acts.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The connector's audience.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// What the token allows.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether the token covers `operation` on `resource`, as its claims say. Does not ask again.
    pub fn allows(&self, operation: &Operation, resource: Option<&ResourcePattern>) -> bool {
        self.scope.allows(operation, resource)
    }

    /// When it was issued.
    pub fn issue_time(&self) -> Timestamp {
        self.issue_time
    }

    /// Until when, exclusive.
    pub fn expire_time(&self) -> Timestamp {
        self.expire_time
    }

    /// The task that it is for.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// The root of that task's tree.
    pub fn root_task(&self) -> TaskId {
        self.root_task
    }

    /// Uses left; none when uses are not limited.
    pub fn uses_left(&self) -> Option<u32> {
        self.uses_left
    }
}

/// Answers 500 where no [`CheckLayer`](crate::CheckLayer) stands before the route: an unchecked
/// route must not look like a checked one.
impl<S: Send + Sync> FromRequestParts<S> for VerifiedToken {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let missing = (StatusCode::INTERNAL_SERVER_ERROR, "this route has no token check");
        parts.extensions.get::<Self>().cloned().ok_or(missing)
    }
}
