//! [`Marks`]: places in segments whose way there was walked before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use locum_model::limits::JOURNAL_MARKS_MAX;

use crate::format::Hash;

/// Bytes between two marks.
const MARK_EVERY_BYTES: u64 = 256 << 10;

/// Places in segments whose way there was walked before, by the sequence that follows them.
#[derive(Default)]
pub(crate) struct Marks(Mutex<BTreeMap<u64, Mark>>);

/// Where a frame begins, and the chain up to there.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) segment: u64,
    pub(crate) at: u64,
    pub(crate) next_sequence: u64,
    pub(crate) hash: Hash,
}

impl Marks {
    /// The last place that `sequence` can be walked to from.
    pub(crate) fn before(&self, sequence: u64) -> Option<Mark> {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marks.range(..=sequence).next_back().map(|(_, mark)| *mark)
    }

    /// Notes a place, unless one close before it is known.
    pub(crate) fn note(&self, mark: Mark) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let close = |known: &Mark| {
            known.segment == mark.segment && mark.at.saturating_sub(known.at) < MARK_EVERY_BYTES
        };
        let known = marks.range(..=mark.next_sequence).next_back().is_some_and(|(_, known)| close(known));
        if known || marks.len() >= JOURNAL_MARKS_MAX {
            return;
        }
        marks.insert(mark.next_sequence, mark);
    }
}
