//! `locumd check-config`: settings and everything they point at, judged without starting anything.

use std::path::Path;
use std::process::ExitCode;

use locum_server::clock::WallClock;
use locum_server::config::{self, Flags};
use serde_json::json;

use crate::answer::Format;

/// Answers in one line when all is well, else returns every problem, one a line.
pub(crate) fn run(path: &Path, flags: &Flags, output: Format) -> Result<ExitCode, String> {
    let checked = config::check(path, flags, &WallClock).map_err(|problems| problems.to_string())?;
    let counts = [
        checked.registry.workloads.len(),
        checked.registry.connectors.len(),
        checked.policies.len(),
        checked.settings.operators.len(),
    ];
    let [workloads, connectors, policies, operators] = counts;
    let value = json!({
        "file": path.display().to_string(),
        "workloads": workloads,
        "connectors": connectors,
        "policy_files": policies,
        "operators": operators,
    });
    let nouns = ["workload", "connector", "policy file", "operator"];
    let said: Vec<String> = counts
        .iter()
        .zip(nouns)
        .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    let text = format!("{} is right: {}", path.display(), said.join(", "));
    Ok(output.answer("config", value, &text))
}
