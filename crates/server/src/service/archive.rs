//! `locum.admin.v1.ArchiveService`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::archive_service_server::ArchiveService;
use locum_api::convert::audit;
use locum_api::convert::id::{name_from_wire, optional_task_from_wire, position_from_wire, token_from_wire};
use locum_api::convert::time::{
    duration_to_wire, optional_duration_from_wire, optional_timestamp_from_wire, timestamp_to_wire,
};
use locum_api::violation::Malformed;
use locum_archive::texts::Forgotten;
use locum_archive::{Decision, Order, Times};
use locum_broker::{AuditFound, AuditPage, AuditQuery, Broker, Justifications, Operator, Refusal};
use locum_model::Reason;
use locum_model::limits::{ARCHIVE_READERS_MAX, ARCHIVE_RETENTION_MAX, ARCHIVE_RETENTION_MIN};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::asked::{Asked, operator};
use super::show;
use crate::tasks::{Stopping, blocking};

/// How long a question waits for the archive to have what was committed before it.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_LOOK: Duration = Duration::from_millis(10);
/// Entries of one page of an export.
const EXPORT_PAGE: usize = 256;
/// How often progress is told, and how many looks in a row may find trouble.
const PROGRESS: Duration = Duration::from_millis(200);
const TROUBLE_MAX: u32 = 15;

/// Finding things in the record.
pub(crate) struct Archives {
    broker: Arc<Broker>,
    readers: Arc<Semaphore>,
    retention: Option<Duration>,
    stopping: Stopping,
}

impl Archives {
    pub(crate) fn new(broker: Arc<Broker>, retention: Option<Duration>, stopping: Stopping) -> Self {
        Self { broker, readers: Arc::new(Semaphore::new(ARCHIVE_READERS_MAX)), retention, stopping }
    }

    /// A place among the readers; the question ends with it.
    fn place(&self, asked: &Asked<Operator>) -> Result<OwnedSemaphorePermit, Status> {
        let readers = Arc::clone(&self.readers);
        readers.try_acquire_owned().map_err(|_full| {
            let detail = format!("{ARCHIVE_READERS_MAX} searches and exports are running");
            asked.refuse(Refusal::new(Reason::Overloaded, detail))
        })
    }

    /// Waits until the archive has what was committed when the question came, but not for long.
    async fn settle(&self) {
        let health = self.broker.archive_health();
        let head = health.indexed + health.behind;
        let settled = async {
            while self.broker.archive_health().indexed < head {
                tokio::time::sleep(SETTLE_LOOK).await;
            }
        };
        // What is then still behind, the answer says.
        let _late = tokio::time::timeout(SETTLE, settled).await;
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ArchiveService for Archives {
    async fn search_audit(
        &self,
        request: Request<wire::SearchAuditRequest>,
    ) -> Result<Response<wire::SearchAuditResponse>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let page = AuditPage {
                order: audit_order(audit::order_from_wire(message.order, "order")?),
                after: audit::place_from_wire(&message.page_token, "page_token")?,
                size: locum_api::convert::page::size_from_wire(message.page_size, "page_size")?,
                justifications: justifications(message.show_justifications),
            };
            Ok((audit_query(message.query.as_ref(), "query")?, page))
        };
        let (query, page) = read().map_err(|malformed| asked.malformed(malformed))?;
        let _place = self.place(&asked)?;
        self.settle().await;
        let found = search(&self.broker, &asked, &query, page).await?;
        Ok(Response::new(wire::SearchAuditResponse {
            entries: found.entries.iter().map(show::entry).collect(),
            next_page_token: found.next.map(|place| place.to_string()).unwrap_or_default(),
            indexed_position: found.indexed.map(|position| position.to_string()).unwrap_or_default(),
            behind: found.behind,
        }))
    }

    type ExportAuditStream = Streamed<wire::ExportAuditResponse>;

    async fn export_audit(
        &self,
        request: Request<wire::ExportAuditRequest>,
    ) -> Result<Response<Self::ExportAuditStream>, Status> {
        let (asked, message) = operator(request)?;
        let read = || -> Result<_, Malformed> {
            let after = match message.after_position.as_str() {
                "" => None,
                text => Some(position_from_wire(text, "after_position")?.sequence),
            };
            Ok((audit_query(message.query.as_ref(), "query")?, after))
        };
        let (query, after) = read().map_err(|malformed| asked.malformed(malformed))?;
        let place = self.place(&asked)?;
        self.settle().await;
        let export = Export {
            broker: Arc::clone(&self.broker),
            asked,
            query,
            page: AuditPage {
                order: Order::OldestFirst,
                after,
                size: EXPORT_PAGE,
                justifications: justifications(message.show_justifications),
            },
            end: None,
            ready: Vec::new().into_iter(),
            state: Exporting::Reading,
            stopping: self.stopping.clone(),
            _place: place,
        };
        Ok(Response::new(Box::pin(futures_util::stream::unfold(export, Export::step))))
    }

