//! Scope: what may be done, a set with ⊆.
//!
//! A [`Scope`] maps actions of one or more connectors to the resources they may touch. It is
//! written `orders:read orders:refund` (RFC 6749 section 3.3); resources travel beside it, in
//! `authorization_details` (RFC 9396).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::{RESOURCE_BYTES_MAX, RESOURCE_SEGMENTS_MAX, RESOURCES_PER_GRANT_MAX, SCOPE_GRANTS_MAX};
use crate::name::Name;

/// One action of one connector, written `connector:action`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The connector's name.
    pub connector: Name,
    /// The action's name.
    pub action: Name,
}

/// A resource, or a set of resources: segments joined by `/`.
///
/// A segment `*` stands for one segment of any text, a last segment `**` for one or more. A
/// pattern without either is one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourcePattern(Box<str>);

/// The resources that an action may touch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resources {
    /// Whatever the connector has.
    All,
    /// Only these: one to [`RESOURCES_PER_GRANT_MAX`] patterns.
    Only(BTreeSet<ResourcePattern>),
}

/// One line of a scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// What may be done.
    pub operation: Operation,
    /// To what.
    pub resources: Resources,
}

/// What may be done: at most [`SCOPE_GRANTS_MAX`] operations, each with its resources. Copies are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<BTreeMap<Operation, Resources>>);

/// Why something is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAScope {
    /// Not `connector:action`.
    #[error("`{}` is not `connector:action`, as `orders:refund` is", .0.escape_debug())]
    Operation(String),
    /// Not a resource pattern.
    #[error(
        "`{}` is not a resource: 1 to {RESOURCE_SEGMENTS_MAX} segments of `A-Z a-z 0-9 . - _ ~ @ :` joined by `/`",
        .0.escape_debug()
    )]
    Resource(String),
    /// Nothing in it.
    #[error("a scope names at least one operation")]
    Empty,
    /// The same operation twice.
    #[error("`{0}` stands twice in the scope")]
    Repeated(Operation),
    /// Too many operations.
    #[error("a scope has at most {SCOPE_GRANTS_MAX} operations")]
    TooManyGrants,
    /// No resource, or too many, under one operation.
    #[error("an operation names 1 to {RESOURCES_PER_GRANT_MAX} resources, or none for all")]
    ResourceCount,
}

// === impl Operation ===

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.connector, self.action)
    }
}

impl FromStr for Operation {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let refused = || NotAScope::Operation(text.chars().take(130).collect());
        let (connector, action) = text.split_once(':').ok_or_else(refused)?;
        match (connector.parse(), action.parse()) {
            (Ok(connector), Ok(action)) => Ok(Self { connector, action }),
            _ => Err(refused()),
        }
    }
}

// === impl ResourcePattern ===

impl ResourcePattern {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one resource and not a set.
    pub fn is_exact(&self) -> bool {
        self.0.split('/').all(|segment| segment != "*" && segment != "**")
    }

    /// Whether every resource of `self` is one of `wider`.
    pub fn is_within(&self, wider: &Self) -> bool {
        let (mut ours, mut theirs) = (self.0.split('/'), wider.0.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(_), Some("**")) => return true,
                (Some("**"), Some(_)) => return false,
                (Some(a), Some(b)) if a == b || b == "*" => {}
                _ => return false,
            }
        }
    }
}

impl FromStr for ResourcePattern {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~' | b'@' | b':');
        let count = text.split('/').count();
        let segment_fits = |(at, segment): (usize, &str)| match segment {
            "" | "." | ".." => false,
            "*" => true,
            "**" => at + 1 == count,
            other => other.bytes().all(plain),
        };
        let fits = text.len() <= RESOURCE_BYTES_MAX
            && count <= RESOURCE_SEGMENTS_MAX
            && text.split('/').enumerate().all(segment_fits);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(NotAScope::Resource(text.chars().take(RESOURCE_BYTES_MAX).collect()))
        }
    }
}

impl fmt::Display for ResourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Resources ===

