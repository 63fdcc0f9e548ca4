//! Abilities that only named places have: starting work, telling time, drawing randomness, reading
//! the environment, speaking the served contract, showing inner types to the outside.
//!
//! Tests, benches and examples are exempt where the ability cannot reach the product.

use crate::rooms::RING_PARTS;
use crate::scan;
use crate::source::Source;
use crate::workspace::{Violation, Workspace, room};

/// Files that may start background work.
const BACKGROUND: &[&str] = &["crates/server/src/tasks.rs", "crates/sdk/src/tasks.rs"];
const STARTERS: &[&str] = &["spawn", "spawn_blocking", "spawn_local", "spawn_unchecked"];

/// Names by which time and randomness come out of thin air.
const AIR: &[&str] = &[
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    "Instant::now",
    "clock_gettime",
    "SystemRandom",
    "OsRng",
    "thread_rng",
    "getrandom",
];
/// Files that may use them, by name.
const AIR_FILES: &[&str] = &["/clock.rs", "/entropy.rs"];
/// Rooms that may ask tokio's clock, which tests can stop and which decides no validity.
const TOKIO_CLOCK: &[&str] = &["sdk", "demo"];

/// Names by which a program looks at its surroundings.
const SURROUNDINGS: &[&str] = &[
    "env::var",
    "env::var_os",
    "env::vars",
    "env::vars_os",
    "env::args",
    "env::args_os",
    "env::set_var",
    "env::current_dir",
];
/// Paths that may use them: the server's configuration, the programs, the SDK's `from_env`.
const CONFIGURED: &[&str] = &[
    "crates/server/src/config",
    "crates/cli/src/",
    "crates/locumd/src/main.rs",
    "crates/sdk/src/options.rs",
];

/// Rooms that may name the served contract's types.
const CONTRACT: &[&str] = &["api", "server", "sdk"];

/// Rooms whose types never leave as text by themselves.
const INNER: &[&str] = &["model", "broker", "table", "journal", "policy", "token"];

/// Work started outside the two files that keep track of it.
pub(crate) fn background(tree: &Workspace) -> Vec<Violation> {
    in_product(tree, STARTERS, "starts work where nobody waits for it", |source, at| {
        let word = scan::word_at(&source.code, at);
        !source.code[at + word.len()..].starts_with('(') || may_start(source, at)
    })
}

/// Time or randomness that is not an argument.
pub(crate) fn air(tree: &Workspace) -> Vec<Violation> {
    in_product(tree, AIR, "takes time or randomness from the air", |source, at| {
        let tokio = TOKIO_CLOCK.contains(&room(&source.path)) && uses_tokio_clock(source);
        AIR_FILES.iter().any(|file| source.path.ends_with(file))
            || (tokio && source.code[at..].starts_with("Instant::now"))
    })
}

/// Environment or arguments read outside configuration and programs.
pub(crate) fn surroundings(tree: &Workspace) -> Vec<Violation> {
    in_product(tree, SURROUNDINGS, "reads the environment or arguments", |source, _| {
        source.path.ends_with("/build.rs") || CONFIGURED.iter().any(|path| source.path.starts_with(path))
    })
}

/// Types of the served contract outside the crates that speak it, or passed on by them.
pub(crate) fn contract(tree: &Workspace) -> Vec<Violation> {
    in_product(tree, &["locum_api"], "names the served contract's types", |source, at| {
        let line_start = source.code[..at].rfind('\n').map_or(0, |n| n + 1);
        let passed_on = source.code[line_start..at].trim_start().starts_with("pub use");
        CONTRACT.contains(&room(&source.path)) && !passed_on
    })
}

/// `Serialize` on inner types.
pub(crate) fn inner_types(tree: &Workspace) -> Vec<Violation> {
    in_product(tree, &["Serialize", "Deserialize"], "makes an inner type serialisable", |source, _| {
        !INNER.contains(&room(&source.path))
    })
}

/// Modules of ring in rooms that have no business with them.
pub(crate) fn ring_parts(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for (at, line) in source.words("ring::").filter(|(_, line)| source.in_product(*line)) {
            if source.code[..at].ends_with("::") {
                continue; // A module of rustls.
            }
            for part in named_after(&source.code, at + "ring::".len()) {
                if !RING_PARTS.iter().any(|(name, may)| *name == part && may.contains(&room(&source.path))) {
                    found.push(Violation::at(&source.path, line, format!("uses `ring::{part}`")));
                }
            }
        }
    }
    found
}

// === free functions ===

fn in_product(
    tree: &Workspace,
    names: &[&str],
    what: &str,
    allowed: fn(&Source, usize) -> bool,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| room(&source.path) != "examples") {
        for name in names {
            let places =
                source.words(name).filter(|(at, line)| source.in_product(*line) && !allowed(source, *at));
            found.extend(
                places.map(|(_, line)| Violation::at(&source.path, line, format!("`{name}` {what}"))),
            );
        }
    }
    found
}

fn may_start(source: &Source, at: usize) -> bool {
    let statement = &source.code[source.code[..at].rfind([';', '{', '}']).map_or(0, |n| n + 1)..at];
    let declared = statement.trim_end().ends_with("fn");
    let through_tasks = statement.ends_with("tasks::") || statement.ends_with("tasks.");
    let writer = source.path.starts_with("crates/server/src/") && statement.contains("thread::Builder");
    let named = statement.contains(".name(");
    // A child process of the command line is waited for by its handle.
    let child = room(&source.path) == "cli" && source.code[at..].starts_with("spawn()");
    BACKGROUND.contains(&source.path.as_str()) || declared || through_tasks || (writer && named) || child
}

