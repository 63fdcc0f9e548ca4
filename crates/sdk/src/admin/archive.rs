//! Finding things in the record (`locum.admin.v1.ArchiveService`).

use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::archive_service_client::ArchiveServiceClient;
use locum_api::convert::time::{duration_to_wire, optional_duration_from_wire, timestamp_to_wire};
use locum_model::Timestamp;
use tokio::time::timeout;
use tonic::Streaming;

use crate::admin::Admin;
use crate::admin::page::{Page, page_size};
use crate::admin::record::{RecordEntry, entry};
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::{required_time, time};

/// What to look for: all that is given has to be met; empty texts are not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// About this task or what is below it.
    pub task: String,
    /// About this token, by its `jti`.
    pub jti: String,
    /// About this workload, by its registered name or SPIFFE ID.
    pub workload: String,
    /// About this connector, by its registered name.
    pub connector: String,
    /// About what this owner answers for.
    pub owner: String,
    /// About what this model stands behind.
    pub model: String,
    /// Done by this operator.
    pub operator: String,
    /// About the request with this id of a caller.
    pub request_id: String,
    /// On behalf of this subject; operators of more than one tenant name the tenant too.
    pub subject: String,
    /// Of this tenant.
    pub tenant: String,
    /// With this decision.
    pub decision: Option<AuditDecision>,
    /// Refused for this reason, for instance `POLICY_DENIED`.
    pub reason: String,
    /// One of these events, for instance `token-issued`.
    pub events: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// With an operator's reason that holds these words, one after the other.
    pub text: String,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditDecision {
    /// Something was allowed.
    Permit,
    /// Something was refused.
    Denial,
}

/// How entries are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Justifications {
    /// Only that there is one.
    #[default]
    Hidden,
    /// As they were given, as fact `justification_text`.
    Shown,
}

/// In which order entries come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditOrder {
    /// The newest first.
    #[default]
    NewestFirst,
    /// The oldest first.
    OldestFirst,
}

/// A page of entries, and how current it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries. A page without any may name a next one.
    pub page: Page<RecordEntry>,
    /// The newest position that was searched; empty when nothing is indexed.
    pub indexed: String,
    /// Events that are committed and were not searched yet.
    pub behind: u64,
}

/// An export, entry by entry.
#[derive(Debug)]
pub struct Export {
    stream: Streaming<wire::ExportAuditResponse>,
    end: Option<String>,
}

/// How the archive does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveStatus {
    /// Whether there is to be one.
    pub enabled: bool,
    /// Whether it is open.
    pub open: bool,
    /// The newest position that is indexed; empty when none is.
    pub indexed: String,
    /// When that happened.
    pub indexed_time: Option<Timestamp>,
    /// The newest position that is committed.
    pub position: String,
    /// Events that are committed and not indexed.
    pub behind: u64,
    /// What is wrong; empty when nothing is.
    pub trouble: String,
    /// How often it was begun again.
    pub rebuilds: u64,
    /// Entries of the index.
    pub entries: u64,
    /// Justifications that are kept.
    pub texts: u64,
    /// Justifications that wait to be kept.
    pub texts_waiting: u64,
    /// Justifications that were lost.
    pub texts_lost: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// For how long entries are kept; none for ever.
    pub retention: Option<Duration>,
    /// What retentions took away, a day each, the newest first.
    pub forgotten: Vec<Forgotten>,
}

/// What a retention took away on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// When, the last time on that day.
    pub time: Option<Timestamp>,
    /// The rule: for how long entries were to be kept.
    pub retention: Option<Duration>,
    /// Everything older went.
    pub before: Option<Timestamp>,
    /// Entries of the index.
    pub entries: u64,
    /// Keys, each of the justifications of one tenant and one day.
    pub keys: u64,
    /// Sealed justifications that were erased already and took up room.
    pub texts: u64,
}

