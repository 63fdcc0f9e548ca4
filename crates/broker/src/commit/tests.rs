//! Batches: who waits for whom, and who never does.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use locum_journal::{MemoryFiles, Options};
use locum_model::event::{By, LapseCause, Outcome, TaskEnded, TaskLapsed, Unlocked};
use locum_model::{ClockUnsettled, DigestKey, TaskId, Timestamp};
use locum_token::MemoryKeyStore;

use super::*;

/// A clock that somebody moves by hand.
#[derive(Default)]
struct Stopped(AtomicU64);

impl Clock for Stopped {
    fn now(&self) -> Result<Timestamp, ClockUnsettled> {
        Ok(Timestamp::from_seconds(1_000))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A writer over files in memory, who tells how many events each batch had.
fn writer() -> (Committer, Commits, Arc<Stopped>, mpsc::Receiver<usize>) {
    let clock = Arc::new(Stopped::default());
    // Nothing here is recognised by its digest.
    let digest_key = DigestKey::of_words(|| 1);
    let fold = Arc::new(Fold::new(1, Arc::new(MemoryKeyStore::default()), digest_key));
    let journal = locum_journal::open(Arc::new(MemoryFiles::default()), Options::default(), &mut ());
    let (committer, commits) =
        Committer::new(journal.expect("an empty disk").writer, fold, Arc::clone(&clock) as Arc<dyn Clock>);
    let (tell, told) = mpsc::channel();
    let committer = committer.observed(Box::new(move |events, _| {
        // Not every test listens.
        let _ = tell.send(events);
    }));
    (committer, commits, clock, told)
}

fn ordinary() -> Event {
    let at = Timestamp::from_seconds(1_000);
    Event::Unlocked(Unlocked { locks: Vec::new(), reason: "test".into(), by: By::Broker, at })
}

fn urgent() -> Event {
    let at = Timestamp::from_seconds(1_000);
    Event::TaskLapsed(TaskLapsed { task: TaskId::new(1, 1), cause: LapseCause::LeaseExpired, at })
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_ready(commits: &Commits) -> bool {
    commits.queue.lanes.lock().are_ready()
}

#[test]
fn one_event_alone_waits_for_one_look_around() {
    let (mut committer, commits, _, batches) = writer();
    let mut one = pin!(commits.commit(ordinary()));
    assert!(poll(one.as_mut()).is_pending());
    assert!(!is_ready(&commits), "others may come");
    assert!(poll(one.as_mut()).is_pending());
    assert!(is_ready(&commits), "none came");
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(1)));
    assert!(matches!(poll(one), Poll::Ready(Ok(_))));
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_batch_grows_while_events_come_and_no_longer_than_its_bound() {
    let (_committer, commits, clock, _) = writer();
    let mut first = pin!(commits.commit(ordinary()));
    assert!(poll(first.as_mut()).is_pending());
    for millis in 0..2 {
        clock.0.store(millis, Ordering::Relaxed);
        drop(commits.submit(ordinary()).expect("there is room"));
        assert!(poll(first.as_mut()).is_pending());
        assert!(!is_ready(&commits), "one more came");
    }
    clock.0.store(2, Ordering::Relaxed);
    drop(commits.submit(ordinary()).expect("there is room"));
    assert!(poll(first.as_mut()).is_pending());
    assert!(is_ready(&commits), "more still come, but this has taken long enough");
}

#[test]
fn urgent_events_wait_for_nobody() {
    let (mut committer, commits, _, _) = writer();
    let mut first = pin!(commits.commit(ordinary()));
    assert!(poll(first.as_mut()).is_pending());
    let mut taking_away = pin!(commits.commit(urgent()));
    assert!(poll(taking_away.as_mut()).is_pending());
    assert!(is_ready(&commits));
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(1)));
    assert!(matches!(poll(taking_away), Poll::Ready(Ok(_))));
    assert!(!is_ready(&commits), "the ordinary one is still gathering");
}

#[test]
fn lapses_leave_every_other_batch_to_what_is_ordinary_and_nothing_else_does() {
    let (mut committer, commits, _, _) = writer();
    let lapses = |count| assert_eq!(commits.submit_all((0..count).map(|_| urgent())).len(), count);
    let mut first = commits.submit(ordinary()).expect("there is room");
    lapses(2);
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(2)));
    assert!(first.try_recv().is_err(), "what takes authority away goes first");
    lapses(2);
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(1)));
    assert!(first.try_recv().is_ok(), "and not for ever");
    let mut second = commits.submit(ordinary()).expect("there is room");
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(2)));
    lapses(2);
    let at = Timestamp::from_seconds(1_000);
    let ended =
        TaskEnded { task: TaskId::new(1, 1), outcome: Outcome::Completed, reason: None, by: By::Broker, at };
    drop(commits.submit(Event::TaskEnded(ended)).expect("there is room"));
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(3)), "somebody asked for one of them");
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(1)));
    assert!(second.try_recv().is_ok());
}

#[test]
fn who_is_cancelled_while_gathering_has_rung() {
    let (mut committer, commits, _, _) = writer();
    {
        let mut cancelled = pin!(commits.commit(ordinary()));
        assert!(poll(cancelled.as_mut()).is_pending());
        assert!(!is_ready(&commits));
    }
    assert!(is_ready(&commits));
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(1)), "it is committed all the same");
}

#[test]
fn what_is_gathered_is_written_before_the_end() {
    let (committer, commits, _, batches) = writer();
    let mut first = pin!(commits.commit(ordinary()));
    assert!(poll(first.as_mut()).is_pending());
    commits.close();
    assert!(committer.run().is_ok());
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [1]);
    assert!(matches!(poll(first), Poll::Ready(Ok(_))));
}

#[test]
fn who_is_never_run_again_holds_up_nobody() {
    let (committer, commits, _, batches) = writer();
    let mut stuck = Box::pin(commits.commit(ordinary()));
    assert!(poll(stuck.as_mut()).is_pending());
    std::thread::scope(|scope| {
        let running = scope.spawn(|| committer.run());
        let within = batches.recv_timeout(Duration::from_secs(20));
        commits.close();
        assert!(running.join().expect("it does not panic").is_ok());
        assert_eq!(within, Ok(1), "although nobody has rung");
    });
}

/// On one core, whoever is ready to run joins the batch, and its flush and wake-up are shared.
#[tokio::test]
async fn all_who_are_ready_share_one_batch() {
    let (mut committer, commits, _, _) = writer();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let commits = commits.clone();
        asking.spawn(async move { commits.commit(ordinary()).await.map(|settled| settled.position) });
    }
    while !is_ready(&commits) {
        tokio::task::yield_now().await;
    }
    assert_eq!(committer.pump().ok(), Some(Pumped::Committed(64)));
    assert!(asking.join_all().await.iter().all(Result::is_ok));
}
