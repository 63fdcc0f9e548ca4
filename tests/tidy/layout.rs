//! How files and functions look: names, places, sizes.

use crate::scan;
use crate::source::Source;
use crate::workspace::{Violation, Workspace};

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["util", "utils", "common", "core", "helper", "helpers", "misc", "manager", "managers"];

/// The wall for files, in lines; half of it is the aim.
const FILE_LINES_MAX: usize = 500;
/// The wall for the product's functions, in lines; one that is a single `match` may be longer.
const FUNCTION_LINES_MAX: usize = 70;

/// `mod.rs` files and names that say nothing.
pub(crate) fn names(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in &tree.sources {
        if source.path.ends_with("/mod.rs") {
            found.push(Violation::at(&source.path, 0, "is a `mod.rs`: put `foo.rs` beside `foo/`"));
        }
        let parts = source.path.trim_end_matches(".rs").split('/');
        for part in parts.filter(|part| says_nothing(part)) {
            found.push(Violation::at(&source.path, 0, format!("`{part}` says nothing about what is inside")));
        }
        for (name, line) in inline_modules(source).filter(|(name, _)| says_nothing(name)) {
            found.push(Violation::at(
                &source.path,
                line,
                format!("`{name}` says nothing about what is inside"),
            ));
        }
    }
    found
}

/// Files and functions past their walls.
pub(crate) fn sizes(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in &tree.sources {
        if source.lines > FILE_LINES_MAX {
            found.push(Violation::at(&source.path, FILE_LINES_MAX + 1, format!("{} lines", source.lines)));
        }
        found.extend(long_functions(source));
    }
    found
}

// === free functions ===

fn says_nothing(name: &str) -> bool {
    name.split(['_', '-']).any(|word| EMPTY_NAMES.contains(&word))
}

fn inline_modules(source: &Source) -> impl Iterator<Item = (&str, usize)> {
    source.words("mod").map(|(at, line)| (scan::word_at(&source.code, at + "mod ".len()), line))
}

fn long_functions(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, line) in source.words("fn").filter(|(_, line)| source.in_product(*line)) {
        let name = scan::word_at(&source.code, at + "fn ".len());
        let end = scan::item_end(&source.code, at);
        let lines = source.code[at..end].matches('\n').count() + 1;
        // `fn(…)` without a name is a type.
        if !name.is_empty() && lines > FUNCTION_LINES_MAX && !is_one_match(&source.code[at..end]) {
            found.push(Violation::at(&source.path, line, format!("`fn {name}` has {lines} lines")));
        }
    }
    found
}

/// Whether a function's body is a single `match`, imports aside.
fn is_one_match(function: &str) -> bool {
    let Some(open) = function.find('{') else { return false };
    let mut body = function[open + 1..].trim();
    while body.starts_with("use ") {
        body = body.split_once(';').map_or("", |(_, rest)| rest.trim_start());
    }
    let Some(arms) = body.find('{').filter(|_| scan::word_at(body, 0) == "match") else { return false };
    scan::closing(body, arms) + 1 == body.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_caught, assert_none};

    #[test]
    fn names_say_something() {
        assert_none(&names(&Workspace::load()));
    }

    #[test]
    fn names_catches() {
        for (path, line) in [
            ("crates/table/src/row/mod.rs", 0),
            ("crates/table/src/util.rs", 0),
            ("crates/locum-core/src/lib.rs", 0),
            ("crates/server/src/token_manager.rs", 0),
            ("tests/e2e/helpers/start.rs", 0),
        ] {
            assert_caught(names, &[(path, "")], &[&format!("{path}:{line}")]);
        }
        assert_caught(names, &[("crates/a/src/b.rs", "\nmod common {}")], &["crates/a/src/b.rs:2"]);
        assert_caught(names, &[("crates/a/src/score.rs", "mod scores;")], &[]);
    }

    #[test]
    fn files_and_functions_are_short() {
        assert_none(&sizes(&Workspace::load()));
    }

    #[test]
    fn sizes_catches() {
        let path = "crates/a/src/b.rs";
        let long_file = "\n".repeat(FILE_LINES_MAX + 1);
        assert_caught(sizes, &[(path, &long_file)], &["crates/a/src/b.rs:501"]);
        assert_caught(sizes, &[(path, &"\n".repeat(FILE_LINES_MAX))], &[]);
        let function = |lines: usize| format!("\nfn a() {{{}}}", "\n".repeat(lines - 1));
        assert_caught(sizes, &[(path, &function(FUNCTION_LINES_MAX + 1))], &["crates/a/src/b.rs:2"]);
        assert_caught(sizes, &[(path, &function(FUNCTION_LINES_MAX))], &[]);
        let arms = "A => B,\n".repeat(FUNCTION_LINES_MAX);
        assert_caught(sizes, &[(path, &format!("fn a() {{\nuse R::*;\nmatch b {{ {arms} }}\n}}"))], &[]);
        let more = format!("fn a() {{\nmatch b {{ {arms} }}\nc()\n}}");
        assert_caught(sizes, &[(path, &more)], &["crates/a/src/b.rs:1"]);
    }
}
