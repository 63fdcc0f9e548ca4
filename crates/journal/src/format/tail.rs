//! What follows the last good frame: nothing, a batch torn by a crash, or damage.
//!
//! The rules and what they rest on stand in [`super`].

use std::io;

use super::cursor::Cursor;
use super::frame::{END_MARK_BYTES, FRAME_HEADER_BYTES, FrameHeader, MAGIC};
use super::is_zero;
use crate::damage::{Damage, Flaw};
use crate::files::SECTOR_BYTES;

/// How much is looked at at once, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// What was found, other than damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros alone.
    Clean,
    /// A batch that was never acknowledged, up to this byte of the file.
    Torn {
        /// The first byte after it.
        until: u64,
    },
}

/// Judges what follows `cursor` in the newest segment, where it found no frame, or `broken`.
pub(crate) fn judge(cursor: &Cursor, broken: Option<Damage>) -> Result<Tail, Damage> {
    if let Some(damage @ Damage { flaw: Flaw::Unreadable(_), .. }) = broken {
        return Err(damage);
    }
    let at = cursor.at();
    // INVARIANT: the writer keeps a sector of zeros behind every frame.
    if cursor.len() < at + SECTOR_BYTES {
        return Err(cursor.damage(Flaw::Truncated));
    }
    let unreadable = |error| cursor.damage(Flaw::Unreadable(error));
    if all_zero(cursor).map_err(unreadable)? {
        return Ok(Tail::Clean);
    }
    let mut rest = vec![0; usize::try_from(cursor.len() - at).unwrap_or(usize::MAX)];
    let count = cursor.file().read_at(&mut rest, at).map_err(unreadable)?;
    rest.truncate(count);
    let last = rest.iter().rposition(|byte| *byte != 0).unwrap_or_default();
    if has_later_frame(&rest, cursor) {
        return Err(cursor.damage(Flaw::Acknowledged));
    }
    if is_torn(&rest, cursor)? {
        Ok(Tail::Torn { until: at + last as u64 + 1 })
    } else {
        Err(broken.unwrap_or_else(|| cursor.damage(Flaw::Frame)))
    }
}

/// Whether zeros alone follow, which is what a start nearly always finds: of up to a whole segment, so it is read in
/// pieces and not kept.
fn all_zero(cursor: &Cursor) -> io::Result<bool> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = cursor.at();
    while at < cursor.len() {
        let left = usize::try_from(cursor.len() - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let count = cursor.file().read_at(&mut piece[..left], at)?;
        if count == 0 {
            break;
        }
        if !is_zero(&piece[..count]) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// Whether a frame of this segment begins anywhere after the first byte.
fn has_later_frame(rest: &[u8], cursor: &Cursor) -> bool {
    let is_frame = |bytes: &[u8]| {
        bytes.starts_with(&MAGIC) && FrameHeader::read(bytes).is_some_and(|header| header.tag == cursor.tag())
    };
    (1..rest.len()).any(|from| rest[from] == MAGIC[0] && is_frame(&rest[from..]))
}

/// Whether a crash can have left this.
fn is_torn(rest: &[u8], cursor: &Cursor) -> Result<bool, Damage> {
    let at = cursor.at();
    let (header, behind) = rest.split_at(FRAME_HEADER_BYTES);
    // A whole frame has its end mark behind the header. A write that failed may have ended at any
    // byte, within the checksum too.
    let ends_in_header = is_zero(behind);
    if ends_in_header || has_zero_sector(header, at) {
        return Ok(true);
    }
    match FrameHeader::read(rest) {
        Some(header) if header.tag == cursor.tag() => match rest.get(..header.whole_bytes()) {
            Some(frame) => Ok(frame.ends_with(&[0; END_MARK_BYTES]) || has_zero_sector(frame, at)),
            // INVARIANT: space is durable before a frame is written into it.
            None => Err(cursor.damage(Flaw::Truncated)),
        },
        // Not ours at all: no flipped bit makes this of a frame of this segment.
        _ => Ok(rest[..4] != MAGIC && rest[8..16] != cursor.tag()),
    }
}

/// Whether the part of `bytes`, which stand at `at`, in some sector is all zero.
fn has_zero_sector(bytes: &[u8], at: u64) -> bool {
    let sector = SECTOR_BYTES as usize;
    let first = (sector - (at % SECTOR_BYTES) as usize).min(bytes.len());
    let (first, rest) = bytes.split_at(first);
    is_zero(first) || rest.chunks(sector).any(is_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_sector_counts() {
        let mut bytes = vec![1; 1024];
        assert!(!has_zero_sector(&bytes, 4096));
        bytes[512..].fill(0);
        assert!(has_zero_sector(&bytes, 4096));
        // From byte 100 of a sector on: 412 bytes, 512, 100.
        let mut bytes = vec![1; 1024];
        bytes[924..].fill(0);
        assert!(has_zero_sector(&bytes, 4196));
        bytes[1023] = 1;
        assert!(!has_zero_sector(&bytes, 4196));
        bytes[..412].fill(0);
        assert!(has_zero_sector(&bytes, 4196));
    }
}
