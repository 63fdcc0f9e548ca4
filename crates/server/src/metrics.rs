//! Metrics: what the process counts, written as classic Prometheus text.
//!
//! Names follow the Prometheus conventions: base units, `_total` on counters, `_seconds` on
//! histograms. Labels are closed lists (method, code, reason, result); there is never one per
//! task, token, workload or tenant, so the number of series is bounded.
//!
//! The registry is our own value, not a process-wide one.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use locum_api::status::code_name;
use locum_model::{Reason, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::accept::Attempt;

mod archive;
mod classic;
mod feed;
#[cfg(test)]
mod page;
mod process;
mod traces;

pub use traces::SpanEnd;

/// Buckets of durations, in seconds: from 50 µs to 10 s.
const SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

type Seconds = Gauge<f64, AtomicU64>;

/// What is counted. Cheap to update from anywhere; clones share.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    grpc: Family<Call, Counter>,
    grpc_seconds: Family<Method, Histogram>,
    issues: Family<Verdict, Counter>,
    revocations: Family<At, Counter>,
    tokens_issued: OnceLock<Counter>,
    checks: Family<Verdict, Counter>,
    checks_active: OnceLock<Counter>,
    connections: Family<Outcome, Counter>,
    tokens_live: Gauge,
    tasks_live: Gauge,
    reaper_lag: Seconds,
    warnings: Gauge,
    followers: Gauge,
    certificate_expiry: Gauge,
    commit_seconds: Histogram,
    batch_events: Histogram,
    archive: archive::Archive,
    feed: feed::Feed,
    process: process::Process,
    traces: traces::Traces,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    grpc_service: &'static str,
    grpc_method: &'static str,
    grpc_code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    grpc_service: &'static str,
    grpc_method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct At {
    level: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// An RPC as the contract names it: static, so that no caller can make new series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc {
    /// `locum.broker.v1.TokenService`.
    pub service: &'static str,
    /// `IssueToken`.
    pub method: &'static str,
}

/// The series of one method's good answers, without a look at their labels for each.
#[derive(Debug)]
pub struct RpcSeries {
    handled: Counter,
    seconds: Histogram,
}

/// Sums over all labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Tokens issued.
    pub tokens_issued: u64,
    /// Requests for tokens that were refused.
    pub tokens_refused: u64,
    /// Checks that let the presenter through.
    pub checks_active: u64,
    /// Checks that did not.
    pub checks_inactive: u64,
    /// Revocations committed.
    pub revocations: u64,
}

