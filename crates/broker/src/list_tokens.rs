//! `ListTokens`: the live tokens that a selector covers, as they are known; never a token itself.

use std::sync::Arc;

use locum_model::event::TaskStarted;
use locum_model::limits::PREVIEW_ROWS_MAX;
use locum_model::{Selector, Target, TaskId, Timestamp, TokenId};
use locum_table::{ListedToken, Paging, Place};

use crate::broker::Broker;
use crate::operator::Operator;
use crate::refusal::Refusal;
use crate::shown_name::{connector_name, tenant_name, workload_name};

/// A live token as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// Its id.
    pub jti: TokenId,
    /// Its task.
    pub task: TaskId,
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
    pub issued_at: Timestamp,
    /// From when it is dead.
    pub expires_at: Timestamp,
    /// Uses left; none without a limit.
    pub uses_left: Option<u32>,
}

/// A page of live tokens.
#[derive(Clone, Debug, Default)]
pub struct TokensPage {
    /// Oldest first.
    pub tokens: Vec<TokenView>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
    /// Not every row was looked at.
    pub partial: bool,
}

impl Broker {
    /// The live tokens of the operator's tenants, or those of them that the selector covers.
    ///
    /// # Errors
    ///
    /// SELECTOR_UNKNOWN, SELECTOR_FORBIDDEN.
    pub fn list_tokens(
        &self,
        operator: &Operator,
        selector: Option<&Selector>,
        size: usize,
        after: Option<Place>,
    ) -> Result<TokensPage, Refusal> {
        let pinned = self.fold.pin();
        let registry = &pinned.world.registry;
        let targets: Vec<Target> = match selector {
            Some(selector) => {
                self.select(operator, registry, selector)?.into_iter().map(|found| found.target).collect()
            }
            None => {
                let tenants = registry.entries().tenants.keys().copied();
                tenants.filter(|tenant| operator.reaches(registry, *tenant)).map(Target::Tenant).collect()
            }
        };
        let listed = self.fold.table.list(&targets, Paging { size, after, scan_max: PREVIEW_ROWS_MAX });
        let next = listed.tokens.last().filter(|_| listed.more).map(|last| last.place);
        let state = self.fold.state.read();
        let started = |task| state.tasks.get(task).map(|row| Arc::clone(&row.started));
        let shown = |token: &ListedToken| view(token, started(token.task).as_deref(), registry);
        Ok(TokensPage { tokens: listed.tokens.iter().map(shown).collect(), next, partial: !listed.complete })
    }
}

fn view(token: &ListedToken, task: Option<&TaskStarted>, registry: &locum_model::Registry) -> TokenView {
    TokenView {
        jti: token.place.jti,
        task: token.task,
        workload: token.workload.map(|number| workload_name(registry, number)).unwrap_or_default(),
        connector: token.connector.map(|number| connector_name(registry, number)).unwrap_or_default(),
        tenant: task.map(|task| tenant_name(registry, task.tenant)).unwrap_or_default(),
        subject: task.map(|task| task.subject.clone()).unwrap_or_default(),
        purpose: task.map(|task| task.intent.purpose.to_string()).unwrap_or_default(),
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        uses_left: token.uses_left,
    }
}
