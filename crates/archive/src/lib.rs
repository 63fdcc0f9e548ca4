//! The archive: where in the journal to look.
//!
//! A SQLite index over the journal's events, fed behind the commit, for search and reports. It says
//! only *where* an answer stands: what is shown is always read from the journal. So a wrong or forged
//! index can hide an entry until it is rebuilt, and never make one up.
//!
//! What always holds: nothing needs it to start, issue, check or revoke; an event and the position
//! that covers it become visible in one transaction, so that a crash at any moment leaves an index of
//! exactly a prefix; deleting `index.db` loses nothing, the journal gives it back.
//!
//! Beside the index stands the one thing that the journal does not hold: texts of people
//! (justifications), sealed under a key for each tenant and day ([`texts`]). Dropping a key erases
//! what it sealed; the journal goes on committing to it.
//!
//! It knows the journal only by the events that it is handed, reads no clock and asks for randomness
//! through [`Entropy`](locum_model::Entropy). All of it blocks on the disk.

mod archive;
mod description;
mod error;
mod facet;
mod index;
mod keys;
mod names;
mod readers;
mod retention;
mod search;
pub mod texts;
mod waiting;

pub use archive::{Archive, Size};
pub use error::ArchiveError;
pub use facet::{Decision, Facet};
pub use index::Indexed;
pub use retention::{DroppedKeys, Retained, RetentionPlan};
pub use search::{Criteria, Hit, Order, Page, Reach, Times};
pub use waiting::{Salted, Waiting};

#[cfg(test)]
mod tests;
