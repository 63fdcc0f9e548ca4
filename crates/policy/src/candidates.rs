//! Which policies can speak about a request, picked by their scopes, and their combined answer.
//!
//! Cedar evaluates every policy of a set. A policy says in its scope which principal, action and
//! resource it is about, as one entity that the asked one must be or be in. So policies stand in
//! buckets by those entities, and a request visits the buckets of its own entities and their
//! ancestors: those are the policies whose scope matches, no more and no less. What is left to
//! evaluate are their conditions, by Cedar itself.
//!
//! INVARIANT: the answer is what Cedar gives over the whole set: satisfied forbids, else satisfied
//! permits, and every failure. Cedar judges the scope first and a scope cannot fail, so a policy
//! whose scope does not match is unsatisfied and cannot fail either. A test compares the two over
//! generated sets.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityUid, EvalResult, Expression, Policy, PrincipalConstraint,
    Request, ResourceConstraint, eval_expression,
};

use crate::entities::Pin;
use crate::request::Ask;
use crate::statement::nesting;
use crate::vocabulary::Vocabulary;

/// The deepest policy that is stripped of its places. In an unoptimised build a level takes about 20 KiB of
/// stack, and threads may have 2 MiB.
const BARE_NESTING_MAX: usize = 32;

/// The policies of a set in buckets, by action, principal and resource.
#[derive(Default)]
pub(crate) struct Candidates {
    judged: Vec<Judged>,
    buckets: [HashMap<u64, Vec<Bucket>, BuildHasherDefault<AsItIs>>; 3],
}

/// A policy's place in its set: policies are numbered in the order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PolicyNo(pub(crate) u32);

/// A policy as it is judged once its scope matches.
struct Judged {
    effect: Effect,
    /// All that follows the scope; none when nothing does.
    conditions: Option<Expression>,
}

/// Policies with one scope.
struct Bucket {
    principal: Named,
    resource: Named,
    policies: Vec<PolicyNo>,
}

/// The entity that one part of a scope names; none for any.
type Named = Option<EntityUid>;

/// One Cedar request and what its buckets are.
pub(crate) struct Question<'a> {
    /// Whether for principal, action, resource and context.
    pub(crate) request: &'a Request,
    /// The entities that the policies look at.
    pub(crate) entities: &'a Entities,
    /// The principal and its ancestors.
    pub(crate) principals: &'a [Pin],
    /// The operation and its ancestors.
    pub(crate) resources: &'a [Pin],
    /// Which of the actions.
    pub(crate) ask: Ask,
}

/// What all policies together say: policies in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Satisfied permits; empty when a forbid is satisfied.
    pub(crate) permits: Vec<PolicyNo>,
    /// Satisfied forbids.
    pub(crate) forbids: Vec<PolicyNo>,
    /// Policies that could not be evaluated.
    pub(crate) failed: Vec<PolicyNo>,
}

/// Whether a policy whose scope matches applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Satisfied,
    Unsatisfied,
    Failed,
}

/// Keys of buckets are hashes already.
#[derive(Default)]
struct AsItIs(u64);

// === impl Candidates ===

impl Candidates {
    /// Puts `policy` into its buckets; its number is how many there were before.
    pub(crate) fn add(&mut self, policy: &Policy, text: &str, vocabulary: &Vocabulary) {
        let number = PolicyNo(u32::try_from(self.judged.len()).expect("`POLICIES_MAX` is far below"));
        let conditions = bare(policy, text).as_ref().non_scope_constraints().cloned().map(Expression::from);
        self.judged.push(Judged { effect: policy.effect(), conditions });
        // A scope that no request matches needs no bucket.
        let (Some(principal), Some(resource)) =
            (principal_named(policy, vocabulary), resource_named(policy, vocabulary))
        else {
            return;
        };
        for ask in asks(policy, vocabulary) {
            self.bucket(ask, principal.clone(), resource.clone()).push(number);
        }
    }

    fn bucket(&mut self, ask: Ask, principal: Named, resource: Named) -> &mut Vec<PolicyNo> {
        let key = key(Pin::hash_of(principal.as_ref()), Pin::hash_of(resource.as_ref()));
        let buckets = self.buckets[ask as usize].entry(key).or_default();
        let same = |bucket: &Bucket| bucket.principal == principal && bucket.resource == resource;
        let at = buckets.iter().position(same).unwrap_or_else(|| {
            buckets.push(Bucket { principal, resource, policies: Vec::new() });
            buckets.len() - 1
        });
        &mut buckets[at].policies
    }

