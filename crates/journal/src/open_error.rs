//! [`OpenError`]: why a journal is not opened.

use std::io;

use locum_model::Reason;

use crate::damage::{Damage, Flaw};
use crate::format::names;

/// Why a journal cannot be opened. Nothing that was acknowledged was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("the journal cannot be {doing}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the file system said.
        source: io::Error,
    },
    /// Something acknowledged is damaged or missing.
    #[error(transparent)]
    Damaged(Damage),
    /// A file was written by a later version of Locum.
    #[error("`{file}` has format {found}, this version reads up to {known}")]
    FutureFormat {
        /// The file.
        file: String,
        /// Its format.
        found: u16,
        /// The newest that this version knows.
        known: u16,
    },
    /// The journal belongs to another broker.
    #[error("the journal is of home {found}, not of home {expected}")]
    WrongHome {
        /// The home in the options.
        expected: u16,
        /// The home in the files.
        found: u16,
    },
}

impl OpenError {
    /// What a caller is told.
    pub fn reason(&self) -> Reason {
        Reason::JournalUnavailable
    }
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage { file, flaw: Flaw::FutureFormat { found, known }, .. } => {
                Self::FutureFormat { file, found, known }
            }
            damage => Self::Damaged(damage),
        }
    }
}

/// The segment that begins with this sequence is not there.
pub(crate) fn missing(first_sequence: u64) -> Damage {
    Damage { file: names::segment(first_sequence), offset: 0, sequence: first_sequence, flaw: Flaw::Missing }
}
