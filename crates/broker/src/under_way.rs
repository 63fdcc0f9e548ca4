//! [`UnderWay`]: what the reaper has asked to be written down, until it is.
//!
//! Of each kind only so much at a time. A million leases may run out in the same moment, as they do after a restart
//! to which no holder comes back, and a million tokens expire whose checks were summed up; whatever others ask for
//! is queued behind what is asked for here, and waits for these few and no more.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use locum_model::limits::{BATCH_EVENTS_MAX, REAPER_ASKS_MAX, REAPER_LAG_MAX};
use parking_lot::Mutex;
use tokio::sync::oneshot::error::TryRecvError;

use crate::commit::Answer;

/// Events of one kind, each with what it is about.
pub(crate) struct UnderWay<T>(Mutex<Asked<T>>);

struct Asked<T> {
    /// How many may be under way.
    most: usize,
    /// They are answered in their order.
    waiting: VecDeque<(T, Answer)>,
    refused: Vec<T>,
}

// === impl UnderWay ===

impl<T> Default for UnderWay<T> {
    fn default() -> Self {
        Self(Mutex::new(Asked { most: REAPER_ASKS_MAX, waiting: VecDeque::new(), refused: Vec::new() }))
    }
}

impl<T: Copy> UnderWay<T> {
    /// Sets how many may be under way, by how late the reaper is with such: where a flush takes long, so few would never
    /// be enough, and what waits for them waits for the flush more than for them. Twice as many with each eighth of what
    /// is allowed, from its half on: whoever is only a little late has others wait only a little longer.
    pub(crate) fn set_most(&self, late: Duration) {
        let doubled = late.checked_sub(REAPER_LAG_MAX / 2).map_or(0, |beyond| {
            let eighths = beyond.div_duration_f64(REAPER_LAG_MAX / 8) as u32;
            eighths.saturating_add(1)
        });
        let most = REAPER_ASKS_MAX.saturating_mul(2_usize.saturating_pow(doubled));
        self.0.lock().most = most.min(BATCH_EVENTS_MAX);
    }

    /// How many more may be asked for.
    pub(crate) fn room(&self) -> usize {
        #[cfg(bug_zoo)]
        if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::ReaperAsksUnbounded) {
            return REAPER_ASKS_MAX;
        }
        let asked = self.0.lock();
        asked.most.saturating_sub(asked.waiting.len())
    }

    /// These are asked for now.
    pub(crate) fn wait_for(&self, events: impl IntoIterator<Item = (T, Answer)>) {
        self.0.lock().waiting.extend(events);
    }

    /// Forgets those that are written down, and takes those that could not be.
    pub(crate) fn take_refused(&self) -> Vec<T> {
        let mut asked = self.0.lock();
        while let Some((about, answer)) = asked.waiting.front_mut() {
            let about = *about;
            match answer.try_recv() {
                Err(TryRecvError::Empty) => break,
                Ok(Ok(_settled)) => {}
                Ok(Err(_)) | Err(TryRecvError::Closed) => asked.refused.push(about),
            }
            asked.waiting.pop_front();
        }
        std::mem::take(&mut asked.refused)
    }

    /// Whether no more may be asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Returns once all that are asked for are answered.
    pub(crate) async fn answered(&self) {
        poll_fn(|context| {
            let mut asked = self.0.lock();
            // The last is answered last. Its answer is heard once, and so it is noted here.
            let Some((about, answer)) = asked.waiting.back_mut() else { return Poll::Ready(()) };
            let (about, settled) = (*about, ready!(Pin::new(answer).poll(context)));
            asked.waiting.pop_back();
            if !matches!(settled, Ok(Ok(_))) {
                asked.refused.push(about);
            }
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use locum_model::{Position, Reason, TaskId};
    use locum_table::Applied;
    use tokio::sync::oneshot;

    use super::*;
    use crate::commit::Settled;
    use crate::fold::Verdict;

    type Reply = oneshot::Sender<Result<Settled, Reason>>;

    fn written() -> Result<Settled, Reason> {
        let position = Position { home: 1, epoch: 1, sequence: 1 };
        Ok(Settled { position, verdict: Verdict::Applied(Applied::Ended) })
    }

    /// Ends of so many tasks, and how they are answered.
    fn asked(lapses: &UnderWay<TaskId>, count: u64) -> VecDeque<Reply> {
        let (replies, answers): (_, Vec<_>) = (0..count).map(|_| oneshot::channel()).unzip();
        lapses.wait_for((0..count).map(|count| TaskId::new(1, count)).zip(answers));
        replies
    }

    fn answer(replies: &mut VecDeque<Reply>, what: Result<Settled, Reason>) {
        replies.pop_front().expect("one is left").send(what).expect("somebody waits");
    }

    #[test]
    fn what_is_answered_makes_room_and_what_was_refused_is_told_once() {
        let lapses = UnderWay::default();
        let mut replies = asked(&lapses, 3);
        assert_eq!(lapses.room(), REAPER_ASKS_MAX - 3);
        answer(&mut replies, written());
        answer(&mut replies, Err(Reason::StorageFull));
        assert_eq!(lapses.take_refused(), [TaskId::new(1, 1)]);
        assert_eq!((lapses.room(), lapses.take_refused()), (REAPER_ASKS_MAX - 1, vec![]));
        drop(replies);
        assert_eq!(lapses.take_refused(), [TaskId::new(1, 2)], "nobody will ever answer");
        assert_eq!(lapses.room(), REAPER_ASKS_MAX);
    }

    #[test]
    fn who_waits_is_told_with_the_last_and_nothing_is_lost_by_waiting() {
        for last in [written(), Err(Reason::StorageFull)] {
            let (lapses, is_refused) = (UnderWay::default(), last.is_err());
            let mut replies = asked(&lapses, 3);
            let mut context = Context::from_waker(Waker::noop());
            let mut all = pin!(lapses.answered());
            assert!(all.as_mut().poll(&mut context).is_pending());
            answer(&mut replies, Err(Reason::StorageFull));
            answer(&mut replies, written());
            assert!(all.as_mut().poll(&mut context).is_pending(), "one is not answered");
            answer(&mut replies, last);
            assert!(all.as_mut().poll(&mut context).is_ready());
            let mut refused = lapses.take_refused();
            refused.sort();
            let expected = [0, 2].map(|count| TaskId::new(1, count));
            assert_eq!(refused, expected[..1 + usize::from(is_refused)]);
            assert_eq!(lapses.room(), REAPER_ASKS_MAX);
        }
    }

    #[test]
    fn who_is_late_asks_for_more() {
        let sums = UnderWay::<()>::default();
        let room = |late| {
            sums.set_most(late);
            sums.room()
        };
        let (half, eighth) = (REAPER_LAG_MAX / 2, REAPER_LAG_MAX / 8);
        assert_eq!(room(half - Duration::from_millis(1)), REAPER_ASKS_MAX);
        assert_eq!(room(half), 2 * REAPER_ASKS_MAX);
        assert_eq!(room(half + eighth), 4 * REAPER_ASKS_MAX);
        assert_eq!(room(half + 2 * eighth), BATCH_EVENTS_MAX);
        assert_eq!(room(Duration::MAX), BATCH_EVENTS_MAX);
        assert_eq!(room(Duration::ZERO), REAPER_ASKS_MAX, "and is not late any more");
    }

    #[test]
    fn nobody_waits_for_nothing() {
        let lapses = UnderWay::<TaskId>::default();
        let waiting = pin!(lapses.answered());
        assert!(waiting.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
