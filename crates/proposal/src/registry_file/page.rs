//! `docs/reference/registry.md`: every key of a registry file.
//!
//! What always holds: each table has the keys that the reader itself knows and none besides, as its
//! own refusal of an unknown key names them; whether a key may be left out, and which words it
//! takes, is tried on the reader. To write the page again:
//! `cargo test -p locum-proposal -- --ignored write_the_registry_page`.

use std::fmt::Write as _;
use std::path::Path;

use locum_model::limits::{
    ACTIONS_PER_CONNECTOR_MAX, AUDIENCE_BYTES_MAX, JWKS_TOKEN_TTL_MAX, NAME_BYTES_MAX, REGISTRY_BYTES_MAX,
    REGISTRY_ENTRIES_MAX, STALENESS_BOUND_DEFAULT, STALENESS_BOUND_MAX, STALENESS_BOUND_MIN, TOKEN_TTL_MAX,
    TOKEN_TTL_MIN, WORKLOAD_ID_BYTES_MAX,
};

use super::parse;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/registry.md");
const AGAIN: &str = "run `cargo test -p locum-proposal -- --ignored write_the_registry_page`";

/// A table with a good value for each of its keys, and what they mean.
struct Table {
    heading: &'static str,
    about: &'static str,
    keys: &'static [(&'static str, &'static str, &'static str)],
}

const TENANT: &str = "The tenant that it belongs to.";
const NAME: &str = "Its name: no other of the tenant's has it.";
const OWNER: &str = "Who answers for it: a person or a team. Selectors take it.";

const TABLES: [Table; 5] = [
    Table {
        heading: "[[tenant]]",
        about: "A tenant. Everything else belongs to one; nobody sees another's.",
        keys: &[("name", "\"acme\"", "Its name.")],
    },
    Table {
        heading: "[[model]]",
        about: "An AI model that stands behind workloads. Revoking it ends everything that rests on it.",
        keys: &[("tenant", "\"acme\"", TENANT), ("name", "\"llm\"", NAME), ("owner", "\"support\"", OWNER)],
    },
    Table {
        heading: "[[workload]]",
        about: "Somebody who calls Locum. Who is not here is refused.",
        keys: &[
            ("tenant", "\"acme\"", TENANT),
            ("name", "\"refunder\"", NAME),
            (
                "identity",
                "\"spiffe://acme.test/agents/refunder\"",
                "The SPIFFE ID that it proves, or a pattern: `*` for one segment of the path, a last `**` for one or more. No two overlap.",
            ),
            ("kind", "\"plugin\"", "What it is. Policies see it."),
            ("owner", "\"support\"", OWNER),
            ("model", "\"llm\"", "The model behind it, by name."),
            ("serves", "[\"orders\"]", "The connectors whose tokens it may check: a backend's."),
        ],
    },
    Table {
        heading: "[[connector]]",
        about: "Something to reach, with what can be done there.",
        keys: &[
            ("tenant", "\"acme\"", TENANT),
            ("name", "\"orders\"", NAME),
            (
                "audience",
                "\"https://orders.acme.test\"",
                "The `aud` of its tokens; no other connector has it.",
            ),
            ("owner", "\"payments\"", OWNER),
            ("tier", "\"high\"", "How much harm can be done there. Policies see it."),
            (
                "check",
                "\"online\"",
                "How the backend checks: it asks on each call, follows the revocation feed, or has the key set alone.",
            ),
            ("algorithm", "\"ES256\"", "The signature of its tokens; ES256 when absent."),
            ("ttl_max", "\"120s\"", "The longest life of its tokens."),
            ("staleness_bound", "\"2s\"", "How long its backend may answer without hearing from Locum."),
            (
                "actions",
                "{ read = { effect = \"read\" } }",
                "What can be done there: a table for each action.",
            ),
        ],
    },
    Table {
        heading: "[connector.actions.NAME]",
        about: "An action of the connector above. Scopes name it: `orders:read`.",
        keys: &[
            ("effect", "\"read\"", "What it does to the world outside. Policies see it."),
            (
                "resources",
                "[\"order/*\"]",
                "What it can be done to, as patterns. With none, it takes no resource.",
            ),
        ],
    },
];

/// A whole registry with one entry of each kind, `without` left out and `instead` in the place of its value.
fn registry(heading: &str, key: &str, instead: Option<&str>) -> String {
    let mut text = String::new();
    for table in &TABLES {
        let _fits = writeln!(text, "{}", table.heading.replace("NAME", "read"));
        // The actions have a table of their own.
        for (name, value, _) in table.keys.iter().filter(|(name, ..)| *name != "actions") {
            let value = if (table.heading, *name) == (heading, key) { instead } else { Some(*value) };
            if let Some(value) = value {
                let _fits = writeln!(text, "{name} = {value}");
            }
        }
    }
    text
}

