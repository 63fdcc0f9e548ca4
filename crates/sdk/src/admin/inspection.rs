//! What is live (`locum.admin.v1.InspectionService`).

use std::time::Duration;

use locum_api::admin::v1 as wire;
use locum_api::admin::v1::inspection_service_client::InspectionServiceClient;
use locum_api::broker::v1 as broker;
use locum_api::convert;
use locum_model::{Selector, TaskId, Timestamp};

use crate::admin::Admin;
use crate::admin::named_count::{NamedCount, counts};
use crate::admin::page::{Page, page_size};
use crate::admin::verifier::{Verifier, verifier};
use crate::client::Repeat;
use crate::error::Error;
use crate::untrusted::bounded;
use crate::wire::{TaskState, TaskView, required_time, task, time};

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
