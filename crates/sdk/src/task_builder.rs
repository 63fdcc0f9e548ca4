//! [`TaskBuilder`]: says what a task is for before it starts.

use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use locum_api::convert;

use crate::client::{Client, Repeat};
use crate::entropy::request_id;
use crate::error::Error;
use crate::grants::Grants;
use crate::holder_secret::HolderSecret;
use crate::task::Task;
use crate::task_handle::TaskHandle;
use crate::wire::{TaskView, task};

/// A task that is being described; made by [`Client::task`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `start`"]
pub struct TaskBuilder {
    client: Client,
    purpose: String,
    scope: Grants,
    deadline: Option<Duration>,
    lease: Option<Duration>,
    justification: String,
    parent: Option<TaskHandle>,
}

impl Client {
    /// Begins a task for `purpose`, a short code that policy knows.
    pub fn task(&self, purpose: &str) -> TaskBuilder {
        TaskBuilder {
            client: self.clone(),
            purpose: purpose.to_owned(),
            scope: Grants::new(),
            deadline: None,
            lease: None,
            justification: String::new(),
            parent: None,
        }
    }
}

impl TaskBuilder {
    /// Declares that the task may do `connector:action` to these resources; none means all that
    /// the action has. Tokens of the task can never get more than is declared here.
    pub fn scope<R: AsRef<str>>(mut self, operation: &str, resources: impl IntoIterator<Item = R>) -> Self {
        self.scope.add(operation, resources);
        self
    }

    /// The longest that the task may take, counted from now.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long the task outlives the loss of its holder.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Says in free text why. Evidence for people; it never grants anything.
    pub fn justification(mut self, text: impl Into<String>) -> Self {
        self.justification = text.into();
        self
    }

    /// Makes it a part of `task`: its scope shrinks to that of its parent, and it ends with it.
    pub fn parent(mut self, task: &TaskHandle) -> Self {
        self.parent = Some(task.clone());
        self
    }

    /// Starts the task and holds it. Durable on return.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for a scope that is none; [`Error::Refused`] with the reasons of
    /// `StartTask`, for instance `INTENT_NOT_ALLOWED` or `SCOPE_BEYOND_PARENT`.
    pub async fn start(self) -> Result<Task, Error> {
        let (handle, _) = self.start_unheld().await?;
        Ok(handle.hold())
    }

    /// Starts the task and leaves holding it to the caller: its lease runs at once.
    ///
    /// # Errors
    ///
    /// As [`TaskBuilder::start`].
    pub async fn start_unheld(self) -> Result<(TaskHandle, TaskView), Error> {
        let secret = HolderSecret::generate(self.client.entropy())?;
        let message = self.message(&secret)?;
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            TaskServiceClient::new(channel).start_task(request).await
        });
        let answer = answer.await;
        // The task does not exist yet: what a refusal says about a task, it says about the parent.
        let answer = match &self.parent {
            Some(parent) => parent.learn(answer)?,
            None => answer?,
        };
        let view = task(answer.task)?;
        Ok((TaskHandle::with_lease(self.client, view.task, secret, view.lease), view))
    }

    fn message(&self, secret: &HolderSecret) -> Result<wire::StartTaskRequest, Error> {
        Ok(wire::StartTaskRequest {
            intent: Some(wire::Intent {
                purpose: self.purpose.clone(),
                scope: convert::scope::to_wire(&self.scope.scope()?),
            }),
            holder_sha256: secret.sha256(),
            parent_task_id: self.parent.as_ref().map(|p| p.id().to_string()).unwrap_or_default(),
            parent_holder_secret: self.parent.as_ref().map(|p| p.secret().to_wire()).unwrap_or_default(),
            deadline_after: self.deadline.map(convert::time::duration_to_wire),
            lease: self.lease.map(convert::time::duration_to_wire),
            justification: self.justification.clone(),
            request_id: request_id(self.client.entropy())?,
        })
    }
}
