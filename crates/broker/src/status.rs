//! `GetStatus`: health and live counts.

use locum_model::limits::ROW_COUNTS_MAX;
use locum_model::number::{PolicyRevision, RegistryRevision};
use locum_model::{Position, Timestamp};

use crate::broker::Broker;
use crate::operator::Operator;
use crate::shown_name::{connector_name, workload_name};

/// How the broker is.
#[derive(Clone, Debug)]
pub struct Status {
    /// Rows in the table, dead ones included until they are reaped.
    pub tokens: usize,
    /// Tasks in the table.
    pub tasks: usize,
    /// The registry in force.
    pub registry: RegistryRevision,
    /// The policy set in force.
    pub policy: PolicyRevision,
    /// The newest position.
    pub position: Position,
    /// How late the reaper is.
    pub reaper_lag: std::time::Duration,
    /// Followers of the revocation feed.
    pub followers: usize,
    /// When this process came up.
    pub started_at: Timestamp,
    /// What is wrong, for people.
    pub warnings: Vec<String>,
}

/// Rows of tokens by what they rest on, most first: dead ones included until they are reaped.
#[derive(Clone, Debug, Default)]
pub struct RowCounts {
    /// By the workload that asked for the token.
    pub by_workload: Vec<(String, usize)>,
    /// By connector.
    pub by_connector: Vec<(String, usize)>,
}

impl Broker {
    /// Says why the registry's and the policies' files are not those in force, until it is said that
    /// they are.
    pub fn files_refused(&self, why: Option<String>) {
        self.fold.set_files_refused(why);
    }

    /// How the broker is, over all tenants.
    pub fn status(&self) -> Status {
        let counts = self.fold.table.counts();
        let pin = self.fold.pin();
        let mut warnings = self.fold.troubles();
        let lag = match self.clock.now() {
            Ok(now) => self.reaper_lag(now),
            Err(unsettled) => {
                warnings.push(unsettled.to_string());
                std::time::Duration::ZERO
            }
        };
        warnings.extend(self.archive_warnings());
        if pin.world.policy.is_none() {
            warnings.push("no policy set is in force: every request is denied".into());
        }
        Status {
            tokens: counts.tokens,
            tasks: counts.tasks,
            registry: pin.pin.registry,
            policy: pin.pin.policy,
            position: pin.pin.position,
            reaper_lag: lag,
            followers: self.verifiers.connected(),
            started_at: self.started_at(),
            warnings,
        }
    }

    /// Rows of the operator's tenants by workload and connector, at most [`ROW_COUNTS_MAX`] of each.
    /// Costs one pass over the standings, whatever the number of tokens.
    pub fn row_counts(&self, operator: &Operator) -> RowCounts {
        let pinned = self.fold.pin();
        let registry = &pinned.world.registry;
        let rows = self.fold.table.rows_by(|tenant| operator.reaches(registry, tenant));
        let workloads = rows.workload.iter().take(ROW_COUNTS_MAX);
        let connectors = rows.connector.iter().take(ROW_COUNTS_MAX);
        RowCounts {
            by_workload: workloads.map(|(no, rows)| (workload_name(registry, *no), *rows)).collect(),
            by_connector: connectors.map(|(no, rows)| (connector_name(registry, *no), *rows)).collect(),
        }
    }
}
