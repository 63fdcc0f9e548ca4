//! What `locum top` shows, as lines: pure, so that a test can look at it.

use locum_sdk::admin::{NamedCount, RecordEntry};

use super::{Look, Rates};
use crate::clock::{largest, now};
use crate::output::escaped;
use crate::status::key_line;

/// The header of [`line()`].
pub(crate) const HEADER: &str = "TIME                  READY    ROWS   TASKS  LAG MS  FOLLOW  ISSUED/S  DENIED/S  ACTIVE/S  INACT/S  REVOKED/S";

/// One look on one line, in columns.
pub(crate) fn line(look: &Look, rates: Option<Rates>) -> String {
    let status = &look.status;
    let rates = rates.map_or_else(
        || format!("{:>8}  {:>8}  {:>8}  {:>7}  {:>9}", "-", "-", "-", "-", "-"),
        |r| {
            let [issued, refused, active, inactive, revoked] =
                [r.issued, r.refused, r.active, r.inactive, r.revocations].map(rate);
            format!("{issued:>8}  {refused:>8}  {active:>8}  {inactive:>7}  {revoked:>9}")
        },
    );
    format!(
        "{}  {:<5}  {:>6}  {:>6}  {:>6}  {:>6}  {rates}",
        clock(),
        if status.ready { "yes" } else { "no" },
        status.tokens,
        status.tasks,
        status.reaper_lag.as_millis(),
        status.followers,
    )
}

