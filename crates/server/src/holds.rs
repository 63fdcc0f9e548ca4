//! How many `HoldTask` streams each workload has open.

use std::collections::HashMap;
use std::sync::Arc;

use locum_model::WorkloadNo;
use locum_model::limits::HOLDS_PER_WORKLOAD_MAX;
use parking_lot::Mutex;

/// The places that streams take.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<HashMap<WorkloadNo, usize>>>);

/// One stream's place; free again when it is dropped.
pub(crate) struct Place {
    holds: Holds,
    workload: WorkloadNo,
}

impl Holds {
    /// A place for one more stream of `workload`; none when it has too many.
    pub(crate) fn take(&self, workload: WorkloadNo) -> Option<Place> {
        let mut counts = self.0.lock();
        let count = counts.entry(workload).or_default();
        if *count >= HOLDS_PER_WORKLOAD_MAX {
            return None;
        }
        *count += 1;
        Some(Place { holds: self.clone(), workload })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.holds.0.lock();
        if let Some(count) = counts.get_mut(&self.workload) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.workload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let holds = Holds::default();
        let places: Vec<_> = (0..HOLDS_PER_WORKLOAD_MAX).filter_map(|_| holds.take(WorkloadNo(1))).collect();
        assert_eq!(places.len(), HOLDS_PER_WORKLOAD_MAX);
        assert!(holds.take(WorkloadNo(1)).is_none());
        assert!(holds.take(WorkloadNo(2)).is_some());
        drop(places);
        assert!(holds.take(WorkloadNo(1)).is_some());
        assert_eq!(holds.0.lock().len(), 0);
    }
}
