//! [`Line`]: a follower's stream, held where its partition's pump can end it.
//!
//! While a stream's window is full, the transport does not ask for its next frame: nothing within the
//! stream runs then, and nothing there could end it. But a stream that anything is read of is asked at
//! least each second ([`Course::patience`](super::course::Course::patience)). So it counts how often it
//! was asked, and the pump looks at that. A line that is cut gives back all that it held at once: its
//! place among the verifiers, its share of the partition, its requests. What is left is the HTTP/2
//! stream; whoever goes on to read it hears why it ended.
//!
//! Looks are counted, not time: a process that was stopped looks once when it goes on, and cuts nobody.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use locum_api::broker::v1::WatchRevocationsResponse;
use parking_lot::Mutex;
use tokio_stream::Stream;
use tonic::Status;

/// What a follower's stream gives.
pub(super) type Frames = Pin<Box<dyn Stream<Item = Result<WatchRevocationsResponse, Status>> + Send>>;

/// A follower's stream.
pub(super) struct Line {
    held: Mutex<Held>,
    /// How often it was asked for what comes next.
    asked: AtomicU64,
}

enum Held {
    Going(Frames),
    /// Ended from outside; whoever asks next is told why.
    Cut(Status),
    Over,
}

/// The transport's end of a line.
pub(crate) struct Reader(Arc<Line>);

/// The pump's end of a line: how often it was asked when it was last looked at, and how many looks ago
/// that was another number.
pub(super) struct Watch {
    line: Weak<Line>,
    asked: u64,
    idle_looks: u32,
}

/// What a look at a line found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Going,
    /// It was cut just now.
    Cut,
    /// It ended by itself.
    Gone,
}

/// A line, and its two ends.
pub(super) fn line(frames: Frames) -> (Reader, Watch) {
    let line = Arc::new(Line { held: Mutex::new(Held::Going(frames)), asked: AtomicU64::new(0) });
    let watch = Watch { line: Arc::downgrade(&line), asked: 0, idle_looks: 0 };
    (Reader(line), watch)
}

// === impl Reader ===

impl Stream for Reader {
    type Item = Result<WatchRevocationsResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut held = self.0.held.lock();
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        if let Held::Going(frames) = &mut *held {
            return frames.as_mut().poll_next(cx);
        }
        match std::mem::replace(&mut *held, Held::Over) {
            Held::Cut(status) => Poll::Ready(Some(Err(status))),
            Held::Going(_) | Held::Over => Poll::Ready(None),
        }
    }
}

// === impl Watch ===

impl Watch {
    /// Looks at the line; cuts it with `why` when it was not asked since `looks_max` looks before this.
    pub(super) fn look(&mut self, looks_max: u32, why: impl FnOnce() -> Status) -> Look {
        let Some(line) = self.line.upgrade() else { return Look::Gone };
        let asked = line.asked.load(Ordering::Relaxed);
        if asked != self.asked {
            (self.asked, self.idle_looks) = (asked, 0);
            return Look::Going;
        }
        self.idle_looks += 1;
        if self.idle_looks < looks_max {
            return Look::Going;
        }
        line.cut(asked, why)
    }
}

// === impl Line ===

impl Line {
    fn cut(&self, asked: u64, why: impl FnOnce() -> Status) -> Look {
        let mut held = self.held.lock();
        if self.asked.load(Ordering::Relaxed) != asked {
            return Look::Going;
        }
        if !matches!(*held, Held::Going(_)) {
            return Look::Gone;
        }
        let was = std::mem::replace(&mut *held, Held::Cut(why()));
        drop(held);
        drop(was);
        Look::Cut
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use tonic::Code;

    use super::*;

    const LOOKS_MAX: u32 = 3;

    fn why() -> Status {
        Status::resource_exhausted("too slow")
    }

    fn look(watch: &mut Watch) -> Look {
        watch.look(LOOKS_MAX, why)
    }

    /// A stream that gives nothing, and shows whether it is still held.
    fn silent() -> (Frames, Arc<()>) {
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let frames = futures_util::stream::poll_fn(move |_| {
            let _held = &inner;
            Poll::Pending
        });
        (Box::pin(frames), held)
    }

    #[test]
    fn who_is_not_asked_is_cut_gives_all_back_and_says_why() {
        let (frames, held) = silent();
        let (mut reader, mut watch) = line(frames);
        for _ in 1..LOOKS_MAX {
            assert_eq!(look(&mut watch), Look::Going);
            assert_eq!(Arc::strong_count(&held), 2);
        }
        assert_eq!(look(&mut watch), Look::Cut);
        assert_eq!(Arc::strong_count(&held), 1, "what the stream held is free before anybody reads");
        let told = reader.next().now_or_never().flatten().expect("told").map(drop);
        assert_eq!(told.expect_err("ended").code(), Code::ResourceExhausted);
        assert!(reader.next().now_or_never().expect("over").is_none());
        for _ in 0..LOOKS_MAX {
            assert_eq!(look(&mut watch), Look::Going, "it was asked");
        }
        assert_eq!(look(&mut watch), Look::Gone);
    }

    #[test]
    fn who_is_asked_now_and_then_is_not_cut() {
        let (frames, held) = silent();
        let (mut reader, mut watch) = line(frames);
        for _ in 0..100 {
            (1..LOOKS_MAX).for_each(|_| assert_eq!(look(&mut watch), Look::Going));
            assert!(reader.next().now_or_never().is_none());
            assert_eq!(look(&mut watch), Look::Going);
        }
        drop(reader);
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(look(&mut watch), Look::Gone);
    }
}
