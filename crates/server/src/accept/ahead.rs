//! [`Ahead`]: a stream of which more is read at once where more has come.
//!
//! TLS reads 4 KiB at a time, each with a call to the system, whatever else has arrived. A peer that sends batches of
//! tokens has a hundred times as much under way. Here, once a read has filled all the room that it was given, the next
//! takes whatever is there into a buffer of our own, and TLS is served from it.
//!
//! What always holds: bytes come in their order, and the end after all of them; nothing is read before it is asked for;
//! a connection on which little comes has no buffer and no copy.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

/// What is read at once, in bytes: two TLS records.
const BYTES_MAX: usize = 32 << 10;
/// A read of fewer bytes than this needs no buffer: it is what TLS asks for.
const BYTES_MUCH: usize = 4 << 10;

/// A stream, and what was read of it before it was asked for.
#[derive(Debug)]
pub(super) struct Ahead<S> {
    stream: S,
    /// Empty while little comes.
    buffer: Box<[u8]>,
    /// The bytes of `buffer` that are not asked for yet.
    waiting: Range<usize>,
    /// The last read took all that there was room for: more is likely to be there.
    has_more: bool,
}

impl<S> Ahead<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Box::default(), waiting: 0..0, has_more: false }
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.waiting.len().min(buf.remaining());
        let from = self.waiting.start;
        buf.put_slice(&self.buffer[from..from + length]);
        self.waiting.start += length;
    }
}

impl<S: AsyncRead + Unpin> Ahead<S> {
    /// Reads as much as there is. What is read is given back before anything else is.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BYTES_MAX].into();
        }
        let mut room = ReadBuf::new(&mut self.buffer);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        self.waiting = 0..room.filled().len();
        read
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.is_empty() {
            if !self.has_more {
                self.buffer = Box::default();
                let room = buf.remaining();
                ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
                self.has_more = room >= BYTES_MUCH && buf.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            let filled = self.poll_fill(cx);
            self.has_more = self.waiting.len() >= BYTES_MUCH;
            if self.waiting.is_empty() {
                self.buffer = Box::default();
            }
            ready!(filled)?;
        }
        // What is here already counts as if it had been read now: others of this core have their turn as often.
        let turn = ready!(coop::poll_proceed(cx));
        self.take(buf);
        turn.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A peer that sent `bytes`, and then waits or is gone. Counts how often it was asked.
    struct Peer {
        bytes: Vec<u8>,
        given: usize,
        is_gone: bool,
        reads: usize,
    }

    impl AsyncRead for Peer {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.reads += 1;
            let rest = &self.bytes[self.given..];
            if rest.is_empty() && !self.is_gone {
                return Poll::Pending;
            }
            let given = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..given]);
            self.given += given;
            Poll::Ready(Ok(()))
        }
    }

    fn sent(bytes: usize, is_gone: bool) -> Ahead<Peer> {
        let bytes = (0..bytes).map(|at| (at % 251) as u8).collect();
        Ahead::new(Peer { bytes, given: 0, is_gone, reads: 0 })
    }

    /// Reads `room` bytes at most, until nothing is there or the end.
    fn read_on(ahead: &mut Ahead<Peer>, room: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut room = vec![0; room];
            let mut buf = ReadBuf::new(&mut room);
            let read = Pin::new(&mut *ahead).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
            match read {
                Poll::Ready(read) => read.expect("the peer does not fail"),
                Poll::Pending => return all,
            }
            if buf.filled().is_empty() {
                return all;
            }
            all.extend_from_slice(buf.filled());
        }
    }

    #[test]
    fn everything_comes_in_its_order_and_then_the_end() {
        for length in [0, 1, 4_095, 4_096, 4_097, 40_000, 70_000, 200_000] {
            for is_gone in [false, true] {
                let mut ahead = sent(length, is_gone);
                assert!(read_on(&mut ahead, 4_096) == ahead.stream.bytes, "{length} bytes");
            }
        }
    }

    #[test]
    fn where_much_has_come_the_system_is_asked_seldom() {
        let mut ahead = sent(20 * 4_096, false);
        read_on(&mut ahead, 4_096);
        assert!(ahead.stream.reads <= 5, "{} reads", ahead.stream.reads);
    }

    #[test]
    fn little_needs_no_buffer_and_a_pause_gives_it_back() {
        let mut ahead = sent(100, false);
        assert_eq!(read_on(&mut ahead, 4_096).len(), 100);
        assert!(ahead.buffer.is_empty() && !ahead.has_more);
        for more in [99_900, 4_196, 8_191, 40_000, 4_096] {
            let there = ahead.stream.bytes.len();
            ahead.stream.bytes.resize(there + more, 7);
            assert_eq!(read_on(&mut ahead, 4_096).len(), more);
            assert!(ahead.buffer.is_empty() && !ahead.has_more, "after {more} bytes");
        }
    }

    #[test]
    fn who_asks_for_little_at_a_time_is_not_served_ahead() {
        let mut ahead = sent(10_000, false);
        assert_eq!(read_on(&mut ahead, 100).len(), 10_000);
        assert_eq!(ahead.stream.reads, 101, "as often as it was asked");
    }
}
