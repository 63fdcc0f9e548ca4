//! What workloads and backends ask, each with what the model expects of it.

use std::sync::Arc;
use std::time::Duration;

use locum_broker::{Binding, Checked, Holder, IssueToken, Presentation, StartTask};
use locum_model::event::Outcome;
use locum_model::issue_record::RequestKey;
use locum_model::{Caller, Intent, Scope, TaskId, Timestamp};

use crate::model::Dead;
use crate::plan::{Answer, Expected, Issue, Plan, Start};
use crate::run::Run;
use crate::universe::{self, TENANTS, Who};

/// A caller's own proof, and until when it holds.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) who: Who,
    pub(crate) proof_until: Timestamp,
    pub(crate) caller: Caller,
}

/// A token that is asked for.
#[derive(Clone)]
pub(crate) struct IssueAsk {
    pub(crate) asker: Asker,
    pub(crate) task: usize,
    pub(crate) secret: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) ttl: Option<u64>,
    pub(crate) uses: Option<u32>,
    pub(crate) request: Option<RequestKey>,
}

/// A task that is asked for.
#[derive(Clone)]
pub(crate) struct StartAsk {
    pub(crate) asker: Asker,
    pub(crate) parent: Option<(usize, [u8; 32])>,
    pub(crate) secret: [u8; 32],
    pub(crate) scope: Scope,
    pub(crate) deadline_after: Option<u64>,
    pub(crate) lease: u64,
    pub(crate) request: Option<RequestKey>,
}

impl Run {
    pub(crate) fn asker(&mut self, who: Who) -> Asker {
        let seconds = if self.dice.percent(90) { 3600 } else { 1 + self.dice.below(60) as u64 };
        self.asker_for(who, seconds)
    }

    /// With a proof that holds for so long.
    pub(crate) fn asker_for(&self, who: Who, seconds: u64) -> Asker {
        let setup = self.model.setup.unwrap_or_else(universe::Setup::full);
        let now = self.now().unwrap_or_default();
        let proof_until = now.plus(Duration::from_secs(seconds));
        let caller = Caller::assertion(Some(setup.identity(who)), None, None, proof_until);
        Asker { who, proof_until, caller }
    }

    // === StartTask ===

    pub(crate) fn start_task(&mut self, ask: StartAsk) {
        let expected = self.expect_start(&ask);
        let what = format!(
            "start by {} {} under {:?} `{}` {:?} {:?}",
            TENANTS[ask.asker.who.tenant],
            ask.asker.who.name,
            ask.parent.map(|p| p.0),
            ask.scope,
            ask.deadline_after,
            ask.request.as_ref().map(|request| &request.id)
        );
        let parent = ask.parent.map(|(at, secret)| (self.model.tasks[at].id, Holder::shown(secret)));
        let question = StartTask {
            intent: Intent { purpose: universe::name("simulate"), scope: ask.scope },
            holder: locum_token::sha256(&ask.secret[..]),
            parent,
            deadline_after: ask.deadline_after.map(Duration::from_secs),
            lease: Some(Duration::from_secs(ask.lease)),
            justification: None,
            request: ask.request,
        };
        let (broker, caller) = (Arc::clone(&self.broker), ask.asker.caller);
        self.begin(what, expected, async move { Answer::Task(broker.start_task(&caller, question).await) });
    }

    fn expect_start(&self, ask: &StartAsk) -> Expected {
        let (model, who) = (&self.model, ask.asker.who);
        let Some(now) = self.now() else { return Expected::refused("there is no time") };
        let (Some(workload), Some(actor)) = (model.workload_mark(who), model.actor(who)) else {
            return Expected::refused("the workload is not registered");
        };
        let request =
            ask.request.as_ref().map(|request| (format!("start {workload} {}", request.id), request.hash));
        if let Some(answered) = request.as_ref().and_then(|(key, _)| model.answer(key, now)) {
            return match request {
                Some((_, hash)) if hash == answered.hash => Expected::again(Dead::No, answered.what),
                _ => Expected::refused("the request id stands for another request"),
            };
        }
        let mut refused = Dead::No;
        if let Some((parent, secret)) = ask.parent {
            refused = model.task_dead(parent);
            let task = &model.tasks[parent];
            let held = task.workload == workload && task.secret == secret;
            if !held || refused == Dead::Yes {
                return Expected::refused("the parent is dead or not held");
            }
            if !ask.scope.is_within(&task.scope) || model.chain(parent).len() >= 8 {
                return Expected::refused("it is wider than its parent, or too deep");
            }
        }
        let depth = ask.parent.map_or(0, |(parent, _)| model.chain(parent).len());
        if model.policy_revision == 0 || model.policy(&ask.scope, depth).is_none() {
            return Expected::refused("no policy allows it");
        }
        match self.start_plan(ask, (workload, actor), request, now) {
            Ok(start) if model.locked(&start.lockable, now) => Expected::refused("it is locked"),
            Ok(start) => Expected::event(refused, "its parent is dead", Plan::Start(Box::new(start))),
            Err(why) => Expected::refused(why),
        }
    }

