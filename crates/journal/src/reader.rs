//! [`Reader`]: what is durable, and nothing else.

use std::io;

use locum_model::{Committed, Event};

use crate::damage::Damage;
use crate::journal::Head;
use crate::snapshot::{SnapshotError, SnapshotReport};

/// Reads what is durable. Clones share one view.
#[derive(Clone)]
pub struct Reader {
    head: Head,
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("the journal cannot be read")]
    Io(#[from] io::Error),
    /// What is read is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Events in order, up to the durable head at the time of each call.
pub struct Events {
    _reader: Reader,
}

impl Reader {
    /// How far the durable journal goes.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The events from `from_sequence` on.
    pub fn events(&self, _from_sequence: u64) -> Events {
        Events { _reader: self.clone() }
    }

    /// Writes a snapshot.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    pub fn snapshot(
        &self,
        _keep: &dyn Fn(&Committed<Event>) -> bool,
    ) -> Result<SnapshotReport, SnapshotError> {
        Err(SnapshotError::Io(io::ErrorKind::Unsupported.into()))
    }
}

impl Iterator for Events {
    type Item = Result<Committed<Event>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Err(ReadError::Io(io::ErrorKind::Unsupported.into())))
    }
}
