//! What leaves together, and who waits for whom.

use std::task::Waker;

use tokio::io::AsyncWriteExt as _;

use super::*;

/// Remembers each write; takes `room` bytes at most until it is given more.
#[derive(Debug)]
struct Peer {
    writes: Vec<Vec<u8>>,
    room: usize,
    flushed: bool,
    closed: bool,
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.room == 0 {
            return Poll::Pending;
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.flushed = false;
        self.writes.push(bytes[..taken].to_vec());
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

fn stream(room: usize) -> Gathered<Peer> {
    Gathered::new(Peer { writes: Vec::new(), room, flushed: false, closed: false })
}

fn write(stream: &mut Gathered<Peer>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// Whether a flush is done.
fn flush(stream: &mut Gathered<Peer>) -> bool {
    let flushed = Pin::new(stream).poll_flush(&mut Context::from_waker(Waker::noop()));
    flushed.map(|flushed| flushed.expect("the peer takes everything")).is_ready()
}

#[test]
fn what_comes_while_one_looks_around_leaves_with_the_first() {
    let mut stream = stream(usize::MAX);
    assert!(matches!(write(&mut stream, b"one "), Poll::Ready(Ok(4))));
    assert!(!flush(&mut stream), "others may come");
    assert!(matches!(write(&mut stream, b"two"), Poll::Ready(Ok(3))));
    assert!(!flush(&mut stream), "one has come");
    assert!(flush(&mut stream), "no more have come");
    assert_eq!(stream.stream.writes, [b"one two"]);
    assert!(stream.stream.flushed);
}

#[test]
fn where_nobody_comes_hardly_anybody_waits() {
    let mut stream = stream(usize::MAX);
    let mut waited = 0;
    for _ in 0..1_000 {
        assert!(write(&mut stream, b"alone").is_ready());
        if !flush(&mut stream) {
            waited += 1;
            assert!(flush(&mut stream), "nobody came");
        }
    }
    assert!((6..25).contains(&waited), "{waited} of 1,000");
    assert_eq!(stream.stream.writes.len(), 1_000);
    // Once it pays again it is done again, every time.
    while flush(&mut stream) {
        assert!(write(&mut stream, b"first").is_ready());
    }
    for _ in 0..10 {
        assert!(write(&mut stream, b"second").is_ready());
        assert!(!flush(&mut stream));
        assert!(flush(&mut stream));
        assert!(write(&mut stream, b"first").is_ready());
        assert!(!flush(&mut stream));
    }
}

#[test]
fn bytes_leave_in_order_however_little_the_peer_takes() {
    let mut stream = stream(0);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut rest = &sent[..];
    let mut polls = 0;
    while !rest.is_empty() || !flush(&mut stream) {
        stream.stream.room = 1 + polls % 977;
        polls += 1;
        if let Poll::Ready(taken) = write(&mut stream, &rest[..rest.len().min(1 + polls % 5_000)]) {
            rest = &rest[taken.expect("it is taken")..];
        }
        assert!(stream.bytes.len() <= BYTES_MAX, "what waits is bounded");
    }
    assert_eq!(stream.stream.writes.concat(), sent);
    assert!(stream.bytes.capacity() <= BYTES_KEPT, "an idle connection keeps little");
}

#[test]
fn more_than_a_record_at_once_is_not_kept() {
    let mut stream = stream(usize::MAX);
    assert!(write(&mut stream, b"before ").is_ready());
    let large = vec![7; BYTES_MAX + 1];
    assert!(matches!(write(&mut stream, &large), Poll::Ready(Ok(taken)) if taken == large.len()));
    assert_eq!(stream.stream.writes, [b"before ".to_vec(), large]);
}

#[tokio::test]
async fn a_flush_ends_by_itself_and_so_does_a_shutdown() {
    let mut stream = stream(usize::MAX);
    stream.write_all(b"one").await.expect("taken");
    stream.flush().await.expect("flushed");
    assert_eq!(stream.stream.writes, [b"one"]);
    stream.write_all(b"last").await.expect("taken");
    stream.shutdown().await.expect("closed");
    assert_eq!(stream.stream.writes.concat(), b"onelast");
    assert!(stream.stream.closed);
}
