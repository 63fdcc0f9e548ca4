//! `locum policy test`: the cases beside the policies.

use std::path::{Path, PathBuf};

use locum_policy::{Explanation, PolicySet, RegistryEntities};
use locum_proposal::{CaseFile, Denied, Expected, Permitted, PolicyCase, written};
use serde_json::{Value, json};

use super::ask::Asked;
use super::place::{known, set, unreadable};
use super::{explanation_document, outcome, story};
use crate::args::TestArgs;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, escaped};

/// What came out of one case.
struct Tested<'a> {
    file: &'a Path,
    case: &'a PolicyCase,
    explanation: Option<Explanation>,
    /// Why it failed; empty when it passed.
    faults: Vec<String>,
}

/// Runs every case.
pub(crate) fn run(args: &TestArgs, output: &Output) -> Result<(), Failure> {
    let files = locum_proposal::read_cases(&args.cases).map_err(unreadable)?;
    let beside = || if args.cases.is_dir() { args.cases.clone() } else { folder_of(&args.cases) };
    let policies = args.policies.clone().unwrap_or_else(beside);
    let set = set(&policies)?;
    let (mut passed, mut failed, mut tested) = (0, 0, Vec::new());
    for file in &files {
        let known = registry_of(file, args.registry.as_deref())?;
        for case in &file.cases {
            let one = test(&set, &known, file, case);
            if one.faults.is_empty() {
                passed += 1
            } else {
                failed += 1
            }
            tested.push(one);
        }
    }
    let cases: Vec<Value> = tested.iter().map(document_of).collect();
    let report = json!({ "passed": passed, "failed": failed, "cases": cases });
    output.data(document::of("test", report), || {
        let mut lines: Vec<String> = tested.iter().flat_map(lines_of).collect();
        lines.push(format!("{passed} passed, {failed} failed"));
        lines.join("\n")
    })?;
    match failed {
        0 => Ok(()),
        _ => Err(Failure::Denied(format!("{failed} of {} cases failed", passed + failed))),
    }
}

/// The registry that a case file speaks of.
pub(crate) fn registry_of(file: &CaseFile, instead: Option<&Path>) -> Result<RegistryEntities, Failure> {
    let missing = || {
        let file = file.path.to_string_lossy();
        Failure::Usage(format!("`{}` names no `registry`: name one with `--registry`", escaped(&file)))
    };
    known(instead.or(file.registry.as_deref()).ok_or_else(missing)?)
}

fn folder_of(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn test<'a>(
    set: &PolicySet,
    known: &RegistryEntities,
    file: &'a CaseFile,
    case: &'a PolicyCase,
) -> Tested<'a> {
    let asked = Asked::of(case);
    let put = asked.and_then(|asked| asked.put(set, known).ok_or_else(|| asked.unknown()));
    let (explanation, faults) = match put {
        Ok(explanation) => {
            let faults = compare(&case.expected, &explanation);
            (Some(explanation), faults)
        }
        Err(fault) => (None, vec![fault]),
    };
    Tested { file: &file.path, case, explanation, faults }
}

/// How a decision differs from what was expected.
fn compare(expected: &Expected, explanation: &Explanation) -> Vec<String> {
    match (expected, &explanation.decision) {
        (Expected::Permit(_), Err(_)) => vec!["expected a permit".to_owned()],
        (Expected::Deny(denied), Ok(_)) => vec![format!("expected a denial, {}", denied.reason)],
        (Expected::Permit(expected), Ok(permit)) => {
            let obligations = permit.obligations();
            let Permitted { policies, ttl_max, single_use, proof_of_possession, justification } = expected;
            let shown = |ttl: Option<std::time::Duration>| ttl.map_or_else(|| "none".to_owned(), written);
            let yes = |demanded: &bool| if *demanded { "demanded" } else { "not demanded" }.to_owned();
            [
                unlike("policies", policies.as_ref().map(|ids| ids.join(", ")), permit.policies().join(", ")),
                unlike("ttl_max", ttl_max.map(shown), shown(obligations.ttl_max)),
                unlike("single_use", single_use.as_ref().map(yes), yes(&obligations.single_use)),
                unlike(
                    "proof_of_possession",
                    proof_of_possession.as_ref().map(yes),
                    yes(&obligations.proof_of_possession),
                ),
                unlike("justification", justification.as_ref().map(yes), yes(&obligations.justification)),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
        (Expected::Deny(Denied { reason, operation, policies }), Err(denial)) => {
            let told = denial.operation().map(ToString::to_string).unwrap_or_default();
            [
                unlike("reason", Some(reason.to_string()), denial.reason().to_string()),
                unlike("operation", operation.as_ref().map(ToString::to_string), told),
                unlike("policies", policies.as_ref().map(|ids| ids.join(", ")), denial.policies().join(", ")),
            ]
            .into_iter()
            .flatten()
            .collect()
        }
    }
}

fn unlike(what: &str, expected: Option<String>, found: String) -> Option<String> {
    let expected = expected.filter(|expected| *expected != found)?;
    Some(format!("`{what}`: expected {expected}; found {found}"))
}

fn lines_of(tested: &Tested<'_>) -> Vec<String> {
    let Tested { file, case, explanation, faults } = tested;
    if faults.is_empty() {
        return vec![format!("ok    {}", escaped(&case.name))];
    }
    let place = format!("{}:{}", escaped(&file.to_string_lossy()), case.line);
    let mut lines = vec![format!("FAIL  {}   {place}", escaped(&case.name))];
    lines.extend(faults.iter().map(|fault| format!("      {}", escaped(fault))));
    if let Some(explanation) = explanation {
        lines.push(format!("      found: {}", escaped(&outcome(explanation))));
        lines.extend(story(explanation).into_iter().map(|line| format!("      {line}")));
    }
    lines
}

fn document_of(tested: &Tested<'_>) -> Value {
    let explanation = tested.explanation.as_ref();
    json!({
        "name": tested.case.name,
        "file": tested.file.to_string_lossy(),
        "line": tested.case.line,
        "passed": tested.faults.is_empty(),
        "faults": tested.faults,
        "explanation": explanation.map(explanation_document),
    })
}