/// What a retention would take away now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPlan {
    /// The retention; none when none is set, then nothing goes.
    pub retention: Option<Duration>,
    /// Everything older goes.
    pub before: Option<Timestamp>,
    /// Entries within the operator's tenants.
    pub entries: u64,
    /// When the oldest and the newest of them happened.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Keys of justifications, each a tenant's name and a day.
    pub keys: Vec<(String, String)>,
}

/// How far an index that is made anew is.
#[derive(Debug)]
pub struct Reindexing(Streaming<wire::ReindexArchiveResponse>);

// === impl Export ===

impl Export {
    /// The next entry; none at the end.
    ///
    /// # Errors
    ///
    /// When the broker goes away or cuts the stream: what came is not all then.
    pub async fn next(&mut self) -> Result<Option<RecordEntry>, Error> {
        match self.stream.message().await {
            Err(status) => Err(Error::of(&status)),
            Ok(Some(message)) if message.entry.is_some() => entry(message.entry).map(Some),
            Ok(Some(message)) => {
                self.end = Some(bounded(&message.end_position));
                Ok(None)
            }
            Ok(None) if self.end.is_some() => Ok(None),
            Ok(None) => Err(Error::Unexpected("the export was cut off")),
        }
    }

    /// Up to where everything was exported, once the end is reached: a later export goes on there.
    pub fn end(&self) -> Option<&str> {
        self.end.as_deref()
    }
}

// === impl Reindexing ===

impl Reindexing {
    /// Events indexed so far, and all there were when it began; none once it is done.
    ///
    /// # Errors
    ///
    /// When the broker goes away or the archive fails.
    pub async fn next(&mut self) -> Result<Option<(u64, u64)>, Error> {
        match self.0.message().await {
            Ok(found) => Ok(found.map(|told| (told.indexed, told.total))),
            Err(status) => Err(Error::of(&status)),
        }
    }
}

// === impl AuditQuery ===

impl AuditQuery {
    fn to_wire(&self) -> wire::AuditQuery {
        let decision = match self.decision {
            None => wire::AuditDecision::Unspecified,
            Some(AuditDecision::Permit) => wire::AuditDecision::Permit,
            Some(AuditDecision::Denial) => wire::AuditDecision::Denial,
        };
        wire::AuditQuery {
            task_id: self.task.clone(),
            jti: self.jti.clone(),
            workload: self.workload.clone(),
            connector: self.connector.clone(),
            owner: self.owner.clone(),
            model: self.model.clone(),
            operator: self.operator.clone(),
            request_id: self.request_id.clone(),
            tenant: self.tenant.clone(),
            decision: decision.into(),
            reason: self.reason.clone(),
            events: self.events.clone(),
            since_time: self.since.map(timestamp_to_wire),
            until_time: self.until.map(timestamp_to_wire),
            text: self.text.clone(),
            subject: self.subject.clone(),
        }
    }
}

