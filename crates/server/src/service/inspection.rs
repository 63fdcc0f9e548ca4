//! `locum.admin.v1.InspectionService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::inspection_service_server::InspectionService;
use locum_api::convert::id::{optional_task_from_wire, task_from_wire};
use locum_api::convert::time::timestamp_to_wire;
use locum_api::convert::{page, selector, task, text};
use locum_api::violation::Malformed;
use locum_broker::{Broker, Operator, Page, Place, TaskFilter};
use locum_model::limits::PAGE_SIZE_MAX;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::asked::{Asked, operator};
use super::{show, verifiers};
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::tasks::{Stopping, blocking};

/// How often a silent follower's proof is looked at.
const PROOF_CHECK: Duration = Duration::from_secs(5);
/// Entries that a follower of the record reads at a time.
const TAIL_BATCH: usize = 256;

/// What is live, and what happened.
pub(crate) struct Inspection {
    pub broker: Arc<Broker>,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    pub stopping: Stopping,
}

#[tonic::async_trait]
impl InspectionService for Inspection {
    async fn get_status(
        &self,
        request: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::GetStatusResponse>, Status> {
        let (asked, _) = operator(request)?;
        let status = self.broker.status();
        let rows = self.broker.row_counts(&asked.who);
        let done = self.metrics.activity();
        Ok(Response::new(wire::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            issuer: self.broker.issuer().into(),
            ready: self.readiness.is_ready(),
            warnings: status.warnings,
            tokens: status.tokens as u64,
            tasks: status.tasks as u64,
            registry_revision: status.registry.0,
            policy_revision: status.policy.0,
            position: status.position.to_string(),
            reaper_lag_millis: u64::try_from(status.reaper_lag.as_millis()).unwrap_or(u64::MAX),
            start_time: Some(timestamp_to_wire(status.started_at)),
            followers: u32::try_from(status.followers).unwrap_or(u32::MAX),
            rows_by_workload: show::counts(&rows.by_workload),
            rows_by_connector: show::counts(&rows.by_connector),
            oldest_verifier: self.broker.oldest_verifier(&asked.who).as_ref().map(verifiers::shown),
            activity: Some(wire::Activity {
                tokens_issued: done.tokens_issued,
                tokens_refused: done.tokens_refused,
                checks_active: done.checks_active,
                checks_inactive: done.checks_inactive,
                revocations: done.revocations,
            }),
        }))
    }

