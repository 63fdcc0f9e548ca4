//! The server: configuration, files, time, listeners, metrics and logs around the broker.
//!
//! Everything that touches the world stands here, each part by itself and usable without the
//! others; nothing in this crate decides what a caller may do.
//!
//! Reading order: what the operator wrote ([`config`]), what
//! the machine gives ([`clock`], [`entropy`], [`key_files`]), who gets in ([`tls`], [`accept`],
//! [`grpc`], [`http`]), what is told ([`metrics`], [`logging`],
//! [`traces`], [`supervisor`]), and what runs ([`tasks`]).

pub mod accept;
mod archive;
mod beside;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod entropy;
pub mod grpc;
mod holds;
pub mod http;
pub mod journal_accept;
pub mod journal_check;
pub mod key_files;
pub mod logging;
pub mod metrics;
mod pace;
pub mod private_file;
pub mod probe;
mod quarantine;
pub mod reload;
mod renewal;
pub mod serve;
pub mod service;
pub mod supervisor;
pub mod tasks;
pub mod tls;
pub mod traces;

#[cfg(test)]
mod test_pki;
/// A process that tests start may have a bug planted in it.
#[cfg(bug_zoo)]
pub use locum_model::bug_zoo::plant_named;
