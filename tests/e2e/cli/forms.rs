//! Every listing in every form: what people, scripts and programs read is the same, each in its own words.

use locum_tests::eventually;
use serde_json::Value;

use super::{Desk, OPERATOR, REFUNDER, text};

/// The texts of a document that are times, by what they are called.
fn times(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(text) if name == "time" || name.ends_with("_time") || name == "deadline" => {
                        found.push(text.to_owned());
                    }
                    _ => times(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| times(item, found)),
        _ => {}
    }
}

/// `2026-11-22T07:20:38.000Z`.
fn is_rfc_3339(text: &str) -> bool {
    let shape = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z')
}

#[tokio::test]
async fn every_listing_speaks_every_form() {
    let desk = Desk::new().await;
    desk.busy(REFUNDER, 3);
    desk.busy("agents/reader", 1);
    for selector in ["workload=mail-api", "connector=wiki"] {
        desk.says(OPERATOR, &["lock", selector, "--ttl", "1h", "--reason", "a drill"]);
    }
    eventually("a current archive", || async {
        (desk.says(OPERATOR, &["audit", "status", "--field", "behind"]) == "0").then_some(())
    })
    .await;
    for (command, many, one, id) in [
        (&["task", "list"][..], "tasks", "task", "task"),
        (&["token", "list"], "tokens", "token", "jti"),
        (&["lock", "list"], "locks", "lock", "selector"),
        (&["key", "list"], "keys", "key", "kid"),
        (&["audit", "search", "--since", "1h"], "entries", "entry", "position"),
        (&["audit", "tail", "-n", "4"], "entries", "entry", "position"),
    ] {
        let says = |form: &[&str]| desk.says("operators/admin", &[command, form].concat());
        let document: Value = serde_json::from_str(&says(&["-o", "json"])).expect("one document");
        let items = document[many].as_array().unwrap_or_else(|| panic!("{command:?}: {document}"));
        assert!(document["schema_version"] == 1 && items.len() >= 2, "{command:?}: {document}");
        let lines = says(&["-o", "jsonl"]);
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(lines.iter().all(|line| line["schema_version"] == 1), "{lines:?}");
        assert_eq!(lines.iter().map(|line| line[one][id].clone()).collect::<Vec<_>>(), ids(items, id));
        let names: Vec<Value> = says(&["-o", "name"]).lines().map(Value::from).collect();
        assert_eq!(names, ids(items, id), "{command:?}");
        let fields: Vec<Value> = says(&["--field", id]).lines().map(Value::from).collect();
        assert_eq!(fields, ids(items, id), "{command:?}");
        let mut told = Vec::new();
        times(&document, &mut told);
        assert!(!told.is_empty() && told.iter().all(|time| is_rfc_3339(time)), "{command:?}: {told:?}");
        for form in ["table", "wide"] {
            let shown = says(&["-o", form]);
            assert!(
                shown.lines().count() >= items.len() && !shown.contains('\u{1b}'),
                "{command:?} {form}: {shown}"
            );
            // The record is read by the clock, in both forms; everything else is read from now on.
            let has_clock = shown.contains("T0") || shown.contains("T1") || shown.contains("T2");
            assert_eq!(has_clock && shown.contains("Z  "), many == "entries", "{command:?} {form}: {shown}");
        }
    }
}

fn ids(items: &[Value], id: &str) -> Vec<Value> {
    items.iter().map(|item| item[id].clone()).collect()
}

#[tokio::test]
async fn an_empty_listing_is_a_good_answer_in_every_form() {
    let desk = Desk::new().await;
    for command in [&["token", "list"][..], &["lock", "list"], &["audit", "search", "--text", "never said"]] {
        for (form, expected) in [("table", ""), ("wide", ""), ("jsonl", ""), ("name", "")] {
            let output = desk.run(OPERATOR, &[command, &["-o", form]].concat());
            assert_eq!(
                (output.status.code(), text(&output.stdout).as_str()),
                (Some(0), expected),
                "{command:?}"
            );
            let note = if matches!(form, "table" | "wide") { "there is nothing to show\n" } else { "" };
            assert_eq!(text(&output.stderr), note, "{command:?} {form}");
        }
        let document = desk.document(OPERATOR, command);
        let listing = document.as_object().expect("a document").values().find(|member| member.is_array());
        assert_eq!(listing.and_then(Value::as_array).map(Vec::len), Some(0), "{command:?}: {document}");
    }
}

#[tokio::test]
async fn a_preview_counts_by_workload_and_connector_and_tells_the_oldest_and_the_newest() {
    let desk = Desk::new().await;
    let (task, _) = desk.busy(REFUNDER, 2);
    desk.busy("agents/reader", 1);
    let preview = |selector: &str| {
        desk.document(OPERATOR, &["revoke", selector, "--reason", "x", "--dry-run"])["preview"].clone()
    };
    let all = preview("tenant=acme");
    assert_eq!((&all["tokens"], &all["tasks"]), (&Value::from(3), &Value::from(2)));
    let counts = |which: &str| -> Vec<(String, u64)> {
        let rows = all[which].as_array().expect(which).iter();
        rows.map(|row| {
            (row["name"].as_str().expect("a name").to_owned(), row["count"].as_u64().expect("a count"))
        })
        .collect()
    };
    assert_eq!(counts("by_workload"), [("refunder".to_owned(), 2), ("reader".to_owned(), 1)]);
    assert_eq!(counts("by_connector"), [("orders".to_owned(), 3)]);
    let time = |which: &str| all[which].as_str().expect(which).to_owned();
    assert!(
        is_rfc_3339(&time("oldest_issue_time")) && time("oldest_issue_time") <= time("newest_issue_time")
    );
    // For people the same, in words; and nothing of it has happened.
    let shown = desk.says(OPERATOR, &["revoke", &format!("task={task}"), "--reason", "x", "--dry-run"]);
    for part in ["2 live tokens of 1 live task", "oldest issued", "newest", "refunder", "CONNECTOR", "orders"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert_eq!(preview("tenant=acme"), all);
}
