//! The gate before every method: who calls, and is the method theirs?
//!
//! What answers a request takes it as `Admitted`, which is made here alone, so that no handler can be reached without
//! it. A path that is not in the table of methods and roles is UNIMPLEMENTED for everybody. For the rest, the
//! proof on this very request (certificate of the connection, bearer in `authorization`) becomes a
//! [`Caller`]; the role that the caller has, if the method needs one, is looked up; what handlers
//! need is left in the request's extensions. Headers by which a proxy would vouch for somebody
//! (`x-forwarded-client-cert` and the like) are not looked at.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::Either;
use http::{HeaderMap, Request, header};
use hyper::body::{Bytes, Incoming};
use locum_api::Role;
use locum_api::roles;
use locum_api::status::code_name;
use locum_broker::Operator;
use locum_identity::CurrentTrust;
use locum_model::evidence::Login;
use locum_model::limits::ASSERTION_BYTES_MAX;
use locum_model::{Caller, Clock, Reason, SpiffeId, Timestamp};
use tonic::body::Body;
use tonic::{Code, Status};

use super::asked::{self, Asked, Passage};
use super::coming::Coming;
use super::first_keys::FirstKeys;
use super::request_id::{RequestId, RequestIds};
use crate::accept::Remote;
use crate::grpc::{Account, LookedAt, whole};
use crate::metrics::{Metrics, Rpc, RpcSeries};
use crate::tasks::Stopping;
use crate::traces::{Notes, Open, Traces};

/// Who an operator is, and what they may.
#[derive(Clone, Debug)]
pub struct OperatorEntry {
    /// The proof that they show.
    pub who: Who,
    /// Their role.
    pub role: Role,
    /// Their name and tenants.
    pub operator: Operator,
}

/// The proof of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A SPIFFE ID.
    Spiffe(SpiffeId),
    /// A login at an OpenID issuer.
    Login(Login),
}

/// The role of the operator who asks, where a method is for workloads and operators alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OperatorRole(pub Role);

/// What the gate knows.
pub struct Gate {
    /// Whom we trust, as of now.
    pub trust: CurrentTrust,
    /// The operators; without any the admin services are closed.
    pub operators: Vec<OperatorEntry>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Names requests.
    pub request_ids: RequestIds,
    /// Where answers are counted.
    pub metrics: Arc<Metrics>,
    /// The same by method.
    pub series: MethodSeries,
    /// Which assertion is bound to which key.
    pub first_keys: FirstKeys,
    /// What records requests for a collector; none records none.
    pub traces: Option<Arc<Traces>>,
    /// Tells when nothing more is waited for.
    pub stopping: Stopping,
}

/// Where good answers of each method are counted, found once: the series of a method that nobody called is none.
pub struct MethodSeries([OnceLock<RpcSeries>; roles::METHODS.len()]);

impl Default for MethodSeries {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

/// A method of the table, by its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Method(Option<usize>);

/// A request that was let through: whoever answers it has nothing else to answer it with.
pub(crate) struct Admitted<'g> {
    request: Request<Incoming>,
    passed: Passed<'g>,
    stopping: &'g Stopping,
}

/// What the gate found out about a caller.
struct Passed<'g> {
    request_id: RequestId,
    /// None where anybody may ask.
    passage: Option<Passage>,
    /// Who asks in a role.
    operator: Option<&'g OperatorEntry>,
}

/// A request on its way through the gate and back: its answer is counted.
pub(crate) struct Passing {
    gate: Arc<Gate>,
    request_id: RequestId,
    method: Method,
    started: Duration,
    open: Option<Open>,
}

/// Which method is asked for, and where to note what is found out about the request.
pub(crate) struct Asking {
    request_id: RequestId,
    method: Method,
    notes: Notes,
}

/// A request whose message has come whole, or as a generated service takes it.
pub(crate) enum Taken {
    Whole(Result<Asked<Caller>, Status>, Request<Bytes>),
    Body(Request<Body>),
}

// === impl Admitted ===

impl Admitted<'_> {
    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Its message if it has come whole; else the request with what handlers need in its extensions.
    pub(crate) fn take(self, bytes_max: usize) -> Taken {
        let Self { request, passed, stopping } = self;
        match whole(request, bytes_max) {
            Either::Left(request) => Taken::Whole(asked::by(passed.passage), request),
            Either::Right(request) => Taken::Body(passed.leave_in(request, stopping)),
        }
    }

    /// The request as a generated service takes it, with what handlers need in its extensions.
    pub(crate) fn generated(self) -> Request<Body> {
        let Self { request, passed, stopping } = self;
        passed.leave_in(request.map(LookedAt::from), stopping)
    }
}

