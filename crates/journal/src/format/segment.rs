//! The header block of a segment: 64 bytes and zeros up to 4096.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | `LOCUMSEG` |
//! | 8..10 | format version |
//! | 10..12 | home |
//! | 12..16 | epoch |
//! | 16..24 | first sequence |
//! | 24..56 | chain hash of the segment before; zeros for the first one |
//! | 56..60 | zero |
//! | 60..64 | CRC-32C over bytes 0..60 |
//!
//! The block is alone on its sectors: no later write can hurt it.

use super::frame::Tag;
use super::{Hash, VERSION, field, is_zero, link};
use crate::damage::Flaw;

/// Length of the header block.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;
const CODED_BYTES: usize = 64;
const MAGIC: [u8; 8] = *b"LOCUMSEG";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) home: u16,
    pub(crate) epoch: u32,
    pub(crate) first_sequence: u64,
    pub(crate) predecessor: Hash,
}

impl SegmentHeader {
    /// The header block.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut block = vec![0; SEGMENT_HEADER_BYTES];
        block[..8].copy_from_slice(&MAGIC);
        block[8..10].copy_from_slice(&VERSION.to_le_bytes());
        block[10..12].copy_from_slice(&self.home.to_le_bytes());
        block[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        block[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        block[24..56].copy_from_slice(&self.predecessor);
        let checksum = crc32c::crc32c(&block[..60]);
        block[60..64].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    /// The header in a block.
    pub(crate) fn read(block: &[u8]) -> Result<Self, Flaw> {
        let block = block.get(..SEGMENT_HEADER_BYTES).ok_or(Flaw::Truncated)?;
        let version = u16::from_le_bytes(field(block, 8));
        if block[..8] != MAGIC {
            return Err(Flaw::Header);
        }
        // Magic and version stand here in every version; the rest need not.
        if version > VERSION {
            return Err(Flaw::FutureFormat { found: version, known: VERSION });
        }
        let checksum = u32::from_le_bytes(field(block, 60));
        let rest_is_zero = is_zero(&block[56..60]) && is_zero(&block[CODED_BYTES..]);
        if version != VERSION || crc32c::crc32c(&block[..60]) != checksum || !rest_is_zero {
            return Err(Flaw::Header);
        }
        Ok(Self {
            home: u16::from_le_bytes(field(block, 10)),
            epoch: u32::from_le_bytes(field(block, 12)),
            first_sequence: u64::from_le_bytes(field(block, 16)),
            predecessor: field(block, 24),
        })
    }

    /// The chain hash that the segment opens with: over the one before and this header.
    pub(crate) fn opening_hash(&self) -> Hash {
        link(&self.predecessor, &[&self.write()[..CODED_BYTES]])
    }

    /// What ties frames to this segment.
    pub(crate) fn tag(&self) -> Tag {
        field(&self.opening_hash(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader =
        SegmentHeader { home: 3, epoch: 9, first_sequence: 1 << 40, predecessor: [5; 32] };

    #[test]
    fn a_header_survives() {
        assert_eq!(SegmentHeader::read(&HEADER.write()).ok(), Some(HEADER));
    }

    #[test]
    fn every_flipped_byte_is_found() {
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut block = HEADER.write();
            block[at] ^= 0x10;
            assert!(SegmentHeader::read(&block).is_err(), "{at}");
        }
    }

    #[test]
    fn the_future_is_named() {
        let mut block = HEADER.write();
        block[8] = 2;
        let flaw = SegmentHeader::read(&block).expect_err("refused");
        assert!(matches!(flaw, Flaw::FutureFormat { found: 2, known: VERSION }));
    }
}
