//! The text as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use locum_model::Level;

use super::*;

const ATTEMPTS: [Attempt; 5] = [
    Attempt::Accepted,
    Attempt::HandshakeFailed,
    Attempt::HandshakeTimedOut,
    Attempt::TooMany,
    Attempt::AcceptFailed,
];

/// Everything that can be counted was, once or more.
pub(super) fn filled() -> Metrics {
    let metrics = Metrics::new(Timestamp::from_seconds(1_800_000_000));
    let rpc = Rpc { service: "locum.broker.v1.TokenService", method: "IssueToken" };
    metrics.series_of(rpc).handled(Duration::from_millis(3));
    metrics.rpc_handled(rpc, tonic::Code::PermissionDenied, Duration::from_millis(1));
    metrics.token_issued();
    metrics.token_denied(Reason::PolicyDenied);
    Level::ALL.iter().for_each(|level| metrics.revoked(*level));
    metrics.check_active();
    metrics.check_refused(Reason::TokenExpired);
    for attempt in ATTEMPTS {
        metrics.connection(attempt);
    }
    metrics.set_live(5, 2);
    metrics.set_reaper_lag(Duration::from_millis(1500));
    metrics.set_health(2, 7);
    metrics.set_certificate_expiry(Timestamp::from_seconds(1_900_000_000));
    metrics.batch_committed(100, Duration::from_micros(230));
    ["chain", "snapshot", "heartbeat"].iter().for_each(|kind| metrics.feed_frames(kind, 1));
    metrics
}

#[test]
fn counts_what_it_is_told() {
    let text = filled().render();
    for line in [
        "grpc_server_handled_total{grpc_service=\"locum.broker.v1.TokenService\",grpc_method=\"IssueToken\",grpc_code=\"OK\"} 1",
        "locum_token_requests_total{result=\"issued\",reason=\"\"} 1",
        "locum_token_requests_total{result=\"denied\",reason=\"POLICY_DENIED\"} 1",
        "locum_revocations_total{level=\"task\"} 1",
        "locum_checks_total{result=\"refused\",reason=\"TOKEN_EXPIRED\"} 1",
        "locum_connections_total{result=\"too_many\"} 1",
        "locum_tokens_live 5",
        "locum_tasks_live 2",
        "locum_reaper_lag_seconds 1.5",
        "locum_warnings 2",
        "locum_feed_followers 7",
        "locum_certificate_expiry_timestamp_seconds 1900000000",
        "locum_journal_commit_seconds_bucket{le=\"0.00025\"} 1",
        "locum_journal_batch_events_sum 100.0",
        "process_start_time_seconds 1800000000.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

/// The rules of the classic format and of `promtool check metrics` that our series could break.
#[test]
fn is_classic_text() {
    let text = filled().render();
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n') && !text.contains("# EOF") && !text.contains("# UNIT"));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a text");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{name}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(helped.contains(name), "help before type: {name}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        } else {
            let name = line.split(['{', ' ']).next().expect("a name");
            let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let declared = kinds.contains_key(name)
                || histogram.is_some_and(|base| kinds.get(base).is_some_and(|kind| kind == "histogram"));
            assert!(declared, "undeclared: {line}");
            line.rsplit_once(' ').expect("a value").1.parse::<f64>().expect("a number");
        }
    }
    assert!(kinds.len() >= 16, "{}", kinds.len());
}

#[test]
fn the_process_is_measured() {
    let text = filled().render();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit_once(' ').expect("a value").1.parse().expect("a number")
    };
    assert!(value("process_resident_memory_bytes ") > 100_000.0);
    assert!(value("process_open_fds ") >= 3.0);
}
