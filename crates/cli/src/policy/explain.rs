//! `locum policy explain`: one decision, a case's or a recorded one.

use locum_policy::Explanation;
use serde_json::json;

use super::ask::Asked;
use super::place::{known, set};
use super::recorded::{self, Recorded};
use super::test_cases::registry_of;
use super::{explanation_document, outcome, story};
use crate::args::ExplainArgs;
use crate::document;
use crate::failure::Failure;
use crate::output::{Output, escaped};
use crate::session::Session;

/// Explains it.
pub(crate) async fn run(args: &ExplainArgs, session: &Session, output: &Output) -> Result<(), Failure> {
    match named(args)? {
        Some((asked, explanation)) => tell(&asked, None, &explanation, output),
        None => {
            let missing = || Failure::Usage("name the registry with `--registry`".to_owned());
            let known = known(args.registry.as_deref().ok_or_else(missing)?)?;
            let set = set(&args.policies)?;
            let record = recorded::read(&args.record, session).await?;
            let is_it = |recorded: &&Recorded| {
                let Recorded { position, task, jti, .. } = recorded;
                [position, jti].contains(&&args.decision) || (*task == args.decision && jti.is_empty())
            };
            let nothing = || {
                let text = "is no case, and no decision that the record tells of whole";
                Failure::Usage(format!("`{}` {text}", escaped(&args.decision)))
            };
            let recorded = record.decisions.iter().find(is_it).ok_or_else(nothing)?;
            let explanation = recorded.asked.put_known(&set, &known)?;
            tell(&recorded.asked, Some(recorded), &explanation, output)
        }
    }
}

/// The case of this name, when there is one.
fn named(args: &ExplainArgs) -> Result<Option<(Asked, Explanation)>, Failure> {
    let Ok(files) = locum_proposal::read_cases(&args.policies) else { return Ok(None) };
    for file in &files {
        if let Some(case) = file.cases.iter().find(|case| case.name == args.decision) {
            let asked = Asked::of(case).map_err(Failure::Usage)?;
            let known = registry_of(file, args.registry.as_deref())?;
            let explanation = asked.put_known(&set(&args.policies)?, &known)?;
            return Ok(Some((asked, explanation)));
        }
    }
    Ok(None)
}

fn tell(
    asked: &Asked,
    recorded: Option<&Recorded>,
    explanation: &Explanation,
    output: &Output,
) -> Result<(), Failure> {
    let was = recorded.map(|recorded| match &recorded.outcome {
        Ok(policies) => format!("permitted by {}", policies.join(", ")),
        Err(reason) => format!("denied, {reason}"),
    });
    let proof_known = recorded.is_none_or(|recorded| recorded.proof_known);
    let value = json!({
        "asked": asked.summary(),
        "at": document::time(asked.at),
        "recorded": was,
        "proof_known": proof_known,
        "explanation": explanation_document(explanation),
    });
    output.data(document::of("decision", value), || {
        let mut lines = vec![escaped(&asked.summary())];
        lines.extend(was.iter().map(|was| format!("recorded: {}", escaped(was))));
        lines.push(format!(
            "{}: {}",
            if was.is_some() { "now" } else { "decision" },
            escaped(&outcome(explanation))
        ));
        if !proof_known {
            lines.push("whether a key was proved is not in the record; put here as if none was".to_owned());
        }
        lines.extend(story(explanation));
        lines.join("\n")
    })
}
