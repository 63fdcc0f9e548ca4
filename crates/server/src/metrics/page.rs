//! `docs/reference/metrics.md`: every series that is served, from the registry itself.
//!
//! What always holds: the page has every metric with its labels; a test compares it with what is
//! written, another (`tests/e2e/metrics.rs`) with what a running `locumd` serves. To write it again:
//! `cargo test -p locum-server -- --ignored write_the_metrics_page`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::tests::filled;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
const AGAIN: &str = "run `cargo test -p locum-server -- --ignored write_the_metrics_page`";

const INTRODUCTION: &str = "\
# Metrics: every series

Made from the registry in the code. `telemetry.metrics` says where they are served, as classic Prometheus text; see
[run locumd](../operating/run-locumd.md#watch) for the alerts and the dashboard.

Labels are closed lists, so the number of series is bounded: there is none per task, token, workload or tenant. `reason`
is one of [errors](errors.md), empty where there is none; `grpc_service` and `grpc_method` are those of [the API](api.md),
`grpc_code` is one of `google.rpc.Code`: `CANCELLED` where the caller or its connection was gone before its answer, `DEADLINE_EXCEEDED`
where the answer took too long. A series with labels begins when it first has something to count.
";

/// Labels whose values the page tells; of the others it says where they are.
const TOLD: [&str; 3] = ["kind", "level", "result"];

/// One metric as it is served.
#[derive(Default)]
struct Served {
    kind: String,
    help: String,
    /// With the values that it was counted under.
    labels: BTreeMap<String, BTreeSet<String>>,
    samples: usize,
}

/// What the text declares, by name.
fn served(text: &str) -> BTreeMap<String, Served> {
    let mut found: BTreeMap<String, Served> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            found.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            found.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let Some(end) = line.find(['{', ' ']) {
            let name = &line[..end];
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let name = of_histogram.filter(|base| found.contains_key(*base)).unwrap_or(name);
            let one = found.get_mut(name).expect("declared before its samples");
            one.samples += 1;
            for (label, value) in labels(&line[end..]).filter(|(label, _)| *label != "le") {
                one.labels.entry(label.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }
    found
}

/// Names and values of `{a="…",b="…"} 1`. No value of ours holds a comma, a brace or a quote.
fn labels(rest: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside =
        rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
    inside
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name, value.trim_matches('"')))
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for (name, one) in served(&filled().render()) {
        let labels: Vec<String> = one.labels.iter().map(|(label, values)| shown(label, values)).collect();
        let _fits = writeln!(page, "| `{name}` | {} | {} | {} |", one.kind, labels.join(", "), one.help);
    }
    page
}

/// `result`, and in brackets its values.
fn shown(label: &str, values: &BTreeSet<String>) -> String {
    if !TOLD.contains(&label) {
        return format!("`{label}`");
    }
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    format!("`{label}` ({})", values.join(", "))
}

#[test]
fn the_page_says_what_the_registry_says() {
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page(), "docs/reference/metrics.md is out of date: {AGAIN}");
}

#[test]
#[ignore = "rewrites docs/reference/metrics.md"]
fn write_the_metrics_page() {
    std::fs::write(PATH, page()).expect("docs/reference can be written");
}

/// Else its labels would be missing on the page.
#[test]
fn every_metric_of_the_page_was_counted_once() {
    for (name, one) in served(&filled().render()) {
        assert!(one.samples > 0, "`{name}` has no sample: let `filled` count it");
        assert!(!one.help.is_empty() && !one.kind.is_empty(), "{name}");
    }
}
