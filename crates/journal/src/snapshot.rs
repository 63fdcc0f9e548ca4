//! Snapshots.

use std::io;

use locum_model::Position;

use crate::damage::Damage;

/// What a snapshot came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Everything up to here is covered; sequence 0 when nothing was sealed yet.
    pub covers: Position,
    /// Events that were looked at.
    pub read: u64,
    /// Events that were kept.
    pub kept: u64,
    /// Size of the file in bytes; 0 when there was nothing new to cover and none was written.
    pub bytes: u64,
}

/// Why there is no new snapshot. The journal goes on without.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another one is being written.
    #[error("another snapshot is being written")]
    Busy,
    /// The file system refused.
    #[error("the snapshot cannot be written")]
    Io(#[from] io::Error),
    /// What was to be compacted is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}
