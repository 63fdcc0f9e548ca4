//! [`fmt::Debug`] of the messages that carry tokens, holder secrets or people's own words.
//!
//! What always holds: none of those bytes is ever printed, only how many there are, so that a
//! message in a log line, a trace or a panic leaks nothing. `build.rs` names the same messages.

use std::fmt;

use crate::broker::v1::{
    AuthorizeRequest, EndTaskRequest, HoldTaskRequest, IntrospectTokenRequest, IssueTokenRequest,
    IssueTokenResponse, RenewTaskRequest, RevokeTokenRequest, StartTaskRequest,
};

/// Stands for bytes that are not shown.
struct Redacted(usize);

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

impl fmt::Debug for StartTaskRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartTaskRequest")
            .field("intent", &self.intent)
            .field("holder_sha256", &Redacted(self.holder_sha256.len()))
            .field("parent_task_id", &self.parent_task_id)
            .field("parent_holder_secret", &Redacted(self.parent_holder_secret.len()))
            .field("deadline_after", &self.deadline_after)
            .field("lease", &self.lease)
            .field("justification", &Redacted(self.justification.len()))
            .field("request_id", &self.request_id)
            .finish()
    }
}

impl fmt::Debug for HoldTaskRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldTaskRequest")
            .field("task_id", &self.task_id)
            .field("holder_secret", &Redacted(self.holder_secret.len()))
            .finish()
    }
}

impl fmt::Debug for RenewTaskRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewTaskRequest")
            .field("task_id", &self.task_id)
            .field("holder_secret", &Redacted(self.holder_secret.len()))
            .finish()
    }
}

impl fmt::Debug for EndTaskRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndTaskRequest")
            .field("task_id", &self.task_id)
            .field("holder_secret", &Redacted(self.holder_secret.len()))
            .field("outcome", &self.outcome())
            .finish()
    }
}

impl fmt::Debug for IssueTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueTokenRequest")
            .field("task_id", &self.task_id)
            .field("holder_secret", &Redacted(self.holder_secret.len()))
            .field("scope", &self.scope)
            .field("ttl", &self.ttl)
            .field("uses_max", &self.uses_max)
            .field("request_id", &self.request_id)
            .field("bind_to_certificate", &self.bind_to_certificate)
            .finish()
    }
}

impl fmt::Debug for IssueTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueTokenResponse")
            .field("token", &Redacted(self.token.len()))
            .field("jti", &self.jti)
            .field("expire_time", &self.expire_time)
            .field("refresh_in", &self.refresh_in)
            .field("scope", &self.scope)
            .field("audience", &self.audience)
            .finish()
    }
}

impl fmt::Debug for RevokeTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeTokenRequest").field("token", &Redacted(self.token.len())).finish()
    }
}

impl fmt::Debug for IntrospectTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectTokenRequest")
            .field("token", &Redacted(self.token.len()))
            .field("connector", &self.connector)
            .field("presented", &self.presented)
            .finish()
    }
}

impl fmt::Debug for AuthorizeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeRequest")
            .field("token", &Redacted(self.token.len()))
            .field("operation", &self.operation)
            .field("resource", &self.resource)
            .field("presented", &self.presented)
            .finish()
    }
}
