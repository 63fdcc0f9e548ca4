//! A window on a file that is read from front to back, so that small reads are few calls.

use std::io;
use std::sync::Arc;

use crate::files::OpenFile;

/// How much is read ahead, in bytes.
const AHEAD_BYTES: usize = 256 << 10;

/// Part of a file in memory. Never holds a byte at or past the limit that its reader gave: there,
/// a writer may be at work.
pub(crate) struct Window {
    file: Arc<dyn OpenFile>,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn OpenFile>) -> Self {
        Self { file, buffer: Vec::new(), start: 0 }
    }

    pub(crate) fn file(&self) -> &Arc<dyn OpenFile> {
        &self.file
    }

    /// `len` bytes at `at`; fewer where `limit` or the file ends before.
    pub(crate) fn get(&mut self, at: u64, len: usize, limit: u64) -> io::Result<&[u8]> {
        let len = len.min(usize::try_from(limit.saturating_sub(at)).unwrap_or(len));
        if !self.holds(at, len) {
            self.read(at, len, limit)?;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(&self.buffer[from..(from + len).min(self.buffer.len())])
    }

    fn holds(&self, at: u64, len: usize) -> bool {
        at >= self.start && at + len as u64 <= self.start + self.buffer.len() as u64
    }

    fn read(&mut self, at: u64, len: usize, limit: u64) -> io::Result<()> {
        let ahead = usize::try_from(limit.saturating_sub(at)).unwrap_or(AHEAD_BYTES).min(AHEAD_BYTES);
        self.buffer.resize(len.max(ahead), 0);
        self.start = at;
        let outcome = self.file.read_at(&mut self.buffer, at);
        self.buffer.truncate(*outcome.as_ref().unwrap_or(&0));
        outcome.map(|_count| ())
    }
}
