//! `locum policy diff`: two directories of policies.

use locum_policy::{Change, Explanation, PolicySet};
use locum_proposal::{CaseFile, PolicyCase};
use serde_json::{Value, json};

use super::ask::Asked;
use super::place::{known, set};
use super::recorded::{self, RECORD_BYTES_MAX};
use super::simulate::{Replayed, replay};
use super::test_cases::registry_of;
use super::{come_out_otherwise, outcome, text_of};
use crate::args::DiffArgs;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, counted, escaped};

/// A case that comes out otherwise under the new policies.
struct CaseFlip {
    name: String,
    was: Explanation,
    now: Explanation,
}

/// Compares them.
pub(crate) fn run(args: &DiffArgs, output: &Output) -> Result<(), Failure> {
    let (old, new) = (set(&args.old)?, set(&args.new)?);
    let changes = locum_policy::diff(&old, &new);
    let cases = case_flips(args, &old, &new)?;
    let record = match &args.record {
        Some(file) => recorded::of_text(&text_of(file, RECORD_BYTES_MAX)?)?,
        None => recorded::Record::default(),
    };
    let replayed = match (&args.registry, &args.record) {
        (Some(registry), Some(_)) => Some(replay(&record, &new, &known(registry)?)),
        _ => None,
    };
    let value = json!({
        "changes": Value::Array(changes.iter().map(change_document).collect()),
        "cases": Value::Array(cases.iter().map(case_document).collect()),
        "record": replayed.as_ref().map(Replayed::document),
    });
    let flips = format!("{} {}", counted(cases.len() as u64, "case"), come_out_otherwise(cases.len()));
    output.data(document::of("diff", value), || {
        let mut lines: Vec<String> = changes.iter().flat_map(change_lines).collect();
        lines.extend(cases.iter().flat_map(case_lines));
        lines.push(format!("{} changed, {flips}", counted(changes.len() as u64, "policy")));
        lines.extend(replayed.iter().flat_map(Replayed::lines));
        lines.join("\n")
    })?;
    if args.fail_on_flips && !cases.is_empty() {
        return Err(Failure::Denied(flips));
    }
    replayed.map_or(Ok(()), |replayed| replayed.judge(args.fail_on_flips))
}

/// The cases of both directories, each once, that come out otherwise.
fn case_flips(args: &DiffArgs, old: &PolicySet, new: &PolicySet) -> Result<Vec<CaseFlip>, Failure> {
    let mut found: Vec<(PolicyCase, CaseFlip)> = Vec::new();
    for dir in [&args.new, &args.old] {
        // A directory without cases has none to compare.
        for file in locum_proposal::read_cases(dir).unwrap_or_default() {
            if args.registry.is_none() && file.registry.is_none() {
                continue;
            }
            for (case, flip) in flips_of(&file, args, old, new)? {
                let known = |(other, _): &(PolicyCase, CaseFlip)| Asked::of(other) == Asked::of(&case);
                if !found.iter().any(known) {
                    found.push((case, flip));
                }
            }
        }
    }
    Ok(found.into_iter().map(|(_, flip)| flip).collect())
}

fn flips_of(
    file: &CaseFile,
    args: &DiffArgs,
    old: &PolicySet,
    new: &PolicySet,
) -> Result<Vec<(PolicyCase, CaseFlip)>, Failure> {
    let known = registry_of(file, args.registry.as_deref())?;
    let flip = |case: &PolicyCase| {
        let asked = Asked::of(case).ok()?;
        let (was, now) = (asked.put(old, &known)?, asked.put(new, &known)?);
        let same = match (&was.decision, &now.decision) {
            (Ok(was), Ok(now)) => was.obligations() == now.obligations(),
            (Err(was), Err(now)) => was.reason() == now.reason(),
            _ => false,
        };
        (!same).then(|| (case.clone(), CaseFlip { name: case.name.clone(), was, now }))
    };
    Ok(file.cases.iter().filter_map(flip).collect())
}

fn change_lines(change: &Change) -> Vec<String> {
    let mut lines = vec![escaped(&format!("{} {}", change.kind.as_str(), change.policy))];
    lines.extend(change.details.iter().map(|detail| escaped(&format!("  {detail}"))));
    lines
}

fn change_document(change: &Change) -> Value {
    json!({ "policy": change.policy, "change": change.kind.as_str(), "details": change.details })
}

fn case_lines(flip: &CaseFlip) -> Vec<String> {
    let CaseFlip { name, was, now } = flip;
    let lines =
        [format!("case {name}"), format!("  was: {}", outcome(was)), format!("  now: {}", outcome(now))];
    lines.iter().map(|line| escaped(line)).collect()
}

fn case_document(flip: &CaseFlip) -> Value {
    json!({ "case": flip.name, "was": outcome(&flip.was), "now": outcome(&flip.now) })
}