impl Resources {
    /// All for no patterns, else only those given.
    ///
    /// # Errors
    ///
    /// [`NotAScope::ResourceCount`] for more than [`RESOURCES_PER_GRANT_MAX`].
    pub fn of(patterns: impl IntoIterator<Item = ResourcePattern>) -> Result<Self, NotAScope> {
        let patterns: BTreeSet<_> = patterns.into_iter().collect();
        match patterns.len() {
            0 => Ok(Self::All),
            1..=RESOURCES_PER_GRANT_MAX => Ok(Self::Only(patterns)),
            _ => Err(NotAScope::ResourceCount),
        }
    }

    /// Whether every resource of `self` is one of `wider`.
    ///
    /// Judged pattern by pattern: a pattern that only the union of two wider ones covers is
    /// refused, which is the safe side.
    pub fn is_within(&self, wider: &Self) -> bool {
        match (self, wider) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(ours), Self::Only(theirs)) => {
                ours.iter().all(|ours| theirs.iter().any(|theirs| ours.is_within(theirs)))
            }
        }
    }

    /// The patterns; none for all.
    pub fn patterns(&self) -> impl Iterator<Item = &ResourcePattern> {
        match self {
            Self::All => None,
            Self::Only(patterns) => Some(patterns),
        }
        .into_iter()
        .flatten()
    }
}

// === impl Scope ===

impl Scope {
    /// A scope of these grants.
    ///
    /// # Errors
    ///
    /// [`NotAScope`] when there is none, too many, or one operation stands twice.
    pub fn of(grants: impl IntoIterator<Item = Grant>) -> Result<Self, NotAScope> {
        let mut map = BTreeMap::new();
        for grant in grants {
            if map.len() == SCOPE_GRANTS_MAX {
                return Err(NotAScope::TooManyGrants);
            }
            if map.contains_key(&grant.operation) {
                return Err(NotAScope::Repeated(grant.operation));
            }
            map.insert(grant.operation, grant.resources);
        }
        if map.is_empty() { Err(NotAScope::Empty) } else { Ok(Self(Arc::new(map))) }
    }

    /// The lines, ordered by operation.
    pub fn grants(&self) -> impl ExactSizeIterator<Item = (&Operation, &Resources)> {
        self.0.iter()
    }

    /// Whether everything that `self` allows is allowed by `wider`.
    pub fn is_within(&self, wider: &Self) -> bool {
        self.first_beyond(wider).is_none()
    }

    /// The first operation that `wider` does not cover with the same resources.
    pub fn first_beyond<'a>(&'a self, wider: &Self) -> Option<&'a Operation> {
        let beyond = |(operation, resources): &(&Operation, &Resources)| {
            !wider.0.get(*operation).is_some_and(|theirs| resources.is_within(theirs))
        };
        self.0.iter().find(beyond).map(|(operation, _)| operation)
    }

    /// What it says of one operation, as [`Scope::written`].
    pub fn written_of(&self, operation: &Operation) -> String {
        let one = self.0.get_key_value(operation).map(|(operation, on)| (operation.clone(), on.clone()));
        Self(Arc::new(one.into_iter().collect())).written()
    }

    /// Whether `operation` may be done to `resource`; `None` asks for the operation alone.
    pub fn allows(&self, operation: &Operation, resource: Option<&ResourcePattern>) -> bool {
        match (self.0.get(operation), resource) {
            (None, _) => false,
            (Some(Resources::All), _) => true,
            (Some(Resources::Only(_)), None) => false,
            (Some(Resources::Only(theirs)), Some(one)) => theirs.iter().any(|wider| one.is_within(wider)),
        }
    }

    /// The connectors named, each once, in order.
    pub fn connectors(&self) -> BTreeSet<&Name> {
        self.0.keys().map(|operation| &operation.connector).collect()
    }
}

/// `orders:read orders:refund`: the operations alone, as in the `scope` claim.
impl Scope {
    /// The whole scope as a text that reads back: `orders:read orders:refund=order/7,order/8`.
    pub fn written(&self) -> String {
        let line = |(operation, resources): (&Operation, &Resources)| {
            let patterns: Vec<&str> = resources.patterns().map(ResourcePattern::as_str).collect();
            let patterns =
                if patterns.is_empty() { String::new() } else { format!("={}", patterns.join(",")) };
            format!("{operation}{patterns}")
        };
        self.grants().map(line).collect::<Vec<_>>().join(" ")
    }
}

