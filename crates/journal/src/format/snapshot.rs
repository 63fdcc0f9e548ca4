//! A snapshot file: 128 bytes, and then records ([`super::record`]).
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | `LOCUMSNP` |
//! | 8..10 | format version: 2; in 1, every record is whole |
//! | 10..12 | home |
//! | 12..16 | epoch of the covered position |
//! | 16..24 | sequence of the covered position |
//! | 24..56 | chain hash at that position: the next segment's predecessor |
//! | 56..64 | number of records |
//! | 64..72 | length of the records |
//! | 72..104 | SHA-256 over the records and bytes 0..72 |
//! | 104..112 | highest number ever given to a task |
//! | 112..120 | highest number ever given to a lock |
//! | 120..124 | zero |
//! | 124..128 | CRC-32C over bytes 0..124 |
//!
//! The hash stands before what it covers: a writer fills the header in last. The numbers came later than
//! the hash and are under the checksum alone; snapshots from before have zeros there, and the events that say them.

use locum_model::{Committed, Event, Position};

use super::record::{self, RECORD_HEADER_BYTES};
use super::window::Window;
use super::{Hash, digest, field, is_zero, names};
use crate::damage::{Damage, Flaw};
use crate::files::FileLayer;
use crate::stored::{Decoder, Made};

/// The newest format of a snapshot that this version reads, and the one that it writes.
pub(crate) const SNAPSHOT_VERSION: u16 = 2;
/// The newest one without briefs.
const WHOLE_VERSION: u16 = 1;
/// Length of the header.
pub(crate) const SNAPSHOT_HEADER_BYTES: usize = 128;
/// What the hash covers of the header.
pub(crate) const HASHED_BYTES: usize = 72;
const MAGIC: [u8; 8] = *b"LOCUMSNP";
/// How much is read at once only to check the hash.
const CHECK_BYTES: usize = 256 << 10;

/// The highest numbers that were ever given out, whether or not an event is left that says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// To a task.
    pub tasks: u64,
    /// To a lock.
    pub locks: u64,
}

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) version: u16,
    pub(crate) covers: Position,
    pub(crate) chain: Hash,
    pub(crate) records: u64,
    pub(crate) records_bytes: u64,
    pub(crate) given: Given,
}

