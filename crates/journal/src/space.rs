//! Space on the disk: taking it before it is used, and keeping some for urgent events.

use std::io;
use std::sync::Arc;

use crate::files::{FileLayer, OpenFile, SECTOR_BYTES, is_full};
use crate::format::names::{self, RESERVE, RESERVE_PARTIAL, SEGMENT_PARTIAL};
use crate::format::segment::SegmentHeader;

/// Segments take space in steps of this many bytes: zeroing all 64 MiB of one at once would hold
/// an append up for 45 ms, and a start would have to read them.
pub(crate) const STEP_BYTES: u64 = 4 << 20;

/// The length to take for a segment of which `needed` bytes are needed: whole steps, no more than
/// `limit` unless `needed` is more, and whole sectors.
pub(crate) fn rounded(needed: u64, limit: u64) -> u64 {
    let stepped = needed.next_multiple_of(STEP_BYTES).min(limit);
    stepped.max(needed).next_multiple_of(SECTOR_BYTES)
}

/// Makes a segment: durable with its header and its name on return. `None` when the disk is full.
pub(crate) fn create_segment(
    files: &dyn FileLayer,
    header: &SegmentHeader,
    len: u64,
) -> io::Result<Option<Arc<dyn OpenFile>>> {
    match files.create(SEGMENT_PARTIAL, len) {
        Ok(file) => become_segment(files, file, SEGMENT_PARTIAL, header).map(Some),
        Err(full) if is_full(&full) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a segment of the reserve, which needs no space.
pub(crate) fn promote_reserve(
    files: &dyn FileLayer,
    header: &SegmentHeader,
) -> io::Result<Arc<dyn OpenFile>> {
    become_segment(files, files.open(RESERVE)?, RESERVE, header)
}

/// The header is durable before the name is: a segment's name never stands without its header.
fn become_segment(
    files: &dyn FileLayer,
    file: Arc<dyn OpenFile>,
    name: &str,
    header: &SegmentHeader,
) -> io::Result<Arc<dyn OpenFile>> {
    file.write_at(&header.write(), 0)?;
    file.sync()?;
    files.rename(name, &names::segment(header.first_sequence))?;
    files.sync_dir()?;
    Ok(file)
}

/// Makes the reserve; `false` when the disk is full.
pub(crate) fn restore_reserve(files: &dyn FileLayer, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(true);
    }
    // Asked first, so that a full disk is not filled and emptied again with every refusal.
    if files.available_bytes()? < bytes {
        return Ok(false);
    }
    match files.create(RESERVE_PARTIAL, bytes) {
        Ok(_file) => {}
        Err(full) if is_full(&full) => return Ok(false),
        Err(error) => return Err(error),
    }
    files.rename(RESERVE_PARTIAL, RESERVE)?;
    files.sync_dir()?;
    Ok(true)
}
