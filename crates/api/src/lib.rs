//! The served contract in Rust: generated messages, clients and servers, checked conversions
//! between them and [`locum_model`], and the tables that say how refusals are told and who may call.
//!
//! It contains no logic: it reads no clock, does no IO and decides nothing.

pub mod admin;
pub mod broker;
pub mod check;
pub mod codec;
#[cfg(test)]
mod contract_page;
pub mod convert;
pub mod errors_page;
pub mod feed;
mod redact;
pub mod roles;
pub mod status;
pub mod violation;

pub use errors_page::errors_page;
pub use roles::Role;
pub use violation::{Malformed, Violation};

/// The encoded `google.protobuf.FileDescriptorSet` of the whole contract, imports included, for
/// server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The encoded `FileDescriptorSet` of `google/rpc/error_details.proto`, imports included: what the
/// details of a refusal are made of, for server reflection.
pub use tonic_types::pb::FILE_DESCRIPTOR_SET as ERROR_DETAILS_DESCRIPTOR_SET;
