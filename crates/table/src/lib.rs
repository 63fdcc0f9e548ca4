//! The hot token table: a fold over committed events, and the lookup that every check is.
//!
//! [`Table::apply`] folds what is in the journal, live and at restart alike; [`Table::lookup`]
//! answers whether a token is alive at the time given. What always holds:
//!
//! - A token is dead when its time is over, when the position of its decision is at or below the
//!   watermark of any of its levels (itself, its tasks, subject, workloads, owners, models,
//!   connector, tenant, signing key, policy revision), or when a task of its chain has ended, has
//!   lapsed or is itself revoked. A task is revoked when its decision is at or below the watermark of
//!   itself, its workload, owner, model, tenant, subject, or a connector that its intent names.
//! - A revocation that was applied before a lookup starts is seen by it, and costs the same whether
//!   one token dies or all of them.
//! - Whatever the table does not know, or cannot hold, is refused.
//!
//! It reads no clock, does no IO, draws no randomness, and no map guard leaves it. It does not verify
//! signatures, decide policy, or expire anything by sweeping: reaping only gives memory back.
//!
//! Locks, in the order in which they are taken: the writer's, the gate of one shard of the rows or one
//! shard of the task index, one shard of the uses or of the subjects. A check of a live token takes
//! none of them.

mod answer;
mod apply;
mod calendar;
mod checks;
mod chunked;
mod hashing;
mod listing;
mod live;
mod lookup;
mod order;
mod preview;
mod reap;
mod row;
mod rows;
mod slots;
mod standing;
mod sync;
mod table;
mod task;
mod watermark;

pub use answer::{
    Applied, CheckOutcome, Counts, Dead, Listed, ListedToken, LiveToken, Lookup, Place, Preview, Reaped,
    RowsBy,
};
pub use listing::Paging;
pub use table::Table;

#[cfg(test)]
mod tests;
