//! `docs/reference/configuration.md`: every key, from the list of keys and the words of
//! `deploy/config/locumd.full.toml`.
//!
//! What always holds: the page has every key of the list and none besides; a test compares it with
//! what is written. To write it again:
//! `cargo test -p locum-server -- --ignored write_the_configuration_page`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::keys::{self, From, KEYS, Key};

const FULL: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/config/locumd.full.toml"));
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
const AGAIN: &str = "run `cargo test -p locum-server -- --ignored write_the_configuration_page`";

const INTRODUCTION: &str = "\
# Configuration: every key of `locumd`

Made from the list of keys in the code and from `deploy/config/locumd.full.toml`, which says the same as a
file to copy from. Registry and policies are files of their own: [registry](registry.md) has every key of the
one, [policies](policy.md) has the words for the others.

Layers, each over the one before: built-in defaults, the file, environment, flags (`--set KEY=VALUE`). A key with a
variable can be set by all of them. All other keys decide whom Locum believes or who it is: they stand in the file
alone. A key that does not exist, and a variable that begins with `LOCUM_` and matches nothing, are refused, with file,
line and reason. `locumd check-config` tells every problem at once.

A duration is one whole number and one unit: `ms`, `s`, `m`, `h` or `d`. Paths are absolute. Secrets are paths, never values.

Limits of the product are no settings: [threat model](../threat-model.md#limits).
";

/// What the file says above a table or key, by its path.
fn comments() -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    let (mut section, mut comment) = (String::new(), String::new());
    for line in FULL.lines() {
        if let Some(text) = line.strip_prefix('#') {
            let _fits = write!(comment, "{}{}", if comment.is_empty() { "" } else { "\n" }, text.trim());
            continue;
        }
        let path = if let Some(list) = line.strip_prefix("[[") {
            section = format!("{}[]", list.trim_end_matches(']'));
            Some(section.clone())
        } else if let Some(table) = line.strip_prefix('[') {
            section = table.trim_end_matches(']').to_owned();
            Some(section.clone())
        } else {
            let name = line.split_once(" = ").map(|(name, _)| name);
            name.map(|name| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") })
        };
        if let Some(path) = path {
            // Of what stands more than once the first says it all.
            said.entry(path).or_insert_with(|| comment.clone());
        }
        comment.clear();
    }
    said
}

fn page() -> String {
    let said = comments();
    let mut page = INTRODUCTION.to_owned();
    let mut table = None;
    for key in KEYS {
        let own = key.path.rsplit_once('.').map_or("", |(table, _)| table);
        if table != Some(own) {
            table = Some(own);
            let heading = match own.strip_suffix("[]") {
                Some(list) => format!("`[[{list}]]`"),
                None if own.is_empty() => "At the top".to_owned(),
                None => format!("`[{own}]`"),
            };
            let _fits = write!(page, "\n## {heading}\n");
            if let Some(about) = said.get(own).filter(|about| !about.is_empty()) {
                let _fits = write!(page, "\n{}\n", one_line(about));
            }
            page.push_str("\n| key | default | variable | meaning |\n|---|---|---|---|\n");
        }
        page.push_str(&line(key, said.get(key.path).map(String::as_str).unwrap_or_default()));
    }
    page
}

fn line(key: &Key, said: &str) -> String {
    let name = key.path.rsplit('.').next().unwrap_or(key.path);
    let variable = match key.from {
        From::Anywhere => format!("`{}`", keys::variable(key.path)),
        From::FileAlone => String::new(),
    };
    let text = one_line(said);
    let (meaning, default) = text.split_once("Default: ").unwrap_or((&text, ""));
    let meaning = meaning.split_once("Variable: ").map_or(meaning, |(meaning, _)| meaning).trim();
    let default = match key.default {
        Some(value) => format!("`{value}`"),
        // `none, required`, `none, it is not opened`, `none`.
        None => match default.trim() {
            "none, required" => "*required*".to_owned(),
            default => default.replacen("none, ", "none: ", 1),
        },
    };
    format!("| `{name}` | {default} | {variable} | {} |\n", meaning.replace('|', "\\|"))
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_says_what_code_and_file_say() {
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page(), "docs/reference/configuration.md is out of date: {AGAIN}");
}

#[test]
#[ignore = "rewrites docs/reference/configuration.md"]
fn write_the_configuration_page() {
    std::fs::write(PATH, page()).expect("docs/reference can be written");
}

#[test]
fn every_key_has_its_line_and_its_words() {
    let (page, said) = (page(), comments());
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), KEYS.len());
    for key in KEYS {
        let words = said.get(key.path).expect(key.path);
        assert!(words.split("Default: ").next().is_some_and(|meaning| meaning.len() > 8), "{}", key.path);
        let variable = keys::variable(key.path);
        assert_eq!(page.contains(&format!("| `{variable}` |")), key.from == From::Anywhere, "{}", key.path);
    }
}