/// The view: as many lines as the terminal has, none longer than it is wide.
pub(crate) fn lines(
    look: &Look,
    rates: Option<Rates>,
    trouble: Option<&str>,
    (width, height): (usize, usize),
) -> Vec<String> {
    let mut lines = head(look, trouble);
    lines.extend(figures(look, rates));
    lines.push(String::new());
    lines.extend(columns(&look.status.rows_by_workload, &look.status.rows_by_connector, width, height / 4));
    lines.push(String::new());
    lines.push("RECENT".to_owned());
    let room = height.saturating_sub(lines.len() + 1);
    let skipped = look.recent.len().saturating_sub(room);
    lines.extend(look.recent.iter().skip(skipped).map(recent));
    lines.truncate(height);
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

fn head(look: &Look, trouble: Option<&str>) -> Vec<String> {
    let status = &look.status;
    let up = status.start_time.map_or_else(|| "?".to_owned(), |at| largest(now().since(at).as_secs()));
    let ready = if status.ready { "ready" } else { "NOT READY" };
    let mut lines = vec![format!(
        "{}  {} {ready}, up {up}, version {}  (q leaves)",
        // Whoever looks knows the day.
        clock().split_off("YYYY-MM-DDT".len()),
        escaped(&status.issuer),
        escaped(&status.version)
    )];
    lines.extend(trouble.map(|trouble| format!("no answer, this is what was seen last: {trouble}")));
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {}", escaped(warning))));
    lines
}

fn figures(look: &Look, rates: Option<Rates>) -> Vec<String> {
    let status = &look.status;
    let per_second = |of: fn(Rates) -> f64| rates.map_or_else(|| "-".to_owned(), |rates| rate(of(rates)));
    let keys = look.keys.iter().filter(|key| key.purpose == "token");
    let mut lines = vec![
        format!(
            "rows {}   tasks {}   followers {}   reaper lag {} ms   registry {}   policy {}",
            status.tokens,
            status.tasks,
            status.followers,
            status.reaper_lag.as_millis(),
            status.registry_revision,
            status.policy_revision
        ),
        format!(
            "per second:  issued {}   denied {}   active {}   inactive {}   revocations {}",
            per_second(|rates| rates.issued),
            per_second(|rates| rates.refused),
            per_second(|rates| rates.active),
            per_second(|rates| rates.inactive),
            per_second(|rates| rates.revocations)
        ),
    ];
    lines.extend(keys.map(|key| format!("key: {}", escaped(&key_line(key)))));
    lines
}

/// Two lists side by side.
fn columns(left: &[NamedCount], right: &[NamedCount], width: usize, rows_max: usize) -> Vec<String> {
    let half = width / 2;
    let cell = |one: Option<&NamedCount>| {
        let text = one.map_or_else(String::new, |one| format!("{:>9}  {}", one.count, escaped(&one.name)));
        let text: String = text.chars().take(half.saturating_sub(1)).collect();
        format!("{text:<half$}")
    };
    let mut lines = vec![format!("{:<half$}{}", "     ROWS  WORKLOAD", "     ROWS  CONNECTOR")];
    let rows = left.len().max(right.len()).min(rows_max.max(3));
    lines.extend(
        (0..rows).map(|n| format!("{}{}", cell(left.get(n)), cell(right.get(n))).trim_end().to_owned()),
    );
    lines
}

fn recent(entry: &RecordEntry) -> String {
    let time = entry.time.to_string();
    let reason = if entry.reason.is_empty() { String::new() } else { format!(" {}", escaped(&entry.reason)) };
    let clock = time.get(11..19).unwrap_or(&time);
    format!(
        "{clock}  {:<17}  {:<12}  {}{reason}",
        escaped(&entry.event),
        escaped(&entry.task),
        escaped(&entry.summary)
    )
}

fn rate(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn clock() -> String {
    let time = now().to_string();
    format!("{}Z", time.get(..19).unwrap_or(&time))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use locum_model::Timestamp;
    use locum_sdk::admin::{Activity, Status};

    use super::*;

    const HOSTILE: &str = "evil\u{1b}[2J\u{202e}\n";

    fn look() -> Look {
        let count = |name: &str| NamedCount { name: name.to_owned(), count: 1_284 };
        let status = Status {
            version: "0.1.0".to_owned(),
            issuer: "https://locum.acme.test".to_owned(),
            ready: true,
            warnings: vec![HOSTILE.to_owned()],
            tokens: 1_284,
            tasks: 37,
            registry_revision: 1,
            policy_revision: 2,
            position: "1.1.9".to_owned(),
            reaper_lag: Duration::from_millis(3),
            start_time: Some(Timestamp::from_seconds(0)),
            followers: 4,
            rows_by_workload: vec![count(HOSTILE), count("refunder")],
            rows_by_connector: vec![count(&"long".repeat(40))],
            activity: Activity::default(),
            oldest_verifier: None,
        };
        let entry = RecordEntry {
            position: "1.1.9".to_owned(),
            time: Timestamp::from_seconds(1_795_305_279),
            event: "token-issued".to_owned(),
            by: String::new(),
            tenant: String::new(),
            task: "task-1-1".to_owned(),
            jti: String::new(),
            summary: HOSTILE.to_owned(),
            policy_revision: 0,
            policies: Vec::new(),
            reason: String::new(),
            facts: BTreeMap::new(),
        };
        Look { status, keys: Vec::new(), recent: vec![entry; 60], at: crate::clock::steady() }
    }

    #[test]
    fn a_view_keeps_to_its_terminal_and_nothing_steers_it() {
        for size in [(80, 24), (40, 10), (200, 60), (1, 1), (0, 0)] {
            for (rates, trouble) in [(None, None), (Some(Rates::default()), Some("gone"))] {
                let lines = lines(&look(), rates, trouble, size);
                assert!(
                    lines.len() <= size.1 && lines.iter().all(|line| line.chars().count() <= size.0),
                    "{lines:#?}"
                );
                assert!(!lines.concat().contains(['\u{1b}', '\u{202e}', '\n']), "{lines:#?}");
            }
        }
        let shown = lines(&look(), None, None, (80, 24)).join("\n");
        for seen in
            ["rows 1284", "tasks 37", "refunder", "21:54:39  token-issued".trim_start_matches("21:54:39  ")]
        {
            assert!(shown.contains(seen), "{seen}:\n{shown}");
        }
    }

    #[test]
    fn a_line_stands_under_its_header() {
        let line = line(&look(), Some(Rates { issued: 1_000.0, ..Rates::default() }));
        assert_eq!(line.len(), HEADER.len(), "{HEADER}\n{line}");
        assert!(line.contains("1000") && line.contains(" 0.0"), "{line}");
    }
}
