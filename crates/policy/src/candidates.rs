//! Which policies can speak about a request, picked by their scopes, and their combined answer.
//!
//! Cedar evaluates every policy of a set. A policy says in its scope which principal, action and
//! resource it is about, as one entity that the asked one must be or be in; when it is not, the
//! policy is unsatisfied, and since Cedar judges the scope first and a scope cannot fail, it
//! cannot fail either. So policies stand in buckets by those entities, and a request visits the
//! buckets of its own entities and their ancestors.
//!
//! INVARIANT: each policy stands in one bucket, and every request that its scope admits visits
//! that bucket. Buckets hold more than what matches, never less: `is` and lists of actions are
//! left to Cedar. The answer is what Cedar gives over the whole set: satisfied forbids, else
//! satisfied permits, and every failure. A test compares the two over generated sets.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, EntityUid, Policy, PolicySet as Bucket,
    PrincipalConstraint, Request, ResourceConstraint,
};

use crate::vocabulary::Vocabulary;

/// What a scope pins: one entity, or none.
type Pin = Option<EntityUid>;

/// The policies by resource, then by principal.
type Shelf = HashMap<Pin, HashMap<Pin, Bucket>>;

/// The policies of a set in buckets.
#[derive(Default)]
pub(crate) struct Candidates {
    any_action: Shelf,
    by_action: [Shelf; 3],
    authorizer: Authorizer,
}

/// One Cedar request and the entities whose buckets it visits.
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
    pub(crate) ask: crate::Ask,
}

/// What all policies together say: ids, ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Satisfied permits; empty when a forbid is satisfied.
    pub(crate) permits: BTreeSet<String>,
    /// Satisfied forbids.
    pub(crate) forbids: BTreeSet<String>,
    /// Policies that could not be evaluated.
    pub(crate) failed: BTreeSet<String>,
}

// === impl Candidates ===

impl Candidates {
    /// Puts `policy` into its bucket. Ids are unique, or this panics: `compile` saw to it.
    pub(crate) fn add(&mut self, policy: Policy, vocabulary: &Vocabulary) {
        let shelf = match action_pin(&policy, vocabulary) {
            None => &mut self.any_action,
            Some(ask) => &mut self.by_action[ask as usize],
        };
        let by_principal = shelf.entry(resource_pin(&policy)).or_default();
        let bucket = by_principal.entry(principal_pin(&policy)).or_default();
        bucket.add(policy).expect("a static policy with an id of its own");
    }

    /// The answer of the whole set.
    pub(crate) fn answer(&self, question: &Question<'_>) -> Answer {
        let mut answer = Answer::default();
        for shelf in [&self.any_action, &self.by_action[question.ask as usize]] {
            for by_principal in question.resources.iter().filter_map(|pin| shelf.get(pin)) {
                for bucket in question.principals.iter().filter_map(|pin| by_principal.get(pin)) {
                    let response = self.authorizer.is_authorized(question.request, bucket, question.entities);
                    answer.take(&response);
                }
            }
        }
        if !answer.forbids.is_empty() {
            answer.permits.clear();
        }
        answer
    }
}

fn action_pin(policy: &Policy, vocabulary: &Vocabulary) -> Option<crate::Ask> {
    match policy.action_constraint() {
        ActionConstraint::Eq(action) => vocabulary.ask(&action),
        ActionConstraint::Any | ActionConstraint::In(_) => None,
    }
}

fn principal_pin(policy: &Policy) -> Pin {
    match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

fn resource_pin(policy: &Policy) -> Pin {
    match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            Some(uid)
        }
    }
}

// === impl Answer ===

impl Answer {
    /// Adds what Cedar said about one bucket.
    pub(crate) fn take(&mut self, response: &cedar_policy::Response) {
        let diagnostics = response.diagnostics();
        let satisfied = match response.decision() {
            Decision::Allow => &mut self.permits,
            Decision::Deny => &mut self.forbids,
        };
        satisfied.extend(diagnostics.reason().map(|id| AsRef::<str>::as_ref(id).to_owned()));
        self.failed.extend(diagnostics.errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => {
                AsRef::<str>::as_ref(error.policy_id()).to_owned()
            }
        }));
    }
}
