//! [`Damage`]: what is wrong with the journal, and where.

use std::io;

/// Something that was written is not what is read.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` is damaged at byte {offset}, where sequence {sequence} is expected: {flaw}")]
pub struct Damage {
    /// The file.
    pub file: String,
    /// The byte at which what is wrong begins.
    pub offset: u64,
    /// The first sequence that is in doubt.
    pub sequence: u64,
    /// What is wrong.
    #[source]
    pub flaw: Flaw,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}
