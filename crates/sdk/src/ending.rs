//! [`Ending`]: how a task was over.

use std::fmt;

use locum_model::Reason;

/// How a task was over, as far as its holder can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Its holder or an operator ended it, or a task above it.
    Ended,
    /// Its lease or deadline ran out.
    Lapsed,
    /// It, or something that it rests on, was revoked.
    Revoked,
    /// The broker knows no such task of this holder.
    Lost,
}

impl Ending {
    /// What a refusal for `reason` says about the task itself; none where it says nothing.
    pub(crate) fn said_by(reason: Reason) -> Option<Self> {
        match reason {
            Reason::TaskEnded => Some(Self::Ended),
            Reason::TaskLapsed => Some(Self::Lapsed),
            Reason::TaskRevoked => Some(Self::Revoked),
            Reason::TaskNotFound | Reason::TaskNotHeld => Some(Self::Lost),
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "it was ended",
            Self::Lapsed => "its lease or deadline ran out",
            Self::Revoked => "it, or what it rests on, was revoked",
            Self::Lost => "the broker knows no such task of this holder",
        })
    }
}