    async fn get_archive_status(
        &self,
        request: Request<wire::GetArchiveStatusRequest>,
    ) -> Result<Response<wire::GetArchiveStatusResponse>, Status> {
        let (asked, _message) = operator(request)?;
        let _place = self.place(&asked)?;
        let broker = Arc::clone(&self.broker);
        let status = blocking(move || broker.archive_status()).await.map_err(|lost| asked.failed(&lost))?;
        let (health, size) = (status.health, status.size.unwrap_or_default());
        let indexed = status.indexed.as_ref();
        Ok(Response::new(wire::GetArchiveStatusResponse {
            enabled: health.enabled,
            open: health.open,
            indexed_position: indexed.map(|indexed| indexed.position.to_string()).unwrap_or_default(),
            indexed_time: indexed.map(|indexed| timestamp_to_wire(indexed.at)),
            position: status.head.to_string(),
            behind: health.behind,
            trouble: health.trouble.unwrap_or_default(),
            rebuilds: health.rebuilds,
            entries: size.entries,
            texts: size.texts,
            texts_waiting: health.texts_waiting,
            texts_lost: health.texts_dropped,
            bytes: size.bytes,
            retention: self.retention.map(duration_to_wire),
            forgotten: status.forgotten.iter().map(forgotten_to_wire).collect(),
        }))
    }

    type ReindexArchiveStream = Streamed<wire::ReindexArchiveResponse>;

    async fn reindex_archive(
        &self,
        request: Request<wire::ReindexArchiveRequest>,
    ) -> Result<Response<Self::ReindexArchiveStream>, Status> {
        let (asked, _message) = operator(request)?;
        let place = self.place(&asked)?;
        let head = self.broker.reindex_archive(&asked.who).map_err(|refusal| asked.refuse(refusal))?;
        let reindex = Reindex {
            broker: Arc::clone(&self.broker),
            asked,
            total: head.sequence,
            told: None,
            troubled: 0,
            stopping: self.stopping.clone(),
            _place: place,
        };
        Ok(Response::new(Box::pin(futures_util::stream::unfold(reindex, Reindex::step))))
    }

    async fn plan_retention(
        &self,
        request: Request<wire::PlanRetentionRequest>,
    ) -> Result<Response<wire::PlanRetentionResponse>, Status> {
        let (asked, message) = operator(request)?;
        let wished = optional_duration_from_wire(message.retention.as_ref(), "retention");
        let wished = wished.map_err(|malformed| asked.malformed(malformed))?;
        if wished.is_some_and(|wished| !(ARCHIVE_RETENTION_MIN..=ARCHIVE_RETENTION_MAX).contains(&wished)) {
            return Err(asked.malformed(Malformed::of("retention", "must be 7 to 3660 days")));
        }
        let Some(keep) = wished.or(self.retention) else {
            return Ok(Response::new(wire::PlanRetentionResponse::default()));
        };
        let _place = self.place(&asked)?;
        let (broker, who) = (Arc::clone(&self.broker), asked.who.clone());
        let planned = blocking(move || broker.plan_retention(&who, keep)).await;
        let planned =
            planned.map_err(|lost| asked.failed(&lost))?.map_err(|refusal| asked.refuse(refusal))?;
        let key = |(tenant, day): (String, String)| wire::RetentionKey { tenant, day };
        Ok(Response::new(wire::PlanRetentionResponse {
            retention: Some(duration_to_wire(keep)),
            before_time: Some(timestamp_to_wire(planned.before)),
            entries: planned.plan.entries,
            oldest_time: planned.plan.times.map(|(oldest, _)| timestamp_to_wire(oldest)),
            newest_time: planned.plan.times.map(|(_, newest)| timestamp_to_wire(newest)),
            keys: planned.keys.into_iter().map(key).collect(),
        }))
    }
}

/// What an operator looks for in the record.
fn audit_query(query: Option<&wire::AuditQuery>, field: &str) -> Result<AuditQuery, Malformed> {
    let Some(asked) = query else { return Ok(AuditQuery::default()) };
    let at = |name: &str| format!("{field}.{name}");
    let decision =
        audit::decision_from_wire(asked.decision, &at("decision"))?.and_then(|wanted| match wanted {
            wire::AuditDecision::Unspecified => None,
            wire::AuditDecision::Permit => Some(Decision::Permit),
            wire::AuditDecision::Denial => Some(Decision::Denial),
        });
    let wanted = |text: &str, name: &str| audit::wanted_from_wire(text, &at(name));
    Ok(AuditQuery {
        task: optional_task_from_wire(&asked.task_id, &at("task_id"))?,
        token: match asked.jti.as_str() {
            "" => None,
            jti => Some(token_from_wire(jti, &at("jti"))?),
        },
        workload: wanted(&asked.workload, "workload")?,
        connector: wanted(&asked.connector, "connector")?,
        owner: wanted(&asked.owner, "owner")?,
        model: wanted(&asked.model, "model")?,
        operator: wanted(&asked.operator, "operator")?,
        subject: wanted(&asked.subject, "subject")?,
        request_id: audit::request_id_from_wire(&asked.request_id, &at("request_id"))?,
        tenant: match asked.tenant.as_str() {
            "" => None,
            name => Some(name_from_wire(name, &at("tenant"))?),
        },
        decision,
        reason: audit::reason_from_wire(&asked.reason, &at("reason"))?,
        events: audit::events_from_wire(&asked.events, &at("events"))?,
        times: Times {
            since: optional_timestamp_from_wire(asked.since_time.as_ref(), &at("since_time"))?,
            until: optional_timestamp_from_wire(asked.until_time.as_ref(), &at("until_time"))?,
        },
        text: audit::words_from_wire(&asked.text, &at("text"))?,
    })
}

