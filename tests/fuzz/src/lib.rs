//! What has to hold of any bytes whatever, as functions from bytes: `run` drives each with libFuzzer,
//! `tests/replay.rs` with seeds and cheap mutations of them.
//!
//! A target panics when its property is broken; that nothing else panics, and that memory stays bounded, is part of
//! each. The bytes choose; what is signed is signed here, with keys that everybody knows, so that the fuzzer gets
//! past the signatures and to what they guard. Nothing here draws on a clock or on randomness of its own, but ECDSA
//! signatures do: the same bytes take the same way.

mod frame;
mod reader;
mod snapshot;
mod stage;
mod token;

/// The naive check that the corpus of hostile tokens is compared with.
#[path = "../../src/naive.rs"]
pub mod naive;

pub use frame::{frame, frame_seeds};
pub use snapshot::{snapshot, snapshot_seeds};
pub use token::{token, token_seeds};

/// Each target with its name and what it begins with: tokens, frames and snapshots as they are really sent.
pub const TARGETS: [Target; 3] = [
    Target { name: "token", run: token, seeds: token_seeds },
    Target { name: "frame", run: frame, seeds: frame_seeds },
    Target { name: "snapshot", run: snapshot, seeds: snapshot_seeds },
];

/// A property of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics when the property does not hold of these bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}
