//! What happened: the story of a task and the record as it is written (`locum.admin.v1.InspectionService`).

use std::collections::BTreeMap;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::inspection_service_client::InspectionServiceClient;
use locum_model::{TaskId, Timestamp};
use tokio::time::timeout;
use tonic::Streaming;

use crate::admin::Admin;
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::{bounded, bounded_to};
use crate::wire::{TaskView, required_time, task};

/// Longest fact kept of an entry, in characters: a scope or a justification is evidence, and whole.
const FACT_CHARS_MAX: usize = 32 * 1024;

/// One entry of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEntry {
    /// `home.epoch.sequence`.
    pub position: String,
    /// When.
    pub time: Timestamp,
    /// What, for instance `token-issued`.
    pub event: String,
    /// Who did it.
    pub by: String,
    /// The tenant; empty where it concerns all.
    pub tenant: String,
    /// The task; empty where there is none.
    pub task: String,
    /// The token's id; empty where there is none.
    pub jti: String,
    /// One line for people.
    pub summary: String,
    /// The policy set that decided; 0 where nothing was decided.
    pub policy_revision: u32,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// Why it was refused; empty where it was not.
    pub reason: String,
    /// Further facts by name.
    pub facts: BTreeMap<String, String>,
}

/// The story of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The task as it is now; none when it is no longer in the table.
    pub task: Option<TaskView>,
    /// What happened, in order.
    pub entries: Vec<RecordEntry>,
    /// There is more than is shown.
    pub partial: bool,
}

/// The record as it is written, entry by entry.
#[derive(Debug)]
pub struct Record(Streaming<wire::TailRecordResponse>);

impl Record {
    /// The next entry; none at the end.
    ///
    /// # Errors
    ///
    /// When the broker goes away or cuts the stream.
    pub async fn next(&mut self) -> Result<Option<RecordEntry>, Error> {
        match self.0.message().await {
            Ok(None) => Ok(None),
            Ok(Some(message)) => entry(message.entry).map(Some),
            Err(status) => Err(Error::of(&status)),
        }
    }
}

impl Admin {
    /// The whole story of one task and of everything below it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND`.
    pub async fn task_history(&self, id: TaskId) -> Result<History, Error> {
        let message = wire::GetTaskHistoryRequest { task_id: id.to_string() };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).get_task_history(request).await
        });
        let answer = answer.await?;
        let entries: Result<_, _> = answer.entries.into_iter().map(|one| entry(Some(one))).collect();
        let now = answer.task.map(|one| task(Some(one))).transpose()?;
        Ok(History { task: now, entries: entries?, partial: answer.partial })
    }

    /// The newest `last` entries of the record, and the end.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn recent_record(&self, last: u32) -> Result<Record, Error> {
        self.tail(wire::TailRecordRequest { last, follow: false }).await
    }

    /// The newest `last` entries of the record, and then what comes.
    ///
    /// # Errors
    ///
    /// As [`Admin::recent_record`].
    pub async fn follow_record(&self, last: u32) -> Result<Record, Error> {
        self.tail(wire::TailRecordRequest { last, follow: true }).await
    }

    async fn tail(&self, message: wire::TailRecordRequest) -> Result<Record, Error> {
        let request = self.client.signed(message).await?;
        let mut service = InspectionServiceClient::new(self.client.channel());
        // Only the opening has a deadline; the stream has none.
        match timeout(self.client.timeout(), service.tail_record(request)).await {
            Ok(Ok(response)) => Ok(Record(response.into_inner())),
            Ok(Err(status)) => Err(Error::of(&status)),
            Err(_) => Err(Error::TimedOut(self.client.timeout())),
        }
    }
}

pub(crate) fn entry(entry: Option<wire::RecordEntry>) -> Result<RecordEntry, Error> {
    let entry = entry.ok_or(Error::Unexpected("an entry is missing"))?;
    Ok(RecordEntry {
        position: bounded(&entry.position),
        time: required_time(entry.time)?,
        event: bounded(&entry.event),
        by: bounded(&entry.by),
        tenant: bounded(&entry.tenant),
        task: bounded(&entry.task_id),
        jti: bounded(&entry.jti),
        summary: bounded(&entry.summary),
        policy_revision: entry.policy_revision,
        policies: entry.policies.iter().map(|p| bounded(p)).collect(),
        reason: bounded(&entry.reason),
        facts: entry
            .facts
            .iter()
            .map(|(name, fact)| (bounded(name), bounded_to(FACT_CHARS_MAX, fact)))
            .collect(),
    })
}
