//! How the story is told: a line a step for people, one JSON object for machines, and what to try
//! next.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Character, quoted};
use crate::stage::Stage;
use crate::story::Step;

pub(crate) const HEADING: &str = "Locum demo: credentials that live exactly as long as the task\n";

/// Columns of a title and of what came of it: with number and time a line has 80.
const TITLE_WIDTH: usize = 25;
const TOLD_WIDTH: usize = 40;

/// A step as one line.
pub(crate) fn line(number: usize, step: &Step) -> String {
    let told = match &step.outcome {
        Ok(told) => told.clone(),
        Err(why) => format!("FAILED: {why}"),
    };
    format!("{number:>2}  {:TITLE_WIDTH$}  {told:TOLD_WIDTH$} {:>8}", step.title, millis(step.took))
}

/// All steps as one object.
pub(crate) fn document(steps: &[Step]) -> Value {
    let step = |step: &Step| {
        json!({
            "name": step.name,
            "outcome": if step.outcome.is_ok() { "ok" } else { "failed" },
            "micros": u64::try_from(step.took.as_micros()).unwrap_or(u64::MAX),
        })
    };
    json!({ "schema_version": 1, "steps": steps.iter().map(step).collect::<Vec<_>>() })
}

/// Commands for another terminal: no line is wider than 80 columns where the folder's name is not long.
pub(crate) fn next_steps(stage: &Stage) -> String {
    let dir = quoted(&stage.dir().to_string_lossy());
    let orders = stage.orders();
    let mut text = format!(
        "
Everything stays up until Ctrl-C. In another terminal, from the checkout:

  cargo build --release -p locum-cli
  export PATH=$PWD/target/release:$PATH
  cd {dir}

There, as the operator:

  . ./{operator}.env
  locum status
  locum audit tail -n 20
  locum revoke workload=refunder --reason 'trying it out' --dry-run

As the plugin, there or in a third one with the same PATH:

  . ./{refunder}.env
  task=$(locum task start refund-order --scope orders:refund=order/7 \\
    --lease 10m --holder-file holder)
  locum token request $task orders --scope orders:refund=order/7 \\
    --holder-file holder -o header > header
  curl -si -X POST -H @header http://{orders}/orders/7/refund
  curl -si http://{orders}/orders/7      # no token, no answer
  locum task end $task --holder-file holder
  curl -si -X POST -H @header http://{orders}/orders/7/refund  # over

What anybody may read:

",
        operator = Character::Operator.file_stem(),
        refunder = Character::Refunder.file_stem(),
    );
    if let Some(documents) = stage.documents() {
        let ca = quoted(&stage.options(Character::Operator).ca_file.to_string_lossy());
        let _ = writeln!(text, "  curl -s --cacert {ca} \\\n    https://{documents}/.well-known/jwks.json");
    }
    if let Some(metrics) = stage.metrics() {
        let _ = writeln!(text, "  curl -s http://{metrics}/metrics");
    }
    text
}

/// `1.9 ms`.
fn millis(took: Duration) -> String {
    let tenths = took.as_micros().div_ceil(100);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_tenths_of_a_millisecond() {
        for (micros, told) in [(0, "0.0 ms"), (1, "0.1 ms"), (950, "1.0 ms"), (12_300, "12.3 ms")] {
            assert_eq!(millis(Duration::from_micros(micros)), told);
        }
    }

    #[test]
    fn a_failure_is_told_in_both_forms() {
        let step = Step {
            name: "revoke",
            title: "the operator revokes",
            outcome: Err("no".to_owned()),
            took: Duration::from_micros(1200),
        };
        assert!(line(7, &step).starts_with(" 7  the operator revokes"), "{}", line(7, &step));
        assert!(line(7, &step).contains("FAILED: no"), "{}", line(7, &step));
        let expected = json!({ "schema_version": 1, "steps": [{ "name": "revoke", "outcome": "failed", "micros": 1200 }] });
        assert_eq!(document(&[step]), expected);
    }
}
