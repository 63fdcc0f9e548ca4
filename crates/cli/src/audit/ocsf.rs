//! Entries of the record as events of the Open Cybersecurity Schema Framework, version 1.5.0.
//!
//! | entry | class | activity |
//! |---|---|---|
//! | task started · ended, lapsed | Authentication 3002 | Logon · Logoff |
//! | token issued | Authorize Session 3003 | Assign Privileges |
//! | denials | Authentication 3002, status Failure | Service Ticket Request; Logon for StartTask |
//! | token used, checks | API Activity 6003 | Other |
//! | revoked | User Access Management 3005 | Revoke Privileges |
//! | locked · unlocked | Account Change 3001 | Lock · Unlock |
//! | keys, registry, policies | Entity Management 3004 | Create, Activate, Deactivate |
//!
//! A task is OCSF's session, a workload its user. Everything else that an entry says stands under
//! `unmapped`, by the names of the record.

use locum_sdk::admin::RecordEntry;
use serde_json::{Map, Value, json};

/// The schema's version.
const VERSION: &str = "1.5.0";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    AccountChange = 3001,
    Authentication = 3002,
    AuthorizeSession = 3003,
    EntityManagement = 3004,
    UserAccess = 3005,
    ApiActivity = 6003,
}

/// What a kind of entry is to OCSF.
struct Kind {
    class: Class,
    activity: u32,
    severity: u32,
}

const fn kind(class: Class, activity: u32, severity: u32) -> Kind {
    Kind { class, activity, severity }
}

/// An entry as an event; one object without line breaks.
pub(super) fn event(entry: &RecordEntry) -> Value {
    let Kind { class, activity, severity } = kind_of(entry);
    let uid = class as u32;
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("activity_id", json!(activity));
    put("category_uid", json!(uid / 1000));
    put("class_uid", json!(uid));
    put("type_uid", json!(u64::from(uid) * 100 + u64::from(activity)));
    put("severity_id", json!(severity));
    put("time", json!(entry.time.as_millis()));
    put("message", json!(entry.summary));
    let refused = !entry.reason.is_empty();
    put("status_id", json!(if refused { 2 } else { 1 }));
    if refused {
        put("status_code", json!(entry.reason));
    }
    if activity == 99 {
        put("activity_name", json!(entry.event));
    }
    put("metadata", metadata(entry));
    put("unmapped", unmapped(entry));
    if let Some(count) = fact(entry, "count").and_then(|count| count.parse::<u32>().ok()) {
        put("count", json!(count));
    }
    match class {
        Class::Authentication => {
            put("user", subject(entry));
            put("service", json!({ "name": "locum" }));
            add_session(&mut put, entry);
        }
        Class::AuthorizeSession => {
            put("user", subject(entry));
            put("privileges", privileges(entry));
            add_session(&mut put, entry);
        }
        Class::ApiActivity => {
            let (name, _) = who(&entry.by);
            put("actor", json!({ "user": subject(entry) }));
            let operation = fact(entry, "operation").unwrap_or(entry.event.as_str());
            put("api", json!({ "operation": operation, "service": { "name": name } }));
            put("src_endpoint", json!({ "svc_name": name }));
        }
        Class::UserAccess => {
            put("user", target(entry));
            put("privileges", json!([fact(entry, "selector").unwrap_or(&entry.summary)]));
            put("actor", json!({ "user": party(&entry.by) }));
        }
        Class::AccountChange => {
            put("user", target(entry));
            put("actor", json!({ "user": party(&entry.by) }));
        }
        Class::EntityManagement => {
            put("entity", entity(entry));
            put("comment", json!(entry.summary));
            put("actor", json!({ "user": party(&entry.by) }));
        }
    }
    Value::Object(event)
}