// === impl Passed ===

impl Passed<'_> {
    /// Leaves itself in the request, of which no more is waited for once the process stops.
    fn leave_in(self, request: Request<LookedAt>, stopping: &Stopping) -> Request<Body> {
        let coming = |body| Body::new(Coming::new(body, stopping.clone(), self.request_id));
        let mut request = request.map(coming);
        let extensions = request.extensions_mut();
        if let Some(entry) = self.operator {
            extensions.insert(entry.operator.clone());
            extensions.insert(OperatorRole(entry.role));
        }
        if let Some(passage) = self.passage {
            extensions.insert(passage);
        }
        request
    }
}

// === impl Passing ===

impl Passing {
    pub(crate) fn asking(&self) -> Asking {
        let notes = self.open.as_ref().map(Open::notes).unwrap_or_default();
        Asking { request_id: self.request_id, method: self.method, notes }
    }
}

impl Account for Passing {
    fn answered(self, code: Code) {
        let took = self.gate.clock.elapsed().saturating_sub(self.started);
        self.gate.count(self.method, code, took);
        if let Some(open) = self.open {
            open.answered(code);
        }
    }

    fn refused(self, status: &Status) {
        let (request_id, method) = (self.request_id, self.method.path());
        tracing::info!(%request_id, method, code = code_name(status.code()), detail = status.message(), "refused");
        self.answered(status.code());
    }
}

impl Gate {
    /// Takes note of a request.
    pub(crate) fn begin(self: &Arc<Self>, request: &Request<Incoming>) -> Passing {
        let method = Method::at(request.uri().path());
        let open = self.traces.as_ref().and_then(|traces| traces.open(request.headers(), method.path()));
        let (request_id, started) = (self.request_ids.next(), self.clock.elapsed());
        Passing { gate: Arc::clone(self), request_id, method, started, open }
    }

    /// Lets a request through with what handlers need.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn admit(
        &self,
        asking: Asking,
        remote: &Remote,
        request: Request<Incoming>,
    ) -> Result<Admitted<'_>, Status> {
        let passed = self.judge(asking, (remote, request.headers()))?;
        Ok(Admitted { request, passed, stopping: &self.stopping })
    }

    fn judge(
        &self,
        Asking { request_id, method, notes }: Asking,
        (remote, headers): (&Remote, &HeaderMap),
    ) -> Result<Passed<'_>, Status> {
        notes.put("locum.request_id", || request_id.to_string());
        let allowed = method.roles().ok_or_else(|| Status::unimplemented("no such method"))?;
        if allowed.contains(&Role::Anonymous) {
            return Ok(Passed { request_id, passage: None, operator: None });
        }
        let refuse_saying = |reason: Reason, detail: &str, told: Option<&str>| {
            tracing::info!(%request_id, method = method.path(), %reason, detail, "refused at the gate");
            notes.put("locum.reason", || reason.as_str());
            locum_api::status::status(reason, told, &request_id, &[])
        };
        let refuse = |reason, detail: &str| refuse_saying(reason, detail, None);
        // Who calls is known then, and whom a method is for stands in the documents.
        let another_role = |is: &str| refuse_saying(Reason::RoleMissing, is, Some(&roles::told(allowed)));
        let now =
            self.clock.now().map_err(|unsettled| refuse(Reason::ClockUnsettled, &unsettled.to_string()))?;
        let caller = self.caller(remote, headers, now).map_err(|(reason, detail)| refuse(reason, &detail))?;
        let operator = self.operators.iter().find(|entry| entry.who.is(&caller));
        note_caller(&notes, &caller, operator);
        let for_workloads = allowed.contains(&Role::Workload);
        match operator {
            // Whoever is an operator is nothing else: no identity has two roles.
            Some(entry) if !allowed.contains(&entry.role) => {
                return Err(another_role(entry.role.as_str()));
            }
            None if !for_workloads => return Err(another_role("not an operator")),
            _ => {}
        }
        let proof_end = caller.expires_at();
        let workload = for_workloads.then_some(caller);
        let passage = Some(Passage { request_id, proof_end, notes, workload });
        Ok(Passed { request_id, passage, operator })
    }

    fn caller(
        &self,
        remote: &Remote,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Caller, (Reason, String)> {
        let trust = (self.trust)();
        let told = |refusal: &locum_identity::Refusal| (refusal.reason(), refusal.detail().to_owned());
        let peer = match remote.peer(&trust, now) {
            Some(Ok(peer)) => Some(peer),
            Some(Err(refusal)) => return Err(told(refusal)),
            None => None,
        };
        let bearer = bearer(headers)?;
        let caller = locum_identity::caller(&trust, peer, bearer, now).map_err(|refusal| told(&refusal))?;
        if let Some(assertion) = bearer {
            self.first_keys.check(assertion, &caller, now).map_err(|reason| {
                (reason, "the assertion is bound to the first key that was proved with it".to_owned())
            })?;
        }
        Ok(caller)
    }

    fn count(&self, method: Method, code: Code, took: Duration) {
        match (method.0, code) {
            (Some(row), Code::Ok) => {
                let series = self.series.0[row].get_or_init(|| self.metrics.series_of(rpc(method.path())));
                series.handled(took);
            }
            _ => self.metrics.rpc_handled(rpc(method.path()), code, took),
        }
    }
}

