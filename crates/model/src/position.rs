//! [`Position`]: where an event stands, and so what "before" means.

use std::fmt;

/// The place of a committed event: home broker, that home's epoch, sequence in its journal.
///
/// Sequences go on across epochs of one home and are never reused within it, so that within a
/// home the sequence alone orders events. An epoch changes when the data directory is new,
/// repaired or an accepted restore (which also gets a new home).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The broker whose journal holds the event.
    pub home: u16,
    /// The epoch of that journal.
    pub epoch: u32,
    /// 1 for the first event; 48 bits.
    pub sequence: u64,
}

impl Position {
    /// The position of the event after this one in the same epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self { sequence: self.sequence + 1, ..self }
    }

    /// The watermark of a revocation that stands here: everything decided before it.
    ///
    /// A decision carries the newest position it had read, and is dead when that is at or below
    /// the watermark. A decision made after the revocation was applied read the revocation's own
    /// position, so the watermark is the one before it.
    #[must_use]
    pub fn watermark(self) -> Self {
        Self { sequence: self.sequence.saturating_sub(1), ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.home, self.epoch, self.sequence)
    }
}
