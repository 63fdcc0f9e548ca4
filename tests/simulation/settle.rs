//! Every answer, held against what the model said before and what the journal says now.

use locum_broker::{Authorized, Issued, TaskState, TaskView};
use locum_model::Reason;

use crate::hearsay::Wait;
use crate::model::{Dead, Over};
use crate::plan::{Answer, Issue, Plan, Verdict};
use crate::run::{ISSUER, Pending, Run, is_trouble};
use crate::universe::TENANTS;

impl Run {
    /// Judges an answer.
    pub(crate) fn settle(&mut self, pending: Pending, answer: Answer) {
        let verdict = self.verdicts.remove(&pending.id);
        let reason = answer.refusal().map(locum_broker::Refusal::reason);
        self.trace.say(format_args!("answer {}: {}", pending.id, told(&answer)));
        match reason {
            Some(reason) if is_trouble(reason) => {
                assert!(self.troubled, "{} was refused with {reason} for no reason", pending.what);
                assert_eq!(verdict, None, "{} was refused with {reason} and happened", pending.what);
                if reason == Reason::StorageFull {
                    self.unqueue(pending.id);
                }
                return;
            }
            Some(Reason::ReaperBehind) => {
                return assert!(self.reaper_may_be_behind(), "{}: the reaper is not behind", pending.what);
            }
            Some(Reason::ClockUnsettled) => {
                return assert!(self.now().is_none(), "{}: there is time", pending.what);
            }
            _ => {}
        }
        match (pending.submitted, verdict) {
            (false, _) => self.settle_at_once(&pending, &answer),
            (true, Some(verdict)) => self.settle_event(&pending, &answer, verdict),
            (true, None) if reason.is_none() => self.owed.push((pending.id, pending.what.clone())),
            (true, None) => {}
        }
        if let (Answer::Revoked(Ok(done)), false) = (&answer, self.blind) {
            self.feed.waits.push(Wait(done.position));
        }
        self.keep(&pending, answer);
    }

    /// Answered without an event of its own.
    fn settle_at_once(&self, pending: &Pending, answer: &Answer) {
        let (expected, what) = (&pending.expected, &pending.what);
        match no(answer) {
            Some(reason) => {
                assert!(expected.refused != Dead::No, "{what} was refused with {reason} and is allowed");
            }
            None => {
                assert!(expected.refused != Dead::Yes, "{what} was answered although {}", expected.why);
                let silent = expected.plan.is_none() || expected.refused == Dead::Maybe;
                assert!(silent, "R4, I2: {what} was answered without a record");
            }
        }
        if let Some(again) = expected.again {
            self.same_again(answer, again, what);
        }
    }

    fn settle_event(&self, pending: &Pending, answer: &Answer, verdict: Verdict) {
        let what = &pending.what;
        match (verdict, no(answer)) {
            (Verdict::Late, None) => {
                let harmless = matches!(pending.expected.plan, Some(Plan::End { .. }));
                assert!(harmless, "R3: {what} came too late and was answered");
            }
            (Verdict::Late, Some(_)) => {}
            (Verdict::Repeated(first), _) => self.same_again(answer, first, what),
            (Verdict::Took(_) | Verdict::Used(_), Some(reason)) => {
                let expired = matches!(reason, Reason::TokenExpired | Reason::TokenUnknown);
                assert!(expired, "{what} was refused with {reason} and happened");
            }
            (Verdict::Took(made), None) => self.took(pending, answer, made),
            (Verdict::Used(left), None) => {
                let Answer::Authorized(Ok(Authorized::Permitted(token))) = answer else {
                    panic!("{what} spent a use and was not permitted");
                };
                assert_eq!(token.uses_left, Some(left), "{what}: uses are miscounted");
            }
        }
    }

    fn took(&self, pending: &Pending, answer: &Answer, made: usize) {
        match (&pending.expected.plan, answer) {
            (Some(Plan::Start(_)), Answer::Task(Ok(view))) => self.task_is(view, made),
            (Some(Plan::End { task, .. }), Answer::Task(Ok(view))) => self.task_is(view, *task),
            (Some(Plan::Issue(plan)), Answer::Token(Ok(issued))) => self.token_is(issued, made, plan),
            _ => {}
        }
    }

    /// A retry answers with what the first got, or not at all.
    fn same_again(&self, answer: &Answer, first: usize, what: &str) {
        match answer {
            Answer::Task(Ok(view)) => {
                assert_eq!(view.started.task, self.model.tasks[first].id, "I7: {what} made another task");
            }
            Answer::Token(Ok(issued)) => {
                let jti = self.model.tokens[first].jti;
                assert_eq!(issued.token.jti(), jti, "I7: {what} made another token");
            }
            _ => {}
        }
    }

