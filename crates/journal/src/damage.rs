//! [`Damage`]: what is wrong with the journal, and where.

use std::io;

use crate::stored::DecodeError;

/// Something that was written is not what is read.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` is damaged at byte {offset}, where sequence {sequence} is expected")]
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
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// A later version of Locum wrote it.
    #[error("it has format {found}, this version reads up to {known}")]
    FutureFormat {
        /// Its format.
        found: u16,
        /// The newest that this version knows.
        known: u16,
    },
    /// The file's header does not hold.
    #[error("its header does not hold")]
    Header,
    /// The file, or a frame in it, belongs elsewhere: another sequence, another segment, another
    /// journal.
    #[error("it belongs elsewhere")]
    Misplaced,
    /// Events are missing.
    #[error("events are missing")]
    Missing,
    /// The file is shorter than what was written.
    #[error("it is cut short")]
    Truncated,
    /// A frame is broken, and it was not torn by a crash.
    #[error("a batch does not hold")]
    Frame,
    /// A frame is broken, and something intact behind it shows that it was acknowledged.
    #[error("an acknowledged batch does not hold")]
    Acknowledged,
    /// A frame is not what was written, or does not follow on what stands before it.
    #[error("a batch does not match its hash")]
    Content,
    /// A segment does not follow on the one before it.
    #[error("it does not follow on what stands before it")]
    Chain,
    /// A record does not hold.
    #[error("a record does not hold")]
    Record,
    /// A record is whole, but no event that this version knows.
    #[error("a record is no event that this version knows")]
    Undecodable(#[source] DecodeError),
    /// A snapshot is not what was written.
    #[error("the snapshot does not match its hash")]
    Snapshot,
    /// A snapshot holds an event that the segments do not.
    #[error("the snapshot holds an event that the journal does not")]
    Invented,
    /// Something stands where only zeros can.
    #[error("something stands behind the last batch")]
    Remainder,
}
