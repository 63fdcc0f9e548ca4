//! The gRPC services: wire in, one call of the broker, wire out. They decide nothing.
//!
//! [`gate`] stands before all of them: it knows who calls and whether the method is theirs. A
//! handler takes what the gate found, converts the message, asks the broker, and shows the answer.

pub(crate) mod asked;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod feed;
pub mod gate;
pub(crate) mod inspection;
pub(crate) mod revocation;
pub(crate) mod show;
pub(crate) mod task;
pub(crate) mod token;
