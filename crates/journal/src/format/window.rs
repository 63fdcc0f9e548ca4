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
    /// Grows only: zeroing it anew for every read would cost more than the read.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were read.
    filled: usize,
    start: u64,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn OpenFile>) -> Self {
        Self { file, buffer: Vec::new(), filled: 0, start: 0 }
    }

    pub(crate) fn file(&self) -> &Arc<dyn OpenFile> {
        &self.file
    }

    /// `len` bytes at `at`; fewer where `limit` or the file ends before.
    pub(crate) fn get(&mut self, at: u64, len: usize, limit: u64) -> io::Result<&[u8]> {
        let len = len.min(within(at, limit));
        if !self.holds(at, len) {
            self.read(at, len.max(within(at, limit).min(AHEAD_BYTES)))?;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX).min(self.filled);
        Ok(&self.buffer[from..(from + len).min(self.filled)])
    }

    /// Whatever is in memory from `at` on; nothing where that is not.
    pub(crate) fn held_from(&self, at: u64) -> &[u8] {
        let from = at.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.buffer[..self.filled].get(from..)).unwrap_or_default()
    }

    fn holds(&self, at: u64, len: usize) -> bool {
        at >= self.start && at + len as u64 <= self.start + self.filled as u64
    }

    fn read(&mut self, at: u64, len: usize) -> io::Result<()> {
        if self.buffer.len() < len {
            self.buffer = vec![0; len];
        }
        self.start = at;
        self.filled = 0;
        self.filled = self.file.read_at(&mut self.buffer[..len], at)?;
        Ok(())
    }
}

/// How many bytes lie between.
fn within(at: u64, limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileLayer, MemoryFiles};

    #[test]
    fn it_shows_the_file_up_to_the_limit() {
        let files = MemoryFiles::new();
        let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
        files.replace("a", content.clone());
        let mut window = Window::new(files.open("a").expect("opens"));
        for (at, len, limit) in [
            (0, 10, 20),
            (5, 100, 20),
            (20, 10, 20),
            (30, 10, 20),
            (0, 600_000, u64::MAX),
            (999_990, 100, u64::MAX),
            (2_000_000, 10, u64::MAX),
            (7, 10, 1_000_000),
        ] {
            let end = (at + len).min(limit as usize).min(content.len());
            let expected = content.get(at..end).unwrap_or_default();
            assert_eq!(window.get(at as u64, len, limit).expect("reads"), expected, "{at} {len} {limit}");
        }
    }

    #[test]
    fn what_is_past_the_limit_is_read_anew() {
        let files = MemoryFiles::new();
        files.replace("a", vec![0; 100]);
        let file = files.open("a").expect("opens");
        let mut window = Window::new(Arc::clone(&file));
        assert_eq!(window.get(0, 10, 50).expect("reads"), [0; 10]);
        file.write_at(&[1; 10], 50).expect("writes");
        assert_eq!(window.get(50, 10, 60).expect("reads"), [1; 10]);
    }
}