impl Method {
    /// The method whose path this is, byte by byte.
    fn at(path: &str) -> Self {
        Self(roles::METHODS.iter().position(|(method, _)| *method == path))
    }

    /// Its path as the table has it. An unknown path is no label: anybody could make as many as they like.
    fn path(self) -> &'static str {
        self.0.map_or("/unknown/unknown", |row| roles::METHODS[row].0)
    }

    /// Who may call it; none for a method that is none.
    fn roles(self) -> Option<&'static [Role]> {
        self.0.map(|row| roles::METHODS[row].1)
    }
}

impl Who {
    fn is(&self, caller: &Caller) -> bool {
        match self {
            Self::Spiffe(id) => caller.spiffe_id() == Some(id),
            Self::Login(login) => caller.login() == Some(login),
        }
    }
}

/// An operator by the name that records call them, a workload by what it proved. A login that is neither stays unnamed.
fn note_caller(notes: &Notes, caller: &Caller, operator: Option<&OperatorEntry>) {
    if let Some(entry) = operator {
        notes.put("locum.operator", || entry.operator.name.clone());
    } else if let Some(id) = caller.spiffe_id() {
        notes.put("locum.workload", || id.to_string());
    }
}

/// A path as metrics name it.
fn rpc(path: &'static str) -> Rpc {
    let (service, method) = path[1..].split_once('/').unwrap_or(("unknown", "unknown"));
    Rpc { service, method }
}

/// The one bearer in `authorization`; two of them, or another scheme, are refused.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, (Reason, String)> {
    let malformed = |detail: &str| (Reason::IdentityInvalid, detail.to_owned());
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    if second.is_some() {
        return Err(malformed("`authorization` stands twice"));
    }
    let text = value.to_str().map_err(|_not_text| malformed("`authorization` is not plain text"))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(|| malformed("`authorization` has no scheme"))?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(malformed("`authorization` is not one bearer"));
    }
    if token.len() > ASSERTION_BYTES_MAX {
        return Err(malformed("the assertion is too long"));
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_plain_bearer_is_taken() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("a header value"));
            }
            headers
        };
        assert_eq!(bearer(&headers(&[])), Ok(None));
        assert_eq!(bearer(&headers(&["Bearer a.b.c"])), Ok(Some("a.b.c")));
        assert_eq!(bearer(&headers(&["bearer a.b.c"])), Ok(Some("a.b.c")));
        let long = format!("Bearer {}", "a".repeat(ASSERTION_BYTES_MAX + 1));
        for bad in [
            &["Bearer a", "Bearer b"][..],
            &["Basic x"],
            &["Bearer"],
            &["Bearer a b"],
            &["Bearer Bearer a"],
            &[&long],
        ] {
            assert!(bearer(&headers(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_known_by_every_byte() {
        let known = Method::at("/locum.broker.v1.TaskService/StartTask");
        assert_eq!(known.path(), "/locum.broker.v1.TaskService/StartTask");
        assert_eq!(known.roles(), Some(&[Role::Workload][..]));
        for bad in [
            "",
            "/",
            "/locum.broker.v1.TaskService/starttask",
            "/locum.broker.v1.TaskService/StartTask/",
            "/../locum.broker.v1.TaskService/StartTask",
        ] {
            assert_eq!(Method::at(bad), Method(None), "{bad}");
            assert_eq!((Method::at(bad).roles(), Method::at(bad).path()), (None, "/unknown/unknown"));
        }
    }
}
