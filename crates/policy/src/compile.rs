//! [`compile`]: policy texts → [`PolicySet`], or everything that is wrong with them.
//!
//! In order: sizes, the flat scan, one parse per statement, annotations, ids, slips that would
//! permit everything, and strict validation against the schema, in which a warning (a policy that
//! can never apply, a look-alike character) counts as an error: a forbid that can never apply is a
//! hole that nobody sees.

use std::collections::BTreeMap;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet as CedarSet, PrincipalConstraint,
    ResourceConstraint, ValidationMode, Validator,
};
use locum_model::event::PolicyText;
use locum_model::limits::{POLICIES_MAX, POLICY_BYTES_MAX, POLICY_PROBLEMS_MAX};

use crate::annotation::{self, Terms};
use crate::problem::PolicyProblem;
use crate::set::{PolicySet, Source};
use crate::statement::{Statement, statements};
use crate::vocabulary;

/// Steps from principal or resource to the last entity that a policy can look into: from an
/// operation over its connector and that one's owner to the tenant. Bounding them also refuses to
/// look into an entity that is written in the policy, which a request's entities need not hold.
const DEREFERENCES_MAX: u32 = 4;

/// Compiles and validates policy texts as one set.
///
/// # Errors
///
/// Every problem found, at most [`POLICY_PROBLEMS_MAX`], in the order of the texts. A set with any
/// problem is refused whole (`POLICY_INVALID`).
pub fn compile(texts: &[PolicyText]) -> Result<PolicySet, Vec<PolicyProblem>> {
    let mut draft = Draft::default();
    if draft.sizes_fit(texts) {
        for text in texts {
            draft.read(text);
        }
        draft.validate();
    }
    if draft.problems.is_empty() {
        return Ok(PolicySet::of(draft.policies.into_values().map(Drafted::finish).collect()));
    }
    // Cedar says the same once per action, in no particular order: one problem a place is enough.
    draft.problems.sort();
    draft.problems.dedup_by_key(|(place, _)| *place);
    Err(draft.problems.into_iter().map(|(_, problem)| problem).take(POLICY_PROBLEMS_MAX).collect())
}

/// What was read so far.
#[derive(Default)]
struct Draft<'a> {
    policies: BTreeMap<String, Drafted<'a>>,
    problems: Vec<((usize, usize), PolicyProblem)>,
    files: usize,
    statements: usize,
}

/// A policy that was read, and where it stands.
struct Drafted<'a> {
    policy: Policy,
    terms: Terms,
    text: &'a PolicyText,
    file: usize,
    start: usize,
    end: usize,
    line: usize,
}

// === impl Drafted ===

impl Drafted<'_> {
    fn finish(self) -> (Policy, Terms, Source) {
        let text = self.text.text[self.start..self.end].to_owned();
        (self.policy, self.terms, Source { file: self.text.name.clone(), line: self.line, text })
    }
}

// === impl Draft ===

impl<'a> Draft<'a> {
    fn sizes_fit(&mut self, texts: &[PolicyText]) -> bool {
        let bytes = |text: &PolicyText| text.text.len().saturating_add(text.name.len());
        let total = texts.iter().map(bytes).fold(0, usize::saturating_add);
        if total <= POLICY_BYTES_MAX && texts.len() <= POLICIES_MAX {
            return true;
        }
        let message = format!(
            "{} files of {total} bytes together; at most {POLICIES_MAX} and {POLICY_BYTES_MAX}",
            texts.len()
        );
        let whole = PolicyText { name: String::new(), text: String::new() };
        self.problem(&whole, 0, &message);
        false
    }

    fn read(&mut self, text: &'a PolicyText) {
        self.files += 1;
        match statements(&text.text) {
            Ok(found) => self.read_statements(text, &found),
            Err(fault) => self.problem(text, fault.offset, &fault.message),
        }
    }