/// Reads [`Scope::written`].
impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        let grant = |line: &str| {
            let (operation, patterns) = line.split_once('=').map_or((line, None), |(o, p)| (o, Some(p)));
            let resources = match patterns {
                None => Resources::All,
                Some(patterns) => {
                    let patterns: Result<Vec<ResourcePattern>, _> =
                        patterns.split(',').map(str::parse).collect();
                    Resources::of(patterns?)?
                }
            };
            Ok(Grant { operation: operation.parse()?, resources })
        };
        Self::of(text.split_whitespace().map(grant).collect::<Result<Vec<_>, NotAScope>>()?)
    }
}

/// The operations alone.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, operation) in self.0.keys().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            operation.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> ResourcePattern {
        text.parse().expect("a good pattern")
    }

    fn scope(lines: &[(&str, &[&str])]) -> Scope {
        let grant = |(operation, resources): &(&str, &[&str])| Grant {
            operation: operation.parse().expect("a good operation"),
            resources: Resources::of(resources.iter().map(|r| pattern(r))).expect("few enough"),
        };
        Scope::of(lines.iter().map(grant)).expect("a good scope")
    }

    #[test]
    fn a_pattern_covers_whole_segments() {
        for (ours, wider, within) in [
            ("order/1", "order/1", true),
            ("order/1", "order/*", true),
            ("order/1", "order/**", true),
            ("order/1/line/2", "order/**", true),
            ("order/*", "order/**", true),
            ("order/**", "order/*", false),
            ("order/*", "order/1", false),
            ("order", "order/**", false),
            ("order/1", "invoice/*", false),
            ("a/*/c", "a/*/c", true),
            ("a/b/c", "a/*/c", true),
            ("a/**", "**", true),
        ] {
            assert_eq!(pattern(ours).is_within(&pattern(wider)), within, "{ours} in {wider}");
        }
    }

    #[test]
    fn a_scope_never_widens() {
        let wide = scope(&[("orders:read", &[]), ("orders:refund", &["order/*"])]);
        assert!(scope(&[("orders:refund", &["order/1"])]).is_within(&wide));
        assert!(scope(&[("orders:read", &["order/1"])]).is_within(&wide));
        assert!(!scope(&[("orders:refund", &[])]).is_within(&wide));
        assert!(!scope(&[("orders:delete", &[])]).is_within(&wide));
    }

    #[test]
    fn a_narrowed_operation_needs_its_resource() {
        let narrow = scope(&[("orders:refund", &["order/1"])]);
        let refund = "orders:refund".parse().expect("good");
        assert!(narrow.allows(&refund, Some(&pattern("order/1"))));
        assert!(!narrow.allows(&refund, Some(&pattern("order/2"))));
        assert!(!narrow.allows(&refund, None));
    }

    #[test]
    fn bad_scopes_are_refused() {
        for bad in ["", "orders", "orders:", ":read", "orders:read:x", "Orders:read", "orders: read"] {
            assert!(bad.parse::<Operation>().is_err(), "{bad:?}");
        }
        for bad in ["", "/a", "a/", "a//b", "a/../b", "**/a", "a b", "a\u{202e}", "a/b*"] {
            assert!(bad.parse::<ResourcePattern>().is_err(), "{bad:?}");
        }
        assert_eq!(Scope::of([]), Err(NotAScope::Empty));
    }

    fn any_pattern() -> impl Strategy<Value = ResourcePattern> {
        let segment = prop_oneof![Just("a"), Just("b"), Just("*")];
        (prop::collection::vec(segment, 1..4), any::<bool>()).prop_map(|(mut segments, rest)| {
            if rest {
                segments.push("**");
            }
            pattern(&segments.join("/"))
        })
    }

    proptest! {
        #[test]
        fn within_is_a_partial_order(a in any_pattern(), b in any_pattern(), c in any_pattern()) {
            prop_assert!(a.is_within(&a));
            if a.is_within(&b) && b.is_within(&c) {
                prop_assert!(a.is_within(&c));
            }
            if a.is_within(&b) && b.is_within(&a) {
                prop_assert_eq!(a, b);
            }
        }

        #[test]
        fn within_means_every_member(a in any_pattern(), b in any_pattern(), path in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..5)) {
            let one = pattern(&path.join("/"));
            if a.is_within(&b) && one.is_within(&a) {
                prop_assert!(one.is_within(&b));
            }
        }
    }
}