fn kind_of(entry: &RecordEntry) -> Kind {
    use Class::{AccountChange, ApiActivity, Authentication, AuthorizeSession, EntityManagement, UserAccess};
    match entry.event.as_str() {
        "task-started" => kind(Authentication, 1, 1),
        "task-ended" | "task-lapsed" => kind(Authentication, 2, 1),
        "token-issued" => kind(AuthorizeSession, 1, 1),
        "denials-summed" if fact(entry, "method") == Some("StartTask") => kind(Authentication, 1, 2),
        "denials-summed" => kind(Authentication, 4, 2),
        "token-used" | "checks-summed" => kind(ApiActivity, 99, 1),
        "revoked" => kind(UserAccess, 2, 3),
        "locked" => kind(AccountChange, 9, 3),
        "unlocked" => kind(AccountChange, 12, 2),
        "key-published" => kind(EntityManagement, 1, 2),
        "key-activated" | "registry-activated" | "policy-activated" => kind(EntityManagement, 10, 2),
        "key-retired" => kind(EntityManagement, 11, 2),
        // An event that this version of the command does not know is something done to the record.
        _ => kind(EntityManagement, 99, 1),
    }
}

fn metadata(entry: &RecordEntry) -> Value {
    let mut metadata = json!({
        "version": VERSION,
        "product": { "name": "Locum", "vendor_name": "Locum" },
        "uid": entry.position,
        "event_code": entry.event,
        "log_name": "record",
    });
    if let Some(sequence) = entry.position.rsplit('.').next().and_then(|text| text.parse::<u64>().ok()) {
        metadata["sequence"] = json!(sequence);
    }
    if !entry.tenant.is_empty() {
        metadata["tenant_uid"] = json!(entry.tenant);
    }
    if !entry.task.is_empty() {
        metadata["correlation_uid"] = json!(entry.task);
    }
    metadata
}

/// What the record says beyond what OCSF has a place for.
fn unmapped(entry: &RecordEntry) -> Value {
    let mut rest: Map<String, Value> =
        entry.facts.iter().map(|(name, fact)| (name.clone(), json!(fact))).collect();
    rest.insert("by".into(), json!(entry.by));
    if !entry.jti.is_empty() {
        rest.insert("jti".into(), json!(entry.jti));
    }
    if entry.policy_revision > 0 {
        rest.insert("policy_revision".into(), json!(entry.policy_revision));
        rest.insert("policies".into(), json!(entry.policies));
    }
    Value::Object(rest)
}

fn add_session(put: &mut impl FnMut(&str, Value) -> Option<Value>, entry: &RecordEntry) {
    if entry.task.is_empty() {
        return;
    }
    let mut session = json!({ "uid": entry.task });
    if !entry.jti.is_empty() {
        session["credential_uid"] = json!(entry.jti);
    }
    put("session", session);
}

fn privileges(entry: &RecordEntry) -> Value {
    let scope = fact(entry, "scope").unwrap_or_default();
    scope.split(' ').filter(|grant| !grant.is_empty()).map(|grant| json!(grant)).collect()
}

/// Whose session it is: the workload that did it, or the task where somebody else did.
fn subject(entry: &RecordEntry) -> Value {
    match who(&entry.by) {
        (_, Some(_)) => party(&entry.by),
        _ if !entry.task.is_empty() => json!({ "uid": entry.task }),
        _ => party(&entry.by),
    }
}

/// What a revocation or a lock was about.
fn target(entry: &RecordEntry) -> Value {
    let named = fact(entry, "selector").unwrap_or(&entry.summary);
    json!({ "name": named })
}

fn entity(entry: &RecordEntry) -> Value {
    let (kind, fallback) = match entry.event.split_once('-') {
        Some((kind, _)) => (kind, entry.event.as_str()),
        None => ("record", entry.event.as_str()),
    };
    let name = fact(entry, "kid").or_else(|| fact(entry, "revision")).unwrap_or(fallback);
    json!({ "name": name, "type": kind })
}

/// Who did it, as a user.
fn party(by: &str) -> Value {
    match who(by) {
        (name, Some(identity)) => json!({ "name": name, "uid": identity }),
        (name, None) => json!({ "name": name }),
    }
}

/// A workload stands as `name (SPIFFE ID)` in the record, everybody else by a name alone.
fn who(by: &str) -> (&str, Option<&str>) {
    match by.strip_suffix(')').and_then(|by| by.rsplit_once(" (")) {
        Some((name, identity)) if identity.starts_with("spiffe://") => (name, Some(identity)),
        _ => (by, None),
    }
}

fn fact<'a>(entry: &'a RecordEntry, name: &str) -> Option<&'a str> {
    entry.facts.get(name).map(String::as_str).filter(|fact| !fact.is_empty())
}

#[cfg(test)]
mod tests;
