//! The format on disk, version 1 of segments and 2 of snapshots, and what can be told about a damaged journal.
//!
//! All integers are little-endian. One directory holds:
//!
//! | file | is |
//! |---|---|
//! | `segment-<first sequence, 15 digits>` | events, in order, for good |
//! | `snapshot-<covered sequence, 15 digits>` | a compaction of everything up to there |
//! | `reserve` | space for urgent events on a full disk; becomes a segment |
//! | `*.partial` | not finished; removed at the next start |
//!
//! A **segment** is a header block of 4096 bytes (`segment.rs`) and then frames (`frame.rs`)
//! without gaps; zeros follow the last one. Each frame carries the SHA-256 of the frame before it
//! and itself, the first one of the header, and each header the last hash of the segment before:
//! one chain from the first byte to the last. Space is taken and zeroed before it is used, and
//! at least one sector of zeros always follows the last frame.
//!
//! # What can be told
//!
//! One batch is in flight at a time, and is acknowledged when its sync returned. A crash leaves
//! each 512-byte sector of it old, that is zero, or new. Therefore:
//!
//! - Anything intact behind a broken frame (a later frame, a seal, the next segment) proves that
//!   the frame was acknowledged: that is damage, and opening refuses. What looks like a later
//!   frame cannot come from an event's text: a frame repeats eight bytes of its segment's hash.
//! - A broken last frame of which some sector, or the end, is zero was torn by a crash or by a
//!   write that failed half way: it is cut.
//! - A broken last frame without such a part was not torn but damaged: opening refuses.
//! - A file that ends within a frame, or without zeros after the last one, was truncated.
//!
//! What cannot be told, because nothing on this disk says it:
//!
//! - The newest segments missing as whole files, or the whole directory put back to an earlier
//!   state. The head's hash, known outside, tells.
//! - The last frame overwritten with zeros, by whole sectors, or its header sector overwritten with
//!   something that is not ours: it looks torn. A seal behind it tells, so seal when idle.
//! - 512 aligned zero bytes within an event of the last frame, together with damage to that frame:
//!   it looks torn. Here too a seal tells.
//! - History rewritten by someone who recomputes every hash. The head's hash, known outside, tells.

pub(crate) mod cursor;
pub(crate) mod frame;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod tail;
pub(crate) mod window;

/// The newest format of a segment that this version reads, and the one that it writes.
pub(crate) const VERSION: u16 = 1;
/// Largest sequence: 48 bits.
pub(crate) const SEQUENCE_MAX: u64 = (1 << 48) - 1;

/// A hash in the chain.
pub(crate) type Hash = [u8; 32];

/// SHA-256 over `previous` and then `parts`: the next hash of the chain.
pub(crate) fn link(previous: &Hash, parts: &[&[u8]]) -> Hash {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(previous);
    parts.iter().for_each(|part| context.update(part));
    digest(context)
}

/// The finished hash.
pub(crate) fn digest(context: ring::digest::Context) -> Hash {
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Whether every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Or-ing whole chunks lets the compiler use wide registers; tails of segments are megabytes.
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// `N` bytes at `at`.
///
/// # Panics
///
/// When `bytes` is shorter; callers look at fixed layouts whose length they have checked.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}
