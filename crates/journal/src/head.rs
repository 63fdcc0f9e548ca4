//! [`Head`]: a place in the chain.

use locum_model::Position;

/// How far the journal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last event's position; sequence 0 when there is none.
    pub position: Position,
    /// The hash over everything up to here.
    pub hash: [u8; 32],
}