    /// D1: what a task may is within what its parent may.
    pub(crate) fn task_is(&self, view: &TaskView, at: usize) {
        let (task, started) = (&self.model.tasks[at], &view.started);
        assert_eq!(started.task, task.id, "another task was answered");
        assert_eq!(started.intent.scope, task.scope, "I4: {} has another scope", task.id);
        assert_eq!(started.deadline, task.deadline, "I4: {} has another deadline", task.id);
        if let Some(parent) = task.parent.map(|parent| &self.model.tasks[parent]) {
            assert!(started.intent.scope.is_within(&parent.scope), "D1: {} is wider", task.id);
            assert!(started.deadline <= parent.deadline, "D1: {} outlives its parent", task.id);
            assert_eq!(started.subject, parent.subject, "D1: {} has another subject", task.id);
        }
        if let Some(Over::Ended(outcome)) = task.over {
            let (state, at) = (view.state, view.ended_at);
            assert_eq!(view.outcome, Some(outcome), "{} ended twice: {state:?} at {at:?}", task.id);
        }
        if self.blind {
            return;
        }
        let active = view.state == TaskState::Active;
        match self.model.task_dead(at) {
            Dead::Yes => assert!(!active, "R2, R4: {} is dead and shown as active", task.id),
            Dead::No => assert!(active, "{} is alive and shown as {:?}", task.id, view.state),
            Dead::Maybe => {}
        }
    }

    /// I4, D1: a token says what was decided, and that is within what it rests on.
    fn token_is(&self, issued: &Issued, made: usize, plan: &Issue) {
        let (token, record) = (&self.model.tokens[made], &issued.record);
        let jti = record.jti;
        assert_eq!(jti, token.jti, "another token was answered");
        assert_eq!(record.scope, plan.scope, "I4: {jti} has another scope");
        assert_eq!(record.expires_at, plan.expires_at, "I4: {jti} has another end");
        assert_eq!(record.uses_max, plan.uses, "I4: {jti} has another number of uses");
        let decided = record.decided_at;
        let decided = self.model.position_of(decided.epoch, decided.sequence);
        assert_eq!(decided, plan.decided, "{jti} was decided at another position");
        let tenant = TENANTS[self.model.tasks[token.task].who.tenant];
        assert_eq!(record.audience, format!("https://{}.{tenant}.test", plan.connector), "I4: {jti}");
        let chain = self.model.chain(token.task);
        let ids: Vec<_> = chain.iter().rev().map(|at| self.model.tasks[*at].id).collect();
        assert_eq!(record.tasks, ids, "D1: {jti} has another chain");
        assert_eq!(record.standing.actors.len(), self.model.tasks[token.task].actors.len(), "D1: {jti}");
        for task in chain.into_iter().map(|at| &self.model.tasks[at]) {
            assert!(record.scope.is_within(&task.scope), "D1, I4: {jti} is wider than {}", task.id);
            assert!(record.expires_at <= task.deadline, "D1, I4: {jti} outlives {}", task.id);
        }
        let claims = locum_token::read(issued.token.compact()).expect("it reads what it signed");
        let said = (&claims.issuer[..], &claims.scope, claims.expires_at, &claims.tasks, &claims.standing);
        let meant = (ISSUER, &record.scope, record.expires_at, &record.tasks, &record.standing);
        assert_eq!(said, meant, "I4: the claims of {jti} are not its record");
    }

    /// Keeps a token that was handed out.
    fn keep(&mut self, pending: &Pending, answer: Answer) {
        let Answer::Token(Ok(issued)) = answer else { return };
        match self.model.token_at(issued.token.jti()) {
            Some(at) => {
                let dead = self.now().map(|now| self.model.token_dead(&self.model.tokens[at], now));
                let retried = pending.expected.again.is_some();
                assert!(!(retried && dead == Some(Dead::Yes)), "I7: a retry brought a dead token back");
                self.model.tokens[at].compact = Some(issued.token.compact().to_owned());
            }
            None => {
                let id = issued.token.jti();
                let owed = self.owed.iter().any(|(owed, _)| *owed == pending.id);
                assert!(owed, "I1: {id} left before its record was durable");
            }
        }
    }
}

/// Why an answer is a no, if it is one.
fn no(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Authorized(Ok(Authorized::Inactive(reason))) => Some(*reason),
        Answer::Authorized(Ok(Authorized::Insufficient(_))) => Some(Reason::ScopeInsufficient),
        other => other.refusal().map(locum_broker::Refusal::reason),
    }
}

/// An answer for the trace: all of it but the key and the signature.
fn told(answer: &Answer) -> String {
    match answer {
        _ if no(answer).is_some() => no(answer).map(|reason| format!("no: {reason}")).unwrap_or_default(),
        Answer::Task(Ok(view)) => format!("{} {:?} {:?}", view.started.task, view.state, view.outcome),
        Answer::Token(Ok(issued)) => {
            let r = &issued.record;
            format!(
                "{} {:?} {:?} {} {} `{}` {} to {} uses {:?} at {} {:?}",
                r.jti,
                r.tasks,
                r.standing,
                r.subject,
                r.audience,
                r.scope,
                r.issued_at,
                r.expires_at,
                r.uses_max,
                r.decided_at,
                r.policies
            )
        }
        Answer::Authorized(Ok(Authorized::Permitted(token))) => {
            format!("permitted, {:?} left", token.uses_left)
        }
        Answer::Revoked(Ok(done)) => format!("revoked {} at {}", done.matches.len(), done.position),
        _ => "done".into(),
    }
}
