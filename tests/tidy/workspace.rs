//! The tree as a list of files: from disk, or planted by a rule's own test.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "__pycache__", ".venv"];

/// Every text file of the tree, the Rust sources among them read more closely.
pub(crate) struct Workspace {
    /// Every text file: path from the root with `/`, and its text.
    pub(crate) texts: Vec<(String, String)>,
    /// The Rust files.
    pub(crate) sources: Vec<Source>,
}

/// Something that breaks a rule.
#[derive(Debug)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
}

// === impl Workspace ===

impl Workspace {
    /// Reads the tree that this package stands in.
    pub(crate) fn load() -> Self {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the root");
        let mut files = Vec::new();
        walk(root, &mut files);
        files.sort();
        let texts: Vec<(String, String)> = files
            .iter()
            .filter_map(|file| Some((relative(root, file), fs::read_to_string(file).ok()?)))
            .collect();
        assert!(texts.len() > 100, "the tree was not found under {}", root.display());
        Self::from_texts(texts)
    }

    /// A small tree made of `(path, text)`.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::from_texts(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// The manifests of the packages, not the root's.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = &(String, String)> {
        self.texts.iter().filter(|(path, _)| path.ends_with("/Cargo.toml"))
    }

    fn from_texts(texts: Vec<(String, String)>) -> Self {
        let rust = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
        let mut sources: Vec<Source> = rust.map(|(path, text)| Source::read(path, text)).collect();
        let only_tests: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
        for source in &mut sources {
            source.mark_if_below(&only_tests);
        }
        Self { texts, sources }
    }
}

// === impl Violation ===

impl Violation {
    /// At this line, counted from 1; 0 for the file as a whole.
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }

    /// `path:line`.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

// === free functions ===

/// The room that a path stands in: a crate's folder, or `tests`, `examples`, `benches`.
pub(crate) fn room(path: &str) -> &str {
    let mut parts = path.split('/');
    match parts.next() {
        Some("crates") => parts.next().unwrap_or_default(),
        other => other.unwrap_or_default(),
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder of the tree can be read");
    for entry in entries {
        let entry = entry.expect("an entry of the tree can be read");
        let kind = entry.file_type().expect("an entry has a type");
        let name = entry.file_name();
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
            walk(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

fn relative(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).expect("files are found below the root");
    inside.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_its_room() {
        for (path, expected) in [
            ("crates/table/src/row.rs", "table"),
            ("tests/tidy/main.rs", "tests"),
            ("examples/plugin.rs", "examples"),
        ] {
            assert_eq!(room(path), expected, "{path}");
        }
    }

    #[test]
    fn the_whole_tree_is_seen() {
        let tree = Workspace::load();
        for crate_name in
            ["model", "jose", "identity", "policy", "token", "table", "journal", "broker", "api"]
        {
            let manifest = format!("crates/{crate_name}/Cargo.toml");
            let library = format!("crates/{crate_name}/src/lib.rs");
            assert!(tree.manifests().any(|(path, _)| *path == manifest), "{manifest}");
            assert!(tree.sources.iter().any(|source| source.path == library), "{library}");
        }
    }
}
