//! [`Case`]: one request put to the policies, operation by operation.

use cedar_policy::Request as CedarRequest;
use locum_model::registry::{Action, Connector};
use locum_model::scope::{Operation, Resources};

use crate::candidates::{Answer, Question};
use crate::entities::{Known, RegistryEntities, Unaskable};
use crate::facts::Facts;
use crate::request::Request;
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
        let context = self.known.contexts.of(&Facts::of(self.request, asked))?;
        let action = self.known.words.action(self.request.ask).clone();
        CedarRequest::new(self.workload.uid.clone(), action, operation.uid.clone(), context, None)
            .map_err(|_invalid| Unaskable)
    }
}
