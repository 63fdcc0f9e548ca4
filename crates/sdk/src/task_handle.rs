//! [`TaskHandle`]: a task and the secret that opens it, without the duty to end it.
//!
//! The guard is [`Task`]; a handle is for those who keep the secret elsewhere between calls, as a
//! command line does. Clones share what is known of the task's end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use locum_api::convert;
use locum_model::event::Outcome;
use locum_model::limits::TASK_LEASE_DEFAULT;
use locum_model::{TaskId, Timestamp};
use tokio::sync::watch;

use crate::client::{Client, Repeat};
use crate::ending::Ending;
use crate::error::Error;
use crate::holder_secret::HolderSecret;
use crate::wire::{TaskState, TaskView, required_time, task};

/// A task that this process can act on.
#[derive(Clone)]
pub struct TaskHandle(Arc<Inner>);

struct Inner {
    client: Client,
    task: TaskId,
    secret: HolderSecret,
    lease: Duration,
    ending: watch::Sender<Option<Ending>>,
}

impl Client {
    /// A task that was started elsewhere, by its id and the holder secret that was kept.
    pub fn task_handle(&self, task: TaskId, secret: HolderSecret) -> TaskHandle {
        TaskHandle::with_lease(self.clone(), task, secret, TASK_LEASE_DEFAULT)
    }
}

impl TaskHandle {
    pub(crate) fn with_lease(client: Client, task: TaskId, secret: HolderSecret, lease: Duration) -> Self {
        Self(Arc::new(Inner { client, task, secret, lease, ending: watch::Sender::new(None) }))
    }

    /// The task's id. Knowing it gives nothing.
    pub fn id(&self) -> TaskId {
        self.0.task
    }

    /// The secret that opens the task.
    pub fn secret(&self) -> &HolderSecret {
        &self.0.secret
    }

    /// The soft lease, as far as this process knows it.
    pub fn lease(&self) -> Duration {
        self.0.lease
    }

    /// How the task was over; none while it lives.
    pub fn ending(&self) -> Option<Ending> {
        *self.0.ending.borrow()
    }

    /// Waits until the task is over, and says how.
    pub async fn ended(&self) -> Ending {
        let mut watch = self.0.ending.subscribe();
        let seen = watch.wait_for(Option::is_some).await.map(|ending| *ending);
        seen.ok().flatten().expect("the sender lives in the handle that waits")
    }

    /// Extends the soft lease once; answers until when.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND`, `TASK_NOT_HELD`, `TASK_ENDED`, `TASK_LAPSED` or
    /// `TASK_REVOKED`.
    pub async fn renew(&self) -> Result<Timestamp, Error> {
        let message = wire::RenewTaskRequest {
            task_id: self.0.task.to_string(),
            holder_secret: self.0.secret.to_wire(),
        };
        let answer = self.0.client.ask(Repeat::Safe, message, |channel, request| async move {
            TaskServiceClient::new(channel).renew_task(request).await
        });
        required_time(self.learn(answer.await)?.lease_until)
    }

    /// Ends the task and everything below it. Durable on return: every token of the tree is dead.
    /// A task that is over already answers how it ended.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND` or `TASK_NOT_HELD`.
    pub async fn end(&self, outcome: Outcome) -> Result<TaskView, Error> {
        let message = wire::EndTaskRequest {
            task_id: self.0.task.to_string(),
            holder_secret: self.0.secret.to_wire(),
            outcome: convert::task::outcome_to_wire(outcome).into(),
        };
        let answer = self.0.client.ask(Repeat::Safe, message, |channel, request| async move {
            TaskServiceClient::new(channel).end_task(request).await
        });
        let view = task(self.learn(answer.await)?.task)?;
        self.over(match view.state {
            TaskState::Revoked => Ending::Revoked,
            TaskState::Lapsed => Ending::Lapsed,
            TaskState::Ended | TaskState::Active => Ending::Ended,
        });
        Ok(view)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Notes that the task is over; the first ending stays.
    pub(crate) fn over(&self, ending: Ending) {
        self.0.ending.send_if_modified(|known| {
            let news = known.is_none();
            known.get_or_insert(ending);
            news
        });
    }

    /// Draws from an answer what it says about the task itself.
    pub(crate) fn learn<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer
            && let Some(ending) = error.reason().and_then(Ending::said_by)
        {
            self.over(ending);
        }
        answer
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("task", &self.0.task)
            .field("ending", &self.ending())
            .finish_non_exhaustive()
    }
}
