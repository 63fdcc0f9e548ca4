//! The client of Locum, for plugins that act and for the APIs that they act on.
//!
//! A plugin opens a [`Task`], gets a token per call from a [`TokenSource`], and ends the task; the
//! tokens end with it. An API asks a [`Checker`] about each token it is shown, most easily through
//! a [`CheckLayer`]: online by a question to the broker, or offline by a [`Verifier`] that follows the
//! revocation feed.
//!
//! ```no_run
//! use locum_sdk::{Client, Outcome};
//!
//! # async fn example() -> Result<(), locum_sdk::Error> {
//! let client = Client::from_env()?;
//! let task = client.task("refund-order").scope("orders:refund", ["order/1881"]).start().await?;
//! let orders = task.token("orders").scope("orders:refund", ["order/1881"]).source()?;
//!
//! let token = orders.get().await?; // cached, renewed at two thirds of its life
//! println!("authorization: {:?}", token.header()); // prints `Sensitive`
//!
//! task.end(Outcome::Completed).await?; // from here on every token of the task is dead
//! # Ok(())
//! # }
//! ```
//!
//! What always holds: no process-wide setting is touched (no global logger, no default crypto
//! provider), secrets do not show in `Debug`, every call has a deadline, and a check that cannot be
//! made is a refusal. The environment is read in [`Options::from_env`],
//! [`VerifierOptions::from_env`] and [`Checker::from_env`] alone.
//!
//! Reading order: [`Options`] and [`Client`], [`Error`], [`Task`], [`TokenSource`], [`BearerLayer`],
//! [`Checker`], [`CheckLayer`], [`Verifier`], [`admin`].

mod bearer_layer;
mod channels;
mod check_layer;
mod checker;
mod client;
mod clock;
mod connector;
mod ending;
mod entropy;
mod error;
mod follow_feed;
mod grants;
mod hold;
mod holder_secret;
mod options;
mod own_tasks;
mod refusal;
mod task;
mod task_builder;
mod task_handle;
mod tasks;
mod tls;
mod token;
mod token_source;
mod trace_parent;
mod untrusted;
mod verified_token;
mod verifier;
mod verifier_metrics;
mod verifier_options;
mod who_am_i;
mod wire;

pub mod admin;

pub use bearer_layer::{Bearer, BearerLayer};
pub use check_layer::{Check, CheckLayer, Need};
pub use checker::{Checker, Decision, Presentation, PresentedCertificate};
pub use client::Client;
pub use ending::Ending;
pub use error::{Error, ErrorKind};
pub use holder_secret::HolderSecret;
pub use locum_model as model;
pub use locum_model::event::Outcome;
pub use options::{CertificateFiles, Options};
pub use refusal::Refusal;
pub use task::Task;
pub use task_builder::TaskBuilder;
pub use task_handle::TaskHandle;
pub use token::Token;
pub use token_source::{Answer, TokenBuilder, TokenSource};
pub use trace_parent::TraceParent;
pub use untrusted::escaped;
pub use verified_token::VerifiedToken;
pub use verifier::{Answer as CheckAnswer, Figures, Inactive, Moment, Unknown, Verifier};
pub use verifier_options::VerifierOptions;
pub use who_am_i::Identity;
pub use wire::{TaskState, TaskView};

/// The Rust of the documents compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/operating/write-a-plugin.md")]
#[doc = include_str!("../../../docs/operating/protect-an-api.md")]
#[doc = include_str!("../../../docs/operating/check-offline.md")]
#[allow(rustdoc::invalid_codeblock_attributes, reason = "what says how the other blocks are tested")]
struct Documents;
