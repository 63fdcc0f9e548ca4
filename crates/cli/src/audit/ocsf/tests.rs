//! Every kind of entry, compared with the schema: what it demands, and nothing that it does not have.

use std::collections::BTreeMap;

use locum_model::Timestamp;

use super::*;

/// The part of the schema that is written here. `from` in it says where it comes from.
const SCHEMA: &str = include_str!("schema-1.5.0.json");

/// What is wrong with a value that should be an object of `definition`.
fn violations(schema: &Value, definition: &Value, value: &Value, at: &str) -> Vec<String> {
    let Some(object) = value.as_object() else { return vec![format!("{at}: no object")] };
    let attributes = definition["attributes"].as_object().expect("attributes");
    let mut found = Vec::new();
    for (name, value) in object {
        match attributes.get(name) {
            None => found.push(format!("{at}.{name}: the schema has no such attribute")),
            Some(attribute) => found.extend(wrong_value(schema, attribute, value, &format!("{at}.{name}"))),
        }
    }
    for (name, attribute) in attributes {
        if attribute["required"] == true && !object.contains_key(name) {
            found.push(format!("{at}.{name}: is required"));
        }
    }
    for (constraint, fits) in [("at_least_one", 1..=usize::MAX), ("just_one", 1..=1)] {
        if let Some(names) = definition["constraints"][constraint].as_array() {
            let there =
                names.iter().filter(|name| object.contains_key(name.as_str().expect("a name"))).count();
            if !fits.contains(&there) {
                found.push(format!("{at}: {constraint} of {names:?}"));
            }
        }
    }
    found
}

fn wrong_value(schema: &Value, attribute: &Value, value: &Value, at: &str) -> Vec<String> {
    if attribute["array"] == true {
        let Some(values) = value.as_array() else { return vec![format!("{at}: no array")] };
        let one = |one| wrong_one(schema, attribute, one, at);
        return values.iter().flat_map(one).collect();
    }
    wrong_one(schema, attribute, value, at)
}

fn wrong_one(schema: &Value, attribute: &Value, value: &Value, at: &str) -> Vec<String> {
    let is = match attribute["type"].as_str().expect("a type") {
        "string_t" => value.is_string(),
        "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
        "boolean_t" => value.is_boolean(),
        // Anything may stand in what is not mapped.
        "object" => value.is_object(),
        name => match schema["objects"].get(name) {
            Some(definition) => return violations(schema, definition, value, at),
            None => return vec![format!("{at}: `{name}` is not in the part of the schema that is used")],
        },
    };
    let mut found = if is { Vec::new() } else { vec![format!("{at}: of another type: {value}")] };
    if let Some(values) = attribute["enum"].as_array()
        && !values.contains(value)
    {
        found.push(format!("{at}: {value} is none of {values:?}"));
    }
    found
}

fn check(event: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let uid = event["class_uid"].to_string();
    match schema["classes"].get(&uid) {
        Some(class) => violations(&schema, class, event, &uid),
        None => vec![format!("{uid}: no such class")],
    }
}

fn entry(event: &str, by: &str, facts: &[(&str, &str)]) -> RecordEntry {
    let owned = |(name, fact): &(&str, &str)| ((*name).to_owned(), (*fact).to_owned());
    RecordEntry {
        position: "1.1.42".into(),
        time: Timestamp::from_seconds(1_795_305_279),
        event: event.into(),
        by: by.into(),
        tenant: "acme".into(),
        task: "task-1-7".into(),
        jti: "ab".repeat(16),
        summary: "what happened\u{1b}[2J".into(),
        policy_revision: 3,
        policies: vec!["refunds".into()],
        reason: if event == "denials-summed" { "POLICY_DENIED".into() } else { String::new() },
        facts: facts.iter().map(owned).collect::<BTreeMap<_, _>>(),
    }
}

const WORKLOAD: &str = "refunder (spiffe://acme.test/agents/refunder)";

fn samples() -> Vec<(RecordEntry, u32)> {
    let scope = ("scope", "orders:read orders:refund");
    let selector = ("selector", "workload refunder");
    vec![
        (entry("task-started", WORKLOAD, &[scope, ("purpose", "refund-order")]), 300_201),
        (entry("task-ended", WORKLOAD, &[("outcome", "completed")]), 300_202),
        (entry("task-ended", "operator alice", &[]), 300_202),
        (entry("task-lapsed", "locum", &[]), 300_202),
        (entry("token-issued", WORKLOAD, &[scope]), 300_301),
        (
            entry("token-used", "orders-api (spiffe://acme.test/orders)", &[("operation", "orders:read")]),
            600_399,
        ),
        (entry("checks-summed", "locum", &[("active", "3")]), 600_399),
        (entry("denials-summed", WORKLOAD, &[("method", "IssueToken"), ("count", "4")]), 300_204),
        (entry("denials-summed", WORKLOAD, &[("method", "StartTask"), ("count", "1")]), 300_201),
        (entry("denials-summed", "operator alice", &[("method", "Revoke"), ("count", "1")]), 300_204),
        (entry("revoked", "operator alice", &[selector]), 300_502),
        (entry("locked", "operator alice", &[selector]), 300_109),
        (entry("unlocked", "operator alice", &[]), 300_112),
        (entry("key-published", "locum", &[("kid", "k")]), 300_401),
        (entry("key-activated", "locum", &[("kid", "k")]), 300_410),
        (entry("key-retired", "locum", &[("kid", "k")]), 300_411),
        (entry("registry-activated", "operator alice", &[("revision", "2")]), 300_410),
        (entry("policy-activated", "operator alice", &[("revision", "2")]), 300_410),
        (entry("something-new", "locum", &[]), 300_499),
    ]
}

#[test]
fn every_entry_is_a_valid_event_on_one_line() {
    for (entry, type_uid) in samples() {
        let event = event(&entry);
        assert_eq!(check(&event), Vec::<String>::new(), "{event:#}");
        assert_eq!(event["type_uid"], type_uid, "{event:#}");
        let line = event.to_string();
        assert!(!line.contains(['\n', '\u{1b}']), "{line}");
        assert_eq!(event["status_id"], if entry.reason.is_empty() { 1 } else { 2 });
        assert_eq!(event["metadata"]["uid"], "1.1.42");
    }
}

#[test]
fn an_entry_without_anything_is_still_valid() {
    for (mut entry, _) in samples() {
        entry.facts.clear();
        (entry.task, entry.jti, entry.tenant, entry.policies) = Default::default();
        entry.policy_revision = 0;
        let event = event(&entry);
        assert_eq!(check(&event), Vec::<String>::new(), "{event:#}");
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let good = event(&samples()[0].0);
    let broken: [(&str, Value); 7] = [
        ("user", Value::Null),
        ("user", json!({})),
        ("severity_id", json!(7)),
        ("activity_id", json!("1")),
        ("nonsense", json!(1)),
        ("metadata", json!({ "version": VERSION })),
        ("class_uid", json!(3003)),
    ];
    for (name, value) in broken {
        let mut bad = good.clone();
        match value {
            Value::Null => {
                bad.as_object_mut().expect("an object").remove(name);
            }
            value => bad[name] = value,
        }
        assert_ne!(check(&bad), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn who_did_it_is_told_apart() {
    for (by, name, identity) in [
        (WORKLOAD, "refunder", Some("spiffe://acme.test/agents/refunder")),
        ("operator alice", "operator alice", None),
        ("operator eve (spiffe)", "operator eve (spiffe)", None),
        ("locum", "locum", None),
    ] {
        assert_eq!(who(by), (name, identity));
    }
}
