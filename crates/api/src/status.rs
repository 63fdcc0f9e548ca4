//! The one table that says how each [`Reason`] is told: gRPC code, HTTP status, OAuth error, whether
//! to try again, and the public sentence.
//!
//! What always holds: every reason has exactly one row, and adding a reason without a row does not
//! compile. Every cause for not believing a token is told in the same words, under the same code and
//! the same reason, so that the answer teaches nothing about the token; the cause goes to the record.
//!
//! Sources: AIP-193 and `google.rpc.Code` for codes, RFC 6749 section 5.2, RFC 6750 section 3.1,
//! RFC 8707 section 2 and RFC 6749 section 4.1.2.1 (`server_error`, `temporarily_unavailable`) for
//! OAuth errors.

mod details;

use std::time::Duration;

use locum_model::Reason;
use tonic::Code;

pub use details::{DOMAIN, detail_of, reason_of, request_id_of, retry_after_of, status, violations_of};

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: something has to be changed first, by the caller or by somebody else.
    No,
    /// Not as it is, but with a renewed identity or another token.
    Renewed,
    /// Yes, unchanged, after this long.
    After(Duration),
}

/// How a reason is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// The gRPC code.
    pub code: Code,
    /// The HTTP status.
    pub http: u16,
    /// The `error` of OAuth 2.0.
    pub oauth: &'static str,
    /// Whether to try again.
    pub retryable: Retry,
    /// What people read: a lower-case fragment without anything that the caller sent.
    pub sentence: &'static str,
}

/// A token that must not be believed, whatever the cause.
const INACTIVE: Public =
    row(Code::Unauthenticated, 401, "invalid_token", Retry::Renewed, "the token is not active");

