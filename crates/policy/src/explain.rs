//! [`explain`]: a decision, policy by policy, and what was missing.
//!
//! A policy is *near* when its scope matches and it would have permitted had the conditions that
//! are named held too: each of them is judged by itself, by Cedar. Nothing here decides; the
//! decision comes from [`decide`](crate::decide()).

use cedar_policy::{Effect, Expression, eval_expression};
use locum_model::scope::Operation;
use locum_model::{Permit, Registry};

use crate::candidates::{PolicyNo, Question, Verdict, verdict};
use crate::case::{Asked, Case};
use crate::decide::{decide, registered, tenant_of};
use crate::denial::Denial;
use crate::entities::RegistryEntities;
use crate::parts::{Parts, attributes};
use crate::request::Request;
use crate::set::PolicySet;

/// Policies told as near, for one operation.
const NEAR_MAX: usize = 3;

/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// A decision and its story.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What was decided.
    pub decision: Result<Permit, Denial>,
    /// Operation by operation, in the scope's order; empty when nothing could be asked.
    pub operations: Vec<OperationStory>,
}

/// What policies said to one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationStory {
    /// Which.
    pub operation: Operation,
    /// Permits that applied, also when a forbid overruled them.
    pub permits: Vec<String>,
    /// Forbids that applied, each with its conditions, all of which held.
    pub forbids: Vec<PolicyStory>,
    /// Policies that could not be evaluated, with the conditions that could not.
    pub failed: Vec<PolicyStory>,
    /// When nothing permitted: the permits that were nearest. The fewest missing conditions come first,
    /// and of those the ones about what was asked before those about who asks and what is registered.
    pub near: Vec<PolicyStory>,
}

/// A policy and conditions of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStory {
    /// Its id.
    pub policy: String,
    /// Its file.
    pub file: String,
    /// Conditions, in the order of the text.
    pub conditions: Vec<ConditionStory>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionStory {
    /// What has to be true.
    pub text: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// Whether it could be judged: what it looks at may not be there.
    pub judged: bool,
    /// The facts that it looks at, and what they were.
    pub facts: Vec<(String, String)>,
}

/// Judges a request like [`decide`](crate::decide()) and tells why it came out so.
///
/// Costs a parse of every condition of the policies whose scope matches; for people, not for the path
/// of a request.
pub fn explain(set: &PolicySet, known: &RegistryEntities, request: &Request<'_>) -> Explanation {
    let decision = decide(set, known, request);
    let operations = stories(set, known, request).unwrap_or_default();
    Explanation { decision, operations }
}

fn stories(set: &PolicySet, known: &RegistryEntities, request: &Request<'_>) -> Option<Vec<OperationStory>> {
    let registry: &Registry = known.registry();
    let tenant = tenant_of(registry, request).ok()?;
    let case = Case::of(known, request).ok()?;
    let lines = request.scope.grants().map(|line| registered(registry, tenant, line).ok());
    let story = |asked: Asked<'_>| {
        let operation = asked.operation.clone();
        case.ask(&asked, |question| story(set, operation, question)).ok()
    };
    lines.map(|asked| asked.and_then(story)).collect()
}

fn story(set: &PolicySet, operation: Operation, question: &Question<'_>) -> OperationStory {
    let mut story = OperationStory {
        operation,
        permits: Vec::new(),
        forbids: Vec::new(),
        failed: Vec::new(),
        near: Vec::new(),
    };
    let mut matching: Vec<PolicyNo> = set.candidates.matching(question).collect();
    matching.sort_unstable();
    for number in matching {
        let tell = |wanted: fn(Verdict) -> bool| policy_story(set, number, question, wanted);
        match (set.candidates.judge(number, question), set.candidates.effect(number)) {
            (Verdict::Satisfied, Effect::Permit) => story.permits.push(set.terms(number).id.to_string()),
            (Verdict::Satisfied, Effect::Forbid) => story.forbids.push(tell(|_| true)),
            (Verdict::Failed, _) => story.failed.push(tell(|found| found == Verdict::Failed)),
            (Verdict::Unsatisfied, Effect::Permit) => {
                story.near.push(tell(|found| found != Verdict::Satisfied))
            }
            (Verdict::Unsatisfied, Effect::Forbid) => {}
        }
    }
    if !story.permits.is_empty() {
        story.near.clear();
    }
    story.near.sort_by_key(|near| (near.conditions.len(), beyond_the_caller(near)));
    story.near.truncate(NEAR_MAX);
    story
}

/// How many conditions look at nothing that the caller could ask otherwise.
fn beyond_the_caller(near: &PolicyStory) -> usize {
    let asked =
        |condition: &&ConditionStory| condition.facts.iter().any(|(path, _)| path.starts_with("context."));
    near.conditions.len() - near.conditions.iter().filter(asked).count()
}

/// The policy with those of its conditions whose verdict is wanted.
fn policy_story(
    set: &PolicySet,
    number: PolicyNo,
    question: &Question<'_>,
    wanted: fn(Verdict) -> bool,
) -> PolicyStory {
    let source = set.source(number);
    let mut conditions = Vec::new();
    for condition in Parts::of(&source.text).conditions {
        let text = condition.expression();
        let found = judged(&text, question);
        if wanted(found) {
            let line = source.line + source.text[..condition.offset].matches('\n').count();
            let facts = facts(&text, question);
            conditions.push(ConditionStory { text, line, judged: found != Verdict::Failed, facts });
        }
    }
    PolicyStory { policy: set.terms(number).id.to_string(), file: source.file.clone(), conditions }
}

pub(crate) fn judged(text: &str, question: &Question<'_>) -> Verdict {
    text.parse::<Expression>().map_or(Verdict::Failed, |expression| verdict(&expression, question))
}

fn facts(text: &str, question: &Question<'_>) -> Vec<(String, String)> {
    let value = |path: &str| {
        let expression: Expression = path.parse().ok()?;
        let value = eval_expression(question.request, question.entities, &expression).ok()?;
        Some(value.to_string().chars().take(VALUE_CHARS_MAX).collect::<String>())
    };
    let told = |path: String| {
        let value = value(&path).unwrap_or_else(|| "not there".to_owned());
        (path, value)
    };
    attributes(text).into_iter().map(told).collect()
}
