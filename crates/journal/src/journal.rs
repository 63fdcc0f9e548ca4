//! [`open`]: recovery, and the journal that comes of it.

use std::io;
use std::sync::Arc;

use locum_model::{Committed, Event, Position, Reason};

use crate::damage::Damage;
use crate::files::FileLayer;
use crate::reader::Reader;
use crate::writer::Writer;

/// How a journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment that reaches this length is followed by a new one.
    pub segment_bytes: u64,
    /// Disk space that is kept for urgent events.
    pub reserve_bytes: u64,
    /// The broker whose journal this is.
    pub home: u16,
}

/// Which events may use the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Everything that may be refused when the disk is full.
    Ordinary,
    /// Revocations, ends and locks: they may use the reserve.
    Urgent,
}

/// How far the journal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last event's position; sequence 0 when there is none.
    pub position: Position,
    /// The hash over everything up to here.
    pub hash: [u8; 32],
}

/// An open journal.
pub struct Journal {
    /// The one writer.
    pub writer: Writer,
    /// A reader; clone it freely.
    pub reader: Reader,
}

/// Why a journal cannot be opened. Nothing was changed that a later try could miss.
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
    Damaged(#[from] Damage),
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

/// Opens the journal, replaying it through `replay`.
///
/// # Errors
///
/// [`OpenError`].
pub fn open(
    files: Arc<dyn FileLayer>,
    options: Options,
    replay: &mut dyn FnMut(Committed<Event>),
) -> Result<Journal, OpenError> {
    let _ = (files, options, replay);
    Err(OpenError::Io { doing: "opened", source: io::ErrorKind::Unsupported.into() })
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, reserve_bytes: 16 << 20, home: 1 }
    }
}

impl OpenError {
    /// What a caller is told.
    pub fn reason(&self) -> Reason {
        Reason::JournalUnavailable
    }
}
