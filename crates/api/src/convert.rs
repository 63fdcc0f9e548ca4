//! Checked conversions between messages and the vocabulary crate: one thing, one file.
//!
//! Each file has `from_wire` functions, which take the field's path so that a refusal names it, and
//! `to_wire` functions, which cannot fail. What always holds: `from_wire(to_wire(x)) == x` for every
//! `x` that a request or response can carry, and `from_wire` takes no time beyond the input's length.
//!
//! Bounds that depend on policy, connector or state are not judged here: they have reasons of their
//! own and belong to the use cases.

pub mod audit;
pub mod confirmation;
pub mod id;
pub mod intent;
pub mod key;
pub mod page;
pub mod request;
pub mod scope;
pub mod selector;
pub mod task;
pub mod text;
pub mod time;
