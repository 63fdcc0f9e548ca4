//! Load: as fast as answers come, or at a stated rate.
//!
//! At a stated rate each question has the moment at which it should be asked, whether or not earlier
//! ones are answered. Its latency counts from that moment, so a server that stalls is charged for
//! everybody who would have asked meanwhile (no *coordinated omission*). Questions that find every
//! slot taken wait, and their wait counts.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::histogram::Histogram;

/// How long a load runs before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// One slot for one question at a time: a place on a connection, with what it asks.
pub trait Slot: Send + 'static {
    /// Asks the `number`-th question, and judges the answer.
    fn ask(&mut self, number: u64) -> impl Future<Output = Result<(), String>> + Send;
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Driven {
    /// Questions answered in the measured span.
    pub answered: u64,
    /// The measured span.
    pub span: Duration,
    /// Latencies of the measured span.
    pub latency: Histogram,
}

impl Driven {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }
}

/// Asks in every slot as fast as answers come, for `span` after warming up; `begun` is called when
/// the measured span begins.
///
/// # Panics
///
/// When an answer is not what it should be: a refusal must never pass for a fast answer.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn flat_out<S: Slot>(slots: Vec<S>, span: Duration, begun: impl FnOnce()) -> Driven {
    let (measured, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut running = JoinSet::new();
    let every = slots.len() as u64;
    for (first, mut slot) in (0..).zip(slots) {
        let (measured, done) = (Arc::clone(&measured), Arc::clone(&done));
        running.spawn(async move {
            let (mut latency, mut number) = (Histogram::default(), first);
            while !done.load(Ordering::Relaxed) {
                let asked = Instant::now();
                slot.ask(number).await.expect("a good answer");
                number += every;
                if measured.load(Ordering::Relaxed) {
                    latency.add(asked.elapsed());
                }
            }
            latency
        });
    }
    tokio::time::sleep(WARM_UP).await;
    begun();
    let begin = Instant::now();
    measured.store(true, Ordering::Relaxed);
    tokio::time::sleep(span).await;
    done.store(true, Ordering::Relaxed);
    let mut latencies = Histogram::default();
    while let Some(latency) = running.join_next().await {
        latencies.merge(&latency.expect("a slot does not fail"));
    }
    // The last answers count, and so does the time that they took: of a slow server they are a tenth of all.
    Driven { answered: latencies.seen(), span: begin.elapsed(), latency: latencies }
}

/// Asks `rate` questions a second for `span`, spread over the slots. `told` hears the time since the
/// beginning with each latency; give `drop` when only the sum matters.
///
/// # Panics
///
/// When an answer is not what it should be.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub async fn at_rate<S: Slot>(
    slots: Vec<S>,
    rate: f64,
    span: Duration,
    mut told: impl FnMut((Duration, Duration)),
) -> Driven {
    let mut idle: VecDeque<S> = slots.into();
    let mut waiting: VecDeque<(u64, Duration)> = VecDeque::new();
    let mut busy = JoinSet::new();
    let (mut next, mut latency) = (0_u64, Histogram::default());
    let begin = Instant::now();
    let due = |number: u64| Duration::from_secs_f64(number as f64 / rate);
    loop {
        let now = begin.elapsed();
        while due(next) <= now && due(next) < span {
            waiting.push_back((next, due(next)));
            next += 1;
        }
        while !waiting.is_empty() && !idle.is_empty() {
            let (number, intended) = waiting.pop_front().expect("not empty");
            let mut slot = idle.pop_front().expect("not empty");
            busy.spawn(async move {
                slot.ask(number).await.expect("a good answer");
                (slot, intended, begin.elapsed())
            });
        }
        while let Some(answered) = busy.try_join_next() {
            let (slot, intended, at) = answered.expect("a slot does not fail");
            latency.add(at - intended);
            told((intended, at - intended));
            idle.push_back(slot);
        }
        if now >= span && waiting.is_empty() && busy.is_empty() {
            return Driven { answered: latency.seen(), span: begin.elapsed(), latency };
        }
        // Not a sleep: timers are a millisecond wide, and the driver has a core of its own.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers at once, but stands still once, for a while.
    struct Stalls(u64, Duration);

    impl Slot for Stalls {
        async fn ask(&mut self, number: u64) -> Result<(), String> {
            if number == self.0 {
                tokio::time::sleep(self.1).await;
            }
            tokio::task::yield_now().await;
            Ok(())
        }
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work)
    }

    #[test]
    fn a_stall_is_charged_to_all_who_would_have_asked() {
        let stall = Duration::from_millis(200);
        let one = vec![Stalls(100, stall)];
        let driven = run(at_rate(one, 1_000.0, Duration::from_millis(500), drop));
        assert_eq!(driven.answered, 500, "the rate is held in sum");
        let late = driven.latency.quantile(0.9);
        // A fifth of all questions fell into the stall; a loop that waits would have seen one.
        assert!(late > stall / 4, "{late:?}");
        assert!(driven.latency.quantile(1.0) >= stall);
    }

    #[test]
    fn flat_out_counts_what_was_answered() {
        let driven = run(flat_out(vec![Stalls(u64::MAX, Duration::ZERO)], Duration::from_millis(20), || {
            // Nothing to look at.
        }));
        assert!(driven.answered > 0 || driven.span.is_zero());
        assert_eq!(driven.answered, driven.latency.seen());
    }
}
