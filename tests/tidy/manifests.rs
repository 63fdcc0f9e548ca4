//! Rules over `Cargo.toml` files: edges between our crates, owned outside crates, one place for
//! versions and lints.

use toml::Table;

use crate::rooms::{EXEMPT, FREE, OWNED, ROOMS};
use crate::workspace::{Violation, Workspace, room};

/// How the names of our packages begin.
const OURS: &str = "locum-";

/// One dependency of one package.
struct Edge<'a> {
    room: &'a str,
    path: &'a str,
    line: usize,
    /// The package's name, `package = "…"` resolved.
    to: String,
    from_workspace: bool,
}

/// Edges between our crates that the table of rooms does not hold.
pub(crate) fn edges(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for edge in shipped_edges(tree).iter().filter(|edge| edge.to.starts_with(OURS)) {
        let to = edge.to.trim_start_matches(OURS);
        match ROOMS.iter().find(|(name, _)| *name == edge.room) {
            None => found.push(edge.violation("is not in the table of rooms")),
            Some((_, may)) if !may.contains(&to) => {
                found.push(edge.violation(&format!("may not import `{to}`")))
            }
            Some(_) => {}
        }
    }
    found
}

/// Outside crates in rooms that do not own them.
pub(crate) fn outside(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for edge in
        shipped_edges(tree).iter().filter(|edge| !edge.to.starts_with(OURS) && edge.room != "examples")
    {
        let owners = OWNED.iter().find(|(name, _)| *name == edge.to).map(|(_, owners)| *owners);
        match owners {
            None if FREE.contains(&edge.to.as_str()) => {}
            None => found.push(edge.violation(&format!("uses `{}`, which nobody owns yet", edge.to))),
            Some(owners) if !owners.contains(&edge.room) => {
                found.push(edge.violation(&format!("uses `{}`, which belongs to {owners:?}", edge.to)));
            }
            Some(_) => {}
        }
    }
    found
}

/// Versions and lints outside the workspace's manifest.
pub(crate) fn one_place(tree: &Workspace) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.manifests() {
        let lints = parse(text).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        if lints != Some(true) {
            found.push(Violation::at(path, 0, "does not take the workspace's lints"));
        }
        let own = all_edges(path, text, &["dependencies", "dev-dependencies", "build-dependencies"]);
        found.extend(own.iter().filter(|edge| !edge.from_workspace).map(|edge| {
            edge.violation(&format!(
                "names a version of `{}`: that belongs into the workspace's manifest",
                edge.to
            ))
        }));
    }
    found
}

// === impl Edge ===

impl Edge<'_> {
    fn violation(&self, what: &str) -> Violation {
        Violation::at(self.path, self.line, format!("`{}` {what}", self.room))
    }
}

// === free functions ===

fn shipped_edges(tree: &Workspace) -> Vec<Edge<'_>> {
    let shipped = tree.manifests().filter(|(path, _)| !EXEMPT.contains(&room(path)));
    shipped.flat_map(|(path, text)| all_edges(path, text, &["dependencies", "build-dependencies"])).collect()
}

fn all_edges<'a>(path: &'a str, text: &str, kinds: &[&str]) -> Vec<Edge<'a>> {
    let manifest = parse(text);
    let targets = manifest.get("target").and_then(|targets| targets.as_table());
    let per_target =
        targets.into_iter().flat_map(|targets| targets.values().filter_map(|target| target.as_table()));
    let places: Vec<&Table> = std::iter::once(&manifest).chain(per_target).collect();
    let mut edges = Vec::new();
    for kind in kinds {
        for dependencies in places.iter().filter_map(|place| place.get(*kind)?.as_table()) {
            for (name, value) in dependencies {
                let to = value.get("package").and_then(|package| package.as_str()).unwrap_or(name).to_owned();
                let from_workspace = value.get("workspace").and_then(|flag| flag.as_bool()) == Some(true);
                edges.push(Edge { room: room(path), path, line: line_of(text, name), to, from_workspace });
            }
        }
    }
    edges
}

fn parse(text: &str) -> Table {
    text.parse().expect("cargo has read this manifest before us")
}

/// The line on which a dependency stands; 0 when it is written in a way that hides it.
fn line_of(text: &str, name: &str) -> usize {
    let begins = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    text.lines().position(begins).map_or(0, |n| n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{assert_caught, assert_none};

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn edges_are_in_the_table() {
        assert_none(&edges(&Workspace::load()));
    }

    #[test]
    fn edges_catches() {
        for (path, text, expected) in [
            (
                "crates/table/Cargo.toml",
                "[dependencies]\nlocum-journal.workspace = true\n",
                "crates/table/Cargo.toml:2",
            ),
            (
                "crates/cli/Cargo.toml",
                "[dependencies]\nlocum-api.workspace = true\n",
                "crates/cli/Cargo.toml:2",
            ),
            (
                "crates/new/Cargo.toml",
                "[dependencies]\nlocum-model.workspace = true\n",
                "crates/new/Cargo.toml:2",
            ),
            (
                "crates/jose/Cargo.toml",
                "[build-dependencies]\nlocum-api.workspace = true\n",
                "crates/jose/Cargo.toml:2",
            ),
            (
                "crates/policy/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nx = { package = \"locum-table\", workspace = true }\n",
                "crates/policy/Cargo.toml:2",
            ),
        ] {
            assert_caught(edges, &[(path, text)], &[expected]);
        }
        let fine = "[dependencies]\nlocum-model.workspace = true\n[dev-dependencies]\nlocum-journal.workspace = true\n";
        assert_caught(edges, &[("crates/table/Cargo.toml", fine)], &[]);
    }

    #[test]
    fn outside_crates_have_owners() {
        assert_none(&outside(&Workspace::load()));
    }

    #[test]
    fn outside_catches() {
        for name in ["tokio", "dashmap", "chrono", "clap", "left-pad"] {
            let text = format!("[dependencies]\n{name}.workspace = true\n");
            assert_caught(outside, &[("crates/token/Cargo.toml", &text)], &["crates/token/Cargo.toml:2"]);
        }
        let fine = "[dependencies]\nthiserror.workspace = true\n[dev-dependencies]\nrcgen.workspace = true\n";
        assert_caught(outside, &[("crates/token/Cargo.toml", fine)], &[]);
    }

    #[test]
    fn versions_and_lints_stand_in_one_place() {
        assert_none(&one_place(&Workspace::load()));
    }

    #[test]
    fn one_place_catches() {
        let path = "crates/token/Cargo.toml";
        let own_version = format!("{LINTS}[dev-dependencies]\nproptest = \"1\"\n");
        assert_caught(one_place, &[(path, &own_version)], &["crates/token/Cargo.toml:4"]);
        assert_caught(one_place, &[(path, "[dependencies]\n")], &["crates/token/Cargo.toml:0"]);
        let fine = format!("{LINTS}[dependencies]\ntokio = {{ workspace = true, features = [\"fs\"] }}\n");
        assert_caught(one_place, &[(path, &fine)], &[]);
    }

    #[test]
    fn the_table_of_rooms_has_no_way_around() {
        for (name, may) in ROOMS {
            let later: Vec<_> =
                ROOMS.iter().map(|(name, _)| name).skip_while(|other| *other != name).collect();
            assert!(!may.iter().any(|used| later.contains(&used)), "`{name}` imports something above itself");
        }
    }
}
