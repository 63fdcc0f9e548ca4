//! [`PolicySet`]: policies in force, compiled and validated.

use std::fmt;

use cedar_policy::Policy;
use locum_model::Obligations;

use crate::annotation::Terms;
use crate::candidates::{Candidates, PolicyNo};
use crate::vocabulary::Vocabulary;

/// Policies that were parsed, validated strictly and indexed. Immutable: share it as an `Arc`.
///
/// An empty set permits nothing.
pub struct PolicySet {
    pub(crate) candidates: Candidates,
    /// In the order of the ids, as are the sources.
    terms: Vec<Terms>,
    sources: Vec<Source>,
}

/// Where a policy stands, and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file's name.
    pub(crate) file: String,
    /// The line of its first token, from 1.
    pub(crate) line: usize,
    /// From its first token to its `;`.
    pub(crate) text: String,
}

impl PolicySet {
    /// Indexes policies whose ids are those of their terms, each once.
    pub(crate) fn of(mut policies: Vec<(Policy, Terms, Source)>) -> Self {
        let vocabulary = Vocabulary::new();
        policies.sort_by(|(_, a, _), (_, b, _)| a.id.cmp(&b.id));
        let (mut terms, mut sources) =
            (Vec::with_capacity(policies.len()), Vec::with_capacity(policies.len()));
        let mut candidates = Candidates::default();
        for (policy, its, source) in policies {
            candidates.add(&policy, &source.text, &vocabulary);
            terms.push(its);
            sources.push(source);
        }
        Self { candidates, terms, sources }
    }

    /// What the annotations of a policy of this set say.
    pub(crate) fn terms(&self, number: PolicyNo) -> &Terms {
        &self.terms[number.0 as usize]
    }

    /// Where a policy of this set stands.
    pub(crate) fn source(&self, number: PolicyNo) -> &Source {
        &self.sources[number.0 as usize]
    }

    /// Every id and where its policy stands.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.ids().zip(&self.sources)
    }

    /// The ids of policies of this set, in their order.
    pub(crate) fn names(&self, numbers: &[PolicyNo]) -> Vec<String> {
        numbers.iter().map(|number| self.terms(*number).id.to_string()).collect()
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
        self.terms.iter().map(|terms| terms.id.as_str())
    }

    /// What the policy `id` demands when it permits.
    pub fn obligations(&self, id: &str) -> Option<&Obligations> {
        let at = self.terms.binary_search_by(|terms| terms.id.as_str().cmp(id)).ok()?;
        Some(&self.terms[at].obligations)
    }
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet").field("policies", &self.len()).finish_non_exhaustive()
    }
}
