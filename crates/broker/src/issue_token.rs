//! `IssueToken`: decided, written down, then signed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::KeyPurpose;
use locum_model::issue_record::RequestKey;
use locum_model::limits::{
    CLOCK_SKEW_MAX, JWKS_TOKEN_TTL_MAX, NOT_BEFORE_BACKDATE, TOKEN_TTL_DEFAULT, TOKEN_TTL_MAX, TOKEN_TTL_MIN,
    TOKEN_USES_MAX, TOKENS_PER_WORKLOAD_MAX,
};
use locum_model::registry::{Check, Connector, Workload};
use locum_model::{
    Actor, Caller, Confirmation, Event, IssueRecord, Live, Permit, Reason, Scope, SignedToken, Standing,
    TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};
use locum_policy::{Ask, Justification, Proof, Request, Subject};
use locum_table::Applied;
use locum_token::Draft;
use locum_token::dpop::{self, NotProved, Shown};

use crate::broker::{Broker, DeniedAt};
use crate::fold::Verdict;
use crate::refusal::Refusal;
use crate::state::requests::{Answered, KeyedRequest, Whose};
use crate::task_access::{Holder, not_found};
use crate::world::Pinned;

/// Which key the token is bound to. Never one that is only named: it is proved on this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The client's certificate, only where policy demands it.
    AsDemanded,
    /// The client's certificate, in any case; refused when it showed none.
    Required,
    /// The key that this proof proves.
    ByProof(ShownProof),
}

/// A proof that came with the request (RFC 9449 section 5).
#[derive(Clone, PartialEq, Eq)]
pub struct ShownProof {
    /// As it was shown.
    pub proof: String,
    /// The method that it has to be for.
    pub method: &'static str,
    /// The URI that it has to be for, as this server knows itself.
    pub uri: String,
}

/// Shows no proof.
impl fmt::Debug for ShownProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownProof").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct IssueToken {
    /// The task that it is for.
    pub task: TaskId,
    /// The proof of holding it.
    pub holder: Holder,
    /// What it should allow; all of one connector.
    pub scope: Scope,
    /// The life wished for.
    pub ttl: Option<Duration>,
    /// How often it may be used.
    pub uses_max: Option<u32>,
    /// Whether it is bound to a key.
    pub binding: Binding,
    /// The caller's id for this request, with the hash of all of it.
    pub request: Option<RequestKey>,
}

/// A token and what it says.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SignedToken,
    /// What was allowed.
    pub record: Arc<IssueRecord>,
}

/// What a task contributes to its tokens.
struct TaskFacts {
    chain: Vec<TaskId>,
    actors: Vec<Actor>,
    subject: String,
    subject_key: locum_model::SubjectKey,
    purpose: locum_model::Name,
    justified: Justification,
    deadline: Timestamp,
}

/// What became of a request before anything is recorded.
enum Prepared {
    /// Its request id had its answer before.
    Before(Issued),
    /// It is allowed, and to be recorded.
    Now(Fresh),
}

/// A token that was allowed. Small: it lives as long as the journal takes.
struct Fresh {
    record: Arc<IssueRecord>,
    draft: Draft,
    now: Timestamp,
}

impl Broker {
    /// Issues a token. Its issue record is durable before it is signed; a retry with the same
    /// request id answers the same claims while they live.
    ///
    /// # Errors
    ///
    /// As the contract's `IssueToken` says.
    pub async fn issue_token(&self, caller: &Caller, ask: IssueToken) -> Result<Issued, Refusal> {
        let pinned = self.fold.pin();
        let task = Some(ask.task);
        let issued = match self.prepare(&pinned, caller, ask) {
            Ok(Prepared::Before(issued)) => Ok(issued),
            Ok(Prepared::Now(prepared)) => self.commit_and_sign(&pinned, prepared).await,
            Err(refusal) => Err(refusal),
        };
        let at = DeniedAt { pinned: &pinned, caller, method: "IssueToken", task };
        issued.map_err(|refusal| self.denied(at, refusal))
    }

