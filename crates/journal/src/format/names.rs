//! Names of files: the sequence in a name sorts as the number does.

use std::collections::BTreeSet;
use std::io;

use super::SEQUENCE_MAX;
use crate::files::FileLayer;

/// The space for urgent events.
pub(crate) const RESERVE: &str = "reserve";
/// A reserve that is being made.
pub(crate) const RESERVE_PARTIAL: &str = "reserve.partial";
/// A segment that is being made.
pub(crate) const SEGMENT_PARTIAL: &str = "segment.partial";
/// A snapshot that is being made.
pub(crate) const SNAPSHOT_PARTIAL: &str = "snapshot.partial";

const SEGMENT: &str = "segment-";
const SNAPSHOT: &str = "snapshot-";
/// 48 bits have 15 digits.
const DIGITS: usize = 15;

/// What a directory holds. Other names are not ours and stay as they are.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// First sequences of segments.
    pub(crate) segments: BTreeSet<u64>,
    /// Covered sequences of snapshots.
    pub(crate) snapshots: BTreeSet<u64>,
    /// Names of what was not finished.
    pub(crate) partials: Vec<String>,
    /// Whether there is a reserve.
    pub(crate) reserve: bool,
}

impl Listing {
    pub(crate) fn read(files: &dyn FileLayer) -> io::Result<Self> {
        let mut listing = Self::default();
        for name in files.list()? {
            if let Some(first) = number(&name, SEGMENT) {
                listing.segments.insert(first);
            } else if let Some(covers) = number(&name, SNAPSHOT) {
                listing.snapshots.insert(covers);
            } else if name == RESERVE {
                listing.reserve = true;
            } else if [RESERVE_PARTIAL, SEGMENT_PARTIAL, SNAPSHOT_PARTIAL].contains(&name.as_str()) {
                listing.partials.push(name);
            }
        }
        Ok(listing)
    }
}

/// The name of the segment that begins with a sequence.
pub(crate) fn segment(first_sequence: u64) -> String {
    format!("{SEGMENT}{first_sequence:0DIGITS$}")
}

/// The name of the snapshot that covers everything up to a sequence.
pub(crate) fn snapshot(covers: u64) -> String {
    format!("{SNAPSHOT}{covers:0DIGITS$}")
}

fn number(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?.filter(|number| *number <= SEQUENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives() {
        for sequence in [0, 1, 42, SEQUENCE_MAX] {
            assert_eq!(number(&segment(sequence), SEGMENT), Some(sequence));
            assert_eq!(number(&snapshot(sequence), SNAPSHOT), Some(sequence));
        }
    }

    #[test]
    fn only_the_one_spelling_is_a_name() {
        for bad in [
            "segment-",
            "segment-1",
            "segment-0000000000000001",
            "segment-00000000000000x",
            "segment-999999999999999",
        ] {
            assert_eq!(number(bad, SEGMENT), None, "{bad}");
        }
    }
}
