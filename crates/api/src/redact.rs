//! [`fmt::Debug`] of the messages that carry tokens, holder secrets or people's own words.
//!
//! What always holds: none of those bytes is ever printed, only how many there are, so that a
//! message in a log line, a trace or a panic leaks nothing. `build.rs` names the same messages.

use std::fmt;

use crate::broker::v1::{
    AuthorizeRequest, EndTaskRequest, HoldTaskRequest, IntrospectTokenRequest, IssueTokenRequest,
    IssueTokenResponse, PresentedProof, RenewTaskRequest, RevokeTokenRequest, StartTaskRequest,
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

impl fmt::Debug for PresentedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedProof")
            .field("proof", &Redacted(self.proof.len()))
            .field("method", &self.method)
            .field("uri", &self.uri)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Names of fields that carry a secret or people's own words, wherever they stand.
    const SECRET_FIELDS: [&str; 5] =
        ["token", "holder_secret", "parent_holder_secret", "justification", "proof"];

    fn secret() -> Vec<u8> {
        b"hunter2-hunter2".to_vec()
    }

    fn word() -> String {
        "hunter2-hunter2".to_owned()
    }

    /// Each message that carries a secret, by name, as it is printed.
    fn printed() -> Vec<(&'static str, String)> {
        let start = StartTaskRequest {
            parent_holder_secret: secret(),
            justification: word(),
            ..StartTaskRequest::default()
        };
        let issue = IssueTokenRequest { holder_secret: secret(), ..IssueTokenRequest::default() };
        let issued = IssueTokenResponse { token: word(), ..IssueTokenResponse::default() };
        let introspect = IntrospectTokenRequest { token: word(), ..IntrospectTokenRequest::default() };
        let authorize = AuthorizeRequest { token: word(), ..AuthorizeRequest::default() };
        let end = EndTaskRequest { holder_secret: secret(), ..EndTaskRequest::default() };
        let task_id = String::new;
        vec![
            ("StartTaskRequest", format!("{start:?}")),
            (
                "HoldTaskRequest",
                format!("{:?}", HoldTaskRequest { task_id: task_id(), holder_secret: secret() }),
            ),
            (
                "RenewTaskRequest",
                format!("{:?}", RenewTaskRequest { task_id: task_id(), holder_secret: secret() }),
            ),
            ("EndTaskRequest", format!("{end:?}")),
            ("IssueTokenRequest", format!("{issue:?}")),
            ("IssueTokenResponse", format!("{issued:?}")),
            ("RevokeTokenRequest", format!("{:?}", RevokeTokenRequest { token: word() })),
            ("IntrospectTokenRequest", format!("{introspect:?}")),
            ("AuthorizeRequest", format!("{authorize:?}")),
            (
                "PresentedProof",
                format!("{:?}", PresentedProof { proof: word(), ..PresentedProof::default() }),
            ),
        ]
    }

    #[test]
    fn no_secret_is_printed() {
        let as_numbers = format!("{:?}", secret());
        for (name, text) in printed() {
            assert!(text.contains("[15 bytes]") && text.starts_with(name), "{text}");
            assert!(!text.contains("hunter2") && !text.contains(as_numbers.trim_end_matches(']')), "{text}");
        }
    }

    #[test]
    fn every_message_with_a_secret_is_redacted() {
        let descriptors = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).expect("a descriptor set");
        let broker = descriptors.file.iter().filter(|file| file.package() == "locum.broker.v1");
        let mut carrying = BTreeSet::new();
        for message in broker.flat_map(|file| &file.message_type) {
            // A field of message type is printed by that message's own `Debug`.
            let text = message.field.iter().filter(|field| field.type_name().is_empty());
            if text.into_iter().any(|field| SECRET_FIELDS.contains(&field.name())) {
                carrying.insert(message.name().to_owned());
            }
        }
        let redacted: BTreeSet<_> = printed().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(carrying, redacted);
    }
}