impl Admin {
    /// Finds entries of the record, page by page: `page` is what the page before named, empty for the
    /// first.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `ARCHIVE_UNAVAILABLE`, `REQUEST_MALFORMED` or `OVERLOADED`.
    pub async fn search_audit(
        &self,
        query: &AuditQuery,
        (order, justifications): (AuditOrder, Justifications),
        (size, page): (u32, &str),
    ) -> Result<AuditPage, Error> {
        let order = match order {
            AuditOrder::NewestFirst => wire::AuditOrder::NewestFirst,
            AuditOrder::OldestFirst => wire::AuditOrder::OldestFirst,
        };
        let message = wire::SearchAuditRequest {
            query: Some(query.to_wire()),
            page_size: page_size(size),
            page_token: page.to_owned(),
            order: order.into(),
            show_justifications: justifications == Justifications::Shown,
        };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            ArchiveServiceClient::new(channel).search_audit(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.entries.into_iter().map(|one| entry(Some(one))).collect();
        let page = Page { items: items?, next: bounded(&answer.next_page_token) };
        Ok(AuditPage { page, indexed: bounded(&answer.indexed_position), behind: answer.behind })
    }

    /// Everything that meets `query`, oldest first, from after `after` (a position, or empty) to what
    /// is committed now.
    ///
    /// # Errors
    ///
    /// As [`Admin::search_audit`].
    pub async fn export_audit(
        &self,
        query: &AuditQuery,
        justifications: Justifications,
        after: &str,
    ) -> Result<Export, Error> {
        let message = wire::ExportAuditRequest {
            query: Some(query.to_wire()),
            after_position: after.to_owned(),
            show_justifications: justifications == Justifications::Shown,
        };
        let request = self.client.signed(message).await?;
        let mut service = ArchiveServiceClient::new(self.client.channel());
        // Only the opening has a deadline; the stream has none.
        match timeout(self.client.timeout(), service.export_audit(request)).await {
            Ok(Ok(response)) => Ok(Export { stream: response.into_inner(), end: None }),
            Ok(Err(status)) => Err(Error::of(&status)),
            Err(_) => Err(Error::TimedOut(self.client.timeout())),
        }
    }

    /// How the archive does.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn archive_status(&self) -> Result<ArchiveStatus, Error> {
        let message = wire::GetArchiveStatusRequest {};
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            ArchiveServiceClient::new(channel).get_archive_status(request).await
        });
        let answer = answer.await?;
        Ok(ArchiveStatus {
            enabled: answer.enabled,
            open: answer.open,
            indexed: bounded(&answer.indexed_position),
            indexed_time: time(answer.indexed_time)?,
            position: bounded(&answer.position),
            behind: answer.behind,
            trouble: bounded(&answer.trouble),
            rebuilds: answer.rebuilds,
            entries: answer.entries,
            texts: answer.texts,
            texts_waiting: answer.texts_waiting,
            texts_lost: answer.texts_lost,
            bytes: answer.bytes,
            retention: span(answer.retention.as_ref())?,
            forgotten: answer.forgotten.into_iter().map(forgotten).collect::<Result<_, _>>()?,
        })
    }

    /// Has the archive's index made anew from the journal, and watches it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `ARCHIVE_UNAVAILABLE` or `SELECTOR_FORBIDDEN`.
    pub async fn reindex_archive(&self) -> Result<Reindexing, Error> {
        let request = self.client.signed(wire::ReindexArchiveRequest {}).await?;
        let mut service = ArchiveServiceClient::new(self.client.channel());
        match timeout(self.client.timeout(), service.reindex_archive(request)).await {
            Ok(Ok(response)) => Ok(Reindexing(response.into_inner())),
            Ok(Err(status)) => Err(Error::of(&status)),
            Err(_) => Err(Error::TimedOut(self.client.timeout())),
        }
    }

    /// What the archive's retention, or `retention` instead, would take away now.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `ARCHIVE_UNAVAILABLE` or `REQUEST_MALFORMED`.
    pub async fn plan_retention(&self, retention: Option<Duration>) -> Result<RetentionPlan, Error> {
        let message = wire::PlanRetentionRequest { retention: retention.map(duration_to_wire) };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            ArchiveServiceClient::new(channel).plan_retention(request).await
        });
        let answer = answer.await?;
        let times = match (answer.oldest_time, answer.newest_time) {
            (oldest @ Some(_), newest @ Some(_)) => Some((required_time(oldest)?, required_time(newest)?)),
            _ => None,
        };
        Ok(RetentionPlan {
            retention: span(answer.retention.as_ref())?,
            before: time(answer.before_time)?,
            entries: answer.entries,
            times,
            keys: answer.keys.iter().map(|key| (bounded(&key.tenant), bounded(&key.day))).collect(),
        })
    }
}

fn span(span: Option<&prost_types::Duration>) -> Result<Option<Duration>, Error> {
    optional_duration_from_wire(span, "retention").map_err(|_malformed| Error::Unexpected("a retention"))
}

fn forgotten(one: wire::ForgottenByRetention) -> Result<Forgotten, Error> {
    Ok(Forgotten {
        time: time(one.time)?,
        retention: span(one.retention.as_ref())?,
        before: time(one.before_time)?,
        entries: one.entries,
        keys: one.keys,
        texts: one.texts,
    })
}
