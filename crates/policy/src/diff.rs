//! [`diff`]: what changed between two policy sets, policy by policy.

use std::collections::{BTreeMap, BTreeSet};

use crate::parts::Parts;
use crate::set::PolicySet;

/// A policy that is not the same in both sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The policy's id.
    pub policy: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// Part by part, as `part: before → after`; one line for each.
    pub details: Vec<String>,
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Only the new set has it.
    Added,
    /// Only the old set has it.
    Removed,
    /// Both have it, with other words. Blanks and comments are no words.
    Changed,
}

/// Compares two sets; changes in the order of the ids.
pub fn diff(old: &PolicySet, new: &PolicySet) -> Vec<Change> {
    let (old, new) = (parts(old), parts(new));
    let ids: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    ids.into_iter().filter_map(|id| change(id, old.get(id), new.get(id))).collect()
}

impl ChangeKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

fn parts(set: &PolicySet) -> BTreeMap<&str, Parts> {
    set.sources().map(|(id, source)| (id, Parts::of(&source.text))).collect()
}

fn change(id: &str, old: Option<&Parts>, new: Option<&Parts>) -> Option<Change> {
    let (kind, details) = match (old, new) {
        (None, Some(new)) => (ChangeKind::Added, whole(new)),
        (Some(old), None) => (ChangeKind::Removed, whole(old)),
        (Some(old), Some(new)) => (ChangeKind::Changed, details(old, new)),
        (None, None) => return None,
    };
    let same = kind == ChangeKind::Changed && details.is_empty();
    (!same).then(|| Change { policy: id.to_owned(), kind, details })
}

fn whole(parts: &Parts) -> Vec<String> {
    let annotations = parts.annotations.iter().filter(|(key, _)| *key != "id");
    let mut lines: Vec<String> = annotations.map(|(key, value)| format!("@{key}({value})")).collect();
    lines.push(format!("{} ({})", parts.effect, parts.scope));
    lines.extend(parts.conditions.iter().map(|condition| format!("when {}", condition.expression())));
    lines
}

fn details(old: &Parts, new: &Parts) -> Vec<String> {
    let mut lines = Vec::new();
    let keys: BTreeSet<&String> = old.annotations.keys().chain(new.annotations.keys()).collect();
    let shown = |parts: &Parts, key: &String| parts.annotations.get(key).cloned();
    for key in keys {
        lines.extend(from_to(&format!("@{key}"), shown(old, key), shown(new, key)));
    }
    lines.extend(from_to("effect", Some(old.effect.clone()), Some(new.effect.clone())));
    lines.extend(from_to("scope", Some(old.scope.clone()), Some(new.scope.clone())));
    let conditions = |parts: &Parts| parts.conditions.iter().map(|c| c.expression()).collect::<Vec<_>>();
    let (before, after) = (conditions(old), conditions(new));
    let gone = before.iter().filter(|text| !after.contains(text));
    lines.extend(gone.map(|text| format!("condition dropped: {text}")));
    let come = after.iter().filter(|text| !before.contains(text));
    lines.extend(come.map(|text| format!("condition added: {text}")));
    if before != after && lines.is_empty() {
        lines.push("conditions in another order".to_owned());
    }
    lines
}

fn from_to(part: &str, old: Option<String>, new: Option<String>) -> Option<String> {
    let none = || "none".to_owned();
    (old != new).then(|| format!("{part}: {} → {}", old.unwrap_or_else(none), new.unwrap_or_else(none)))
}
