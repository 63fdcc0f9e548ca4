//! A frame: one batch of records, or a seal.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `LFRM` |
//! | 4 | kind: 1 events, 2 seal |
//! | 5..8 | zero |
//! | 8..16 | tag: the first eight bytes of the segment's opening hash |
//! | 16..24 | sequence of the first record; of the next one to come for a seal |
//! | 24..28 | number of records; 0 for a seal |
//! | 28..32 | length of the records |
//! | 32..64 | chain hash: SHA-256 over the hash before, bytes 0..32, the records and the end mark |
//! | 64..68 | CRC-32C over bytes 0..64 |
//! | 68.. | records ([`super::record`]) |
//! | last 4 | end mark, no byte of it zero |

use locum_model::limits::BATCH_BYTES_MAX;
use locum_model::limits::BATCH_EVENTS_MAX;

use super::{Hash, SEQUENCE_MAX, field, link};

/// Bytes before the records.
pub(crate) const FRAME_HEADER_BYTES: usize = 68;
/// Bytes of the end mark.
pub(crate) const END_MARK_BYTES: usize = 4;

/// The bytes that every frame begins with.
pub(crate) const MAGIC: [u8; 4] = *b"LFRM";
const END_MARK: [u8; END_MARK_BYTES] = *b"~END";

/// Ties a frame to its segment.
pub(crate) type Tag = [u8; 8];

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Events,
    Seal,
}

/// The header of a frame, read and checked against its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: Kind,
    pub(crate) tag: Tag,
    pub(crate) first_sequence: u64,
    pub(crate) records: u32,
    pub(crate) records_bytes: u32,
    pub(crate) hash: Hash,
}

impl FrameHeader {
    /// The header in `bytes`; `None` for what is not one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let checksum = u32::from_le_bytes(field(bytes, 64));
        if bytes[..4] != MAGIC || bytes[5..8] != [0; 3] || crc32c::crc32c(&bytes[..64]) != checksum {
            return None;
        }
        let header = Self {
            kind: match bytes[4] {
                1 => Kind::Events,
                2 => Kind::Seal,
                _ => return None,
            },
            tag: field(bytes, 8),
            first_sequence: u64::from_le_bytes(field(bytes, 16)),
            records: u32::from_le_bytes(field(bytes, 24)),
            records_bytes: u32::from_le_bytes(field(bytes, 28)),
            hash: field(bytes, 32),
        };
        header.is_within_bounds().then_some(header)
    }

    fn is_within_bounds(&self) -> bool {
        let counts = match self.kind {
            Kind::Events => {
                (1..=BATCH_EVENTS_MAX).contains(&(self.records as usize))
                    && self.whole_bytes() <= BATCH_BYTES_MAX
            }
            Kind::Seal => self.records == 0 && self.records_bytes == 0,
        };
        counts && self.first_sequence <= SEQUENCE_MAX
    }

    /// The length of the whole frame.
    pub(crate) fn whole_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.records_bytes as usize + END_MARK_BYTES
    }

    /// The sequence that comes after this frame.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.records)
    }

    /// Whether `frame`, the whole of it, follows on `previous` and is what was written.
    pub(crate) fn holds(&self, previous: &Hash, frame: &[u8]) -> bool {
        frame.ends_with(&END_MARK)
            && self.hash == link(previous, &[&frame[..32], &frame[FRAME_HEADER_BYTES..]])
    }
}

/// Begins a frame: room for its header.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER_BYTES, 0);
}

/// Ends the records.
pub(crate) fn end(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&END_MARK);
}

/// Fills in the header of a frame that is ended, and returns its hash.
pub(crate) fn finish(
    buffer: &mut [u8],
    previous: &Hash,
    tag: Tag,
    first_sequence: u64,
    records: u32,
) -> Hash {
    let records_bytes = buffer.len() - FRAME_HEADER_BYTES - END_MARK_BYTES;
    let records_bytes = u32::try_from(records_bytes).expect("a frame is at most BATCH_BYTES_MAX");
    let kind = if records == 0 { 2 } else { 1 };
    buffer[..4].copy_from_slice(&MAGIC);
    buffer[4..8].copy_from_slice(&[kind, 0, 0, 0]);
    buffer[8..16].copy_from_slice(&tag);
    buffer[16..24].copy_from_slice(&first_sequence.to_le_bytes());
    buffer[24..28].copy_from_slice(&records.to_le_bytes());
    buffer[28..32].copy_from_slice(&records_bytes.to_le_bytes());
    let hash = link(previous, &[&buffer[..32], &buffer[FRAME_HEADER_BYTES..]]);
    buffer[32..64].copy_from_slice(&hash);
    let checksum = crc32c::crc32c(&buffer[..64]);
    buffer[64..68].copy_from_slice(&checksum.to_le_bytes());
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(records: u32, body: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        begin(&mut buffer);
        buffer.extend_from_slice(body);
        end(&mut buffer);
        finish(&mut buffer, &[7; 32], [9; 8], 42, records);
        buffer
    }

    proptest! {
        #[test]
        fn a_frame_survives(records in 1..=1024_u32, body in prop::collection::vec(any::<u8>(), 1..2000)) {
            let bytes = frame(records, &body);
            let header = FrameHeader::read(&bytes).expect("a good header");
            prop_assert_eq!(header.whole_bytes(), bytes.len());
            prop_assert_eq!((header.kind, header.tag, header.first_sequence), (Kind::Events, [9; 8], 42));
            prop_assert_eq!(header.next_sequence(), 42 + u64::from(records));
            prop_assert!(header.holds(&[7; 32], &bytes));
            prop_assert!(!header.holds(&[8; 32], &bytes));
        }

        #[test]
        fn every_flipped_byte_is_found(at: prop::sample::Index, mask in 1..=255_u8) {
            let mut bytes = frame(3, b"the records");
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            let holds = FrameHeader::read(&bytes).is_some_and(|header| header.holds(&[7; 32], &bytes));
            prop_assert!(!holds);
        }
    }

    #[test]
    fn a_seal_has_no_records() {
        let header = FrameHeader::read(&frame(0, b"")).expect("a good header");
        assert_eq!((header.kind, header.next_sequence()), (Kind::Seal, 42));
        assert_eq!(FrameHeader::read(&frame(0, b"records")), None);
    }
}