    /// Everything that has to be judged before the record is written, at one moment and in one world.
    fn prepare(&self, pinned: &Pinned, caller: &Caller, mut ask: IssueToken) -> Result<Prepared, Refusal> {
        let now = self.now()?;
        let workload = pinned.workload(caller)?;
        self.shows_holder(workload, ask.task, &ask.holder)?;
        let key = self.proved_key(&mut ask, caller, ((workload.tenant, workload.number), now))?;
        let whose = Whose { tenant: workload.tenant, workload: workload.number, task: Some(ask.task) };
        let request = ask.request.as_ref().map(|key| KeyedRequest::new(whose, key));
        if let Some(record) = self.issued_before(request, now)? {
            return self.sign_again(pinned, record, now).map(Prepared::Before);
        }
        self.live_task(ask.task)?;
        self.may_issue(workload, now)?;
        let facts = self.task_facts(workload, &ask)?;
        same_standing(workload, &facts)?;
        let connector = one_connector(pinned, workload, &ask.scope)?;
        let permit = decide(pinned, workload, caller, &ask, (&facts, key, now))?;
        let confirmation = confirmation(&ask, key, &permit)?;
        let record = self.record(pinned, caller, &ask, connector, facts, permit, now)?;
        let record = Arc::new(IssueRecord { confirmation, ..record });
        let draft = Draft::of(&self.options.issuer, &record)
            .map_err(|cause| Refusal::new(cause.reason(), "the claims do not fit into a token"))?;
        self.refuse_locked(|| crate::rests_on::targets_of_issue(&record), now)?;
        Ok(Prepared::Now(Fresh { record, draft, now }))
    }

    async fn commit_and_sign(&self, pinned: &Pinned, prepared: Fresh) -> Result<Issued, Refusal> {
        let Fresh { record, draft, now } = prepared;
        let settled = self.commits.commit(Event::TokenIssued(Arc::clone(&record))).await?;
        match settled.verdict {
            Verdict::Applied(Applied::Issued(live)) => self.sign(pinned, &draft, &live),
            Verdict::Applied(Applied::TooLate(reason)) => Err(reason.into()),
            // A request with the same id came in between: answer with what that one got.
            Verdict::Repeated => match self.issued_before(KeyedRequest::of_issue(&record), now)? {
                Some(record) => self.sign_again(pinned, record, now),
                None => Err(Reason::RequestIdReused.into()),
            },
            Verdict::Applied(_) => Err(Reason::Internal.into()),
        }
    }

    /// The key that was proved on this request: by the proof that came with it, else by the connection.
    ///
    /// A request id stands for a request *with* its key: the same one with another key is another request.
    fn proved_key(
        &self,
        ask: &mut IssueToken,
        caller: &Caller,
        (holder, now): ((TenantNo, WorkloadNo), Timestamp),
    ) -> Result<Option<Confirmation>, Refusal> {
        let Binding::ByProof(ShownProof { proof, method, uri }) = &ask.binding else {
            return Ok(caller.confirmation());
        };
        let invalid = |cause: NotProved| Refusal::new(Reason::ProofInvalid, cause.to_string());
        let proof = dpop::check(&Shown { proof, method, uri }, None, now).map_err(invalid)?;
        if !self.admits(&proof, holder, now)? {
            return Err(invalid(NotProved::Replayed));
        }
        if let Some(request) = &mut ask.request {
            request.hash = locum_token::sha256([request.hash, proof.key.0].concat());
        }
        Ok(Some(Confirmation::Key(proof.key.0)))
    }

    fn sign(&self, pinned: &Pinned, draft: &Draft, live: &Live<IssueRecord>) -> Result<Issued, Refusal> {
        let token = draft.sign(&pinned.world.keys, live).map_err(|cause| {
            tracing::error!(%cause, jti = %live.record().jti, "a recorded token could not be signed");
            Refusal::from(cause.reason())
        })?;
        self.fold.table.remember(token.jti(), token.compact());
        Ok(Issued { token, record: Arc::clone(live.shared()) })
    }

    fn issued_before(
        &self,
        request: Option<KeyedRequest<'_>>,
        now: Timestamp,
    ) -> Result<Option<Arc<IssueRecord>>, Refusal> {
        let Some(request) = request else { return Ok(None) };
        match self.fold.state.read().requests.answer(&request, now) {
            None => Ok(None),
            Some(Answered::Token(record)) => Ok(Some(record)),
            Some(Answered::Task(_) | Answered::Another) => {
                let detail = "this request id stands for another request of the task";
                Err(Refusal::new(Reason::RequestIdReused, detail))
            }
        }
    }

    /// Signs the same claims once more, when the token is still alive.
    fn sign_again(
        &self,
        pinned: &Pinned,
        record: Arc<IssueRecord>,
        now: Timestamp,
    ) -> Result<Issued, Refusal> {
        match self.fold.table.live(&record, now) {
            Ok(live) => {
                // It fitted when it was recorded.
                let draft = Draft::of(&self.options.issuer, live.shared());
                self.sign(pinned, &draft.map_err(|cause| Refusal::from(cause.reason()))?, &live)
            }
            Err(reason) => Err(Refusal::new(reason, "the token that this request id stands for is dead")),
        }
    }

