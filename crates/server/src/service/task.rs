//! `locum.broker.v1.TaskService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_api::broker::v1::task_service_server::TaskService;
use locum_api::convert::id::{
    bytes_from_wire, optional_task_from_wire, request_id_from_wire, task_from_wire,
};
use locum_api::convert::time::{optional_duration_from_wire, timestamp_to_wire};
use locum_api::convert::{intent, page, request, task as outcome, text};
use locum_api::violation::Malformed;
use locum_broker::{Broker, Hold, Holder, Page, StartTask, TaskFilter, TaskState, TaskView};
use locum_model::issue_record::RequestKey;
use locum_model::{Caller, Reason};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::asked::{Asked, workload};
use super::show;
use crate::holds::{Holds, Place};
use crate::tasks::Stopping;

/// How often a holder hears that its task is alive.
const HOLD_HEARTBEAT: Duration = Duration::from_secs(10);
/// A task that ends within this is said to be lapsing.
const LAPSING_AHEAD: Duration = Duration::from_secs(30);

/// Tasks of the calling workload.
pub(crate) struct Tasks {
    pub broker: Arc<Broker>,
    pub holds: Holds,
    pub stopping: Stopping,
}

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn start_task(
        &self,
        request: Request<wire::StartTaskRequest>,
    ) -> Result<Response<wire::StartTaskResponse>, Status> {
        let (asked, message) = workload(request)?;
        let ask = start_from_wire(&message).map_err(|malformed| asked.malformed(malformed))?;
        let view = self.broker.start_task(&asked.who, ask).await.map_err(|refusal| asked.refuse(refusal))?;
        asked.notes.put("locum.task_id", || view.started.task.to_string());
        Ok(Response::new(wire::StartTaskResponse { task: Some(show::task(&view)) }))
    }

    type HoldTaskStream = Pin<Box<dyn Stream<Item = Result<wire::HoldTaskResponse, Status>> + Send>>;

    async fn hold_task(
        &self,
        request: Request<Streaming<wire::HoldTaskRequest>>,
    ) -> Result<Response<Self::HoldTaskStream>, Status> {
        let (asked, mut messages) = workload(request)?;
        let first = messages.message().await?.unwrap_or_default();
        let (task, holder) = held_from_wire(&first.task_id, &first.holder_secret)
            .map_err(|malformed| asked.malformed(malformed))?;
        asked.notes.put("locum.task_id", || task.to_string());
        let (hold, view) =
            self.broker.hold_task(&asked.who, task, &holder).map_err(|refusal| asked.refuse(refusal))?;
        let Some(place) = self.holds.take(view.started.workload) else {
            self.broker.release_task(&hold);
            return Err(locum_api::status::status(Reason::QuotaExceeded, None, &asked.request_id, &[]));
        };
        let held = Held { broker: Arc::clone(&self.broker), hold, view, _place: place };
        Ok(Response::new(Box::pin(holding(held, messages, self.stopping.clone()))))
    }

    async fn renew_task(
        &self,
        request: Request<wire::RenewTaskRequest>,
    ) -> Result<Response<wire::RenewTaskResponse>, Status> {
        let (asked, message) = workload(request)?;
        let (task, holder) = held_from_wire(&message.task_id, &message.holder_secret)
            .map_err(|malformed| asked.malformed(malformed))?;
        asked.notes.put("locum.task_id", || task.to_string());
        let until =
            self.broker.renew_task(&asked.who, task, &holder).map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::RenewTaskResponse { lease_until: Some(timestamp_to_wire(until)) }))
    }

    async fn end_task(
        &self,
        request: Request<wire::EndTaskRequest>,
    ) -> Result<Response<wire::EndTaskResponse>, Status> {
        let (asked, message) = workload(request)?;
        let (task, holder) = held_from_wire(&message.task_id, &message.holder_secret)
            .map_err(|malformed| asked.malformed(malformed))?;
        asked.notes.put("locum.task_id", || task.to_string());
        let outcome = outcome::outcome_from_wire(message.outcome, "outcome")
            .map_err(|malformed| asked.malformed(malformed))?;
        let ended = self.broker.end_task(&asked.who, task, &holder, outcome).await;
        let view = ended.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::EndTaskResponse { task: Some(show::task(&view)) }))
    }

    async fn get_task(
        &self,
        request: Request<wire::GetTaskRequest>,
    ) -> Result<Response<wire::GetTaskResponse>, Status> {
        let (asked, message) = workload(request)?;
        let task =
            task_from_wire(&message.task_id, "task_id").map_err(|malformed| asked.malformed(malformed))?;
        asked.notes.put("locum.task_id", || task.to_string());
        let view = self.broker.get_task(&asked.who, task).map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::GetTaskResponse { task: Some(show::task(&view)) }))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Result<Response<wire::ListTasksResponse>, Status> {
        let (asked, message) = workload(request)?;
        let (page, filter) = list_from_wire(&asked, &message)?;
        let listed = self.broker.list_tasks(&asked.who, page, &filter);
        let listed = listed.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::ListTasksResponse {
            tasks: listed.tasks.iter().map(show::task).collect(),
            next_page_token: listed.next.map(|task| task.to_string()).unwrap_or_default(),
        }))
    }
}

