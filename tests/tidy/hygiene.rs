//! What must not be left in any file: markers of unfinished work, paths of one machine.

use crate::scan;
use crate::workspace::{Violation, Workspace};

/// Text files that people write.
const WRITTEN: &[&str] = &[".rs", ".proto", ".toml", ".md", ".py", ".sh", ".yaml", ".yml", ".cedar", "/run"];

/// Unfinished work. Put together here so that this file does not hold them itself.
fn marker_words() -> [String; 5] {
    [["to", "do!"], ["unimple", "mented!"], ["FIX", "ME"], ["TO", "DO"], ["XX", "X"]]
        .map(|parts| parts.concat())
}

/// Folders of one machine: home directories, working copies, fixed temporary names.
fn machine_folders() -> [String; 4] {
    ["root", "work", "home", "tmp"].map(|folder| format!("/{folder}/"))
}

/// Markers of unfinished work.
pub(crate) fn markers(tree: &Workspace) -> Vec<Violation> {
    by_line(tree, |line| {
        if line.trim_start().starts_with("/// # ") {
            return None; // A hidden line of a doc example: what its reader brings along.
        }
        let found = marker_words().into_iter().find(|marker| scan::words(line, marker).next().is_some())?;
        Some(format!("`{found}` left behind"))
    })
}

/// Absolute paths that exist on one machine alone.
pub(crate) fn machine_paths(tree: &Workspace) -> Vec<Violation> {
    by_line(tree, |line| {
        let found = machine_folders().into_iter().find(|folder| names_a_path(line, folder))?;
        Some(format!("a path below `{found}`"))
    })
}

// === free functions ===

fn by_line(tree: &Workspace, judge: fn(&str) -> Option<String>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| WRITTEN.iter().any(|end| path.ends_with(end))) {
        let lines = text.lines().enumerate();
        found.extend(lines.filter_map(|(n, line)| Some(Violation::at(path, n + 1, judge(line)?))));
    }
    found
}

/// Whether the folder begins an absolute path that goes on with a name.
fn names_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let absolute = before.is_none_or(|c| !scan::is_word(c) && !".*)}]>-/~".contains(c));
        // One letter is an example, not somebody's folder.
        absolute && scan::word_at(line, at + folder.len()).chars().count() > 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_caught, assert_none};

    #[test]
    fn nothing_is_left_behind() {
        assert_none(&markers(&Workspace::load()));
    }

    #[test]
    fn markers_catches() {
        for marker in marker_words() {
            for path in ["crates/a/src/b.rs", "docs/a.md", "tests/run", "tests/a.py"] {
                assert_caught(markers, &[(path, &format!("\n# {marker} x"))], &[&format!("{path}:2")]);
            }
        }
        assert_caught(markers, &[("a.toml", "todo = \"warn\""), ("a.lock", &marker_words().join(" "))], &[]);
    }

    #[test]
    fn no_path_is_one_machines() {
        assert_none(&machine_paths(&Workspace::load()));
    }

    #[test]
    fn machine_paths_catches() {
        for folder in machine_folders() {
            assert_caught(machine_paths, &[("a.md", &format!("see `{folder}ab/c`"))], &["a.md:1"]);
            assert_caught(
                machine_paths,
                &[("a.md", &format!("spiffe://a{folder}bc, {folder} and {folder}u/x"))],
                &[],
            );
        }
    }
}
