//! [`Task`]: the guard of a bounded piece of work.
//!
//! While it lives, the task's lease is held in the background. When it goes out of scope without
//! [`Task::end`], the task is ended as cancelled, as well as that can be done from a `drop`: where
//! the process dies first, the lease runs out instead.

use std::ops::Deref;

use locum_model::event::Outcome;
use tokio::task::AbortHandle;

use crate::error::Error;
use crate::hold;
use crate::task_handle::TaskHandle;
use crate::tasks;
use crate::wire::TaskView;

/// A task that ends with this value. Everything of [`TaskHandle`] can be done with it.
///
/// ```no_run
/// # async fn example(client: locum_sdk::Client) -> Result<(), locum_sdk::Error> {
/// let task = client.task("refund-order").scope("orders:refund", ["order/*"]).start().await?;
/// tokio::select! {
///     ending = task.ended() => println!("stop working: {ending}"),
///     () = work() => { task.end(locum_sdk::Outcome::Completed).await?; }
/// }
/// # Ok(())
/// # }
/// # async fn work() {}
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard ends the task"]
pub struct Task {
    handle: TaskHandle,
    hold: Option<AbortHandle>,
    duty: Duty,
}

/// What is left to do when the guard goes.
#[derive(Debug, PartialEq, Eq)]
enum Duty {
    End,
    Nothing,
}

impl TaskHandle {
    /// Holds the task from here on: the guard keeps its lease and ends it when dropped.
    #[must_use = "dropping the guard ends the task"]
    pub fn hold(self) -> Task {
        let hold = tasks::spawn(hold::run(self.clone()));
        Task { handle: self, hold, duty: Duty::End }
    }
}

impl Task {
    /// Ends the task and everything below it. Durable on return: every token of the tree is dead.
    ///
    /// # Errors
    ///
    /// As [`TaskHandle::end`]. When the broker could not be reached, dropping the guard tries once
    /// more; after that the lease runs out by itself, as nobody holds it any more.
    pub async fn end(mut self, outcome: Outcome) -> Result<TaskView, Error> {
        let view = self.handle.end(outcome).await?;
        self.duty = Duty::Nothing;
        Ok(view)
    }

    /// Lets go without ending the task: its lease runs on, and whoever has the secret goes on.
    pub fn release(mut self) -> TaskHandle {
        self.duty = Duty::Nothing;
        self.handle.clone()
    }
}

impl Deref for Task {
    type Target = TaskHandle;

    fn deref(&self) -> &TaskHandle {
        &self.handle
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.abort();
        }
        if self.duty == Duty::End && self.handle.ending().is_none() {
            let handle = self.handle.clone();
            // Nobody is left to tell of a failure: the lease runs out then.
            let _started = tasks::spawn(async move { drop(handle.end(Outcome::Cancelled).await) });
        }
    }
}
