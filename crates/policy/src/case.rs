//! [`Case`]: one request put to the policies, operation by operation.

use cedar_policy::{Context, Entities, EntityUid, Request as CedarRequest, RestrictedExpression};
use locum_model::registry::Tenant;
use locum_model::scope::Resources;
use locum_model::{Registry, ResourcePattern};

use crate::candidates::{Answer, Question};
use crate::entities::{Asked, Pins, Slice, Unaskable};
use crate::request::{Justification, Proof, Request, Subject};
use crate::set::PolicySet;

/// A request and the entities it is about, ready to be asked.
pub(crate) struct Case<'a> {
    request: &'a Request<'a>,
    entities: Entities,
    workload: EntityUid,
    principals: Pins,
    operations: Vec<Placed<'a>>,
}

/// An operation and where it stands among the entities.
pub(crate) struct Placed<'a> {
    pub(crate) asked: Asked<'a>,
    entity: EntityUid,
    pins: Pins,
}

impl<'a> Case<'a> {
    /// Collects the entities; those of the registry that the request does not touch are not read.
    pub(crate) fn of(
        set: &PolicySet,
        registry: &Registry,
        tenant: &Tenant,
        request: &'a Request<'a>,
        asked: Vec<Asked<'a>>,
    ) -> Result<Self, Unaskable> {
        let mut slice = Slice::new(&set.vocabulary, registry, tenant)?;
        let (workload, principals) = slice.workload(request.workload)?;
        let mut operations = Vec::with_capacity(asked.len());
        for asked in asked {
            let (entity, pins) = slice.operation(&asked)?;
            operations.push(Placed { asked, entity, pins });
        }
        Ok(Self { request, entities: slice.finish()?, workload, principals, operations })
    }

    /// The operations, in the scope's order.
    pub(crate) fn operations(&self) -> &[Placed<'a>] {
        &self.operations
    }

    /// What all policies together say to one operation.
    pub(crate) fn answer(&self, set: &PolicySet, placed: &Placed<'_>) -> Result<Answer, Unaskable> {
        let request = self.put(set, placed)?;
        let question = Question {
            request: &request,
            entities: &self.entities,
            principals: &self.principals,
            resources: &placed.pins,
            ask: self.request.ask,
        };
        Ok(set.candidates.answer(&question))
    }

    /// The request as Cedar takes it.
    fn put(&self, set: &PolicySet, placed: &Placed<'_>) -> Result<CedarRequest, Unaskable> {
        let context = facts(self.request, &placed.asked)?;
        let action = set.vocabulary.action(self.request.ask).clone();
        CedarRequest::new(self.workload.clone(), action, placed.entity.clone(), context, None)
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
    ];
    Context::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value))).map_err(|_unevaluated| Unaskable)
}