    fn may_issue(&self, workload: &Workload, now: Timestamp) -> Result<(), Refusal> {
        self.reaper_keeps_up(now)?;
        if self.fold.table.tokens_of(workload.number) >= TOKENS_PER_WORKLOAD_MAX {
            let detail = format!("this workload has {TOKENS_PER_WORKLOAD_MAX} live tokens, its limit");
            return Err(Refusal::new(Reason::QuotaExceeded, detail));
        }
        Ok(())
    }

    fn task_facts(&self, workload: &Workload, ask: &IssueToken) -> Result<TaskFacts, Refusal> {
        let state = self.fold.state.read();
        if !state.requests.has_room(workload.number) {
            return Err(Refusal::new(Reason::QuotaExceeded, "too many request ids are remembered"));
        }
        let row = state.tasks.get(ask.task).ok_or_else(|| not_found(ask.task))?;
        let beyond = ask.scope.first_beyond(&row.started.intent.scope);
        #[cfg(bug_zoo)]
        let beyond =
            beyond.filter(|_| !locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::BeyondIntent));
        if let Some(beyond) = beyond {
            let (asked, declared) = (ask.scope.written_of(beyond), row.started.intent.scope.written());
            let detail = format!("`{asked}` is more than the task declared, `{declared}`");
            return Err(Refusal::new(Reason::ScopeBeyondIntent, detail));
        }
        let justified = match row.started.justification {
            Some(_) => Justification::Given,
            None => Justification::Missing,
        };
        Ok(TaskFacts {
            chain: row.chain.to_vec(),
            actors: row.actors.to_vec(),
            subject: row.started.subject.clone(),
            subject_key: row.started.subject_key,
            purpose: row.started.intent.purpose.clone(),
            justified,
            deadline: row.started.deadline,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "each is another proof that the record rests on")]
    fn record(
        &self,
        pinned: &Pinned,
        caller: &Caller,
        ask: &IssueToken,
        connector: &Connector,
        facts: TaskFacts,
        permit: Permit,
        now: Timestamp,
    ) -> Result<IssueRecord, Refusal> {
        let client_id = caller.spiffe_id().ok_or(Reason::WorkloadUnregistered)?.clone();
        let tenant = connector.tenant;
        let signer = pinned.world.keys.signer(KeyPurpose::Token, connector.algorithm).ok_or_else(|| {
            Refusal::new(Reason::Internal, "there is no active key for this connector's algorithm")
        })?;
        let issued_at = now.floor_to_second();
        Ok(IssueRecord {
            #[cfg(bug_zoo)]
            jti: if locum_model::bug_zoo::is_planted(locum_model::bug_zoo::Bug::TokenIdShort) {
                TokenId([self.random::<1>()?[0] & 7; 16])
            } else {
                TokenId(self.random()?)
            },
            #[cfg(not(bug_zoo))]
            jti: TokenId(self.random()?),
            tasks: facts.chain,
            standing: Standing {
                actors: facts.actors,
                tenant,
                connector: connector.number,
                connector_owner: connector.owner,
                policy_revision: permit.world().policy,
            },
            subject: facts.subject,
            subject_key: facts.subject_key,
            client_id,
            audience: connector.audience.clone(),
            scope: permit.scope().clone(),
            at: now,
            issued_at,
            not_before: issued_at.minus(NOT_BEFORE_BACKDATE),
            expires_at: expiry(ask, caller, connector, &permit, facts.deadline, now)?,
            uses_max: uses(ask, &permit)?,
            confirmation: None,
            kid: *signer.kid(),
            decided_at: permit.world().position,
            registry_revision: permit.world().registry,
            policies: permit.policies().to_vec(),
            request: ask.request.clone(),
        })
    }
}

/// A token carries who answers for the workload and which model is behind it. When that has changed
/// since the task began, what policy judges now and what the token would say are two things.
fn same_standing(workload: &Workload, facts: &TaskFacts) -> Result<(), Refusal> {
    let now = Actor { workload: workload.number, owner: workload.owner, model: workload.model };
    if facts.actors.last() == Some(&now) {
        return Ok(());
    }
    let detail = "the workload's owner or model changed since the task began: start another task";
    Err(Refusal::new(Reason::TaskRevoked, detail))
}

