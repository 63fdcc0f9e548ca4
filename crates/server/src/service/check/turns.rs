//! [`Turns`]: checks that have a signature to verify let those that are ready go first.
//!
//! To recognise a token takes a microsecond, to verify a signature fifty. After a start every token is seen
//! for the first time, and in a flood of forgeries nothing else tells them from live ones: done as they
//! come, each would keep waiting whoever came behind it. So they take turns, in the order in which they came,
//! as many at once as there are cores; and before each turn whatever is ready to run goes first, what has just
//! arrived included.

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;

/// Whose turn it is to verify a signature.
pub(super) struct Turns(Semaphore);

impl Turns {
    /// As many at once as this machine has cores.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Semaphore::new(cores))
    }

    /// Waits for a turn; it lasts until what is given back is dropped.
    pub(super) async fn take(&self) -> SemaphorePermit<'_> {
        let turn = self.0.acquire().await.expect("it is never closed");
        yield_now().await;
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Whoever takes a turn for each name in capitals, and none for the others: in which order they were done.
    fn done(names: &[&'static str], cores: usize) -> Vec<&'static str> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (turns, done) = (Arc::new(Turns(Semaphore::new(cores))), Arc::new(Mutex::new(Vec::new())));
        let started = names.iter().map(|name| {
            let (name, turns, done) = (*name, Arc::clone(&turns), Arc::clone(&done));
            runtime.spawn(async move {
                let _turn = if name.to_uppercase() == name { Some(turns.take().await) } else { None };
                done.lock().expect("nobody panicked").push(name);
            })
        });
        let started: Vec<_> = started.collect();
        runtime.block_on(async {
            for task in started {
                task.await.expect("it ends");
            }
        });
        done.lock().expect("nobody panicked").clone()
    }

    #[test]
    fn who_is_ready_goes_first_and_the_others_in_the_order_in_which_they_came() {
        assert_eq!(done(&["A", "B", "a", "C", "b"], 1), ["a", "b", "A", "B", "C"]);
        assert_eq!(done(&["A", "B", "a", "C", "b"], 2)[..2], ["a", "b"], "and then any two at once");
    }

    /// What comes while somebody waits for a turn does not wait for all that were there before.
    #[test]
    fn who_comes_later_goes_before_the_next_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (turns, done) = (Arc::new(Turns(Semaphore::new(1))), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..10)
            .map(|n| {
                let (turns, done) = (Arc::clone(&turns), Arc::clone(&done));
                runtime.spawn(async move {
                    let _turn = turns.take().await;
                    let later = Arc::clone(&done);
                    // Somebody new, as the first signature is being verified.
                    if n == 0 {
                        tokio::spawn(async move { later.lock().expect("nobody panicked").push("new") });
                    }
                    done.lock().expect("nobody panicked").push("turn");
                })
            })
            .collect();
        runtime.block_on(async {
            for task in waiting {
                task.await.expect("it ends");
            }
        });
        let done = done.lock().expect("nobody panicked");
        assert_eq!(done.iter().position(|what| *what == "new"), Some(1), "{done:?}");
        assert_eq!(done.len(), 11);
    }
}