/// Why the reader refuses it; empty when it does not.
fn refusal(heading: &str, key: &str, instead: Option<&str>) -> String {
    let text = registry(heading, key, instead);
    // Without its table there are no actions at all.
    let text =
        if key == "actions" { text.split("[connector.actions").next().unwrap_or(&text) } else { &text };
    parse(Path::new("r.toml"), text).map_or_else(|problems| problems.to_string(), |_| String::new())
}

/// The keys that the reader names when it meets one that it does not know.
fn known(heading: &str) -> Vec<String> {
    let mut text = registry("", "", None);
    let own = heading.replace("NAME", "read");
    text = text.replace(&format!("{own}\n"), &format!("{own}\nno_such_key = 1\n"));
    let said = parse(Path::new("r.toml"), &text).expect_err("an unknown key").to_string();
    let (_, expected) = said.split_once("expected").expect("the reader says what it expects");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that a key takes, where it takes words alone.
fn words(heading: &str, key: &str) -> Option<String> {
    let said = refusal(heading, key, Some("\"no-such-word\""));
    said.split_once("is none of ").map(|(_, words)| words.trim().to_owned())
}

fn bounds(heading: &str, key: &str) -> Option<String> {
    Some(match (heading, key) {
        ("[[workload]]", "identity") => format!("At most {WORKLOAD_ID_BYTES_MAX} bytes."),
        (_, "audience") => format!("1 to {AUDIENCE_BYTES_MAX} visible ASCII characters."),
        (_, "ttl_max") => format!(
            "From {}s to {}s; with `check = \"jwks\"` they live {}s at most, whatever it says.",
            TOKEN_TTL_MIN.as_secs(),
            TOKEN_TTL_MAX.as_secs(),
            JWKS_TOKEN_TTL_MAX.as_secs()
        ),
        (_, "staleness_bound") => format!(
            "From {}ms to {}s; {}s when absent.",
            STALENESS_BOUND_MIN.as_millis(),
            STALENESS_BOUND_MAX.as_secs(),
            STALENESS_BOUND_DEFAULT.as_secs()
        ),
        (_, "actions") => format!("1 to {ACTIONS_PER_CONNECTOR_MAX}."),
        _ => return None,
    })
}

fn page() -> String {
    let mut page = format!(
        "# Registry: every key of a registry file\n\nMade from what the server's reader takes and refuses. `deploy/registry/registry.toml` is a file to copy from. `registry.path`\n\
         ([configuration](configuration.md)) names a file, or a directory whose `*.toml` are read together; `*.test.toml` are none of it.\n\n\
         A registry is a proposal: it is read and judged whole, and committed as a revision or refused with file, line and key\n\
         (`locumd check-config`, `locum reload`). An entry that is gone revokes what rests on it. A name has 1 to {NAME_BYTES_MAX} lower-case letters, digits,\n\
         `-`, `_` and `.`; a duration is one whole number and one unit. At most {REGISTRY_ENTRIES_MAX} entries of each kind, {} MiB in all.\n",
        REGISTRY_BYTES_MAX / 1024 / 1024
    );
    for Table { heading, about, keys } in &TABLES {
        let _fits = write!(page, "\n## `{heading}`\n\n{about}\n\n| key | | meaning |\n|---|---|---|\n");
        for (key, _, meaning) in *keys {
            let need = if refusal(heading, key, None).is_empty() { "optional" } else { "*required*" };
            let mut meaning = (*meaning).to_owned();
            if let Some(words) = words(heading, key) {
                let _fits = write!(meaning, " One of {words}.");
            }
            if let Some(bounds) = bounds(heading, key) {
                let _fits = write!(meaning, " {bounds}");
            }
            let _fits = writeln!(page, "| `{key}` | {need} | {meaning} |");
        }
    }
    page
}

#[test]
fn the_page_says_what_the_reader_does() {
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page(), "docs/reference/registry.md is out of date: {AGAIN}");
}

#[test]
#[ignore = "rewrites docs/reference/registry.md"]
fn write_the_registry_page() {
    std::fs::write(PATH, page()).expect("docs/reference can be written");
}

#[test]
fn every_key_that_the_reader_knows_is_on_the_page_and_none_besides() {
    assert_eq!(refusal("", "", None), "", "the whole of it is good");
    for Table { heading, keys, .. } in &TABLES {
        let told: Vec<&str> = keys.iter().map(|(key, ..)| *key).collect();
        assert_eq!(known(heading), told, "{heading}");
    }
    for (heading, key, required) in
        [("[[model]]", "owner", true), ("[[workload]]", "model", false), ("[[connector]]", "actions", true)]
    {
        assert_eq!(!refusal(heading, key, None).is_empty(), required, "{heading} {key}");
    }
    assert_eq!(words("[[connector]]", "check").expect("words"), "`online`, `feed`, `jwks`");
}