impl SnapshotHeader {
    /// The header, with the hash over it and its records.
    pub(crate) fn write(&self, hash: Hash) -> [u8; SNAPSHOT_HEADER_BYTES] {
        let mut bytes = [0; SNAPSHOT_HEADER_BYTES];
        bytes[..HASHED_BYTES].copy_from_slice(&self.hashed());
        bytes[72..104].copy_from_slice(&hash);
        bytes[104..112].copy_from_slice(&self.given.tasks.to_le_bytes());
        bytes[112..120].copy_from_slice(&self.given.locks.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..124]);
        bytes[124..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The part of the header that the hash covers.
    pub(crate) fn hashed(&self) -> [u8; HASHED_BYTES] {
        let mut bytes = [0; HASHED_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.covers.home.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.covers.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.covers.sequence.to_le_bytes());
        bytes[24..56].copy_from_slice(&self.chain);
        bytes[56..64].copy_from_slice(&self.records.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.records_bytes.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, and the hash that it names.
    fn read(bytes: &[u8]) -> Result<(Self, Hash), Flaw> {
        let bytes = bytes.get(..SNAPSHOT_HEADER_BYTES).ok_or(Flaw::Truncated)?;
        let version = u16::from_le_bytes(field(bytes, 8));
        if bytes[..8] != MAGIC {
            return Err(Flaw::Header);
        }
        if version > SNAPSHOT_VERSION {
            return Err(Flaw::FutureFormat { found: version, known: SNAPSHOT_VERSION });
        }
        let checksum = u32::from_le_bytes(field(bytes, 124));
        if version < WHOLE_VERSION || crc32c::crc32c(&bytes[..124]) != checksum || !is_zero(&bytes[120..124])
        {
            return Err(Flaw::Header);
        }
        let covers = Position {
            home: u16::from_le_bytes(field(bytes, 10)),
            epoch: u32::from_le_bytes(field(bytes, 12)),
            sequence: u64::from_le_bytes(field(bytes, 16)),
        };
        let header = Self {
            version,
            covers,
            chain: field(bytes, 24),
            records: u64::from_le_bytes(field(bytes, 56)),
            records_bytes: u64::from_le_bytes(field(bytes, 64)),
            given: Given {
                tasks: u64::from_le_bytes(field(bytes, 104)),
                locks: u64::from_le_bytes(field(bytes, 112)),
            },
        };
        Ok((header, field(bytes, 72)))
    }
}

/// What comes next of a snapshot whose hash is checked while its events are read.
#[expect(clippy::large_enum_variant, reason = "it is an event but for once")]
pub(crate) enum Next {
    /// An event, and what it was made of. It may be of a snapshot that [does not hold](Next::Broken).
    Event(Committed<Event>, Made),
    /// Nothing more: those before are what was written.
    End,
    /// It is not what was written: nothing counts that came of it.
    Broken,
}

/// Reads the events of a snapshot, in order.
pub(crate) struct SnapshotCursor {
    name: String,
    header: SnapshotHeader,
    hash: Hash,
    window: Window,
    /// The hash over everything before `hashed`: what was read to take events is not read again for it.
    context: ring::digest::Context,
    hashed: u64,
    len: u64,
    at: u64,
    taken: u64,
    last_sequence: u64,
}

impl SnapshotCursor {
    /// Opens the snapshot that covers everything up to `covers`, checking its header.
    pub(crate) fn open(files: &dyn FileLayer, covers: u64) -> Result<Self, Damage> {
        let name = names::snapshot(covers);
        let damaged = |flaw| Damage { file: names::snapshot(covers), offset: 0, sequence: covers, flaw };
        let unreadable = |error| damaged(Flaw::Unreadable(error));
        let file = files.open(&name).map_err(unreadable)?;
        let len = file.len().map_err(unreadable)?;
        let mut window = Window::new(file);
        let bytes = window.get(0, SNAPSHOT_HEADER_BYTES, len).map_err(unreadable)?;
        let (header, hash) = SnapshotHeader::read(bytes).map_err(damaged)?;
        if header.covers.sequence != covers {
            return Err(damaged(Flaw::Misplaced));
        }
        if header.records_bytes.checked_add(SNAPSHOT_HEADER_BYTES as u64) != Some(len) {
            return Err(damaged(Flaw::Truncated));
        }
        Ok(Self {
            name,
            header,
            hash,
            window,
            context: ring::digest::Context::new(&ring::digest::SHA256),
            hashed: SNAPSHOT_HEADER_BYTES as u64,
            len,
            at: SNAPSHOT_HEADER_BYTES as u64,
            taken: 0,
            last_sequence: 0,
        })
    }

    pub(crate) fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// Checks the hash over everything, the events that were taken before included. Reads what was not
    /// read for them.
    pub(crate) fn check(&mut self) -> Result<(), Damage> {
        while self.hashed < self.len {
            let unreadable = |error| Damage {
                file: self.name.clone(),
                offset: self.hashed,
                sequence: self.header.covers.sequence,
                flaw: Flaw::Unreadable(error),
            };
            let bytes = self.window.get(self.hashed, CHECK_BYTES, self.len).map_err(unreadable)?;
            if bytes.is_empty() {
                return Err(self.damage(Flaw::Truncated));
            }
            self.context.update(bytes);
            self.hashed += bytes.len() as u64;
        }
        let mut context = self.context.clone();
        context.update(&self.header.hashed());
        if digest(context) == self.hash { Ok(()) } else { Err(self.damage(Flaw::Snapshot)) }
    }

    /// The next event, or whether all of them are what was written. It is read once: what was read to take events is not
    /// read again for its hash. Of `decoder` as for [`SnapshotCursor::event`].
    ///
    /// # Errors
    ///
    /// What was written is damaged: of that there is no older form, and it is not passed over.
    pub(crate) fn next(&mut self, decoder: &mut Decoder) -> Result<Next, Damage> {
        match self.event(decoder) {
            Ok(Some((event, made))) => Ok(Next::Event(event, made)),
            Ok(None) => Ok(self.check().map_or(Next::Broken, |()| Next::End)),
            Err(damage) => self.check().map_or(Ok(Next::Broken), |()| Err(damage)),
        }
    }

    /// The next event, and what it was made of. Where [`SnapshotCursor::check`] did not pass yet it may be of a
    /// damaged snapshot. From the first event to the last, `decoder` has to be the same, and of no other snapshot
    /// meanwhile.
    pub(crate) fn event(
        &mut self,
        decoder: &mut Decoder,
    ) -> Result<Option<(Committed<Event>, Made)>, Damage> {
        if self.taken == self.header.records {
            return if self.at == self.len { Ok(None) } else { Err(self.damage(Flaw::Snapshot)) };
        }
        self.take(decoder).map(Some).map_err(|flaw| self.damage(flaw))
    }

    fn take(&mut self, decoder: &mut Decoder) -> Result<(Committed<Event>, Made), Flaw> {
        let head = self.window.get(self.at, RECORD_HEADER_BYTES, self.len).map_err(Flaw::Unreadable)?;
        let whole = record::whole_bytes(head)?;
        if self.hashed < self.at + whole as u64 {
            self.window.get(self.at, whole, self.len).map_err(Flaw::Unreadable)?;
            let ahead = self.window.held_from(self.hashed);
            self.context.update(ahead);
            self.hashed += ahead.len() as u64;
        }
        let bytes = self.window.get(self.at, whole, self.len).map_err(Flaw::Unreadable)?;
        let (record, whole) = record::split(bytes)?;
        if record.sequence <= self.last_sequence || record.sequence > self.header.covers.sequence {
            return Err(Flaw::Misplaced);
        }
        if self.taken == 0 {
            decoder.begin_snapshot();
        }
        let home = self.header.covers.home;
        let event = if self.header.version == WHOLE_VERSION {
            (record.committed(home, decoder)?, Made::default())
        } else {
            record.committed_in_snapshot(home, decoder)?
        };
        self.last_sequence = record.sequence;
        self.at += whole as u64;
        self.taken += 1;
        Ok(event)
    }

    /// What is wrong here.
    pub(crate) fn damage(&self, flaw: Flaw) -> Damage {
        Damage { file: self.name.clone(), offset: self.at, sequence: self.last_sequence + 1, flaw }
    }
}
