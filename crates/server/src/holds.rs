//! How many streams of one kind each workload has open.

use std::collections::HashMap;
use std::sync::Arc;

use locum_model::WorkloadNo;
use parking_lot::Mutex;

/// The places that streams take.
#[derive(Clone)]
pub(crate) struct Holds {
    taken: Arc<Mutex<HashMap<WorkloadNo, usize>>>,
    most: usize,
}

/// One stream's place; free again when it is dropped.
pub(crate) struct Place {
    holds: Holds,
    workload: WorkloadNo,
}

impl Holds {
    /// At most `most` streams of each workload.
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// A place for one more stream of `workload`; none when it has too many.
    pub(crate) fn take(&self, workload: WorkloadNo) -> Option<Place> {
        let mut counts = self.taken.lock();
        let count = counts.entry(workload).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { holds: self.clone(), workload })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.holds.taken.lock();
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
        let holds = Holds::new(3);
        let places: Vec<_> = (0..9).filter_map(|_| holds.take(WorkloadNo(1))).collect();
        assert_eq!(places.len(), 3);
        assert!(holds.take(WorkloadNo(1)).is_none());
        assert!(holds.take(WorkloadNo(2)).is_some());
        drop(places);
        assert!(holds.take(WorkloadNo(1)).is_some());
        assert_eq!(holds.taken.lock().len(), 0);
    }
}