    async fn list_tasks(
        &self,
        request: Request<wire::ListTasksRequest>,
    ) -> Result<Response<wire::ListTasksResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let size = page::size_from_wire(message.page_size, "page_size")?;
            let after = optional_task_from_wire(&message.page_token, "page_token")?;
            let state = show::wanted_state(task::state_from_wire(message.state, "state")?);
            let selector = selector::optional_from_wire(message.selector.as_ref(), "selector")?;
            Ok((Page { size, after }, TaskFilter { state, selector }))
        };
        let (page, filter) = read().map_err(|malformed| asked.malformed(malformed))?;
        let listed = self.broker.inspect_tasks(&asked.who, page, &filter);
        let listed = listed.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::ListTasksResponse {
            tasks: listed.tasks.iter().map(show::task).collect(),
            next_page_token: listed.next.map(|task| task.to_string()).unwrap_or_default(),
        }))
    }

    async fn list_tokens(
        &self,
        request: Request<wire::ListTokensRequest>,
    ) -> Result<Response<wire::ListTokensResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let size = page::size_from_wire(message.page_size, "page_size")?;
            let after = place_from_wire(&message.page_token, "page_token")?;
            Ok((size, after, selector::optional_from_wire(message.selector.as_ref(), "selector")?))
        };
        let (size, after, selector) = read().map_err(|malformed| asked.malformed(malformed))?;
        // Looks at many rows: not on a thread that answers checks.
        let (broker, who) = (Arc::clone(&self.broker), asked.who.clone());
        let listed = blocking(move || broker.list_tokens(&who, selector.as_ref(), size, after)).await;
        let listed = listed.map_err(|lost| asked.failed(&lost))?.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::ListTokensResponse {
            tokens: listed.tokens.iter().map(show::live_token).collect(),
            next_page_token: listed.next.map(place_to_wire).unwrap_or_default(),
            partial: listed.partial,
        }))
    }

    async fn get_task(
        &self,
        request: Request<wire::GetTaskRequest>,
    ) -> Result<Response<wire::GetTaskResponse>, Status> {
        let (asked, message) = operator(request)?;
        let task =
            task_from_wire(&message.task_id, "task_id").map_err(|malformed| asked.malformed(malformed))?;
        let view = self.broker.inspect_task(&asked.who, task).map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::GetTaskResponse { task: Some(show::task(&view)) }))
    }

    async fn end_task(
        &self,
        request: Request<wire::EndTaskRequest>,
    ) -> Result<Response<wire::EndTaskResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let reason = text::reason_from_wire(&message.reason, "reason")?;
            Ok((task_from_wire(&message.task_id, "task_id")?, reason))
        };
        let (task, reason) = read().map_err(|malformed| asked.malformed(malformed))?;
        let ended = self.broker.force_end_task(&asked.who, task, &reason).await;
        let view = ended.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::EndTaskResponse { task: Some(show::task(&view)) }))
    }

    async fn get_task_history(
        &self,
        request: Request<wire::GetTaskHistoryRequest>,
    ) -> Result<Response<wire::GetTaskHistoryResponse>, Status> {
        let (asked, message) = operator(request)?;
        let task =
            task_from_wire(&message.task_id, "task_id").map_err(|malformed| asked.malformed(malformed))?;
        let (broker, who) = (Arc::clone(&self.broker), asked.who.clone());
        let read = blocking(move || broker.task_history(&who, task)).await;
        let history = read.map_err(|lost| asked.failed(&lost))?.map_err(|refusal| asked.refuse(refusal))?;
        Ok(Response::new(wire::GetTaskHistoryResponse {
            task: history.task.as_ref().map(show::task),
            entries: history.entries.iter().map(show::entry).collect(),
            partial: history.partial,
        }))
    }

    async fn list_verifiers(
        &self,
        request: Request<wire::ListVerifiersRequest>,
    ) -> Result<Response<wire::ListVerifiersResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let size = page::size_from_wire(message.page_size, "page_size")?;
            Ok((size, verifiers::page_from_wire(&message.page_token, "page_token")?))
        };
        let (size, after) = read().map_err(|malformed| asked.malformed(malformed))?;
        let (verifiers, next) = self.broker.list_verifiers(&asked.who, after, size);
        Ok(Response::new(wire::ListVerifiersResponse {
            verifiers: verifiers.iter().map(verifiers::shown).collect(),
            next_page_token: next.map(verifiers::page_to_wire).unwrap_or_default(),
        }))
    }

    type TailRecordStream = Pin<Box<dyn Stream<Item = Result<wire::TailRecordResponse, Status>> + Send>>;

    async fn tail_record(
        &self,
        request: Request<wire::TailRecordRequest>,
    ) -> Result<Response<Self::TailRecordStream>, Status> {
        let (asked, message) = operator(request)?;
        let last = usize::try_from(message.last).unwrap_or(usize::MAX);
        if last > PAGE_SIZE_MAX {
            return Err(asked.malformed(Malformed::of("last", format_args!("must be 0 to {PAGE_SIZE_MAX}"))));
        }
        let (next, head) = self.broker.tail_from(last);
        let tail = Tail {
            broker: Arc::clone(&self.broker),
            asked,
            next,
            head,
            follow: message.follow,
            stopping: self.stopping.clone(),
            ready: Vec::new().into_iter(),
        };
        Ok(Response::new(Box::pin(futures_util::stream::unfold(tail, Tail::step))))
    }
}

/// A place in a listing as a page token: the order of the decision and the `jti`.
fn place_to_wire(place: Place) -> String {
    format!("{}.{}", place.decided, place.jti)
}

fn place_from_wire(text: &str, field: &str) -> Result<Option<Place>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts = text
        .split_once('.')
        .and_then(|(decided, jti)| Some(Place { decided: decided.parse().ok()?, jti: jti.parse().ok()? }));
    parts.map(Some).ok_or_else(|| Malformed::of(field, "is not one of ours"))
}

/// A follower's place in the record.
struct Tail {
    broker: Arc<Broker>,
    asked: Asked<Operator>,
    next: u64,
    head: watch::Receiver<u64>,
    follow: bool,
    stopping: Stopping,
    ready: std::vec::IntoIter<wire::RecordEntry>,
}

impl Tail {
    async fn step(mut self) -> Option<(Result<wire::TailRecordResponse, Status>, Self)> {
        loop {
            if let Some(entry) = self.ready.next() {
                return Some((Ok(wire::TailRecordResponse { entry: Some(entry) }), self));
            }
            if *self.head.borrow_and_update() >= self.next {
                let before = self.next;
                if let Err(status) = self.read().await {
                    // The next turn has nothing to follow any more and ends the stream.
                    (self.follow, self.next) = (false, u64::MAX);
                    return Some((Err(status), self));
                }
                if self.next > before {
                    continue;
                }
            }
            if !self.follow || self.broker.ends_within(self.asked.proof_end, Duration::ZERO) {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(PROOF_CHECK) => {}
                changed = self.head.changed() => changed.ok()?,
                () = self.stopping.wait() => return None,
            }
        }
    }

    async fn read(&mut self) -> Result<(), Status> {
        let (broker, who, next) = (Arc::clone(&self.broker), self.asked.who.clone(), self.next);
        let read = blocking(move || broker.read_record(&who, next, TAIL_BATCH)).await;
        let (entries, next) =
            read.map_err(|lost| self.asked.failed(&lost))?.map_err(|refusal| self.asked.refuse(refusal))?;
        self.next = next;
        self.ready = entries.iter().map(show::entry).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}
