//! The journal: ordered, hash-chained, durable events in our own segment files.
//!
//! One [`Writer`] appends batches, each with one write and one `fdatasync`; any number of
//! [`Reader`]s see what is durable and nothing else. What happened is never interpreted here: an
//! event goes in and comes out, [`Committed`](locum_model::Committed) at its position. The
//! journal does no work of its own: no clock, no randomness, no thread but one that reads ahead while
//! [`open`] runs, and every access to the disk goes through a [`FileLayer`].
//!
//! What holds is said where it is kept: durability in [`Writer`], recovery in [`open`], the
//! format and what can be told about a damaged one in [`mod@format`], compaction in
//! [`Reader::snapshot`], the offline check in [`verify`].

mod damage;
mod durable;
mod files;
pub mod format;
mod head;
mod journal;
mod lookup;
mod marks;
mod open_error;
mod options;
mod reader;
mod recover;
mod replay;
mod snapshot;
mod space;
mod stored;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use damage::{Damage, Flaw};
pub use files::{DirectoryError, DiskFiles, Fault, FileLayer, MemoryFiles, OpenFile, SECTOR_BYTES};
pub use format::snapshot::Given;
pub use head::Head;
pub use journal::{Journal, open};
pub use lookup::Lookup;
pub use open_error::OpenError;
pub use options::Options;
pub use reader::{Events, ReadError, Reader};
pub use replay::Replay;
pub use snapshot::{SnapshotError, SnapshotReport, foreseen};
pub use stored::DecodeError;
pub use verify::{Progress, Report, verify};
pub use writer::{AppendError, EpochError, Lane, Writer};
