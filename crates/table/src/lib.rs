//! The hot token table: a fold over committed events, and the lookup that every check is.

mod answer;
mod table;

pub use answer::{Applied, CheckOutcome, Counts, Dead, LiveToken, Lookup, Preview, Reaped};
pub use table::Table;
