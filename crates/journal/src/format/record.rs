//! One event in a frame or snapshot: 20 bytes and its stored form.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | length of the stored form |
//! | 4..8 | CRC-32C over everything from byte 8 on |
//! | 8..12 | epoch |
//! | 12..20 | sequence, 48 bits |
//! | 20.. | stored form: `locum.journal.v1.Event`, or a brief of one in a snapshot ([`Briefs`]) |

use locum_model::limits::EVENT_BYTES_MAX;
use locum_model::{Committed, Event, Position};

use super::{SEQUENCE_MAX, field};
use crate::damage::Flaw;
use crate::stored::{self, Briefs, Decoder, Made};

/// Bytes before the stored form.
pub(crate) const RECORD_HEADER_BYTES: usize = 20;

/// A record, read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) epoch: u32,
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
}

/// Appends a record; returns the length of its stored form.
pub(crate) fn append(buffer: &mut Vec<u8>, epoch: u32, sequence: u64, event: &Event) -> usize {
    append_as(buffer, epoch, sequence, |buffer| stored::encode(event, buffer))
}

/// Appends a record of a snapshot.
pub(crate) fn append_brief(buffer: &mut Vec<u8>, briefs: &mut Briefs, event: &Committed<Event>) {
    let Position { epoch, sequence, .. } = event.position();
    append_as(buffer, epoch, sequence, |buffer| briefs.encode(event.event(), buffer));
}

fn append_as(buffer: &mut Vec<u8>, epoch: u32, sequence: u64, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
    let start = buffer.len();
    buffer.resize(start + RECORD_HEADER_BYTES, 0);
    encode(buffer);
    let length = buffer.len() - start - RECORD_HEADER_BYTES;
    let record = &mut buffer[start..];
    record[8..12].copy_from_slice(&epoch.to_le_bytes());
    record[12..20].copy_from_slice(&sequence.to_le_bytes());
    // A length beyond 32 bits is beyond the bound of an event too, which the caller refuses.
    record[..4].copy_from_slice(&(length as u32).to_le_bytes());
    let checksum = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
    length
}

/// The whole length of the record that `bytes` begin with, which have its header at least.
pub(crate) fn whole_bytes(bytes: &[u8]) -> Result<usize, Flaw> {
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err(Flaw::Record);
    }
    let length = u32::from_le_bytes(field(bytes, 0)) as usize;
    if length > EVENT_BYTES_MAX { Err(Flaw::Record) } else { Ok(RECORD_HEADER_BYTES + length) }
}

/// The record that `bytes` begin with, and its whole length.
pub(crate) fn split(bytes: &[u8]) -> Result<(Record<'_>, usize), Flaw> {
    let whole = whole_bytes(bytes)?;
    let record = bytes.get(..whole).ok_or(Flaw::Record)?;
    let sequence = u64::from_le_bytes(field(record, 12));
    if crc32c::crc32c(&record[8..]) != u32::from_le_bytes(field(record, 4)) || sequence > SEQUENCE_MAX {
        return Err(Flaw::Record);
    }
    let epoch = u32::from_le_bytes(field(record, 8));
    Ok((Record { epoch, sequence, payload: &record[RECORD_HEADER_BYTES..] }, whole))
}

impl Record<'_> {
    /// The event at its position. It is durable: only what was read from a synced file, or is
    /// synced before recovery ends, comes here.
    pub(crate) fn committed(&self, home: u16, decoder: &mut Decoder) -> Result<Committed<Event>, Flaw> {
        let event = decoder.decode(self.payload).map_err(Flaw::Undecodable)?;
        Ok(self.at_its_position(home, event))
    }

    /// As [`Record::committed`], of a snapshot whose records before it were read so too; and what it was made of.
    pub(crate) fn committed_in_snapshot(
        &self,
        home: u16,
        decoder: &mut Decoder,
    ) -> Result<(Committed<Event>, Made), Flaw> {
        let (event, made) = decoder.decode_in_snapshot(self.payload).map_err(Flaw::Undecodable)?;
        Ok((self.at_its_position(home, event), made))
    }

    fn at_its_position(&self, home: u16, event: Event) -> Committed<Event> {
        Committed::assertion(event, Position { home, epoch: self.epoch, sequence: self.sequence })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stored::tests::any_event;

    proptest! {
        #[test]
        fn a_record_survives(event in any_event(), epoch: u32, sequence in 0..=SEQUENCE_MAX) {
            let mut bytes = b"before".to_vec();
            let length = append(&mut bytes, epoch, sequence, &event);
            let (record, whole) = split(&bytes[6..]).expect("what was written is read");
            prop_assert_eq!((record.epoch, record.sequence, record.payload.len()), (epoch, sequence, length));
            prop_assert_eq!(whole, bytes.len() - 6);
            let committed = record.committed(7, &mut Decoder::default()).expect("decodes");
            prop_assert_eq!(committed.event(), &event);
        }

        #[test]
        fn every_flipped_byte_is_found(event in any_event(), at: prop::sample::Index, mask in 1..=255_u8) {
            let mut bytes = Vec::new();
            append(&mut bytes, 1, 42, &event);
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert!(split(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = split(&bytes);
        }
    }
}
