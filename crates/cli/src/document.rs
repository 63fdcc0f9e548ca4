//! The JSON documents: what machines read. Names and meanings change only with the schema version.
//!
//! Times are RFC 3339 in UTC, spans are milliseconds, ids are texts. No document of a listing or of
//! a task holds a token or a secret.

use locum_model::Timestamp;
use locum_model::event::Outcome;
use locum_model::{Scope, Selector};
use locum_sdk::admin::{
    Key, LiveToken, Lock, Match, NamedCount, PolicyVerdict, Preview, RecordEntry, Revocation, Status,
    Verifier, selector_text,
};
use locum_sdk::{Identity, TaskView, VerifiedToken};
use serde_json::{Value, json};

/// The version of every document.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// A noun of the documents: its listing, one of it, and the member that names it.
pub(crate) struct Noun {
    pub(crate) many: &'static str,
    pub(crate) one: &'static str,
    pub(crate) id: &'static str,
}

/// Every noun that has names: `-o name` prints them, and other commands take them.
pub(crate) const NOUNS: [Noun; 7] = [
    Noun { many: "tasks", one: "task", id: "task" },
    Noun { many: "tokens", one: "token", id: "jti" },
    Noun { many: "locks", one: "lock", id: "selector" },
    Noun { many: "keys", one: "key", id: "kid" },
    Noun { many: "contexts", one: "context", id: "context" },
    Noun { many: "verifiers", one: "verifier", id: "instance" },
    Noun { many: "entries", one: "entry", id: "position" },
];

/// The document that holds `value` as `name`.
pub(crate) fn of(name: &str, value: Value) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, name: value })
}

/// A listing, and whether there is more than was asked for.
pub(crate) fn listing(name: &str, items: Vec<Value>, more: bool) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, name: items, "more": more })
}

pub(crate) fn task(task: &TaskView) -> Value {
    json!({
        "task": task.task.to_string(),
        "parent": task.parent.map(|parent| parent.to_string()),
        "state": task.state.as_str(),
        "outcome": task.outcome.map(outcome),
        "purpose": task.purpose,
        "scope": scope(&task.scope),
        "workload": task.workload,
        "workload_identity": task.workload_identity,
        "subject": task.subject,
        "tenant": task.tenant,
        "start_time": time(task.start_time),
        "deadline": time(task.deadline),
        "lease_millis": u64::try_from(task.lease.as_millis()).unwrap_or(u64::MAX),
        "end_time": task.end_time.map(time),
    })
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
    }
}

pub(crate) fn scope(scope: &Scope) -> Value {
    let grants = scope.grants().map(|(operation, resources)| {
        let resources: Vec<&str> = resources.patterns().map(|pattern| pattern.as_str()).collect();
        json!({ "operation": operation.to_string(), "resources": resources })
    });
    Value::Array(grants.collect())
}

pub(crate) fn verified(token: &VerifiedToken) -> Value {
    json!({
        "active": true,
        "jti": token.jti().to_string(),
        "subject": token.subject(),
        "client_id": token.client_id(),
        "audience": token.audience(),
        "scope": scope(token.scope()),
        "issue_time": time(token.issue_time()),
        "expire_time": time(token.expire_time()),
        "task": token.task().to_string(),
        "root_task": token.root_task().to_string(),
        "uses_left": token.uses_left(),
    })
}

pub(crate) fn preview(preview: &Preview) -> Value {
    json!({
        "matches": matches(&preview.matches),
        "tokens": preview.tokens,
        "tasks": preview.tasks,
        "by_workload": counts(&preview.by_workload),
        "by_connector": counts(&preview.by_connector),
        "oldest_issue_time": preview.oldest.map(time),
        "newest_issue_time": preview.newest.map(time),
        "partial": preview.partial,
    })
}

pub(crate) fn revocation(revocation: &Revocation) -> Value {
    json!({
        "matches": matches(&revocation.matches),
        "position": revocation.position,
        "residual_until": revocation.residual_until.map(time),
        "everywhere": revocation.everywhere,
        "missing": revocation.missing.iter().map(verifier).collect::<Vec<_>>(),
    })
}