fn one_connector<'a>(
    pinned: &'a Pinned,
    workload: &Workload,
    scope: &Scope,
) -> Result<&'a Connector, Refusal> {
    let names = scope.connectors();
    let mut names = names.into_iter();
    match (names.next(), names.next()) {
        (Some(name), None) => pinned.connector(workload.tenant, name),
        _ => Err(Refusal::new(Reason::RequestMalformed, "a token is for one connector")),
    }
}

fn decide(
    pinned: &Pinned,
    workload: &Workload,
    caller: &Caller,
    ask: &IssueToken,
    (facts, key, now): (&TaskFacts, Option<Confirmation>, Timestamp),
) -> Result<Permit, Refusal> {
    let registry = &pinned.world.registry;
    let tenant = registry.tenant(workload.tenant).ok_or(Reason::Internal)?;
    let owner = registry.owner(workload.owner).ok_or(Reason::Internal)?;
    let model = workload.model.and_then(|number| registry.model(number));
    let own = caller.spiffe_id().is_some_and(|id| id.as_str() == facts.subject);
    let request = Request {
        ask: Ask::IssueToken,
        tenant: &tenant.name,
        workload,
        owner: &owner.name,
        model: model.map(|model| &model.name),
        purpose: &facts.purpose,
        scope: &ask.scope,
        depth: facts.chain.len() as u32 - 1,
        justification: facts.justified,
        proof: if key.is_some() { Proof::Proved } else { Proof::Unproved },
        subject: if own { Subject::Workload } else { Subject::Other },
        now,
        world: pinned.pin,
    };
    locum_policy::decide(pinned.policy()?, &pinned.world.entities, &request)
        .map_err(|denial| Refusal::denied(&denial, &request))
}

/// The end of the token: the earliest of everything that bounds it, in whole seconds.
///
/// A life that was asked for and is longer than policy or connector allow is refused; the task's
/// deadline and the caller's own proof shorten silently, because the caller cannot know them to
/// the second.
fn expiry(
    ask: &IssueToken,
    caller: &Caller,
    connector: &Connector,
    permit: &Permit,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let by_check = match connector.check {
        Check::Jwks => JWKS_TOKEN_TTL_MAX,
        Check::Online | Check::Feed => TOKEN_TTL_MAX,
    };
    let by_policy = permit.obligations().ttl_max.unwrap_or(TOKEN_TTL_MAX);
    let most = TOKEN_TTL_MAX.min(connector.ttl_max).min(by_check).min(by_policy);
    let ttl = match ask.ttl {
        Some(ttl) if ttl < TOKEN_TTL_MIN => {
            return Err(Refusal::new(Reason::RequestMalformed, "`ttl` is 1 s at least"));
        }
        Some(ttl) if ttl > most => {
            let detail = format!("`ttl` may be {} s at most here", most.as_secs());
            return Err(Refusal::new(Reason::TtlTooLong, detail));
        }
        Some(ttl) => ttl,
        None => TOKEN_TTL_DEFAULT.min(most),
    };
    let end = now.plus(ttl).min(deadline).min(caller.expires_at()).floor_to_second();
    if end <= now {
        let reason =
            if deadline <= caller.expires_at() { Reason::TaskLapsed } else { Reason::IdentityExpired };
        return Err(Refusal::new(reason, "less than a second is left"));
    }
    Ok(end)
}

fn uses(ask: &IssueToken, permit: &Permit) -> Result<Option<u32>, Refusal> {
    match ask.uses_max {
        Some(uses) if uses == 0 || uses > TOKEN_USES_MAX => {
            let detail = format!("a token is used 1 to {TOKEN_USES_MAX} times");
            Err(Refusal::new(Reason::RequestMalformed, detail))
        }
        _ if permit.obligations().single_use => Ok(Some(1)),
        wished => Ok(wished),
    }
}

fn confirmation(
    ask: &IssueToken,
    key: Option<Confirmation>,
    permit: &Permit,
) -> Result<Option<Confirmation>, Refusal> {
    let wanted = ask.binding != Binding::AsDemanded || permit.obligations().proof_of_possession;
    match (wanted, key) {
        (false, _) => Ok(None),
        (true, Some(key)) => Ok(Some(key)),
        (true, None) => {
            let detail = "this needs a client certificate on the connection, or a DPoP proof";
            Err(Refusal::new(Reason::ProofRequired, detail))
        }
    }
}

const _: () = assert!(CLOCK_SKEW_MAX.as_secs() >= NOT_BEFORE_BACKDATE.as_secs());
