//! [`Writer`]: the one place where something becomes durable.

use locum_model::{Committed, Event, Reason};

use crate::journal::{Head, Lane};

/// Appends events. There is one per journal.
pub struct Writer {
    head: Head,
}

/// Why events were not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full. Nothing was written and nothing changed; a later append may succeed.
    #[error("the disk is full")]
    Full,
    /// A write or sync failed. The writer is done for; every later call says the same.
    #[error("the journal cannot be written")]
    Fatal,
    /// The batch, or an event in it, is beyond its bound. Nothing was written.
    #[error("the batch is too large")]
    TooLarge,
}

impl Writer {
    /// Appends one batch.
    ///
    /// # Errors
    ///
    /// [`AppendError`].
    pub fn append(&mut self, _lane: Lane, _events: Vec<Event>) -> Result<Vec<Committed<Event>>, AppendError> {
        Err(AppendError::Fatal)
    }

    /// Marks the end.
    ///
    /// # Errors
    ///
    /// [`AppendError`].
    pub fn seal(&mut self) -> Result<(), AppendError> {
        Err(AppendError::Fatal)
    }

    /// How far the journal goes.
    pub fn head(&self) -> Head {
        self.head
    }
}

impl AppendError {
    /// What a caller is told.
    pub fn reason(self) -> Reason {
        match self {
            Self::Full => Reason::StorageFull,
            Self::Fatal => Reason::JournalUnavailable,
            Self::TooLarge => Reason::Internal,
        }
    }
}
