//! What changed between two sets.

use crate::fixture::compiled;
use crate::{ChangeKind, diff};

const OLD: &str = "@id(\"gone\") permit(principal in Locum::Tenant::\"acme\", action, resource);
    @id(\"same\") @ttl_max(\"60s\") permit(principal in Locum::Tenant::\"acme\", action, resource)
    when { context.proof && context.depth < 2 };
    @id(\"other\") @ttl_max(\"60s\") permit(principal in Locum::Tenant::\"acme\", action, resource)
    when { context.proof && context.depth < 2 };";

#[test]
fn policies_are_compared_part_by_part_and_blanks_and_comments_are_no_change() {
    let new = "@id(\"come\") forbid(principal, action, resource) when { context.delegated };
    @id(\"same\") @ttl_max(\"60s\") permit(principal in Locum::Tenant::\"acme\", // ours
      action, resource) when { context.proof  &&
      context.depth < 2 };
    @id(\"other\") @ttl_max(\"30s\") permit(principal in Locum::Tenant::\"other\", action, resource)
    when { context.proof && context.depth < 3 };";
    let changes = diff(&compiled(OLD), &compiled(new));
    let told: Vec<_> = changes.iter().map(|change| (change.policy.as_str(), change.kind)).collect();
    let expected =
        [("come", ChangeKind::Added), ("gone", ChangeKind::Removed), ("other", ChangeKind::Changed)];
    assert_eq!(told, expected);
    assert_eq!(changes[0].details, ["forbid (principal, action, resource)", "when context.delegated"]);
    let expected = [
        "@ttl_max: \"60s\" → \"30s\"",
        "scope: principal in Locum::Tenant::\"acme\", action, resource → principal in Locum::Tenant::\"other\", action, resource",
        "condition dropped: context.depth < 2",
        "condition added: context.depth < 3",
    ];
    assert_eq!(changes[2].details, expected);
    assert!(diff(&compiled(OLD), &compiled(OLD)).is_empty());
}