    /// The policies whose scope matches, each once, in no order.
    pub(crate) fn matching<'a>(&'a self, question: &'a Question<'_>) -> impl Iterator<Item = PolicyNo> + 'a {
        let buckets = &self.buckets[question.ask as usize];
        question.resources.iter().flat_map(move |resource| {
            question.principals.iter().flat_map(move |principal| {
                let found = buckets.get(&key(principal.hash, resource.hash)).into_iter().flatten();
                let same = |bucket: &&Bucket| {
                    bucket.principal == principal.entity && bucket.resource == resource.entity
                };
                found.filter(same).flat_map(|bucket| bucket.policies.iter().copied())
            })
        })
    }

    /// The answer of the whole set.
    pub(crate) fn answer(&self, question: &Question<'_>) -> Answer {
        let mut answer = Answer::default();
        for number in self.matching(question) {
            match (self.judge(number, question), self.effect(number)) {
                (Verdict::Unsatisfied, _) => {}
                (Verdict::Satisfied, Effect::Permit) => answer.permits.push(number),
                (Verdict::Satisfied, Effect::Forbid) => answer.forbids.push(number),
                (Verdict::Failed, _) => answer.failed.push(number),
            }
        }
        answer.finish()
    }

    /// Whether the conditions of a policy hold.
    pub(crate) fn judge(&self, number: PolicyNo, question: &Question<'_>) -> Verdict {
        match &self.judged[number.0 as usize].conditions {
            None => Verdict::Satisfied,
            Some(conditions) => verdict(conditions, question),
        }
    }

    pub(crate) fn effect(&self, number: PolicyNo) -> Effect {
        self.judged[number.0 as usize].effect
    }
}

/// What an expression comes to that has to be a truth value.
pub(crate) fn verdict(expression: &Expression, question: &Question<'_>) -> Verdict {
    match eval_expression(question.request, question.entities, expression) {
        Ok(EvalResult::Bool(true)) => Verdict::Satisfied,
        Ok(EvalResult::Bool(false)) => Verdict::Unsatisfied,
        // In a policy, Cedar takes another value for an error of type.
        Ok(_) | Err(_) => Verdict::Failed,
    }
}

/// The same policy without its places in the text, which Cedar would count references to at every
/// step of an evaluation, shared by all threads that decide.
///
/// A policy that nests deeply stays as it is: taking it apart recurses, and needs a stack for each level.
fn bare(policy: &Policy, text: &str) -> Policy {
    if nesting(text) > BARE_NESTING_MAX {
        return policy.clone();
    }
    let made = policy.to_json().ok().and_then(|json| Policy::from_json(Some(policy.id().clone()), json).ok());
    made.unwrap_or_else(|| policy.clone())
}

fn key(principal: u64, resource: u64) -> u64 {
    principal ^ resource.rotate_left(32)
}

/// The actions that the scope admits.
fn asks(policy: &Policy, vocabulary: &Vocabulary) -> Vec<Ask> {
    match policy.action_constraint() {
        ActionConstraint::Any => Ask::ALL.into(),
        ActionConstraint::Eq(action) => vocabulary.ask(&action).into_iter().collect(),
        // The schema has no groups of actions: to be in an action is to be it.
        ActionConstraint::In(actions) => {
            Ask::ALL.into_iter().filter(|ask| actions.contains(vocabulary.action(*ask))).collect()
        }
    }
}

/// Which principal the scope names; none when it matches no workload.
fn principal_named(policy: &Policy, vocabulary: &Vocabulary) -> Option<Named> {
    let ours = &vocabulary.workload;
    match policy.principal_constraint() {
        PrincipalConstraint::Any => Some(None),
        PrincipalConstraint::Is(kind) => (kind == *ours).then_some(None),
        PrincipalConstraint::In(uid) => Some(Some(uid)),
        PrincipalConstraint::Eq(uid) => (uid.type_name() == ours).then_some(Some(uid)),
        PrincipalConstraint::IsIn(kind, uid) => (kind == *ours).then_some(Some(uid)),
    }
}

/// Which resource the scope names; none when it matches no operation.
fn resource_named(policy: &Policy, vocabulary: &Vocabulary) -> Option<Named> {
    let ours = &vocabulary.operation;
    match policy.resource_constraint() {
        ResourceConstraint::Any => Some(None),
        ResourceConstraint::Is(kind) => (kind == *ours).then_some(None),
        ResourceConstraint::In(uid) => Some(Some(uid)),
        ResourceConstraint::Eq(uid) => (uid.type_name() == ours).then_some(Some(uid)),
        ResourceConstraint::IsIn(kind, uid) => (kind == *ours).then_some(Some(uid)),
    }
}

// === impl Answer ===

impl Answer {
    fn finish(mut self) -> Self {
        if !self.forbids.is_empty() {
            self.permits.clear();
        }
        for numbers in [&mut self.permits, &mut self.forbids, &mut self.failed] {
            numbers.sort_unstable();
        }
        self
    }
}

// === impl AsItIs ===

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
