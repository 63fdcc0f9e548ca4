//! [`Gathered`]: a stream on which answers that are ready together leave together.
//!
//! To send is the dearest thing about a small answer: the kernel carries it to the peer and wakes it,
//! whether it is for one answer or for eight. HTTP/2 flushes after every frame that it was handed, so
//! calls of one connection that are answered in one turn of the scheduler would be sent one by one.
//! Here a flush lets whatever else is ready to run go first, as long as that brings more to send.
//!
//! What always holds: bytes leave in the order in which they came; nothing waits for time to pass, only for
//! tasks that are ready; at most [`BYTES_MAX`] wait. Where waiting brings nothing (one call in flight, a
//! follower of the feed) it is tried ever more seldom.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait: one TLS record.
const BYTES_MAX: usize = 16 << 10;
/// A buffer that grew beyond this is given back: most connections are idle.
const BYTES_KEPT: usize = 4 << 10;
/// The most flushes between two that wait, where waiting brings nothing.
const FLUSHES_PASSED_MAX: u32 = 63;

/// A stream, and what is about to be written to it.
#[derive(Debug)]
pub(super) struct Gathered<S> {
    stream: S,
    bytes: Vec<u8>,
    /// How many of `bytes` are written already; then nobody waits any more.
    written: usize,
    /// How many of `bytes` there were at the last look around.
    seen: usize,
    looks: u32,
    /// How many flushes do not wait, and how many did not the last time.
    passing: u32,
    passed: u32,
}

impl<S> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, bytes: Vec::new(), written: 0, seen: 0, looks: 0, passing: 0, passed: 0 }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Whether others go first: something new has come since the last look around, if there was one.
    fn waits(&mut self) -> bool {
        let has_news = self.written == 0 && self.bytes.len() > self.seen;
        if !has_news || self.bytes.len() >= BYTES_MAX {
            return false;
        }
        if self.seen == 0 && self.passing > 0 {
            self.passing -= 1;
            self.seen = self.bytes.len();
            return false;
        }
        self.seen = self.bytes.len();
        self.looks += 1;
        true
    }

    /// Room for more bytes: beyond what is kept, all that there can be at once, as a buffer that doubles is copied
    /// each time.
    fn make_room(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() && needed > BYTES_KEPT {
            self.bytes.reserve_exact(BYTES_MAX - self.bytes.len());
        }
    }

    /// Everything is written: learns whether waiting has brought anything.
    fn sent(&mut self) {
        match self.looks {
            0 => {}
            1 => {
                self.passed = (2 * self.passed + 1).min(FLUSHES_PASSED_MAX);
                self.passing = self.passed;
            }
            _ => self.passed = 0,
        }
        (self.written, self.seen, self.looks) = (0, 0, 0);
        self.bytes.clear();
        if self.bytes.capacity() > BYTES_KEPT {
            self.bytes.shrink_to(BYTES_KEPT);
        }
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Hands everything that waits to the stream.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        if !self.bytes.is_empty() {
            self.sent();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.written > 0 || self.bytes.len() + length > BYTES_MAX {
            ready!(self.poll_send(cx))?;
        }
        if length > BYTES_MAX {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        }
        self.make_room(length);
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waits() && pin!(tokio::task::yield_now()).poll(cx).is_pending() {
            // The runtime comes back once it has run what is ready; so does who has more to send.
            return Poll::Pending;
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