impl RpcSeries {
    /// An RPC was answered with OK: counts what [`Metrics::rpc_handled`] counts.
    pub fn handled(&self, took: Duration) {
        self.handled.inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

impl Metrics {
    /// Nothing counted yet; `started` is when the process began.
    pub fn new(started: Timestamp) -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let histogram = || Histogram::new(SECONDS);
        let grpc = added(r, "grpc_server_handled", "RPCs completed, by method and code", Family::default());
        let by_method = Family::new_with_constructor(histogram as fn() -> Histogram);
        let grpc_seconds =
            added(r, "grpc_server_handling_seconds", "Time until an RPC was answered", by_method);
        let issues =
            added(r, "locum_token_requests", "Requests for tokens, by result and reason", Family::default());
        let revocations = added(r, "locum_revocations", "Revocations committed, by level", Family::default());
        let checks = added(r, "locum_checks", "Checks of tokens, by result and reason", Family::default());
        let connections = added(r, "locum_connections", "Connection attempts, by result", Family::default());
        let tokens_live =
            added(r, "locum_tokens_live", "Tokens in the table that are not reaped", Gauge::default());
        let tasks_live = added(r, "locum_tasks_live", "Tasks that have not ended", Gauge::default());
        let reaper_lag = added(r, "locum_reaper_lag_seconds", "How late the reaper is", Seconds::default());
        let warnings =
            added(r, "locum_warnings", "Things that are wrong; `locum status` names them", Gauge::default());
        let followers = added(r, "locum_feed_followers", "Followers of the feed", Gauge::default());
        let certificate_expiry = added(
            r,
            "locum_certificate_expiry_timestamp_seconds",
            "Until when the server's own certificate holds, Unix time",
            Gauge::default(),
        );
        let commit_seconds = added(
            r,
            "locum_journal_commit_seconds",
            "Time from a batch's first write until it was durable",
            histogram(),
        );
        let sizes = Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0]);
        let batch_events = added(r, "locum_journal_batch_events", "Events in one durable batch", sizes);
        let feed = feed::Feed::new(r);
        let build: Family<Build, Gauge> =
            added(r, "locum_build_info", "The version that runs", Family::default());
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        let archive = archive::Archive::new(r);
        let process = process::Process::new(r, started);
        let traces = traces::Traces::new(r);
        Self {
            registry,
            grpc,
            grpc_seconds,
            issues,
            revocations,
            tokens_issued: OnceLock::new(),
            checks,
            checks_active: OnceLock::new(),
            connections,
            tokens_live,
            tasks_live,
            reaper_lag,
            warnings,
            followers,
            certificate_expiry,
            commit_seconds,
            batch_events,
            archive,
            feed,
            process,
            traces,
        }
    }

    /// An RPC was answered.
    pub fn rpc_handled(&self, rpc: Rpc, code: tonic::Code, took: Duration) {
        let Rpc { service: grpc_service, method: grpc_method } = rpc;
        self.grpc.get_or_create(&Call { grpc_service, grpc_method, grpc_code: code_name(code) }).inc();
        self.grpc_seconds.get_or_create(&Method { grpc_service, grpc_method }).observe(took.as_secs_f64());
    }

    /// Where good answers of this method are counted.
    pub fn series_of(&self, rpc: Rpc) -> RpcSeries {
        let Rpc { service: grpc_service, method: grpc_method } = rpc;
        let call = Call { grpc_service, grpc_method, grpc_code: code_name(tonic::Code::Ok) };
        RpcSeries {
            handled: self.grpc.get_or_create(&call).clone(),
            seconds: self.grpc_seconds.get_or_create(&Method { grpc_service, grpc_method }).clone(),
        }
    }

    /// A token was issued.
    pub fn token_issued(&self) {
        let issued = || self.issues.get_or_create(&Verdict { result: "issued", reason: "" }).clone();
        self.tokens_issued.get_or_init(issued).inc();
    }

    /// A request for a token was refused.
    pub fn token_denied(&self, reason: Reason) {
        self.issues.get_or_create(&Verdict { result: "denied", reason: reason.as_str() }).inc();
    }

    /// A revocation was committed.
    pub fn revoked(&self, level: locum_model::Level) {
        self.revocations.get_or_create(&At { level: level.as_str() }).inc();
    }

    /// A token was found active.
    pub fn check_active(&self) {
        // Found once: it is counted more often than anything else.
        let active = || self.checks.get_or_create(&Verdict { result: "active", reason: "" }).clone();
        self.checks_active.get_or_init(active).inc();
    }

    /// A token was refused. The reason is for operators; callers never see it.
    pub fn check_refused(&self, reason: Reason) {
        self.checks.get_or_create(&Verdict { result: "refused", reason: reason.as_str() }).inc();
    }

    /// Somebody tried to connect.
    pub fn connection(&self, attempt: Attempt) {
        let result = match attempt {
            Attempt::Accepted => "accepted",
            Attempt::HandshakeFailed => "handshake_failed",
            Attempt::HandshakeTimedOut => "handshake_timed_out",
            Attempt::TooMany => "too_many",
            Attempt::AcceptFailed => "accept_failed",
        };
        self.connections.get_or_create(&Outcome { result }).inc();
    }

    /// How much is alive.
    pub fn set_live(&self, tokens: usize, tasks: usize) {
        self.tokens_live.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.tasks_live.set(i64::try_from(tasks).unwrap_or(i64::MAX));
    }

    /// How late the reaper is.
    pub fn set_reaper_lag(&self, lag: Duration) {
        self.reaper_lag.set(lag.as_secs_f64());
    }

    /// How many things are wrong, and how many follow the feed.
    pub fn set_health(&self, warnings: usize, followers: usize) {
        self.warnings.set(i64::try_from(warnings).unwrap_or(i64::MAX));
        self.followers.set(i64::try_from(followers).unwrap_or(i64::MAX));
    }

    /// Until when the server's own certificate holds.
    pub fn set_certificate_expiry(&self, until: Timestamp) {
        self.certificate_expiry.set(until.as_seconds());
    }

    /// How the archive does.
    pub fn set_archive(&self, health: &locum_broker::ArchiveHealth) {
        self.archive.set(health);
    }

    /// So many spans ended like this.
    pub fn spans(&self, end: SpanEnd, spans: u64) {
        self.traces.count(end, spans);
    }

    /// A batch became durable.
    pub fn batch_committed(&self, events: usize, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.batch_events.observe(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
    }

    /// What was done since the process started.
    pub fn activity(&self) -> Activity {
        let verdicts = |family: &Family<Verdict, Counter>, result: &'static str| -> u64 {
            let own = Verdict { result, reason: "" };
            let reasoned = Reason::ALL.iter().map(|reason| Verdict { result, reason: reason.as_str() });
            // A series that nobody made yet is none, and asking makes none.
            reasoned.chain([own]).filter_map(|one| family.get(&one).map(|counter| counter.get())).sum()
        };
        let levels = locum_model::Level::ALL.map(|level| At { level: level.as_str() });
        Activity {
            tokens_issued: verdicts(&self.issues, "issued"),
            tokens_refused: verdicts(&self.issues, "denied"),
            checks_active: verdicts(&self.checks, "active"),
            checks_inactive: verdicts(&self.checks, "refused"),
            revocations: levels.iter().filter_map(|at| self.revocations.get(at).map(|c| c.get())).sum(),
        }
    }

    /// Everything, as classic Prometheus text (`text/plain; version=0.0.4`).
    pub fn render(&self) -> String {
        self.process.refresh();
        let mut open_metrics = String::new();
        prometheus_client::encoding::text::encode(&mut open_metrics, &self.registry)
            .expect("writing into a String cannot fail");
        classic::of(&open_metrics)
    }
}

fn added<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests;