/// How `reason` is told.
#[rustfmt::skip] // a table is read in columns
pub const fn public(reason: Reason) -> Public {
    use Code::{
        Aborted, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied,
        ResourceExhausted, Unauthenticated, Unavailable,
    };
    match reason {
        // Who is calling.
        Reason::IdentityMissing          => no(Unauthenticated,    401, "invalid_client",       "the caller showed neither a client certificate nor a bearer assertion"),
        Reason::IdentityInvalid          => no(Unauthenticated,    401, "invalid_client",       "the proof of identity is malformed or its signature does not hold"),
        Reason::IdentityUntrustedIssuer  => no(Unauthenticated,    401, "invalid_client",       "the proof of identity comes from an issuer that is not trusted"),
        Reason::IdentityExpired          => row(Unauthenticated, 401, "invalid_client", Retry::Renewed, "the proof of identity has expired or is not valid yet"),
        Reason::IdentityAudienceMismatch => no(Unauthenticated,    401, "invalid_client",       "the proof of identity is addressed to somebody else"),
        Reason::IdentityMismatch         => no(Unauthenticated,    401, "invalid_client",       "client certificate and bearer assertion name different workloads"),
        Reason::WorkloadUnregistered     => no(PermissionDenied,   403, "unauthorized_client",  "no workload is registered for this identity"),
        Reason::RoleMissing              => no(PermissionDenied,   403, "access_denied",        "the caller's role does not include this method"),
        // What is asked.
        Reason::RequestMalformed         => no(InvalidArgument,    400, "invalid_request",      "a field is missing, out of bounds or malformed"),
        Reason::RequestIdReused          => no(FailedPrecondition, 409, "invalid_request",      "the request id was used before for another request"),
        Reason::IntentNotAllowed         => no(PermissionDenied,   403, "access_denied",        "no policy allows a task with this intent"),
        Reason::ConnectorUnknown         => no(NotFound,           400, "invalid_target",       "no such connector is registered in the caller's tenant"),
        Reason::ConnectorNotServed       => no(PermissionDenied,   403, "access_denied",        "the caller is not registered as serving this connector"),
        Reason::ScopeUnknown             => no(InvalidArgument,    400, "invalid_scope",        "the connector has no such action or resource"),
        Reason::ScopeBeyondIntent        => no(PermissionDenied,   400, "invalid_scope",        "the scope is wider than the task's intent"),
        Reason::ScopeBeyondParent        => no(PermissionDenied,   400, "invalid_scope",        "the scope is wider than the parent task's"),
        Reason::ScopeInsufficient        => no(PermissionDenied,   403, "insufficient_scope",   "the token does not cover this action on this resource"),
        Reason::TtlTooLong               => no(PermissionDenied,   400, "invalid_request",      "the life asked for is longer than allowed"),
        Reason::DeadlineTooLate          => no(PermissionDenied,   400, "invalid_request",      "the deadline is later than the parent task's or the latest allowed"),
        Reason::ChainTooLong             => no(PermissionDenied,   400, "invalid_grant",        "the chain of tasks or actors is at its limit"),
        // What was decided.
        Reason::PolicyDenied             => no(PermissionDenied,   403, "access_denied",        "no policy allows this, or one forbids it"),
        Reason::PolicyError              => no(PermissionDenied,   403, "access_denied",        "a policy could not be evaluated, so this is denied"),
        Reason::PolicyInvalid            => no(FailedPrecondition, 400, "invalid_request",      "the policy set is refused and the one in force stays"),
        Reason::RegistryInvalid          => no(FailedPrecondition, 400, "invalid_request",      "the registry is refused and the one in force stays"),
        Reason::JustificationRequired    => no(FailedPrecondition, 400, "invalid_request",      "policy demands that the task is started with a justification"),
        Reason::ProofRequired            => no(FailedPrecondition, 400, "invalid_request",      "policy demands a token bound to a key, and the caller proved none"),
        Reason::ProofInvalid             => no(InvalidArgument,    400, "invalid_dpop_proof",   "the proof of a key that came with the request does not hold for it"),
        Reason::Locked                   => no(PermissionDenied,   403, "access_denied",        "an operator locked the workload or what it asks for"),
        // The task.
        Reason::TaskNotFound             => no(NotFound,           404, "invalid_grant",        "there is no such task, or it is not the caller's"),
        Reason::TaskNotHeld              => no(PermissionDenied,   403, "invalid_grant",        "the holder secret is not the task's"),
        Reason::TaskEnded                => no(FailedPrecondition, 400, "invalid_grant",        "the task, or one above it, was ended"),
        Reason::TaskLapsed               => no(FailedPrecondition, 400, "invalid_grant",        "the task's lease ran out or its deadline passed, or that of one above it"),
        Reason::TaskRevoked              => no(FailedPrecondition, 400, "invalid_grant",        "the task, or what it rests on, was revoked"),
        // The token: one answer for every cause.
        Reason::TokenMalformed
        | Reason::TokenUnknownKey
        | Reason::TokenSignatureInvalid
        | Reason::TokenUnknown
        | Reason::TokenWrongIssuer
        | Reason::TokenWrongAudience
        | Reason::TokenNotYetValid
        | Reason::TokenExpired
        | Reason::TokenRevoked
        | Reason::TokenUnproved
        | Reason::TokenSpent => INACTIVE,
        // The token that was not issued: the caller is known and gets told why.
        Reason::TokenTooLarge            => no(InvalidArgument,    400, "invalid_scope",        "the claims do not fit into a token: ask for less"),
        Reason::TokenIdRepeated          => later(Aborted,           503, 100,    "a token of this id exists already, nothing was issued"),
        // What an operator asks.
        Reason::SelectorUnknown          => no(NotFound,           404, "invalid_request",      "the selector names nothing that is registered or live"),
        Reason::SelectorForbidden        => no(PermissionDenied,   403, "access_denied",        "the selector reaches past the operator's tenants"),
        Reason::TimeInFuture             => no(InvalidArgument,    400, "invalid_request",      "the time is in the future where a past one is meant"),
        Reason::LockUnknown              => no(NotFound,           404, "invalid_request",      "no such lock is in force"),
        Reason::KeyUnknown               => no(NotFound,           404, "invalid_request",      "there is no such key"),
        // Limits and health.
        Reason::KeyWaiting               => no(FailedPrecondition, 409, "invalid_request",      "a key of this algorithm is published already and does not sign yet"),
        Reason::QuotaExceeded            => later(ResourceExhausted, 429, 5_000,  "the workload or tenant is at a limit"),
        Reason::Overloaded               => later(ResourceExhausted, 503, 1_000,  "too much is asked at once"),
        Reason::ReaperBehind             => later(Unavailable,       503, 1_000,  "expiry is behind its bound, nothing new is issued until it catches up"),
        Reason::FeedPositionInvalid      => no(OutOfRange,         400, "invalid_request",      "the feed has no such position: follow it without one and take the snapshot"),
        Reason::FollowerTooSlow          => later(ResourceExhausted, 429, 1_000,  "the follower did not keep up and was cut off"),
        Reason::ClockUnsettled           => later(Unavailable,       503, 2_000,  "the server's clock is not to be trusted just now"),
        Reason::StorageFull              => later(ResourceExhausted, 503, 30_000, "the server's disk is full: only revocations and ends are taken"),
        Reason::JournalUnavailable       => later(Unavailable,       503, 5_000,  "the journal cannot be written"),
        Reason::ArchiveUnavailable       => later(Unavailable,       503, 5_000,  "the archive is off, is being opened or cannot be read"),
        Reason::Draining                 => later(Unavailable,       503, 1_000,  "the server is about to stop"),
        Reason::Internal                 => no(Code::Internal,     500, "server_error",         "something failed inside locum"),
    }
}