    fn start_plan(
        &self,
        ask: &StartAsk,
        (workload, actor): (String, Vec<String>),
        request: Option<(String, [u8; 32])>,
        now: Timestamp,
    ) -> Result<Start, &'static str> {
        let (model, who) = (&self.model, ask.asker.who);
        let above = ask.parent.map(|(parent, _)| &model.tasks[parent]);
        let latest = above.map_or(Timestamp::from_millis(i64::MAX), |task| task.deadline);
        let deadline = match ask.deadline_after {
            None => now.plus(Duration::from_secs(3600)).min(latest),
            Some(after) => now.plus(Duration::from_secs(after)),
        };
        if deadline > latest || latest <= now {
            return Err("it outlives its parent");
        }
        let mut marks = actor.clone();
        marks.extend(model.mark(&format!("tenant {}", TENANTS[who.tenant])));
        for connector in ask.scope.connectors() {
            let mark = model.connector_mark(who.tenant, connector.as_str());
            marks.push(mark.ok_or("a connector is not registered")?);
            let setup = model.setup.ok_or("no registry is in force")?;
            let owner = setup.owner_of_connector(who.tenant, connector.as_str());
            marks.extend(model.mark(&format!("owner {}/{owner}", TENANTS[who.tenant])));
        }
        let own = ask.asker.caller.spiffe_id().map(ToString::to_string).unwrap_or_default();
        let subject = above.map_or(own, |task| task.subject.clone());
        marks.extend(model.subject_mark(who.tenant, &subject));
        let mut lockable = marks.clone();
        let chain = ask.parent.map_or_else(Vec::new, |(parent, _)| model.chain(parent));
        lockable.extend(chain.into_iter().map(|at| format!("task {}", model.tasks[at].id)));
        Ok(Start {
            who,
            parent: ask.parent.map(|(parent, _)| parent),
            workload,
            marks,
            lockable,
            actor,
            subject,
            secret: ask.secret,
            scope: ask.scope.clone(),
            deadline,
            span: Duration::from_secs(ask.lease),
            at: now,
            decided: model.position,
            request,
        })
    }

    // === IssueToken ===

    pub(crate) fn issue_token(&mut self, ask: IssueAsk) {
        let expected = self.expect_issue(&ask);
        let what = format!(
            "issue to {} {} in {} `{}` ttl {:?} uses {:?} {:?}",
            TENANTS[ask.asker.who.tenant],
            ask.asker.who.name,
            self.model.tasks[ask.task].id,
            ask.scope,
            ask.ttl,
            ask.uses,
            ask.request.as_ref().map(|request| &request.id)
        );
        let question = IssueToken {
            task: self.model.tasks[ask.task].id,
            holder: Holder::shown(ask.secret),
            scope: ask.scope,
            ttl: ask.ttl.map(Duration::from_secs),
            uses_max: ask.uses,
            binding: Binding::AsDemanded,
            request: ask.request,
        };
        let (broker, caller) = (Arc::clone(&self.broker), ask.asker.caller);
        self.begin(what, expected, async move { Answer::Token(broker.issue_token(&caller, question).await) });
    }

    fn expect_issue(&self, ask: &IssueAsk) -> Expected {
        let (model, task) = (&self.model, &self.model.tasks[ask.task]);
        let Some(now) = self.now() else { return Expected::refused("there is no time") };
        let workload = model.workload_mark(ask.asker.who);
        if workload.as_ref() != Some(&task.workload) || ask.secret != task.secret {
            return Expected::refused("the task is not the caller's, or not held");
        }
        let request =
            ask.request.as_ref().map(|request| (format!("issue {} {}", task.id, request.id), request.hash));
        if let Some(answered) = request.as_ref().and_then(|(key, _)| model.answer(key, now)) {
            let token = &model.tokens[answered.what];
            return match request {
                Some((_, hash)) if hash == answered.hash => {
                    Expected::again(model.token_dead(token, now), answered.what)
                }
                _ => Expected::refused("the request id stands for another request"),
            };
        }
        let refused = model.task_dead(ask.task);
        if refused == Dead::Yes {
            return Expected::refused("the task is dead");
        }
        if !ask.scope.is_within(&task.scope) {
            return Expected::refused("it is wider than the task's intent");
        }
        if model.actor(ask.asker.who).as_ref() != task.actors.last() {
            return Expected::refused("its owner or model is another since the task began");
        }
        match self.issue_plan(ask, request, now) {
            Ok(issue) if model.locked(&issue.marks, now) => Expected::refused("it is locked"),
            Ok(issue) => Expected::event(refused, "the task is dead", Plan::Issue(Box::new(issue))),
            Err(why) => Expected::refused(why),
        }
    }

    fn issue_plan(
        &self,
        ask: &IssueAsk,
        request: Option<(String, [u8; 32])>,
        now: Timestamp,
    ) -> Result<Issue, &'static str> {
        let (model, task) = (&self.model, &self.model.tasks[ask.task]);
        let (tenant, chain) = (task.who.tenant, model.chain(ask.task));
        let connectors = ask.scope.connectors();
        let [connector] = connectors.iter().copied().collect::<Vec<_>>()[..] else {
            return Err("a token is for one connector");
        };
        let connector_mark =
            model.connector_mark(tenant, connector.as_str()).ok_or("the connector is not registered")?;
        let terms = model.policy(&ask.scope, chain.len() - 1).ok_or("no policy allows it")?;
        let most = universe::ttl_max_of(connector.as_str()).min(terms.ttl_max);
        let ttl = ask.ttl.unwrap_or(120.min(most));
        if ttl > most || ask.uses == Some(0) || task.actors.len() > 3 {
            return Err("it asks for too much");
        }
        let end = now.plus(Duration::from_secs(ttl)).min(task.deadline).min(ask.asker.proof_until);
        if end.floor_to_second() <= now {
            return Err("no second is left");
        }
        let setup = model.setup.ok_or("there is no registry")?;
        let owner = setup.owner_of_connector(tenant, connector.as_str());
        let mut marks: Vec<String> = task.actors.concat();
        marks.extend(model.mark(&format!("owner {}/{owner}", TENANTS[tenant])));
        marks.extend(model.mark(&format!("tenant {}", TENANTS[tenant])));
        marks.extend(model.subject_mark(tenant, &task.subject));
        marks.extend([connector_mark.clone(), format!("policy {}", model.policy_revision)]);
        marks.extend(chain.into_iter().map(|at| format!("task {}", model.tasks[at].id)));
        Ok(Issue {
            task: ask.task,
            connector: connector.to_string(),
            connector_mark,
            scope: ask.scope.clone(),
            marks,
            expires_at: end.floor_to_second(),
            uses: if terms.single_use { Some(1) } else { ask.uses },
            at: now,
            decided: model.position,
            request,
        })
    }

    // === EndTask, leases ===

    pub(crate) fn end_task(&mut self, asker: Asker, task: usize, secret: [u8; 32], outcome: Outcome) {
        let id = self.model.tasks[task].id;
        let expected = self.expect_end(&asker, task, secret, outcome);
        let (broker, holder) = (Arc::clone(&self.broker), Holder::shown(secret));
        let what = format!("end {id} by {} {} {outcome:?}", TENANTS[asker.who.tenant], asker.who.name);
        self.begin(what, expected, async move {
            Answer::Task(broker.end_task(&asker.caller, id, &holder, outcome).await)
        });
    }

    fn expect_end(&self, asker: &Asker, task: usize, secret: [u8; 32], outcome: Outcome) -> Expected {
        let known = &self.model.tasks[task];
        if self.model.workload_mark(asker.who).as_ref() != Some(&known.workload) || known.secret != secret {
            return Expected::refused("the task is not the caller's, or not held");
        }
        match self.model.task_dead(task) {
            // What is over is said again for a while, and then forgotten.
            Dead::Yes => Expected { refused: Dead::Maybe, ..Expected::answered() },
            dead if self.now().is_none() => Expected { refused: dead.max(Dead::Yes), ..Expected::answered() },
            dead => Expected::event(dead, "it is over", Plan::End { task, outcome }),
        }
    }

    /// Whether a lease may be extended now; none while nobody can say.
    fn may_hold(&self, asker: &Asker, task: usize, secret: [u8; 32]) -> Option<bool> {
        let known = &self.model.tasks[task];
        let own = self.model.workload_mark(asker.who).as_ref() == Some(&known.workload);
        if !own || known.secret != secret || known.lease.is_none_or(|lease| lease.ran_out) {
            return Some(false);
        }
        match self.model.task_dead(task) {
            Dead::Yes => Some(false),
            Dead::Maybe => None,
            Dead::No => Some(true),
        }
    }

    pub(crate) fn renew_task(&mut self, asker: &Asker, task: usize, secret: [u8; 32]) {
        let Some(now) = self.now() else { return };
        let (id, may) = (self.model.tasks[task].id, self.may_hold(asker, task, secret));
        let renewed = self.broker.renew_task(&asker.caller, id, &Holder::shown(secret));
        self.trace.say(format_args!("renew {id}: {:?}", renewed.as_ref().map_err(|no| no.reason())));
        assert!(
            may.is_none_or(|may| may == renewed.is_ok()),
            "{id} was renewed: {renewed:?}, which is wrong"
        );
        if let Ok(due) = renewed {
            assert_eq!(self.model.renew(task, now), Some(due), "{id} was renewed until another time");
        }
    }

    /// Opens a hold stream, and loses it at once or with the process.
    pub(crate) fn hold_task(&mut self, asker: &Asker, task: usize, secret: [u8; 32]) {
        let (id, may) = (self.model.tasks[task].id, self.may_hold(asker, task, secret));
        let held = self.broker.hold_task(&asker.caller, id, &Holder::shown(secret));
        self.trace.say(format_args!("hold {id}: {}", held.is_ok()));
        assert!(may.is_none_or(|may| may == held.is_ok()), "{id} was held: {}, which is wrong", held.is_ok());
        let Ok((hold, _)) = held else { return };
        self.model.hold(task);
        if self.dice.percent(50)
            && let Some(now) = self.now()
        {
            self.broker.release_task(&hold);
            self.model.release(task, now);
        }
    }

    // === IntrospectToken, Authorize, RevokeToken ===

    /// Asks about every token that may still be alive, and about some of the others.
    pub(crate) fn introspect_all(&mut self) {
        let Some(now) = self.now() else { return };
        for at in 0..self.model.tokens.len() {
            let token = &self.model.tokens[at];
            let long_dead = now > token.expires_at.plus(Duration::from_secs(90));
            if token.compact.is_some() && (!long_dead || self.dice.percent(5)) {
                self.introspect(at, now);
            }
        }
    }

    fn introspect(&mut self, at: usize, now: Timestamp) {
        let token = &self.model.tokens[at];
        let tenant = self.model.tasks[token.task].who.tenant;
        let served = self.served(at);
        let dead = self.model.token_dead(token, now);
        let compact = token.compact.clone().unwrap_or_default();
        let (jti, connector) = (token.jti, universe::name(&token.connector));
        let backend = self.asker(Who { tenant, name: "backend" });
        let shown = Presentation { token: &compact, presented: locum_verifier::Presented::default() };
        let checked = self.broker.introspect_token(&backend.caller, &connector, shown);
        let active = matches!(checked, Ok(Checked::Active(_)));
        match dead {
            _ if !served => assert!(!active, "{jti} is active for a connector that is gone"),
            Dead::Yes => {
                assert!(!active, "R2, R3, R4, T3: {jti} is dead and active: {:?}", self.model.tokens[at])
            }
            Dead::No => assert!(active, "{jti} is alive and {checked:?}: {:?}", self.model.tokens[at]),
            Dead::Maybe => {}
        }
        self.model.tokens[at].was_dead |= dead == Dead::Yes || (served && !active);
        if let (Ok(Checked::Active(token)), left) = (&checked, self.model.tokens[at].uses_left) {
            assert_eq!(token.uses_left, left, "{jti}: uses are miscounted");
        }
        if !self.dice.percent(10) {
            return;
        }
        let elsewhere = self.asker(Who { tenant: (tenant + 1) % 3, name: "backend" });
        let other = self.broker.introspect_token(&elsewhere.caller, &connector, shown);
        assert!(!matches!(other, Ok(Checked::Active(_))), "{jti} is active in another tenant");
    }

    /// Whether its tenant's backend still serves the connector that the token is for.
    fn served(&self, at: usize) -> bool {
        let token = &self.model.tokens[at];
        let tenant = self.model.tasks[token.task].who.tenant;
        let now = self.model.connector_mark(tenant, &token.connector);
        now.as_ref() == Some(&token.connector_mark)
    }

    pub(crate) fn authorize(&mut self, at: usize, operation: &str, resource: Option<&str>) {
        let token = &self.model.tokens[at];
        let (Some(compact), Some(now)) = (token.compact.clone(), self.now()) else { return };
        let operation: locum_model::scope::Operation = operation.parse().expect("a good operation");
        let resource = resource.map(|one| one.parse().expect("a good resource"));
        let right = operation.connector.as_str() == token.connector;
        let covered = right && token.scope.allows(&operation, resource.as_ref());
        let expected = match self.model.token_dead(token, now) {
            Dead::Yes => Expected::refused("the token is dead"),
            _ if !self.served(at) || !covered => Expected::refused("the token is for something else"),
            dead if token.uses_left.is_none() => Expected { refused: dead, ..Expected::answered() },
            dead => Expected::event(dead, "the token is dead", Plan::Use { token: at, at: now }),
        };
        let tenant = self.model.tasks[token.task].who.tenant;
        let what = format!("authorize {operation} {resource:?} with {}", token.jti);
        let backend = self.asker(Who { tenant, name: "backend" });
        let broker = Arc::clone(&self.broker);
        self.begin(what, expected, async move {
            let shown = Presentation { token: &compact, presented: locum_verifier::Presented::default() };
            Answer::Authorized(
                broker
                    .authorize(&backend.caller, &operation, resource.as_ref(), shown, std::future::ready(()))
                    .await,
            )
        });
    }

    /// One token's holder gives it back, or somebody else tries to.
    pub(crate) fn revoke_token(&mut self, at: usize, who: Who) {
        let token = &self.model.tokens[at];
        let Some(compact) = token.compact.clone() else { return };
        let Some(now) = self.now() else { return };
        let own = self.model.workload_mark(who).as_ref() == Some(&self.model.tasks[token.task].workload);
        let what = format!("revoke {} by {} {}", token.jti, TENANTS[who.tenant], who.name);
        let marks = vec![format!("token {}", token.jti)];
        let expected = match self.model.workload_mark(who) {
            None => Expected::refused("the workload is not registered"),
            // Dead or not one's own is success, and nothing happens.
            Some(_) if !own => Expected::answered(),
            Some(_) => {
                let known = self.model.token_dead(token, now).min(Dead::Maybe);
                Expected::event(known, "it is dead", Plan::Revoke { marks, before: None })
            }
        };
        let (broker, asker) = (Arc::clone(&self.broker), self.asker(who));
        self.begin(what, expected, async move {
            Answer::Done(broker.revoke_token(&asker.caller, &compact).await)
        });
    }

    /// A task's view, for its tenant's operator and for everybody.
    pub(crate) fn inspect(&mut self, at: usize) {
        let (id, tenant): (TaskId, usize) = (self.model.tasks[at].id, self.model.tasks[at].who.tenant);
        match self.broker.inspect_task(&crate::run::operator(&[]), id) {
            Ok(view) => self.task_is(&view, at),
            Err(refusal) => {
                assert!(self.model.task_dead(at) != Dead::No, "J1, R4: {id} is alive and {refusal}");
            }
        }
        let other = crate::run::operator(&[TENANTS[(tenant + 1) % 3]]);
        assert!(self.broker.inspect_task(&other, id).is_err(), "{id} is shown to another tenant's operator");
    }
}
