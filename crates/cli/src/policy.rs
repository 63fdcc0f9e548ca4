//! `locum policy`: what an author of policies works with.
//!
//! Everything but `check --on-broker` and reading the record works without a broker, on files: the
//! policies are compiled and asked by the very code that the broker decides with.

use std::path::Path;

use locum_policy::{ConditionStory, Denial, Explanation, OperationStory, PolicyStory};
use serde_json::{Value, json};

use crate::args::PolicyCommand;
use crate::failure::Failure;
use crate::input::unreadable;
use crate::output::{Output, escaped};
use crate::session::Session;

mod ask;
mod check;
mod compare;
mod explain;
mod place;
mod recorded;
mod simulate;
mod test_cases;

/// Runs one of the verbs.
pub(crate) async fn run(command: PolicyCommand, session: &Session, output: &Output) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check(args) => check::run(&args, session, output).await,
        PolicyCommand::Test(args) => test_cases::run(&args, output),
        PolicyCommand::Explain(args) => explain::run(&args, session, output).await,
        PolicyCommand::Diff(args) => compare::run(&args, output),
        PolicyCommand::Simulate(args) => simulate::run(&args, session, output).await,
    }
}

// === telling decisions ===

/// A decision in a few words.
fn outcome(explanation: &Explanation) -> String {
    match &explanation.decision {
        Ok(permit) => {
            let obligations = permit.obligations();
            let mut words = vec![format!("permitted by {}", permit.policies().join(", "))];
            words.extend(obligations.ttl_max.map(|ttl| format!("at most {} s", ttl.as_secs())));
            let demands = [
                (obligations.single_use, "single use"),
                (obligations.proof_of_possession, "proof of possession"),
                (obligations.justification, "justification"),
            ];
            words
                .extend(demands.iter().filter(|(demanded, _)| *demanded).map(|(_, word)| (*word).to_owned()));
            words.join("; ")
        }
        Err(denial) => format!("denied, {}: {}{}", denial.reason(), denial.detail(), by(denial)),
    }
}

fn by(denial: &Denial) -> String {
    if denial.policies().is_empty() {
        String::new()
    } else {
        format!(" (by {})", denial.policies().join(", "))
    }
}

/// The story of a decision, a line each.
fn story(explanation: &Explanation) -> Vec<String> {
    explanation.operations.iter().flat_map(operation_story).collect()
}

fn operation_story(story: &OperationStory) -> Vec<String> {
    let mut lines = vec![format!("{}", story.operation)];
    lines.extend(story.permits.iter().map(|id| format!("  permit `{id}` applies")));
    for (stories, what) in [
        (&story.forbids, "forbid `{}` applies, since"),
        (&story.failed, "policy `{}` could not be evaluated:"),
        (&story.near, "permit `{}` would apply, had this been so:"),
    ] {
        for policy in stories {
            lines.push(format!("  {}", what.replace("{}", &policy.policy)));
            lines.extend(policy.conditions.iter().map(|condition| condition_line(policy, condition)));
        }
    }
    if lines.len() == 1 {
        lines.push("  no policy has a scope that matches".to_owned());
    }
    lines.iter().map(|line| escaped(line)).collect()
}

fn condition_line(policy: &PolicyStory, condition: &ConditionStory) -> String {
    let facts: Vec<String> =
        condition.facts.iter().map(|(path, value)| format!("{path} is {value}")).collect();
    let facts = if facts.is_empty() { String::new() } else { format!("   [{}]", facts.join(", ")) };
    format!("    {}:{}: {}{facts}", policy.file, condition.line, condition.text)
}

/// What decisions or cases do that are not what they were.
fn come_out_otherwise(count: usize) -> &'static str {
    if count == 1 { "comes out otherwise" } else { "come out otherwise" }
}

/// A decision and its story as a document.
fn explanation_document(explanation: &Explanation) -> Value {
    let decision = match &explanation.decision {
        Ok(permit) => {
            let obligations = permit.obligations();
            json!({
                "permitted": true,
                "policies": permit.policies(),
                "obligations": {
                    "ttl_max_millis": obligations.ttl_max.map(|ttl| ttl.as_millis() as u64),
                    "single_use": obligations.single_use,
                    "proof_of_possession": obligations.proof_of_possession,
                    "justification": obligations.justification,
                },
            })
        }
        Err(denial) => json!({
            "permitted": false,
            "reason": denial.reason().as_str(),
            "detail": denial.detail(),
            "operation": denial.operation().map(ToString::to_string),
            "policies": denial.policies(),
        }),
    };
    let operations = explanation.operations.iter().map(|story| {
        json!({
            "operation": story.operation.to_string(),
            "permits": story.permits,
            "forbids": policies(&story.forbids),
            "failed": policies(&story.failed),
            "near": policies(&story.near),
        })
    });
    json!({ "decision": decision, "operations": Value::Array(operations.collect()) })
}

fn policies(stories: &[PolicyStory]) -> Value {
    let condition = |condition: &ConditionStory| {
        let facts = condition.facts.iter().map(|(path, value)| json!({ "fact": path, "value": value }));
        json!({
            "condition": condition.text,
            "line": condition.line,
            "judged": condition.judged,
            "facts": Value::Array(facts.collect()),
        })
    };
    let one = |story: &PolicyStory| {
        let conditions = story.conditions.iter().map(condition);
        json!({ "policy": story.policy, "file": story.file, "conditions": Value::Array(conditions.collect()) })
    };
    Value::Array(stories.iter().map(one).collect())
}

/// The text of a file of at most `bytes_max`.
fn text_of(path: &Path, bytes_max: usize) -> Result<String, Failure> {
    let bytes = locum_proposal::read_bounded(path, bytes_max).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes)
        .map_err(|_not_text| Failure::Usage(format!("`{}` is not UTF-8", escaped(&path.to_string_lossy()))))
}
