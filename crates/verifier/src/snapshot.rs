//! [`Collecting`]: the parts of a snapshot, kept apart until the last one proves that they are whole.

use locum_jose::digest::Sha256;
use locum_model::ConnectorNo;
use locum_model::feed::{Codec, Entry, Frame, SnapshotEnd};

use crate::eras::Era;
use crate::frame_refused::FrameRefused;

/// Where a snapshot stands: all its parts say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) era: Era,
    pub(crate) partition: ConnectorNo,
    pub(crate) sequence: u64,
    pub(crate) head: [u8; 32],
}

/// The parts so far.
#[derive(Debug)]
pub(crate) struct Collecting {
    standing: Standing,
    parts: u32,
    entries: Vec<Entry>,
    hash: Sha256,
}

impl Standing {
    /// Where a frame stands.
    pub(crate) fn of(frame: &Frame) -> Self {
        let era = Era { home: frame.home, epoch: frame.epoch };
        Self { era, partition: frame.partition, sequence: frame.sequence, head: frame.previous }
    }
}

impl Collecting {
    /// Nothing yet of a snapshot that stands here.
    pub(crate) fn new(standing: Standing) -> Self {
        Self { standing, parts: 0, entries: Vec::new(), hash: Sha256::new() }
    }

    /// Takes the next part.
    pub(crate) fn take(
        &mut self,
        standing: Standing,
        part: u32,
        entries: &[Entry],
        codec: &impl Codec,
    ) -> Result<(), FrameRefused> {
        if part != self.parts || standing != self.standing {
            return Err(FrameRefused::PartOutOfOrder);
        }
        self.parts += 1;
        self.entries.extend_from_slice(entries);
        entries.iter().for_each(|entry| self.hash.update(&codec.encode_entry(entry)));
        Ok(())
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, if they are what the end says.
    pub(crate) fn whole(self, end: SnapshotEnd) -> Result<Vec<Entry>, FrameRefused> {
        if (self.entries.len() as u64, self.hash.finish()) == (end.count, end.entries_sha256) {
            Ok(self.entries)
        } else {
            Err(FrameRefused::SnapshotMismatch)
        }
    }
}
