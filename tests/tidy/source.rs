//! A Rust file as the rules see it: code without comments and literals, and which lines are tests.
//!
//! This is a lexer of what matters here, not a parser: it knows comments, strings, characters and
//! matching braces, and keeps every line where it was.

use std::ops::RangeInclusive;

use crate::scan;

/// What marks an item as a test.
const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// A Rust file.
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// The text with comments and literals blanked out; same lines, same columns in characters.
    pub(crate) code: String,
    /// How many lines it has.
    pub(crate) lines: usize,
    /// It is compiled for tests alone, as a whole.
    test_file: bool,
    /// The lines of items that are compiled for tests alone.
    test_items: Vec<RangeInclusive<usize>>,
}

impl Source {
    /// Reads a file.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let code = blank(text);
        let test_items = test_items(&code);
        // A package of tests, or a crate's own integration tests beside its `src`.
        let package = if path.starts_with("crates/") { path.splitn(3, '/').last() } else { Some(path) };
        let outside = package.is_some_and(|path| path.starts_with("tests/") || path.starts_with("benches/"));
        Self { path: path.to_owned(), lines: text.lines().count(), test_file: outside, test_items, code }
    }

    /// Whether this line is in the product, not in a test.
    pub(crate) fn in_product(&self, line: usize) -> bool {
        !self.test_file && !self.test_items.iter().any(|lines| lines.contains(&line))
    }

    /// Each whole word (or path such as `env::var`) in the code, with its place.
    pub(crate) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
        scan::words(&self.code, word).map(|at| (at, scan::line_of(&self.code, at)))
    }

    /// The path prefixes (`crates/x/src/y`) of modules that are declared for tests alone.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        let folder = self.module_folder();
        let lines: Vec<&str> = self.code.lines().collect();
        let items = self.test_items.iter().map(|item| lines[item.start() - 1..*item.end()].join(" "));
        items.filter_map(|item| declared_module(&item).map(|name| format!("{folder}/{name}"))).collect()
    }

    /// Marks the file as test code when it is one of these modules or stands below one.
    pub(crate) fn mark_if_below(&mut self, modules: &[String]) {
        let below = |module: &String| {
            self.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        self.test_file |= modules.iter().any(below);
    }

    fn module_folder(&self) -> &str {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        for root in ["/lib", "/main"] {
            if let Some(folder) = stem.strip_suffix(root) {
                return folder;
            }
        }
        stem
    }
}

// === free functions ===

/// `mod name;` behind attributes and a visibility.
fn declared_module(item: &str) -> Option<&str> {
    let at = scan::words(item, "mod").next()?;
    let name = item[at + "mod".len()..].trim_start().strip_suffix(';')?;
    scan::is_identifier(name).then_some(name)
}

fn test_items(code: &str) -> Vec<RangeInclusive<usize>> {
    let starts = code.match_indices(TEST_ATTRIBUTE).map(|(at, _)| at);
    starts.map(|at| scan::line_of(code, at)..=scan::line_of(code, scan::item_end(code, at))).collect()
}

/// Replaces comments and the inside of literals by blanks, character for character.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(if chars[at].is_ascii() { chars[at] } else { '_' });
            at += 1;
        }
    }
    out
}

/// Where the comment or literal that begins here ends; `at` itself when none begins.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n),
        ('/', Some('*')) => block_comment_end(chars, at),
        ('"', _) => string_end(chars, at + 1),
        ('\'', Some('\\')) => quote_end(chars, at + 3),
        ('\'', _) if chars.get(at + 2) == Some(&'\'') => at + 3,
        ('r', Some('"' | '#')) if starts_word(chars, at) => raw_string_end(chars, at),
        _ => at,
    }
}

fn starts_word(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|n| chars[n]);
    // `br"…"` and `cr"…"` are raw strings too.
    let prefix =
        matches!(before, Some('b' | 'c')) && at.checked_sub(2).is_none_or(|n| !scan::is_word(chars[n]));
    prefix || before.is_none_or(|c| !scan::is_word(c))
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut here = at;
    while here + 1 < chars.len() {
        match (chars[here], chars[here + 1]) {
            ('/', '*') => (depth, here) = (depth + 1, here + 2),
            ('*', '/') => (depth, here) = (depth - 1, here + 2),
            _ => here += 1,
        }
        if depth == 0 {
            return here;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn quote_end(chars: &[char], from: usize) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    rest.iter().position(|c| *c == '\'').map_or(chars.len(), |n| from + n + 1)
}

/// Ends at `at` for a raw identifier such as `r#type`.
fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let mut here = at + 1 + hashes;
    if chars.get(here) != Some(&'"') {
        return at;
    }
    here += 1;
    while here < chars.len() {
        let closed = chars[here] == '"'
            && chars[here + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        here += 1;
        if closed {
            return here + hashes;
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a("b \" c") d"#, "a(        ) d"),
            ("a(r#\"b \" c\"#) d", "a(          ) d"),
            ("a(br\"b\") d", "a(b    ) d"),
            ("let r#type = 'x'; &'a b", "let r#type =    ; &'a b"),
            (r"['\'', '\\', '\u{1F}'] b", "[    ,     ,         ] b"),
            ("for r in \"x\"", "for r in    "),
        ] {
            assert_eq!(blank(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_of_tests_are_known() {
        let text =
            "fn a() {}\n#[cfg(test)]\n#[expect(x, reason = \"}\")]\nmod tests {\n fn b() {}\n}\nfn c() {}\n";
        let source = Source::read("crates/x/src/a.rs", text);
        let product: Vec<usize> = (1..=7).filter(|line| source.in_product(*line)).collect();
        assert_eq!(product, [1, 7]);
    }

    #[test]
    fn modules_declared_for_tests_are_tests_with_all_below() {
        let mut files = ["crates/x/src/a/tests.rs", "crates/x/src/a/tests/deep.rs", "crates/x/src/a/test.rs"]
            .map(|path| Source::read(path, "fn a() {}"));
        let parent = Source::read("crates/x/src/a.rs", "#[cfg(test)]\npub(crate) mod tests;\nmod test;\n");
        let modules = parent.test_modules();
        assert_eq!(modules, ["crates/x/src/a/tests"]);
        let product = files.each_mut().map(|file| {
            file.mark_if_below(&modules);
            file.in_product(1)
        });
        assert_eq!(product, [false, false, true]);
        let root = Source::read("crates/x/src/lib.rs", "#[cfg(test)]\nmod sample;\n");
        assert_eq!(root.test_modules(), ["crates/x/src/sample"]);
    }
}
