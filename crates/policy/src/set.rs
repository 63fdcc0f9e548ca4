//! [`PolicySet`]: policies in force, compiled and validated.

use std::collections::BTreeMap;
use std::fmt;

use cedar_policy::Policy;
use locum_model::{Name, Obligations};

use crate::annotation::Terms;
use crate::candidates::Candidates;
use crate::vocabulary::Vocabulary;

/// Policies that were parsed, validated strictly and indexed. Immutable: share it as an `Arc`.
///
/// An empty set permits nothing.
pub struct PolicySet {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) candidates: Candidates,
    terms: BTreeMap<Name, Obligations>,
}

impl PolicySet {
    /// Indexes policies whose ids are those of their terms, each once.
    pub(crate) fn of(policies: Vec<(Policy, Terms)>) -> Self {
        let vocabulary = Vocabulary::new();
        let mut terms = BTreeMap::new();
        let mut candidates = Candidates::default();
        for (policy, its) in policies {
            terms.insert(its.id, its.obligations);
            candidates.add(policy, &vocabulary);
        }
        Self { vocabulary, candidates, terms }
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there is none, so that nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The ids of the policies, ordered.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.terms.keys().map(Name::as_str)
    }

    /// What the policy `id` demands when it permits.
    pub fn obligations(&self, id: &str) -> Option<&Obligations> {
        self.terms.get(&id.parse::<Name>().ok()?)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("policies", &self.len()).finish_non_exhaustive()
    }
}
