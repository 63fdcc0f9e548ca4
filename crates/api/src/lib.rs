//! The served contract in Rust: generated messages, clients and servers, checked conversions
//! between them and [`locum_model`], and the tables that say how refusals are told and who may call.
//!
//! It contains no logic: it reads no clock, does no IO and decides nothing.

pub mod admin;
pub mod broker;
pub mod convert;
mod redact;
pub mod violation;

pub use violation::{Malformed, Violation};

/// The encoded `google.protobuf.FileDescriptorSet` of the whole contract, imports included, for
/// server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
