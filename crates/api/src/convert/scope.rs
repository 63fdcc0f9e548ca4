//! Grants and scopes.

use std::fmt;

use locum_model::limits::{RESOURCES_PER_GRANT_MAX, SCOPE_GRANTS_MAX};
use locum_model::scope::{NotAScope, Operation};
use locum_model::{Grant, ResourcePattern, Resources, Scope};

use crate::broker::v1 as wire;
use crate::violation::{Malformed, Violation};

/// A scope of 1 to 16 grants, each operation once.
///
/// # Errors
///
/// [`Malformed`] with every operation and resource that is wrong. Too many are refused unread.
pub fn from_wire(grants: &[wire::Grant], field: &str) -> Result<Scope, Malformed> {
    if grants.len() > SCOPE_GRANTS_MAX {
        return Err(Malformed::of(field, NotAScope::TooManyGrants));
    }
    let (mut good, mut violations) = (Vec::with_capacity(grants.len()), Vec::new());
    for (at, grant) in grants.iter().enumerate() {
        match grant_from_wire(grant, &format_args!("{field}[{at}]")) {
            Ok(grant) => good.push(grant),
            Err(malformed) => violations.extend_from_slice(malformed.violations()),
        }
    }
    Malformed::none_of(violations)?;
    Scope::of(good).map_err(|why| Malformed::of(field, why))
}

/// The grants, ordered by operation.
pub fn to_wire(scope: &Scope) -> Vec<wire::Grant> {
    let grant = |(operation, resources): (&Operation, &Resources)| wire::Grant {
        operation: operation.to_string(),
        resources: resources.patterns().map(ToString::to_string).collect(),
    };
    scope.grants().map(grant).collect()
}

/// `connector:action`.
///
/// # Errors
///
/// [`Malformed`] for any other text.
pub fn operation_from_wire(text: &str, field: impl fmt::Display) -> Result<Operation, Malformed> {
    text.parse().map_err(|why: NotAScope| Malformed::of(field.to_string(), why))
}

/// One resource and not a pattern, or none for an empty text.
///
/// # Errors
///
/// [`Malformed`] for a pattern and for anything that is not a resource.
pub fn resource_from_wire(text: &str, field: &str) -> Result<Option<ResourcePattern>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    let resource: ResourcePattern = text.parse().map_err(|why: NotAScope| Malformed::of(field, why))?;
    if resource.is_exact() {
        Ok(Some(resource))
    } else {
        Err(Malformed::of(field, "must be one resource, without `*`"))
    }
}

/// `field` is written out only where something is wrong.
fn grant_from_wire(grant: &wire::Grant, field: &dyn fmt::Display) -> Result<Grant, Malformed> {
    let operation = operation_from_wire(&grant.operation, format_args!("{field}.operation"));
    let resources = resources_from_wire(&grant.resources, &format_args!("{field}.resources"));
    let (operation, resources) = Malformed::both(operation, resources)?;
    Ok(Grant { operation, resources })
}

fn resources_from_wire(texts: &[String], field: &dyn fmt::Display) -> Result<Resources, Malformed> {
    if texts.len() > RESOURCES_PER_GRANT_MAX {
        return Err(Malformed::of(field.to_string(), NotAScope::ResourceCount));
    }
    let (mut good, mut violations) = (Vec::with_capacity(texts.len()), Vec::new());
    for (at, text) in texts.iter().enumerate() {
        match text.parse::<ResourcePattern>() {
            Ok(pattern) => good.push(pattern),
            Err(why) => violations.push(Violation::new(format!("{field}[{at}]"), why)),
        }
    }
    Malformed::none_of(violations)?;
    Resources::of(good).map_err(|why| Malformed::of(field.to_string(), why))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(operation: &str, resources: &[&str]) -> wire::Grant {
        wire::Grant {
            operation: operation.into(),
            resources: resources.iter().map(ToString::to_string).collect(),
        }
    }

    /// Any scope that a request can carry.
    pub(crate) fn any_scope() -> impl Strategy<Value = Scope> {
        let resources =
            prop::collection::btree_set("[a-zA-Z0-9@:~]{1,8}(/[a-z0-9._-]{1,4}x)?(/\\*\\*?)?", 0..5);
        let line = ("[a-z]([a-z0-9._-]{0,8}[a-z0-9])?:[a-z]{1,8}", resources);
        prop::collection::btree_map(line.0, line.1, 1..=SCOPE_GRANTS_MAX).prop_map(|lines| {
            let grant = |(operation, resources): (String, std::collections::BTreeSet<String>)| Grant {
                operation: operation.parse().expect("a good operation"),
                resources: Resources::of(resources.iter().map(|r| r.parse().expect("a good resource")))
                    .expect("few enough"),
            };
            Scope::of(lines.into_iter().map(grant)).expect("a good scope")
        })
    }

    #[test]
    fn every_wrong_field_is_named() {
        let grants = [
            grant("orders:read", &["order/1"]),
            grant("orders", &["a//b", "ok", "**/a"]),
            grant("Orders:read", &[]),
        ];
        let refused = from_wire(&grants, "intent.scope").expect_err("four are wrong");
        let fields: Vec<_> = refused.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "intent.scope[1].operation",
                "intent.scope[1].resources[0]",
                "intent.scope[1].resources[2]",
                "intent.scope[2].operation"
            ]
        );
    }

    #[test]
    fn malformed_scopes_are_refused() {
        let repeated = vec![grant("a:b", &[]), grant("a:b", &["x"])];
        let many: Vec<_> = (0..17).map(|n| grant(&format!("a:b{n}"), &[])).collect();
        let wide = vec![grant("a:b", &["1", "2", "3", "4", "5", "6", "7", "8", "9"])];
        for (grants, field) in
            [(vec![], "scope"), (repeated, "scope"), (many, "scope"), (wide, "scope[0].resources")]
        {
            let refused = from_wire(&grants, "scope").expect_err("malformed");
            assert_eq!(refused.violations()[0].field, field);
        }
    }

    #[test]
    fn a_single_resource_is_no_pattern() {
        assert_eq!(resource_from_wire("", "resource"), Ok(None));
        assert!(resource_from_wire("order/1", "resource").is_ok_and(|resource| resource.is_some()));
        for bad in ["order/*", "**", "a b", "a/../b", "a\u{202e}"] {
            assert!(resource_from_wire(bad, "resource").is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_scope_survives(scope in any_scope()) {
            prop_assert_eq!(from_wire(&to_wire(&scope), "scope"), Ok(scope));
        }

        #[test]
        fn no_grant_panics(operation in any::<String>(), resources in prop::collection::vec(any::<String>(), 0..10)) {
            let _ = from_wire(&[wire::Grant { operation, resources }], "scope");
        }
    }
}
