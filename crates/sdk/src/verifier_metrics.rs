//! A verifier's figures in Prometheus' text format (version 0.0.4), without a registry of anybody's.

use std::fmt::Write as _;
use std::time::Duration;

use locum_verifier::Figures;

/// The families, each with its meaning; a series without a value is left out, a family never.
pub(crate) fn text(connector: &str, figures: &Figures) -> String {
    let mut page = Page { connector, text: String::new() };
    let seconds = |span: Duration| span.as_secs_f64().to_string();
    let lease = figures.lease_left.unwrap_or_default();
    page.gauge("lease_seconds", "How long tokens may be answered for, unless the feed is heard again.");
    page.series("lease_seconds", &[], &seconds(lease));
    page.gauge(
        "feed_sequence",
        "The newest sequence of the feed that is known here; absent before the first.",
    );
    if let Some(position) = figures.position {
        let of = [("home", position.home.to_string()), ("epoch", position.epoch.to_string())];
        page.series("feed_sequence", &of, &position.sequence.to_string());
    }
    page.gauge("clock_ahead_seconds", "How far this machine's clock is ahead of the broker's.");
    if let Some(millis) = figures.clock_ahead_millis {
        page.series("clock_ahead_seconds", &[], &format!("{}", millis as f64 / 1_000.0));
    }
    page.gauge("watermarks", "What is revoked and may still concern a token.");
    page.series("watermarks", &[], &figures.watermarks.to_string());
    page.gauge("remembered_tokens", "Tokens whose signature need not be checked again.");
    page.series("remembered_tokens", &[], &figures.tokens.to_string());
    page.counter("checks_total", "Checks, by what they came to; for inactive ones with the reason.");
    for (result, count) in [("active", figures.active), ("unknown", figures.unknown)] {
        page.series(
            "checks_total",
            &[("result", result.into()), ("reason", String::new())],
            &count.to_string(),
        );
    }
    for (reason, count) in &figures.inactive {
        let of = [("result", "inactive".to_owned()), ("reason", reason.as_str().to_owned())];
        page.series("checks_total", &of, &count.to_string());
    }
    page.counter("recognised_total", "Checks of a token whose signature had been verified before.");
    page.series("recognised_total", &[], &figures.recognised.to_string());
    page.counter("frames_total", "Frames of the feed, by what became of them.");
    for (result, count) in [("applied", figures.frames_applied), ("refused", figures.frames_refused)] {
        page.series("frames_total", &[("result", result.into())], &count.to_string());
    }
    page.text
}

struct Page<'a> {
    /// A registered name: it needs no escapes.
    connector: &'a str,
    text: String,
}

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, help, "gauge");
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(name, help, "counter");
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let _fits =
            writeln!(self.text, "# HELP locum_verifier_{name} {help}\n# TYPE locum_verifier_{name} {kind}");
    }

    fn series(&mut self, name: &str, labels: &[(&str, String)], value: &str) {
        let _fits = write!(self.text, "locum_verifier_{name}{{connector=\"{}\"", self.connector);
        for (label, is) in labels {
            let _fits = write!(self.text, ",{label}=\"{is}\"");
        }
        let _fits = writeln!(self.text, "}} {value}");
    }
}

#[cfg(test)]
mod tests {
    use locum_model::{Position, Reason};

    use super::*;

    #[test]
    fn every_figure_has_its_line() {
        let figures = Figures {
            lease_left: Some(Duration::from_millis(1_500)),
            position: Some(Position { home: 1, epoch: 2, sequence: 3 }),
            key_set: Some(1),
            watermarks: 4,
            tokens: 5,
            clock_ahead_millis: Some(-250),
            active: 6,
            inactive: vec![(Reason::TokenRevoked, 7), (Reason::TokenExpired, 8)],
            unknown: 9,
            recognised: 10,
            frames_applied: 11,
            frames_refused: 12,
        };
        let page = text("orders", &figures);
        let series: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            series,
            [
                r#"locum_verifier_lease_seconds{connector="orders"} 1.5"#,
                r#"locum_verifier_feed_sequence{connector="orders",home="1",epoch="2"} 3"#,
                r#"locum_verifier_clock_ahead_seconds{connector="orders"} -0.25"#,
                r#"locum_verifier_watermarks{connector="orders"} 4"#,
                r#"locum_verifier_remembered_tokens{connector="orders"} 5"#,
                r#"locum_verifier_checks_total{connector="orders",result="active",reason=""} 6"#,
                r#"locum_verifier_checks_total{connector="orders",result="unknown",reason=""} 9"#,
                r#"locum_verifier_checks_total{connector="orders",result="inactive",reason="TOKEN_REVOKED"} 7"#,
                r#"locum_verifier_checks_total{connector="orders",result="inactive",reason="TOKEN_EXPIRED"} 8"#,
                r#"locum_verifier_recognised_total{connector="orders"} 10"#,
                r#"locum_verifier_frames_total{connector="orders",result="applied"} 11"#,
                r#"locum_verifier_frames_total{connector="orders",result="refused"} 12"#,
            ]
        );
    }

    #[test]
    fn whoever_has_heard_nothing_has_no_lease_and_no_position() {
        let page = text("orders", &Figures::default());
        assert!(page.contains("locum_verifier_lease_seconds{connector=\"orders\"} 0\n"), "{page}");
        assert!(!page.contains("locum_verifier_feed_sequence{"), "{page}");
        for family in page.lines().filter(|line| line.starts_with("# TYPE")) {
            assert!(family.ends_with(" gauge") || family.ends_with("_total counter"), "{family}");
        }
    }
}