pub(crate) fn verifier(verifier: &Verifier) -> Value {
    json!({
        "workload": verifier.workload,
        "connector": verifier.connector,
        "tenant": verifier.tenant,
        "instance": verifier.instance,
        "version": verifier.version,
        "connected": verifier.connected,
        "connect_time": time(verifier.connect_time),
        "acknowledged_sequence": verifier.acknowledged_sequence,
        "behind": verifier.behind,
        "behind_millis": u64::try_from(verifier.behind_for.as_millis()).unwrap_or(u64::MAX),
        "lease_left_millis": u64::try_from(verifier.lease_left.as_millis()).unwrap_or(u64::MAX),
    })
}

pub(crate) fn lock(lock: &Lock) -> Value {
    json!({
        "number": lock.number,
        "selector": selector(&lock.selector),
        "matches": matches(&lock.matches),
        "reason": lock.reason,
        "locked_by": lock.locked_by,
        "lock_time": time(lock.lock_time),
        "end_time": time(lock.end_time),
    })
}

pub(crate) fn key(key: &Key) -> Value {
    json!({
        "kid": key.kid,
        "purpose": key.purpose,
        "algorithm": key.algorithm,
        "state": key.state,
        "publish_time": time(key.publish_time),
        "state_time": time(key.state_time),
    })
}

pub(crate) fn verdict(verdict: &PolicyVerdict) -> Value {
    let problems = verdict
        .problems
        .iter()
        .map(|p| json!({ "file": p.file, "line": p.line, "column": p.column, "message": p.message }));
    json!({
        "valid": verdict.valid,
        "policies": verdict.policies,
        "problems": Value::Array(problems.collect()),
    })
}

pub(crate) fn entry(entry: &RecordEntry) -> Value {
    json!({
        "position": entry.position,
        "time": time(entry.time),
        "event": entry.event,
        "by": entry.by,
        "tenant": entry.tenant,
        "task": entry.task,
        "jti": entry.jti,
        "summary": entry.summary,
        "policy_revision": entry.policy_revision,
        "policies": entry.policies,
        "reason": entry.reason,
        "facts": entry.facts,
    })
}

pub(crate) fn status(status: &Status) -> Value {
    json!({
        "version": status.version,
        "issuer": status.issuer,
        "ready": status.ready,
        "warnings": status.warnings,
        "tokens": status.tokens,
        "tasks": status.tasks,
        "registry_revision": status.registry_revision,
        "policy_revision": status.policy_revision,
        "position": status.position,
        "rows_by_workload": counts(&status.rows_by_workload),
        "rows_by_connector": counts(&status.rows_by_connector),
        "activity": {
            "tokens_issued": status.activity.tokens_issued,
            "tokens_refused": status.activity.tokens_refused,
            "checks_active": status.activity.checks_active,
            "checks_inactive": status.activity.checks_inactive,
            "revocations": status.activity.revocations,
        },
        "reaper_lag_millis": u64::try_from(status.reaper_lag.as_millis()).unwrap_or(u64::MAX),
        "start_time": status.start_time.map(time),
        "followers": status.followers,
        "oldest_verifier": status.oldest_verifier.as_ref().map(verifier),
    })
}

pub(crate) fn live_token(token: &LiveToken) -> Value {
    json!({
        "jti": token.jti,
        "task": token.task,
        "workload": token.workload,
        "connector": token.connector,
        "tenant": token.tenant,
        "subject": token.subject,
        "purpose": token.purpose,
        "issue_time": time(token.issue_time),
        "expire_time": time(token.expire_time),
        "uses_left": token.uses_left,
    })
}

pub(crate) fn identity(who: &Identity) -> Value {
    json!({
        "spiffe_id": who.spiffe_id,
        "login_issuer": who.login_issuer,
        "login_subject": who.login_subject,
        "role": who.role,
        "name": who.name,
        "tenants": who.tenants,
        "all_tenants": who.all_tenants,
        "owner": who.owner,
        "model": who.model,
        "serves": who.serves,
        "can_bind": who.can_bind,
        "proof_end_time": time(who.proof_end_time),
    })
}

pub(crate) fn time(at: Timestamp) -> String {
    at.to_string()
}

fn selector(selector: &Selector) -> String {
    selector_text(selector)
}

fn matches(matches: &[Match]) -> Value {
    let one = |m: &Match| json!({ "level": m.level, "name": m.name, "tenant": m.tenant });
    Value::Array(matches.iter().map(one).collect())
}

fn counts(counts: &[NamedCount]) -> Value {
    Value::Array(counts.iter().map(|c| json!({ "name": c.name, "count": c.count })).collect())
}
