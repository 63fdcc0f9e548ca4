//! What the broker knows beside the table: tasks in full, remembered requests, locks, and when
//! which position was reached. All of it folded by the same single apply.

pub(crate) mod locks;
pub(crate) mod requests;
pub(crate) mod task_map;
pub(crate) mod tasks;
pub(crate) mod timeline;

use locks::Locks;
use requests::Requests;
use tasks::Tasks;
use timeline::Timeline;

/// The folded state. Written by the writer alone, read by every use case.
#[derive(Default)]
pub(crate) struct State {
    pub tasks: Tasks,
    pub requests: Requests,
    pub locks: Locks,
    pub timeline: Timeline,
    /// Sequences of registries and policy sets that came second and were refused; few.
    pub stale: std::collections::BTreeSet<u64>,
}
