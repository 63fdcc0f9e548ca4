//! What the gate found out about a request, as handlers take it.

use locum_api::violation::Malformed;
use locum_broker::{Operator, Refusal};
use locum_model::{Caller, Reason, Timestamp};
use tonic::{Request, Status};

use super::request_id::RequestId;
use crate::traces::Notes;

/// What the gate leaves with every request whose caller it knows.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub request_id: RequestId,
    /// When the caller's proof ends; streams end with it.
    pub proof_end: Timestamp,
    /// What is found out about it, where it is traced.
    pub notes: Notes,
    /// Who calls, where the method is for workloads; an operator lies beside this.
    pub workload: Option<Caller>,
}

/// A request whose caller is known.
#[derive(Clone, Debug)]
pub(crate) struct Asked<W> {
    pub who: W,
    pub request_id: RequestId,
    pub proof_end: Timestamp,
    /// What is found out about it, where it is traced.
    pub notes: Notes,
}

/// A request of a workload.
pub(crate) fn workload<M>(request: Request<M>) -> Result<(Asked<Caller>, M), Status> {
    let (_, mut extensions, message) = request.into_parts();
    Ok((by(extensions.remove::<Passage>())?, message))
}

/// What the gate left of a workload.
pub(crate) fn by(mut passage: Option<Passage>) -> Result<Asked<Caller>, Status> {
    let who = passage.as_mut().and_then(|passage| passage.workload.take());
    asked(who, passage)
}

/// A request of an operator.
pub(crate) fn operator<M>(request: Request<M>) -> Result<(Asked<Operator>, M), Status> {
    let (_, mut extensions, message) = request.into_parts();
    Ok((asked(extensions.remove::<Operator>(), extensions.remove::<Passage>())?, message))
}

/// What the gate left in a request. A method that the gate did not prepare is refused.
fn asked<W>(who: Option<W>, passage: Option<Passage>) -> Result<Asked<W>, Status> {
    match (who, passage) {
        (Some(who), Some(Passage { request_id, proof_end, notes, .. })) => {
            Ok(Asked { who, request_id, proof_end, notes })
        }
        (_, passage) => {
            let request_id = passage.as_ref().map_or("", |passage| &passage.request_id);
            Err(locum_api::status::status(Reason::RoleMissing, None, request_id, &[]))
        }
    }
}

impl<W> Asked<W> {
    /// A refusal of the broker as the caller hears it.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Status {
        tracing::info!(request_id = %self.request_id, reason = %refusal.reason(), detail = refusal.detail(), "refused");
        self.notes.put("locum.reason", || refusal.reason().as_str());
        let detail = Some(refusal.detail()).filter(|detail| !detail.is_empty());
        locum_api::status::status(refusal.reason(), detail, &self.request_id, &[])
    }

    /// A message that is not of the contract's shape.
    pub(crate) fn malformed(&self, malformed: Malformed) -> Status {
        self.notes.put("locum.reason", || malformed.reason().as_str());
        malformed.status(&self.request_id)
    }

    /// A failure of our own; the cause goes to the log alone.
    pub(crate) fn failed(&self, cause: &dyn std::fmt::Display) -> Status {
        tracing::error!(request_id = %self.request_id, %cause, "failed");
        self.notes.put("locum.reason", || Reason::Internal.as_str());
        locum_api::status::status(Reason::Internal, None, &self.request_id, &[])
    }
}
