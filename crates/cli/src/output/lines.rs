//! A document in parts: items for lines, names, and a text in which nothing steers a terminal.

use serde_json::{Value, json};

use super::escaped;
use crate::document::{NOUNS, SCHEMA_VERSION};
use crate::failure::Failure;

const VERSION: &str = "schema_version";
/// Members that say something of the document itself.
const ABOUT: [&str; 2] = [VERSION, "more"];

/// The one member of a document beside those about itself, where there is one only.
fn only(document: &Value) -> Option<(&String, &Value)> {
    let mut members = document.as_object()?.iter().filter(|(name, _)| !ABOUT.contains(&name.as_str()));
    members.next().filter(|_| members.next().is_none())
}

/// What a document is about: each item of a listing, the one thing, or the document itself.
pub(super) fn items(document: Value) -> Vec<Value> {
    match only(&document) {
        Some((_, Value::Array(items))) => items.clone(),
        Some((_, Value::Object(_))) => only(&document).map(|(_, value)| value.clone()).into_iter().collect(),
        _ => vec![document],
    }
}

/// A document for each item of a listing; any other document as it is.
pub(super) fn documents(document: Value) -> Vec<Value> {
    match only(&document) {
        Some((noun, Value::Array(items))) => {
            let known = NOUNS.iter().find(|known| known.many == noun);
            let one = known.map_or(noun.as_str(), |known| known.one);
            items.iter().map(|item| json!({ VERSION: SCHEMA_VERSION, one: item })).collect()
        }
        _ => vec![document],
    }
}

/// Whether it is a listing with nothing on it.
pub(super) fn is_empty_listing(document: &Value) -> bool {
    only(document).is_some_and(|(_, value)| value.as_array().is_some_and(Vec::is_empty))
}

/// The name of each item: what other commands take.
pub(super) fn names(document: Value) -> Result<Vec<String>, Failure> {
    let nameless = || Failure::Usage("nothing here has a name: use another `-o`".to_owned());
    let (noun, _) = only(&document).ok_or_else(nameless)?;
    let known = NOUNS.iter().find(|known| known.many == noun || known.one == noun).ok_or_else(nameless)?;
    let id = known.id;
    items(document).iter().map(|item| plain(&item[id]).ok_or_else(nameless)).collect()
}

/// A text or number as it is.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(escaped(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The document on one line. What could steer a terminal is escaped as JSON has it, so that nothing
/// is lost for whoever parses it; such characters can stand within strings alone.
pub(crate) fn harmless(document: &Value) -> String {
    let text = document.to_string();
    let mut safe = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        let shown = escaped(c.encode_utf8(&mut [0; 4]));
        if c.is_ascii() || shown.chars().eq([c]) {
            safe.push(c);
        } else {
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_has_a_line_and_a_name_for_each_item() {
        let listing = json!({ VERSION: 1, "tasks": [{ "task": "task-1-1" }, { "task": "task-1-2" }] });
        assert_eq!(documents(listing.clone())[1], json!({ VERSION: 1, "task": { "task": "task-1-2" } }));
        assert_eq!(names(listing).expect("names"), ["task-1-1", "task-1-2"]);
        let one = json!({ VERSION: 1, "task": { "task": "task-1-1" } });
        assert_eq!(names(one.clone()).expect("a name"), ["task-1-1"]);
        assert_eq!(documents(one.clone()), [one]);
        assert!(names(json!({ VERSION: 1, "status": { "ready": true } })).is_err());
        assert!(names(json!({ VERSION: 1, "a": 1, "b": 2 })).is_err());
        assert!(is_empty_listing(&json!({ VERSION: 1, "more": true, "locks": [] })));
        assert!(is_empty_listing(&json!({ VERSION: 1, "locks": [] })));
    }

    #[test]
    fn json_cannot_steer_a_terminal_and_loses_nothing() {
        let hostile = json!({ "n\u{202e}ame": "a\u{1b}[2J\u{9b}\u{200b}\u{e0041}\u{7f}\u{0}é漢" });
        let text = harmless(&hostile);
        for steering in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}', '\u{e0041}', '\0'] {
            assert!(!text.contains(steering), "{text:?}");
        }
        assert!(text.contains("é漢"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), hostile);
    }
}