fn uses_tokio_clock(source: &Source) -> bool {
    let imports = source.code.lines().filter(|line| line.trim_start().starts_with("use "));
    imports
        .into_iter()
        .any(|line| line.contains("tokio::time::") && scan::words(line, "Instant").next().is_some())
}

/// The next names of a path: one, or the first of each in braces.
fn named_after(code: &str, at: usize) -> Vec<&str> {
    if !code[at..].starts_with('{') {
        return vec![scan::word_at(code, at)];
    }
    let inside = &code[at + 1..scan::closing(code, at)];
    inside.split(',').map(|item| scan::word_at(item.trim(), 0)).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_caught, assert_none};

    const SERVER: &str = "crates/server/src/grpc.rs";

    fn check(rule: fn(&Workspace) -> Vec<Violation>, bad: &[(&str, &str)], fine: &[(&str, &str)]) {
        assert_none(&rule(&Workspace::load()));
        for (path, text) in bad {
            assert_caught(rule, &[(*path, *text)], &[&format!("{path}:1")]);
        }
        for file in fine {
            assert_caught(rule, &[*file], &[]);
        }
        let only_tests = format!("#[cfg(test)]\nmod tests {{ {} }}", bad[0].1);
        assert_caught(rule, &[(bad[0].0, &only_tests)], &[]);
    }

    #[test]
    fn background_work_has_its_files() {
        check(
            background,
            &[
                (SERVER, "fn a() { tokio::spawn(b); }"),
                (SERVER, "fn a() { std::thread::spawn(b); }"),
                (SERVER, "fn a() { thread::Builder::new().spawn(b); }"),
                ("crates/broker/src/reaper.rs", "fn a() { set.spawn_blocking(b); }"),
                ("crates/journal/src/writer.rs", "fn a() { std::thread::Builder::new().name(b).spawn(c); }"),
            ],
            &[
                ("crates/server/src/tasks.rs", "fn a() { tokio::spawn(b); }"),
                (SERVER, "fn a() { std::thread::Builder::new().name(b).spawn(c); }"),
                ("crates/sdk/src/task.rs", "fn a() { tasks::spawn(b); }"),
                ("crates/sdk/tests/client/fake.rs", "fn a() { tokio::spawn(b); }"),
            ],
        );
    }

    #[test]
    fn time_and_randomness_are_arguments() {
        check(
            air,
            &[
                ("crates/table/src/lookup.rs", "fn a() { SystemTime::now(); }"),
                ("crates/broker/src/reaper.rs", "fn a() { chrono::Utc::now(); }"),
                ("crates/sdk/src/hold.rs", "use std::time::Instant; fn a() { Instant::now(); }"),
                ("crates/server/src/tls.rs", "fn a() { ring::rand::SystemRandom::new(); }"),
            ],
            &[
                ("crates/server/src/clock.rs", "fn a() { SystemTime::now(); }"),
                ("crates/sdk/src/entropy.rs", "fn a() { SystemRandom::new(); }"),
                ("crates/sdk/src/token_source.rs", "use tokio::time::Instant;\nfn a() { Instant::now(); }"),
                ("benches/src/issue_token.rs", "fn a() { Instant::now(); }"),
            ],
        );
    }

    #[test]
    fn surroundings_are_read_in_their_places() {
        check(
            surroundings,
            &[
                ("crates/broker/src/commit.rs", "fn a() { std::env::var(b); }"),
                ("crates/sdk/src/client.rs", "fn a() { env::var_os(b); }"),
                (SERVER, "fn a() { std::env::args(); }"),
            ],
            &[
                ("crates/server/src/config/layers.rs", "fn a() { std::env::vars_os(); }"),
                ("crates/api/build.rs", "fn a() { env::var(b); }"),
                ("crates/broker/src/commit.rs", "fn a() { env!(\"CARGO_PKG_VERSION\"); }"),
            ],
        );
    }

    #[test]
    fn the_contract_stays_at_the_edge() {
        check(
            contract,
            &[
                ("crates/cli/src/task.rs", "use locum_api::admin::v1::Selector;"),
                ("crates/broker/src/commit.rs", "fn a() { locum_api::broker::v1::Task::default(); }"),
                ("crates/sdk/src/lib.rs", "pub use locum_api::broker::v1::Task;"),
            ],
            &[("crates/sdk/src/wire.rs", "use locum_api::broker::v1 as wire;")],
        );
    }

    #[test]
    fn inner_types_are_not_serialisable() {
        check(
            inner_types,
            &[
                ("crates/model/src/id.rs", "#[derive(Clone, serde::Serialize)] struct A;"),
                ("crates/token/src/claims.rs", "impl Serialize for Claims {}"),
            ],
            &[("crates/server/src/service/show.rs", "#[derive(Serialize)] struct A;")],
        );
    }

    #[test]
    fn ring_is_used_in_parts() {
        check(
            ring_parts,
            &[
                ("crates/server/src/key_files.rs", "use ring::signature::EcdsaKeyPair;"),
                ("crates/table/src/row.rs", "use ring::{digest, signature::KeyPair};"),
                ("crates/journal/src/writer.rs", "fn a() { ring::hmac::sign(b, c); }"),
            ],
            &[
                ("crates/table/src/row.rs", "use ring::digest;"),
                ("crates/server/src/tls.rs", "use rustls::crypto::ring::sign::any_supported_type;"),
            ],
        );
    }
}
