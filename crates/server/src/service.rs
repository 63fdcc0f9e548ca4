//! The gRPC services: wire in, one call of the broker, wire out. They decide nothing.
//!
//! [`gate`] stands before all of them: it knows who calls and whether the method is theirs. A
//! handler takes what the gate found, converts the message, asks the broker, and shows the answer.

pub(crate) mod archive;
mod asked;
mod check;
mod coming;
mod control;
pub mod feed;
pub mod first_keys;
pub mod gate;
mod health;
mod identity;
mod inspection;
pub mod request_id;
mod revocation;
mod router;
mod show;
mod task;
mod token;
mod verifiers;

pub use router::Wiring;
pub(crate) use router::router;
