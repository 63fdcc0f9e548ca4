//! What parties do all day: start tasks, get tokens, have them checked.

use locum_api::admin::v1 as admin;
use locum_api::broker::v1 as wire;
use locum_model::Entropy as _;
use ring::digest::{SHA256, digest};
use tonic::Status;

use crate::daemon::Daemon;
use crate::party::Party;

/// A task, and the secret that opens it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its id.
    pub task_id: String,
    /// Its holder secret.
    pub secret: Vec<u8>,
}

/// A new holder secret, declared to the daemon as one.
pub fn secret(daemon: &Daemon) -> Vec<u8> {
    let secret = random::<32>().to_vec();
    daemon.secret(&secret);
    secret
}

/// Random bytes.
///
/// # Panics
///
/// When the system gives none.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    locum_server::entropy::OsEntropy::new().fill(&mut bytes).expect("randomness");
    bytes
}

/// Seconds since 1970.
///
/// # Panics
///
/// When the clock stands before that.
#[expect(clippy::disallowed_methods, reason = "assertions carry the time, and tests have no broker's clock")]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("long before the end of time")
}

/// One grant.
pub fn grant(operation: &str, resources: &[&str]) -> wire::Grant {
    wire::Grant {
        operation: operation.to_owned(),
        resources: resources.iter().map(|&resource| resource.to_owned()).collect(),
    }
}

/// A duration in whole seconds.
pub fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// A request for a task with this scope, opened by `secret`.
pub fn start(scope: Vec<wire::Grant>, secret: &[u8]) -> wire::StartTaskRequest {
    wire::StartTaskRequest {
        intent: Some(wire::Intent { purpose: "refund-order".to_owned(), scope }),
        holder_sha256: digest(&SHA256, secret).as_ref().to_vec(),
        lease: seconds(600),
        ..Default::default()
    }
}

/// A root task of `party` with this scope.
///
/// # Errors
///
/// As refused.
pub async fn begin(daemon: &Daemon, party: &Party, scope: Vec<wire::Grant>) -> Result<Held, Status> {
    let secret = secret(daemon);
    let answer = party.tasks().start_task(start(scope, &secret)).await?.into_inner();
    Ok(Held { task_id: answer.task.expect("a task").task_id, secret })
}

/// A part of `parent`, started by the same workload.
///
/// # Errors
///
/// As refused.
pub async fn begin_part(
    daemon: &Daemon,
    party: &Party,
    parent: &Held,
    scope: Vec<wire::Grant>,
) -> Result<Held, Status> {
    let secret = secret(daemon);
    let request = wire::StartTaskRequest {
        parent_task_id: parent.task_id.clone(),
        parent_holder_secret: parent.secret.clone(),
        ..start(scope, &secret)
    };
    let answer = party.tasks().start_task(request).await?.into_inner();
    Ok(Held { task_id: answer.task.expect("a task").task_id, secret })
}

impl Held {
    /// A request for a token with one grant.
    pub fn ask(&self, operation: &str, resources: &[&str]) -> wire::IssueTokenRequest {
        wire::IssueTokenRequest {
            task_id: self.task_id.clone(),
            holder_secret: self.secret.clone(),
            scope: vec![grant(operation, resources)],
            ..Default::default()
        }
    }

    /// A request to end it.
    pub fn end(&self) -> wire::EndTaskRequest {
        wire::EndTaskRequest {
            task_id: self.task_id.clone(),
            holder_secret: self.secret.clone(),
            outcome: wire::TaskOutcome::Completed.into(),
        }
    }
}

/// A token, declared to the daemon as a secret.
///
/// # Errors
///
/// As refused.
pub async fn issue(
    daemon: &Daemon,
    party: &Party,
    request: wire::IssueTokenRequest,
) -> Result<wire::IssueTokenResponse, Status> {
    let answer = party.tokens().issue_token(request).await?.into_inner();
    daemon.secret(&answer.token);
    if let Some(signature) = answer.token.rsplit('.').next() {
        daemon.secret(signature);
    }
    Ok(answer)
}

/// What introspection says about a token.
///
/// # Errors
///
/// As refused.
pub async fn introspect(
    backend: &Party,
    connector: &str,
    token: &str,
) -> Result<wire::IntrospectTokenResponse, Status> {
    let request = wire::IntrospectTokenRequest {
        token: token.to_owned(),
        connector: connector.to_owned(),
        presented: None,
    };
    Ok(backend.checks().introspect_token(request).await?.into_inner())
}

/// Whether a token is active.
///
/// # Panics
///
/// When the question itself is refused.
pub async fn is_active(backend: &Party, connector: &str, token: &str) -> bool {
    introspect(backend, connector, token).await.expect("an answer").active
}

/// A request whether an action may happen.
pub fn may(token: &str, operation: &str, resource: &str) -> wire::AuthorizeRequest {
    wire::AuthorizeRequest {
        token: token.to_owned(),
        operation: operation.to_owned(),
        resource: resource.to_owned(),
        presented: None,
    }
}

/// A selector of one target.
pub fn selector(target: admin::selector::Target) -> Option<admin::Selector> {
    Some(admin::Selector { target: Some(target) })
}

/// A request to revoke what `target` names.
pub fn revoke(target: admin::selector::Target) -> admin::RevokeRequest {
    admin::RevokeRequest { selector: selector(target), reason: "a drill".to_owned(), ..Default::default() }
}
