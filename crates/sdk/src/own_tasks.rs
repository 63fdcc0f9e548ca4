//! Tasks of the calling workload itself: what it may see without being an operator.

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::task_service_client::TaskServiceClient;
use locum_api::broker::v1::token_service_client::TokenServiceClient;
use locum_model::TaskId;

use crate::admin::{Page, page_size};
use crate::client::{Client, Repeat};
use crate::error::Error;
use crate::wire::{TaskState, TaskView, task};

impl Client {
    /// Shows one of the caller's own tasks.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND`.
    pub async fn get_task(&self, id: TaskId) -> Result<TaskView, Error> {
        let message = wire::GetTaskRequest { task_id: id.to_string() };
        let answer = self.ask(Repeat::Safe, message, |channel, request| async move {
            TaskServiceClient::new(channel).get_task(request).await
        });
        task(answer.await?.task)
    }

    /// Lists the caller's own tasks, oldest first; `page` is empty for the first page.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `REQUEST_MALFORMED`.
    pub async fn list_tasks(
        &self,
        state: Option<TaskState>,
        size: u32,
        page: &str,
    ) -> Result<Page<TaskView>, Error> {
        let message = wire::ListTasksRequest {
            page_size: page_size(size),
            page_token: page.to_owned(),
            state: state.map_or(wire::TaskState::Unspecified, TaskState::to_wire).into(),
        };
        let answer = self.ask(Repeat::Safe, message, |channel, request| async move {
            TaskServiceClient::new(channel).list_tasks(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.tasks.into_iter().map(|one| task(Some(one))).collect();
        Ok(Page { items: items?, next: answer.next_page_token })
    }

    /// Revokes one token of the caller's own. Durable on return; unknown or dead already is success.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn revoke_token(&self, token: &str) -> Result<(), Error> {
        let message = wire::RevokeTokenRequest { token: token.to_owned() };
        let answer = self.ask(Repeat::Safe, message, |channel, request| async move {
            TokenServiceClient::new(channel).revoke_token(request).await
        });
        answer.await.map(drop)
    }
}