/// In which order an operator wants to see it.
fn audit_order(order: wire::AuditOrder) -> Order {
    match order {
        wire::AuditOrder::OldestFirst => Order::OldestFirst,
        wire::AuditOrder::NewestFirst | wire::AuditOrder::Unspecified => Order::NewestFirst,
    }
}

fn justifications(show: bool) -> Justifications {
    if show { Justifications::Shown } else { Justifications::Hidden }
}

async fn search(
    broker: &Arc<Broker>,
    asked: &Asked<Operator>,
    query: &AuditQuery,
    page: AuditPage,
) -> Result<AuditFound, Status> {
    let (broker, who, query) = (Arc::clone(broker), asked.who.clone(), query.clone());
    let found = blocking(move || broker.search_audit(&who, &query, page)).await;
    found.map_err(|lost| asked.failed(&lost))?.map_err(|refusal| asked.refuse(refusal))
}

/// An export's place in the record.
struct Export {
    broker: Arc<Broker>,
    asked: Asked<Operator>,
    query: AuditQuery,
    page: AuditPage,
    /// How far the archive went at the first page: what comes later is for another export.
    end: Option<locum_model::Position>,
    ready: std::vec::IntoIter<wire::RecordEntry>,
    state: Exporting,
    stopping: Stopping,
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporting {
    Reading,
    LastPage,
    Over,
}

impl Export {
    async fn step(mut self) -> Option<(Result<wire::ExportAuditResponse, Status>, Self)> {
        loop {
            if let Some(entry) = self.ready.next() {
                let message = wire::ExportAuditResponse { entry: Some(entry), end_position: String::new() };
                return Some((Ok(message), self));
            }
            match self.state {
                Exporting::Over => return None,
                Exporting::LastPage => {
                    self.state = Exporting::Over;
                    let end_position = self.end.map(|end| end.to_string()).unwrap_or_default();
                    return Some((Ok(wire::ExportAuditResponse { entry: None, end_position }), self));
                }
                Exporting::Reading => {}
            }
            // One that is cut off has no last message, and so is known not to be whole.
            if self.stopping.is_set() || self.broker.ends_within(self.asked.proof_end, Duration::ZERO) {
                return None;
            }
            if let Err(status) = self.read().await {
                self.state = Exporting::Over;
                return Some((Err(status), self));
            }
        }
    }

    async fn read(&mut self) -> Result<(), Status> {
        let mut found = search(&self.broker, &self.asked, &self.query, self.page).await?;
        let end = *self.end.get_or_insert(found.indexed.unwrap_or_default());
        let before = found.entries.len();
        found.entries.retain(|entry| entry.position.sequence <= end.sequence);
        self.page.after = found.next;
        if found.next.is_none_or(|next| next >= end.sequence) || found.entries.len() < before {
            self.state = Exporting::LastPage;
        }
        self.ready = found.entries.iter().map(show::entry).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

/// Who watches the index being made.
struct Reindex {
    broker: Arc<Broker>,
    asked: Asked<Operator>,
    total: u64,
    told: Option<u64>,
    troubled: u32,
    stopping: Stopping,
    _place: OwnedSemaphorePermit,
}

impl Reindex {
    async fn step(mut self) -> Option<(Result<wire::ReindexArchiveResponse, Status>, Self)> {
        if self.told == Some(self.total) || self.troubled > TROUBLE_MAX {
            return None;
        }
        if self.told.is_some() {
            tokio::select! {
                () = self.stopping.wait() => return None,
                () = tokio::time::sleep(PROGRESS) => {}
            }
        }
        if self.broker.ends_within(self.asked.proof_end, Duration::ZERO) {
            return None;
        }
        let health = self.broker.archive_health();
        self.troubled = if health.trouble.is_some() { self.troubled + 1 } else { 0 };
        if self.troubled > TROUBLE_MAX {
            let refusal = Refusal::new(Reason::ArchiveUnavailable, health.trouble.unwrap_or_default());
            return Some((Err(self.asked.refuse(refusal)), self));
        }
        let indexed = health.indexed.min(self.total);
        self.told = Some(indexed);
        Some((Ok(wire::ReindexArchiveResponse { indexed, total: self.total }), self))
    }
}

fn forgotten_to_wire(one: &Forgotten) -> wire::ForgottenByRetention {
    wire::ForgottenByRetention {
        time: Some(timestamp_to_wire(one.at)),
        retention: Some(duration_to_wire(one.keep)),
        before_time: Some(timestamp_to_wire(one.before)),
        entries: one.entries,
        keys: one.keys,
        texts: one.texts,
    }
}
