//! What is live, and what happened (`locum.admin.v1.InspectionService`).

use std::collections::BTreeMap;
use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::inspection_service_client::InspectionServiceClient;
use locum_api::broker::v1 as broker;
use locum_api::convert;
use locum_model::{Selector, TaskId, Timestamp};
use tokio::time::timeout;
use tonic::Streaming;

use crate::admin::Admin;
use crate::admin::revocation::{NamedCount, counts};
use crate::admin::verifier::{Verifier, verifier};
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::{bounded, bounded_to};
use crate::wire::{TaskState, TaskView, required_time, task, time};

/// Longest fact kept of an entry, in characters: a scope or a justification is evidence, and whole.
const FACT_CHARS_MAX: usize = 32 * 1024;

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What names the next page; empty on the last one.
    pub next: String,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only what this covers.
    pub selector: Option<Selector>,
    /// Tasks on a page, 1 to 1000; 0 for the usual number.
    pub size: u32,
    /// What the page before named; empty for the first.
    pub page: String,
}

/// Health and live counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// The issuer's URL.
    pub issuer: String,
    /// Whether it serves.
    pub ready: bool,
    /// What is wrong.
    pub warnings: Vec<String>,
    /// Rows of tokens in the table: live ones, and dead ones until they are reaped.
    pub tokens: u64,
    /// Tasks in the table, dead ones included while something rests on them.
    pub tasks: u64,
    /// The registry in force.
    pub registry_revision: u32,
    /// The policy set in force.
    pub policy_revision: u32,
    /// The newest position, `home.epoch.sequence`.
    pub position: String,
    /// How late the reaper is.
    pub reaper_lag: Duration,
    /// When the server started.
    pub start_time: Option<Timestamp>,
    /// Followers of the revocation feed.
    pub followers: u32,
    /// Rows of tokens of the operator's tenants by workload, most first.
    pub rows_by_workload: Vec<NamedCount>,
    /// Rows of tokens of the operator's tenants by connector, most first.
    pub rows_by_connector: Vec<NamedCount>,
    /// What was done since the server started.
    pub activity: Activity,
    /// The verifier that lacks something of the feed for the longest; where none lacks anything, the one
    /// whose lease ends first.
    pub oldest_verifier: Option<Verifier>,
}

/// What was done since the server started, over all tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Tokens issued.
    pub tokens_issued: u64,
    /// Requests for tokens that were refused.
    pub tokens_refused: u64,
    /// Checks that answered active or permitted.
    pub checks_active: u64,
    /// Checks that answered inactive or refused.
    pub checks_inactive: u64,
    /// Revocations committed.
    pub revocations: u64,
}

/// Which live tokens to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenQuery {
    /// Only what this covers.
    pub selector: Option<Selector>,
    /// Tokens on a page, 1 to 1000; 0 for the usual number.
    pub size: u32,
    /// What the page before named; empty for the first.
    pub page: String,
}

/// A live token as it is known: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    /// Its id.
    pub jti: String,
    /// Its task.
    pub task: String,
    /// The workload that asked for it.
    pub workload: String,
    /// The connector that it is for.
    pub connector: String,
    /// The tenant.
    pub tenant: String,
    /// The subject of its task.
    pub subject: String,
    /// What its task is for.
    pub purpose: String,
    /// When it was issued; whole seconds.
    pub issue_time: Timestamp,
    /// From when it is dead.
    pub expire_time: Timestamp,
    /// Uses left; none without a limit.
    pub uses_left: Option<u32>,
}