// === HoldTask ===

/// An open hold; dropping it gives the task its grace and the place back.
struct Held {
    broker: Arc<Broker>,
    hold: Hold,
    view: TaskView,
    _place: Place,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.broker.release_task(&self.hold);
    }
}

/// What the holder hears: the state at once, at every change and every so often, until it is over.
fn holding(
    held: Held,
    messages: Streaming<wire::HoldTaskRequest>,
    stopping: Stopping,
) -> impl Stream<Item = Result<wire::HoldTaskResponse, Status>> + Send {
    let begin = Holding { held, messages, stopping, turn: Turn::First };
    futures_util::stream::unfold(begin, |mut holding| async move {
        match holding.turn {
            Turn::Over => return None,
            Turn::First => holding.turn = Turn::Later,
            Turn::Later => holding.wait().await?,
        }
        let state = holding.held.broker.held_state(&holding.held.hold)?;
        if state != TaskState::Active {
            holding.turn = Turn::Over;
        }
        let answer = holding.answer(state);
        Some((Ok(answer), holding))
    })
}

struct Holding {
    held: Held,
    messages: Streaming<wire::HoldTaskRequest>,
    stopping: Stopping,
    turn: Turn,
}

enum Turn {
    First,
    Later,
    Over,
}

impl Holding {
    /// Waits until there is something to say; `None` when the stream is to end without a word.
    async fn wait(&mut self) -> Option<()> {
        let heartbeat = tokio::time::sleep(HOLD_HEARTBEAT);
        tokio::pin!(heartbeat);
        loop {
            tokio::select! {
                () = &mut heartbeat => return Some(()),
                () = self.stopping.wait() => return None,
                message = self.messages.message() => match message {
                    Ok(Some(_sign_of_life)) => {}
                    Ok(None) | Err(_) => return None,
                },
                () = self.held.hold.something_ended() => {
                    if self.held.broker.held_state(&self.held.hold) != Some(TaskState::Active) {
                        return Some(());
                    }
                }
            }
        }
    }

    fn answer(&self, state: TaskState) -> wire::HoldTaskResponse {
        let deadline = self.held.view.started.deadline;
        let lapsing = self.held.broker.ends_within(deadline, LAPSING_AHEAD);
        wire::HoldTaskResponse {
            state: show::state(state).into(),
            deadline: Some(timestamp_to_wire(deadline)),
            lapsing,
        }
    }
}

// === wire to broker ===

fn start_from_wire(message: &wire::StartTaskRequest) -> Result<StartTask, Malformed> {
    let parent = match optional_task_from_wire(&message.parent_task_id, "parent_task_id")? {
        Some(task) => {
            let secret = bytes_from_wire(&message.parent_holder_secret, "parent_holder_secret")?;
            Some((task, Holder::shown(secret)))
        }
        None => None,
    };
    let mut canonical = message.clone();
    canonical.parent_holder_secret.clear();
    // A bare hash of a short text would tell the text: only that there is one counts.
    canonical.justification.truncate(0);
    canonical.justification.push_str(if message.justification.is_empty() { "" } else { "given" });
    Ok(StartTask {
        intent: intent::from_wire(message.intent.as_ref(), "intent")?,
        holder: bytes_from_wire(&message.holder_sha256, "holder_sha256")?,
        parent,
        deadline_after: optional_duration_from_wire(message.deadline_after.as_ref(), "deadline_after")?,
        lease: optional_duration_from_wire(message.lease.as_ref(), "lease")?,
        justification: text::justification_from_wire(&message.justification, "justification")?,
        request: request_id_from_wire(&message.request_id, "request_id")?
            .map(|id| RequestKey { id, hash: locum_token::sha256(request::canonical(&canonical)) }),
    })
}

fn held_from_wire(task_id: &str, secret: &[u8]) -> Result<(locum_model::TaskId, Holder), Malformed> {
    let task = task_from_wire(task_id, "task_id")?;
    Ok((task, Holder::shown(bytes_from_wire(secret, "holder_secret")?)))
}

fn list_from_wire(
    asked: &Asked<Caller>,
    message: &wire::ListTasksRequest,
) -> Result<(Page, TaskFilter), Status> {
    let read = || {
        let size = page::size_from_wire(message.page_size, "page_size")?;
        let after = optional_task_from_wire(&message.page_token, "page_token")?;
        let state = outcome::state_from_wire(message.state, "state")?;
        let filter = TaskFilter { state: show::wanted_state(state), selector: None };
        Ok((Page { size, after }, filter))
    };
    read().map_err(|malformed| asked.malformed(malformed))
}
