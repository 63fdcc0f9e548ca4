//! [`Facts`]: what a request adds to the registry, and the Cedar contexts that were made of such facts.
//!
//! Cedar has one way to make a context, which evaluates every value anew and takes more than half of a
//! decision. Facts repeat: what differs between one request and the next is mostly who asks, and that is no fact.
//! So [`Contexts`] keeps some contexts beside the facts that they were made of.
//!
//! INVARIANT: a context is given for facts that are equal, field by field, to those it was made of. Hashes only say
//! where to look; facts that meet in one place push each other out.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use cedar_policy::{Context, RestrictedExpression};
use locum_model::scope::Resources;
use locum_model::{Name, ResourcePattern};

use crate::case::Asked;
use crate::entities::Unaskable;
use crate::request::{Justification, Proof, Request, Subject};

/// How many contexts are kept: at most 8 patterns each, a few hundred KiB with the longest.
const KEPT_MAX: usize = 64;
/// A context of more patterns is made anew each time.
const PATTERNS_MAX: usize = 8;

/// `Facts` of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Facts<'a> {
    purpose: &'a Name,
    patterns: &'a BTreeSet<ResourcePattern>,
    plain: Plain,
}

/// The facts that are no texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Plain {
    all: bool,
    depth: u32,
    justification: Justification,
    proof: Proof,
    subject: Subject,
    weekday: u32,
    minute_of_day: u32,
}

/// Contexts that may be asked for again. Not state: a decision is the same without it.
pub(crate) struct Contexts {
    kept: [Mutex<Option<Kept>>; KEPT_MAX],
}

/// A context and what it was made of.
struct Kept {
    purpose: Name,
    patterns: BTreeSet<ResourcePattern>,
    plain: Plain,
    context: Context,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    pub(crate) fn of(request: &Request<'a>, asked: &Asked<'a>) -> Self {
        // All resources are shown as the patterns of the manifest: an empty set would be contained in
        // any set, and a policy that lists what may be touched would permit everything.
        let manifest = &asked.action.resources;
        let (patterns, all) = match asked.resources {
            Resources::All => (manifest, true),
            // Spelling the manifest's patterns out asks for just as much.
            Resources::Only(patterns) => {
                let covered = |wanted: &ResourcePattern| patterns.iter().any(|asked| wanted.is_within(asked));
                (patterns, manifest.iter().all(covered))
            }
        };
        let plain = Plain {
            all,
            depth: request.depth,
            justification: request.justification,
            proof: request.proof,
            subject: request.subject,
            weekday: request.now.weekday(),
            minute_of_day: request.now.minute_of_day(),
        };
        Self { purpose: request.purpose, patterns, plain }
    }

    /// The context of these facts, made anew.
    pub(crate) fn context(&self) -> Result<Context, Unaskable> {
        let exact = self.patterns.iter().all(ResourcePattern::is_exact);
        let patterns =
            self.patterns.iter().map(|pattern| RestrictedExpression::new_string(pattern.to_string()));
        let Plain { all, depth, justification, proof, subject, weekday, minute_of_day } = self.plain;
        let pairs = [
            ("purpose", RestrictedExpression::new_string(self.purpose.to_string())),
            ("resources", RestrictedExpression::new_set(patterns)),
            ("resources_all", RestrictedExpression::new_bool(all)),
            ("resources_exact", RestrictedExpression::new_bool(exact)),
            ("depth", RestrictedExpression::new_long(i64::from(depth))),
            ("justification", RestrictedExpression::new_bool(justification == Justification::Given)),
            ("proof", RestrictedExpression::new_bool(proof == Proof::Proved)),
            ("delegated", RestrictedExpression::new_bool(subject == Subject::Other)),
            ("weekday", RestrictedExpression::new_long(i64::from(weekday))),
            ("minute_of_day", RestrictedExpression::new_long(i64::from(minute_of_day))),
        ];
        Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value)))
            .map_err(|_unevaluated| Unaskable)
    }
}

// === impl Contexts ===

impl Contexts {
    /// The context of `facts`.
    pub(crate) fn of(&self, facts: &Facts<'_>) -> Result<Context, Unaskable> {
        if facts.patterns.len() > PATTERNS_MAX {
            return facts.context();
        }
        // Whoever has the place is about to give it back; to wait would take longer than to make a context.
        let Ok(mut place) = self.kept[place_of(facts)].try_lock() else { return facts.context() };
        if let Some(kept) = place.as_ref().filter(|kept| kept.facts() == *facts) {
            return Ok(kept.context.clone());
        }
        let context = facts.context()?;
        *place = Some(Kept {
            purpose: facts.purpose.clone(),
            patterns: facts.patterns.clone(),
            plain: facts.plain,
            context: context.clone(),
        });
        Ok(context)
    }
}

impl Default for Contexts {
    fn default() -> Self {
        Self { kept: std::array::from_fn(|_| Mutex::new(None)) }
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts").finish_non_exhaustive()
    }
}

fn place_of(facts: &Facts<'_>) -> usize {
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    hasher.finish() as usize % KEPT_MAX
}

// === impl Kept ===

impl Kept {
    fn facts(&self) -> Facts<'_> {
        Facts { purpose: &self.purpose, patterns: &self.patterns, plain: self.plain }
    }
}