/// A page of live tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveTokens {
    /// Oldest first.
    pub page: Page<LiveToken>,
    /// There was too much to look at: some are missing.
    pub partial: bool,
}

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
    /// Health and live counts.
    ///
    /// # Errors
    ///
    /// When the broker refuses the caller or cannot be reached.
    pub async fn status(&self) -> Result<Status, Error> {
        let answer =
            self.client.ask(Repeat::Safe, wire::GetStatusRequest {}, |channel, request| async move {
                InspectionServiceClient::new(channel).get_status(request).await
            });
        let answer = answer.await?;
        Ok(Status {
            version: bounded(&answer.version),
            issuer: bounded(&answer.issuer),
            ready: answer.ready,
            warnings: answer.warnings.iter().map(|w| bounded(w)).collect(),
            tokens: answer.tokens,
            tasks: answer.tasks,
            registry_revision: answer.registry_revision,
            policy_revision: answer.policy_revision,
            position: bounded(&answer.position),
            reaper_lag: Duration::from_millis(answer.reaper_lag_millis),
            start_time: time(answer.start_time)?,
            followers: answer.followers,
            rows_by_workload: counts(answer.rows_by_workload),
            rows_by_connector: counts(answer.rows_by_connector),
            activity: activity(answer.activity.unwrap_or_default()),
            oldest_verifier: answer.oldest_verifier.map(verifier).transpose()?,
        })
    }

    /// Lists tasks of the operator's tenants, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `REQUEST_MALFORMED`, `SELECTOR_UNKNOWN` or `SELECTOR_FORBIDDEN`.
    pub async fn list_tasks(&self, query: &TaskQuery) -> Result<Page<TaskView>, Error> {
        let message = wire::ListTasksRequest {
            page_size: page_size(query.size),
            page_token: query.page.clone(),
            state: query.state.map_or(broker::TaskState::Unspecified, TaskState::to_wire).into(),
            selector: query.selector.as_ref().map(convert::selector::to_wire),
        };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).list_tasks(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.tasks.into_iter().map(|one| task(Some(one))).collect();
        Ok(Page { items: items?, next: answer.next_page_token })
    }

    /// Lists live tokens of the operator's tenants, oldest first: what revoking the same selector
    /// would kill.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `REQUEST_MALFORMED`, `SELECTOR_UNKNOWN` or `SELECTOR_FORBIDDEN`.
    pub async fn list_tokens(&self, query: &TokenQuery) -> Result<LiveTokens, Error> {
        let message = wire::ListTokensRequest {
            page_size: page_size(query.size),
            page_token: query.page.clone(),
            selector: query.selector.as_ref().map(convert::selector::to_wire),
        };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).list_tokens(request).await
        });
        let answer = answer.await?;
        let items: Result<_, _> = answer.tokens.into_iter().map(live_token).collect();
        Ok(LiveTokens { page: Page { items: items?, next: answer.next_page_token }, partial: answer.partial })
    }

    /// Shows one task.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND`.
    pub async fn get_task(&self, id: TaskId) -> Result<TaskView, Error> {
        let message = wire::GetTaskRequest { task_id: id.to_string() };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).get_task(request).await
        });
        task(answer.await?.task)
    }

    /// Ends a task and everything below it without its holder secret. Durable on return.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `TASK_NOT_FOUND`.
    pub async fn end_task(&self, id: TaskId, reason: &str) -> Result<TaskView, Error> {
        let message = wire::EndTaskRequest { task_id: id.to_string(), reason: reason.to_owned() };
        let answer = self.client.ask(Repeat::Safe, message, |channel, request| async move {
            InspectionServiceClient::new(channel).end_task(request).await
        });
        task(answer.await?.task)
    }

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

pub(crate) fn page_size(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

fn activity(done: wire::Activity) -> Activity {
    Activity {
        tokens_issued: done.tokens_issued,
        tokens_refused: done.tokens_refused,
        checks_active: done.checks_active,
        checks_inactive: done.checks_inactive,
        revocations: done.revocations,
    }
}

fn live_token(token: wire::LiveToken) -> Result<LiveToken, Error> {
    Ok(LiveToken {
        jti: bounded(&token.jti),
        task: bounded(&token.task_id),
        workload: bounded(&token.workload),
        connector: bounded(&token.connector),
        tenant: bounded(&token.tenant),
        subject: bounded(&token.subject),
        purpose: bounded(&token.purpose),
        issue_time: required_time(token.issue_time)?,
        expire_time: required_time(token.expire_time)?,
        uses_left: token.use_limited.then_some(token.uses_left),
    })
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
