//! [`Options`]: how a journal is kept.

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

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, reserve_bytes: 16 << 20, home: 1 }
    }
}
