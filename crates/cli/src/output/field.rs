//! `--field`: one value of a document, bare.

use serde_json::Value;

use super::lines;
use crate::failure::Failure;

/// The value at a path of names and indexes with dots, for instance `matches.0.name`: a text or
/// number as it is, nothing for null, JSON for the rest.
pub(super) fn of(item: &Value, path: &str) -> Result<String, Failure> {
    let mut at = item;
    for step in path.split('.') {
        let next = match at {
            Value::Object(members) => members.get(step),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|n| items.get(n)),
            _ => None,
        };
        at = next.ok_or_else(|| missing(at, step))?;
    }
    Ok(match at {
        Value::Null => String::new(),
        other => lines::plain(other).unwrap_or_else(|| lines::harmless(other)),
    })
}

fn missing(at: &Value, step: &str) -> Failure {
    let there = match at {
        Value::Object(members) => members.keys().cloned().collect::<Vec<_>>().join(", "),
        Value::Array(items) => format!("{} items, counted from 0", items.len()),
        _ => "a single value".to_owned(),
    };
    Failure::Usage(format!("there is no field `{}`; there is: {there}", super::escaped(step)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_one_bare_value() {
        let item =
            json!({ "task": "task-1-1", "n": 7, "none": null, "list": [{ "name": "a\u{1b}" }], "yes": true });
        for (path, expected) in [
            ("task", "task-1-1"),
            ("n", "7"),
            ("none", ""),
            ("list.0.name", "a\\u{1b}"),
            ("list", r#"[{"name":"a\u001b"}]"#),
            ("yes", "true"),
        ] {
            assert_eq!(of(&item, path).expect("there"), expected, "{path}");
        }
        for bad in ["", "tas", "task.0", "list.1", "list.x", ".", "task."] {
            let refused = of(&item, bad).expect_err(bad);
            assert_eq!(refused.code(), 2, "{bad}");
        }
    }
}
