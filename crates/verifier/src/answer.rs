//! [`Answer`]: what a check came to, and why, for the backend's own log.

use std::sync::Arc;

use locum_model::{Level, Reason};
use locum_token::dpop::NotProved;
use locum_token::{Claims, Refusal};

/// What a check came to. The causes are for the backend's log: callers hear one text for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The token may be believed.
    Active(Arc<Claims>),
    /// It must not.
    Inactive(Inactive),
    /// Nobody here can say. Treat it as no, and tell the caller to come again.
    Unknown(Unknown),
}

/// Why a token must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inactive {
    /// Form, key, signature, issuer or times.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// For another connector.
    #[error("for another connector")]
    WrongAudience,
    /// Its decision is at or below a watermark of this level. For a task: it, or one above it, ended,
    /// lapsed or was revoked.
    #[error("revoked by its {0}")]
    Revoked(Level),
    /// Bound to a key that the presenter did not prove, or a proof came with what is not bound.
    #[error("not proved: {0}")]
    Unproved(#[from] NotProved),
}

/// Why nobody here can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The feed has not been heard yet.
    #[error("the feed has not been heard yet")]
    NotStarted,
    /// No heartbeat has confirmed what is held since something was missed, or since the feed began anew.
    #[error("something of the feed is missing")]
    Behind,
    /// The feed was not heard for longer than the lease.
    #[error("the feed was not heard for longer than the lease")]
    LeaseOver,
    /// The feed said something signed that this version does not understand.
    #[error("the feed says something that this version does not understand")]
    NotUnderstood,
    /// More is revoked than this verifier may keep.
    #[error("more is revoked than this verifier may keep")]
    Full,
    /// This machine's clock and the broker's disagree beyond their bound.
    #[error("this machine's clock is {ahead_millis} ms ahead of the broker's (negative: behind)")]
    Clock {
        /// How far this machine is ahead; negative when it is behind.
        ahead_millis: i64,
    },
    /// Only an online check can answer for this token: its uses are counted.
    #[error("only an online check can answer for this token")]
    OnlineOnly,
    /// More proofs of keys are shown than may be remembered.
    #[error("more proofs of keys are shown than may be remembered")]
    ProofsFull,
    /// The token was decided by a broker, or in an epoch, that this verifier has not followed.
    #[error("decided where this verifier does not follow")]
    Elsewhere,
}

impl Inactive {
    /// The code for the record, in the words of the online check.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::WrongAudience => Reason::TokenWrongAudience,
            Self::Revoked(_) => Reason::TokenRevoked,
            Self::Unproved(_) => Reason::TokenUnproved,
        }
    }
}