/// The reason as callers see it: `TOKEN_UNKNOWN` for every cause for not believing a token, else the
/// reason's own code.
pub fn public_reason(reason: Reason) -> &'static str {
    if public(reason) == INACTIVE { Reason::TokenUnknown.as_str() } else { reason.as_str() }
}

/// Whether callers may be told particulars: not about a token, and not about what failed inside.
fn may_explain(reason: Reason) -> bool {
    let row = public(reason);
    row != INACTIVE && row.http < 500
}

const fn row(code: Code, http: u16, oauth: &'static str, retryable: Retry, sentence: &'static str) -> Public {
    Public { code, http, oauth, retryable, sentence }
}

const fn no(code: Code, http: u16, oauth: &'static str, sentence: &'static str) -> Public {
    row(code, http, oauth, Retry::No, sentence)
}

const fn later(code: Code, http: u16, millis: u64, sentence: &'static str) -> Public {
    row(code, http, "temporarily_unavailable", Retry::After(Duration::from_millis(millis)), sentence)
}

/// The name of a code as in `google.rpc.Code`.
pub fn code_name(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "OK",
        tonic::Code::Cancelled => "CANCELLED",
        tonic::Code::Unknown => "UNKNOWN",
        tonic::Code::InvalidArgument => "INVALID_ARGUMENT",
        tonic::Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        tonic::Code::NotFound => "NOT_FOUND",
        tonic::Code::AlreadyExists => "ALREADY_EXISTS",
        tonic::Code::PermissionDenied => "PERMISSION_DENIED",
        tonic::Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        tonic::Code::FailedPrecondition => "FAILED_PRECONDITION",
        tonic::Code::Aborted => "ABORTED",
        tonic::Code::OutOfRange => "OUT_OF_RANGE",
        tonic::Code::Unimplemented => "UNIMPLEMENTED",
        tonic::Code::Internal => "INTERNAL",
        tonic::Code::Unavailable => "UNAVAILABLE",
        tonic::Code::DataLoss => "DATA_LOSS",
        tonic::Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The causes for not believing a token, listed by hand so that moving one out of the common
    /// row of the table fails here.
    const CAUSES: [Reason; 11] = [
        Reason::TokenMalformed,
        Reason::TokenUnknownKey,
        Reason::TokenSignatureInvalid,
        Reason::TokenUnknown,
        Reason::TokenWrongIssuer,
        Reason::TokenWrongAudience,
        Reason::TokenNotYetValid,
        Reason::TokenExpired,
        Reason::TokenRevoked,
        Reason::TokenUnproved,
        Reason::TokenSpent,
    ];

    #[test]
    fn every_cause_for_not_believing_a_token_is_told_alike() {
        for cause in CAUSES {
            assert_eq!(public(cause), INACTIVE, "{cause}");
            assert_eq!(public_reason(cause), "TOKEN_UNKNOWN");
        }
        let not_about_a_token = Reason::ALL.iter().filter(|reason| !CAUSES.contains(reason));
        for reason in not_about_a_token {
            assert_ne!(public(*reason), INACTIVE, "{reason}");
            assert_eq!(public_reason(*reason), reason.as_str());
        }
    }

    #[test]
    fn code_http_and_oauth_agree() {
        for reason in Reason::ALL {
            let row = public(*reason);
            let fits = match row.code {
                Code::Unauthenticated => row.http == 401,
                Code::PermissionDenied => matches!(row.http, 400 | 403),
                Code::NotFound => matches!(row.http, 400 | 404),
                Code::InvalidArgument | Code::OutOfRange => row.http == 400,
                Code::FailedPrecondition => matches!(row.http, 400 | 409),
                Code::ResourceExhausted => matches!(row.http, 429 | 503),
                Code::Aborted | Code::Unavailable => row.http == 503,
                Code::Internal => row.http == 500,
                _ => false,
            };
            assert!(fits, "{reason}: {row:?}");
            assert_eq!(
                row.http >= 500,
                matches!(row.oauth, "server_error" | "temporarily_unavailable") && row.http != 429,
                "{reason}"
            );
            assert_eq!(
                row.oauth == "temporarily_unavailable",
                matches!(row.retryable, Retry::After(_)),
                "{reason}"
            );
        }
    }

    #[test]
    fn what_the_rules_name_is_as_they_say() {
        for (reason, code, http, oauth) in [
            (Reason::IdentityMissing, Code::Unauthenticated, 401, "invalid_client"),
            (Reason::PolicyDenied, Code::PermissionDenied, 403, "access_denied"),
            (Reason::PolicyError, Code::PermissionDenied, 403, "access_denied"),
            (Reason::TaskEnded, Code::FailedPrecondition, 400, "invalid_grant"),
            (Reason::TaskLapsed, Code::FailedPrecondition, 400, "invalid_grant"),
            (Reason::TaskRevoked, Code::FailedPrecondition, 400, "invalid_grant"),
            (Reason::TaskNotHeld, Code::PermissionDenied, 403, "invalid_grant"),
            (Reason::TaskNotFound, Code::NotFound, 404, "invalid_grant"),
            (Reason::ScopeBeyondParent, Code::PermissionDenied, 400, "invalid_scope"),
            (Reason::ScopeInsufficient, Code::PermissionDenied, 403, "insufficient_scope"),
            (Reason::QuotaExceeded, Code::ResourceExhausted, 429, "temporarily_unavailable"),
            (Reason::ClockUnsettled, Code::Unavailable, 503, "temporarily_unavailable"),
            (Reason::JournalUnavailable, Code::Unavailable, 503, "temporarily_unavailable"),
            (Reason::StorageFull, Code::ResourceExhausted, 503, "temporarily_unavailable"),
            (Reason::RequestIdReused, Code::FailedPrecondition, 409, "invalid_request"),
            (Reason::FeedPositionInvalid, Code::OutOfRange, 400, "invalid_request"),
            (Reason::TokenRevoked, Code::Unauthenticated, 401, "invalid_token"),
        ] {
            let row = public(reason);
            assert_eq!((row.code, row.http, row.oauth), (code, http, oauth), "{reason}");
        }
    }

    #[test]
    fn sentences_are_fragments_and_none_stands_twice() {
        let mut said = BTreeMap::new();
        for reason in Reason::ALL {
            let sentence = public(*reason).sentence;
            assert!(sentence.starts_with(|c: char| c.is_ascii_lowercase()), "{sentence}");
            assert!(!sentence.ends_with('.') && sentence.len() <= 100, "{sentence}");
            if let Some(other) = said.insert(sentence, public_reason(*reason)) {
                assert_eq!(other, public_reason(*reason), "{sentence}");
            }
        }
    }
    #[test]
    fn every_reason_that_the_contract_names_is_known() {
        let descriptors = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).expect("a descriptor set");
        let ours = descriptors.file.iter().filter(|file| file.package().starts_with("locum."));
        let comments = ours.filter_map(|file| file.source_code_info.as_ref()).flat_map(|info| &info.location);
        let is_code =
            |word: &&str| word.len() > 4 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let mut named = 0;
        for comment in comments.map(|place| place.leading_comments()) {
            let Some((_, list)) = comment.split_once("Reasons: ") else { continue };
            for word in list.split([',', '.', ' ', '\n']).filter(is_code) {
                assert!(word.parse::<Reason>().is_ok(), "`{word}` is no reason");
                named += 1;
            }
        }
        assert!(named > 50, "the comments were read: {named}");
    }
}
