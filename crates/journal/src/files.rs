//! [`FileLayer`]: the few things that the journal asks of a file system, so that a simulator can
//! stand in for the disk.
//!
//! One flat directory, positioned reads and writes, explicit syncs. Nothing is durable before the
//! sync that covers it returned; what a crash leaves of the rest is up to the layer, in whole
//! sectors of [`SECTOR_BYTES`] (a sector holds its old or its new content). Real: [`DiskFiles`].
//! Fake with faults: [`MemoryFiles`]. Both pass the same suite.

use std::io;
use std::sync::Arc;

mod disk;
mod memory;

pub use disk::{DirectoryError, DiskFiles};
pub use memory::{Fault, MemoryFiles};

/// The unit in which a write may be torn, in bytes.
pub const SECTOR_BYTES: u64 = 512;

/// One flat directory of files.
///
/// An error of kind `StorageFull`, `QuotaExceeded` or `FileTooLarge` from [`create`](Self::create)
/// or [`OpenFile::grow`] means that nothing was changed; any other error leaves the state unknown.
pub trait FileLayer: Send + Sync {
    /// The names of all files, in no order.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes a file of `bytes` zeros whose space is taken; durable on return, its name too.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; also when the file exists. After an error it does not exist
    /// where that could be helped.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn OpenFile>>;

    /// Opens a file for reading and writing. Links are not followed.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>>;

    /// Gives a file another name, replacing what had it; durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; what was renamed or removed may then be either way.
    fn sync_dir(&self) -> io::Result<()>;

    /// How many more bytes files could take.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn available_bytes(&self) -> io::Result<u64>;
}

/// A file that is open.
pub trait OpenFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no byte.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Reads from `at` until `buffer` is full or the file ends; returns how much was read.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`; the file grows where it must.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; any part may then be written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Lengthens the file to `len` with zeros whose space is taken.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn grow(&self, len: u64) -> io::Result<()>;

    /// Cuts the file to `len`.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    ///
    /// Whatever the file system says, also when the file has no name any more. What was written
    /// since the last sync is then lost for good: a later sync that succeeds says nothing about it.
    fn sync(&self) -> io::Result<()>;
}

/// Whether an error says that there is no space, and so that nothing else is wrong.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
