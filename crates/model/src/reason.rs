//! [`Reason`]: the closed list of why something was refused.
//!
//! How each one is told to callers (gRPC code, HTTP status, OAuth error, public sentence) is one
//! table in `api`.

use std::fmt;
use std::str::FromStr;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    // Who is calling.
    /// Neither a client certificate nor a bearer assertion.
    IdentityMissing,
    /// The proof is malformed or its signature does not hold.
    IdentityInvalid,
    /// Nobody we trust vouches for it.
    IdentityUntrustedIssuer,
    /// The proof is past its end or not valid yet.
    IdentityExpired,
    /// The assertion is addressed to somebody else.
    IdentityAudienceMismatch,
    /// Certificate and assertion name different workloads.
    IdentityMismatch,
    /// The identity holds, but no workload is registered for it.
    WorkloadUnregistered,
    /// The caller's role does not include this method.
    RoleMissing,
    // What is asked.
    /// A field is missing, out of bounds or of the wrong shape.
    RequestMalformed,
    /// The request id stands for another request.
    RequestIdReused,
    /// No policy allows a task with this intent.
    IntentNotAllowed,
    /// No such connector is registered in the caller's tenant.
    ConnectorUnknown,
    /// The caller is not registered as a backend of this connector.
    ConnectorNotServed,
    /// The connector has no such action, or the action no such resource.
    ScopeUnknown,
    /// More than the task's intent declared.
    ScopeBeyondIntent,
    /// More than the parent task may do.
    ScopeBeyondParent,
    /// The token does not cover this action on this resource.
    ScopeInsufficient,
    /// A longer life than allowed.
    TtlTooLong,
    /// The deadline is past the parent's or the longest allowed.
    DeadlineTooLate,
    /// The chain of tasks or actors is at its limit.
    ChainTooLong,
    // What was decided.
    /// No policy allows it, or one forbids it.
    PolicyDenied,
    /// A policy could not be evaluated; that is a denial.
    PolicyError,
    /// The policy set is refused; the one in force stays.
    PolicyInvalid,
    /// The registry is refused; the one in force stays.
    RegistryInvalid,
    /// Policy demands a justification at the task's start.
    JustificationRequired,
    /// Policy demands a token bound to a key; the caller proved none.
    ProofRequired,
    /// The proof of a key that came with the request does not hold for it.
    ProofInvalid,
    /// An operator locked the workload or what it asks for.
    Locked,
    // The task.
    /// No such task, or not the caller's.
    TaskNotFound,
    /// The holder secret does not match.
    TaskNotHeld,
    /// The task, or one above it, was ended.
    TaskEnded,
    /// The task's lease ran out or its deadline passed.
    TaskLapsed,
    /// The task, or what it rests on, was revoked.
    TaskRevoked,
    // The token.
    /// Not a token of the form that Locum signs.
    TokenMalformed,
    /// Signed with a key that is not ours or is gone.
    TokenUnknownKey,
    /// The signature does not hold.
    TokenSignatureInvalid,
    /// Well signed, but not in the table.
    TokenUnknown,
    /// Another issuer.
    TokenWrongIssuer,
    /// For another connector.
    TokenWrongAudience,
    /// Its time has not come.
    TokenNotYetValid,
    /// Its time is over.
    TokenExpired,
    /// Revoked, at whatever level.
    TokenRevoked,
    /// Bound to a key that the presenter did not prove.
    TokenUnproved,
    /// Its uses are spent.
    TokenSpent,
    /// The claims do not fit into a token.
    TokenTooLarge,
    /// A token of this id exists; nothing was issued.
    TokenIdRepeated,
    // What an operator asks.
    /// The selector names nothing that is registered or live.
    SelectorUnknown,
    /// The selector reaches past the operator's tenants.
    SelectorForbidden,
    /// A time to come where a past one is meant.
    TimeInFuture,
    /// No such lock is in force.
    LockUnknown,
    /// No such key.
    KeyUnknown,
    /// A key of this algorithm is published already and does not sign yet.
    KeyWaiting,
    // Limits and health.
    /// The workload or tenant is at a limit.
    QuotaExceeded,
    /// Too much at once; try again.
    Overloaded,
    /// Expiry is behind its bound; nothing new until it catches up.
    ReaperBehind,
    /// The feed has no such position.
    FeedPositionInvalid,
    /// The follower did not keep up and was cut off.
    FollowerTooSlow,
    /// The machine's clock is not to be trusted just now.
    ClockUnsettled,
    /// The disk is full; revocations are still taken.
    StorageFull,
    /// The journal cannot be written; the server stops.
    JournalUnavailable,
    /// The archive is off, is being opened or cannot be read.
    ArchiveUnavailable,
    /// The server is about to stop.
    Draining,
    /// A failure of Locum itself.
    Internal,
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: &'static [Self] = &[
        Self::IdentityMissing,
        Self::IdentityInvalid,
        Self::IdentityUntrustedIssuer,
        Self::IdentityExpired,
        Self::IdentityAudienceMismatch,
        Self::IdentityMismatch,
        Self::WorkloadUnregistered,
        Self::RoleMissing,
        Self::RequestMalformed,
        Self::RequestIdReused,
        Self::IntentNotAllowed,
        Self::ConnectorUnknown,
        Self::ConnectorNotServed,
        Self::ScopeUnknown,
        Self::ScopeBeyondIntent,
        Self::ScopeBeyondParent,
        Self::ScopeInsufficient,
        Self::TtlTooLong,
        Self::DeadlineTooLate,
        Self::ChainTooLong,
        Self::PolicyDenied,
        Self::PolicyError,
        Self::PolicyInvalid,
        Self::RegistryInvalid,
        Self::JustificationRequired,
        Self::ProofRequired,
        Self::ProofInvalid,
        Self::Locked,
        Self::TaskNotFound,
        Self::TaskNotHeld,
        Self::TaskEnded,
        Self::TaskLapsed,
        Self::TaskRevoked,
        Self::TokenMalformed,
        Self::TokenUnknownKey,
        Self::TokenSignatureInvalid,
        Self::TokenUnknown,
        Self::TokenWrongIssuer,
        Self::TokenWrongAudience,
        Self::TokenNotYetValid,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::TokenUnproved,
        Self::TokenSpent,
        Self::TokenTooLarge,
        Self::TokenIdRepeated,
        Self::SelectorUnknown,
        Self::SelectorForbidden,
        Self::TimeInFuture,
        Self::LockUnknown,
        Self::KeyUnknown,
        Self::KeyWaiting,
        Self::QuotaExceeded,
        Self::Overloaded,
        Self::ReaperBehind,
        Self::FeedPositionInvalid,
        Self::FollowerTooSlow,
        Self::ClockUnsettled,
        Self::StorageFull,
        Self::JournalUnavailable,
        Self::ArchiveUnavailable,
        Self::Draining,
        Self::Internal,
    ];

    /// The code that machines read, as in `google.rpc.ErrorInfo.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityMissing => "IDENTITY_MISSING",
            Self::IdentityInvalid => "IDENTITY_INVALID",
            Self::IdentityUntrustedIssuer => "IDENTITY_UNTRUSTED_ISSUER",
            Self::IdentityExpired => "IDENTITY_EXPIRED",
            Self::IdentityAudienceMismatch => "IDENTITY_AUDIENCE_MISMATCH",
            Self::IdentityMismatch => "IDENTITY_MISMATCH",
            Self::WorkloadUnregistered => "WORKLOAD_UNREGISTERED",
            Self::RoleMissing => "ROLE_MISSING",
            Self::RequestMalformed => "REQUEST_MALFORMED",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::IntentNotAllowed => "INTENT_NOT_ALLOWED",
            Self::ConnectorUnknown => "CONNECTOR_UNKNOWN",
            Self::ConnectorNotServed => "CONNECTOR_NOT_SERVED",
            Self::ScopeUnknown => "SCOPE_UNKNOWN",
            Self::ScopeBeyondIntent => "SCOPE_BEYOND_INTENT",
            Self::ScopeBeyondParent => "SCOPE_BEYOND_PARENT",
            Self::ScopeInsufficient => "SCOPE_INSUFFICIENT",
            Self::TtlTooLong => "TTL_TOO_LONG",
            Self::DeadlineTooLate => "DEADLINE_TOO_LATE",
            Self::ChainTooLong => "CHAIN_TOO_LONG",
            Self::PolicyDenied => "POLICY_DENIED",
            Self::PolicyError => "POLICY_ERROR",
            Self::PolicyInvalid => "POLICY_INVALID",
            Self::RegistryInvalid => "REGISTRY_INVALID",
            Self::JustificationRequired => "JUSTIFICATION_REQUIRED",
            Self::ProofRequired => "PROOF_REQUIRED",
            Self::ProofInvalid => "PROOF_INVALID",
            Self::Locked => "LOCKED",
            Self::TaskNotFound => "TASK_NOT_FOUND",
            Self::TaskNotHeld => "TASK_NOT_HELD",
            Self::TaskEnded => "TASK_ENDED",
            Self::TaskLapsed => "TASK_LAPSED",
            Self::TaskRevoked => "TASK_REVOKED",
            Self::TokenMalformed => "TOKEN_MALFORMED",
            Self::TokenUnknownKey => "TOKEN_UNKNOWN_KEY",
            Self::TokenSignatureInvalid => "TOKEN_SIGNATURE_INVALID",
            Self::TokenUnknown => "TOKEN_UNKNOWN",
            Self::TokenWrongIssuer => "TOKEN_WRONG_ISSUER",
            Self::TokenWrongAudience => "TOKEN_WRONG_AUDIENCE",
            Self::TokenNotYetValid => "TOKEN_NOT_YET_VALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::TokenUnproved => "TOKEN_UNPROVED",
            Self::TokenSpent => "TOKEN_SPENT",
            Self::TokenTooLarge => "TOKEN_TOO_LARGE",
            Self::TokenIdRepeated => "TOKEN_ID_REPEATED",
            Self::SelectorUnknown => "SELECTOR_UNKNOWN",
            Self::SelectorForbidden => "SELECTOR_FORBIDDEN",
            Self::TimeInFuture => "TIME_IN_FUTURE",
            Self::LockUnknown => "LOCK_UNKNOWN",
            Self::KeyUnknown => "KEY_UNKNOWN",
            Self::KeyWaiting => "KEY_WAITING",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::Overloaded => "OVERLOADED",
            Self::ReaperBehind => "REAPER_BEHIND",
            Self::FeedPositionInvalid => "FEED_POSITION_INVALID",
            Self::FollowerTooSlow => "FOLLOWER_TOO_SLOW",
            Self::ClockUnsettled => "CLOCK_UNSETTLED",
            Self::StorageFull => "STORAGE_FULL",
            Self::JournalUnavailable => "JOURNAL_UNAVAILABLE",
            Self::ArchiveUnavailable => "ARCHIVE_UNAVAILABLE",
            Self::Draining => "DRAINING",
            Self::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

/// A text that is not one of the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reason that this version knows")]
pub struct UnknownReason;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_code_and_no_code_stands_twice() {
        let mut codes = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(codes.insert(reason.as_str()), "{reason} twice");
            assert!(reason.as_str().len() <= 63);
        }
    }
}