    fn read_statements(&mut self, text: &'a PolicyText, found: &[Statement<'_>]) {
        let (mut line, mut at) = (1, 0);
        for statement in found {
            // Counted on from the statement before: from the file's beginning it would be quadratic.
            line += text.text[at..statement.start].matches('\n').count();
            at = statement.start;
            self.read_statement(text, statement, line);
        }
    }

    fn read_statement(&mut self, text: &'a PolicyText, statement: &Statement<'_>, line: usize) {
        self.statements += 1;
        if self.statements == POLICIES_MAX + 1 {
            self.problem(text, statement.start, &format!("more than {POLICIES_MAX} policies"));
        }
        // Parsing goes on after a problem so that an author sees them all, within bounds.
        if self.statements > POLICIES_MAX || self.problems.len() >= POLICY_PROBLEMS_MAX {
            return;
        }
        match read_policy(statement) {
            Ok((policy, terms)) => self.take(text, (statement, line), policy, terms),
            Err((offset, message)) => self.problem(text, statement.start + offset, &message),
        }
    }

    fn take(
        &mut self,
        text: &'a PolicyText,
        (statement, line): (&Statement<'_>, usize),
        policy: Policy,
        terms: Terms,
    ) {
        let start = statement.start;
        let id = terms.id.to_string();
        if let Some(first) = self.policies.get(&id) {
            let first = PolicyProblem::at(first.text, first.start, "");
            let message = format!("`@id(\"{id}\")` stands twice, first in {}:{}", first.file, first.line);
            return self.problem(text, start, &message);
        }
        let policy = policy.new_id(PolicyId::new(&id));
        let end = start + statement.text.len();
        self.policies.insert(id, Drafted { policy, terms, text, file: self.files, start, end, line });
    }

    fn validate(&mut self) {
        let policies = self.policies.values().map(|drafted| drafted.policy.clone());
        let set = CedarSet::from_policies(policies).expect("static policies, each with an id of its own");
        let validator = Validator::new(vocabulary::schema());
        let result = validator.validate_with_level(&set, ValidationMode::Strict, DEREFERENCES_MAX);
        let errors = result.validation_errors().map(|error| (error.policy_id(), DetailedError::from(error)));
        let warnings =
            result.validation_warnings().map(|warning| (warning.policy_id(), DetailedError::from(warning)));
        for (id, error) in errors.chain(warnings) {
            let Some(drafted) = self.policies.get(AsRef::<str>::as_ref(id)) else { continue };
            let (offset, message) = told(&error);
            let problem = PolicyProblem::at(drafted.text, drafted.start + offset, &message);
            self.problems.push(((drafted.file, drafted.start + offset), problem));
        }
    }

    fn problem(&mut self, text: &PolicyText, offset: usize, message: &str) {
        self.problems.push(((self.files, offset), PolicyProblem::at(text, offset, message)));
    }
}

/// Parses one statement as one policy. An error's offset counts from the statement's start.
fn read_policy(statement: &Statement<'_>) -> Result<(Policy, Terms), (usize, String)> {
    let policy = Policy::parse(None, statement.text).map_err(|errors| told(&DetailedError::from(&errors)))?;
    let terms = annotation::terms(&policy).map_err(|error| (0, error.to_string()))?;
    if policy.effect() == Effect::Permit && !statement.conditional && is_about_everything(&policy) {
        let message = "permits everything to everybody: say which principal, action or resource, or under which condition";
        return Err((0, message.to_owned()));
    }
    Ok((policy, terms))
}

/// Whether the scope leaves nobody and nothing out. A guard against a slip, not an analysis: a
/// condition that always holds is not found out here.
fn is_about_everything(policy: &Policy) -> bool {
    let anybody =
        matches!(policy.principal_constraint(), PrincipalConstraint::Any | PrincipalConstraint::Is(_));
    let anything =
        matches!(policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_));
    let whatever = match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(_) => false,
        ActionConstraint::In(actions) => crate::Ask::ALL.len() <= actions.len(),
    };
    anybody && anything && whatever
}

/// Where Cedar sees the problem, and what it says of it.
fn told(error: &DetailedError) -> (usize, String) {
    let offset = error.source_locations.first().map_or(0, |label| label.loc.start);
    let label = error.source_locations.first().and_then(|label| label.label.as_deref());
    let parts = [Some(error.message.as_str()), label, error.help.as_deref()];
    (offset, parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}
