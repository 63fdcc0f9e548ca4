//! [`Case`]: one request put to the policies, operation by operation.

use cedar_policy::{Context, Request as CedarRequest, RestrictedExpression};
use locum_model::ResourcePattern;
use locum_model::registry::{Action, Connector};
use locum_model::scope::{Operation, Resources};

use crate::candidates::{Answer, Question};
use crate::entities::{Known, RegistryEntities, Unaskable};
use crate::request::{Justification, Proof, Request, Subject};
use crate::set::PolicySet;

/// An operation of the request as the registry knows it.
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) resources: &'a Resources,
    pub(crate) connector: &'a Connector,
    pub(crate) action: &'a Action,
}

/// A request and who asks, ready to be asked.
pub(crate) struct Case<'a> {
    known: &'a RegistryEntities,
    request: &'a Request<'a>,
    workload: &'a Known,
}

impl<'a> Case<'a> {
    pub(crate) fn of(known: &'a RegistryEntities, request: &'a Request<'a>) -> Result<Self, Unaskable> {
        Ok(Self { known, request, workload: known.workload(request.workload.number)? })
    }

    /// What all policies together say to one operation.
    pub(crate) fn answer(&self, set: &PolicySet, asked: &Asked<'_>) -> Result<Answer, Unaskable> {
        self.ask(asked, |question| set.candidates.answer(question))
    }

    /// What `told` makes of one operation, as a question to policies.
    pub(crate) fn ask<T>(
        &self,
        asked: &Asked<'_>,
        told: impl FnOnce(&Question<'_>) -> T,
    ) -> Result<T, Unaskable> {
        let operation = self.known.operation(asked.connector.number, &asked.operation.action)?;
        let request = self.put(operation, asked)?;
        let question = Question {
            request: &request,
            entities: &self.known.entities,
            principals: &self.workload.pins,
            resources: &operation.pins,
            ask: self.request.ask,
        };
        Ok(told(&question))
    }

    /// The request as Cedar takes it.
    fn put(&self, operation: &Known, asked: &Asked<'_>) -> Result<CedarRequest, Unaskable> {
        let context = facts(self.request, asked)?;
        let action = self.known.words.action(self.request.ask).clone();
        CedarRequest::new(self.workload.uid.clone(), action, operation.uid.clone(), context, None)
            .map_err(|_invalid| Unaskable)
    }
}

/// The context: `Facts` of the schema.
fn facts(request: &Request<'_>, asked: &Asked<'_>) -> Result<Context, Unaskable> {
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
    let exact = patterns.iter().all(ResourcePattern::is_exact);
    let patterns = patterns.iter().map(|pattern| RestrictedExpression::new_string(pattern.to_string()));
    let pairs = [
        ("purpose", RestrictedExpression::new_string(request.purpose.to_string())),
        ("resources", RestrictedExpression::new_set(patterns)),
        ("resources_all", RestrictedExpression::new_bool(all)),
        ("resources_exact", RestrictedExpression::new_bool(exact)),
        ("depth", RestrictedExpression::new_long(i64::from(request.depth))),
        ("justification", RestrictedExpression::new_bool(request.justification == Justification::Given)),
        ("proof", RestrictedExpression::new_bool(request.proof == Proof::Proved)),
        ("delegated", RestrictedExpression::new_bool(request.subject == Subject::Other)),
        ("weekday", RestrictedExpression::new_long(i64::from(request.now.weekday()))),
        ("minute_of_day", RestrictedExpression::new_long(i64::from(request.now.minute_of_day()))),
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|_unevaluated| Unaskable)
}
