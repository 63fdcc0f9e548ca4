//! Decisions: a table of requests against policies, and the errors that must deny.

use cedar_policy::{Policy, PolicyId};
use locum_model::registry::WorkloadKind;
use locum_model::scope::Operation;
use locum_model::{Name, Obligations, OwnerNo, Reason, Registry, TenantNo};

use crate::annotation::Terms;
use crate::fixture::{Lines, Wish, compiled, decide, entries, name, registry, scope_of, workload};
use crate::set::Source;
use crate::{Ask, Denial, PolicySet, Subject};

/// A set that skips validation, to reach failures that a validated policy cannot have.
fn unvalidated(policies: &[(&str, &str)]) -> PolicySet {
    let made = policies.iter().map(|(id, text)| {
        let policy = Policy::parse(Some(PolicyId::new(id)), text).expect("it parses");
        let source = Source { file: "t".into(), line: 1, text: (*text).to_string() };
        (policy, Terms { id: name(id), obligations: Obligations::default() }, source)
    });
    PolicySet::of(made.collect())
}

fn denied(set: &PolicySet, wish: &Wish) -> Denial {
    decide(set, &registry(), &wish.request()).expect_err("denied")
}

const READ: Lines = &[("orders:read", &["order/7"])];
const PERMIT: &str = "@id(\"yes\") permit(principal in Locum::Tenant::\"acme\", action, resource);";

#[test]
fn a_table_of_conditions() {
    let registry = registry();
    let base = || Wish::of(&registry, 1, READ);
    let wishes = [
        ("plain", base()),
        ("deep", Wish { depth: 2, ..base() }),
        ("delegated", Wish { subject: Subject::Other, ..base() }),
        ("all", Wish { scope: scope_of(&[("orders:read", &[])]), ..base() }),
        ("task", Wish { ask: Ask::StartTask, ..base() }),
        ("use", Wish { ask: Ask::Authorize, ..base() }),
        ("operator", Wish::of(&registry, 2, READ)),
        ("other tenant", Wish::of(&registry, 3, READ)),
    ];
    let table: &[(&str, &[&str])] = &[
        (
            "principal.name == \"refunder\"",
            &["plain", "deep", "delegated", "all", "task", "use", "other tenant"],
        ),
        ("principal == Locum::Workload::\"2\"", &["operator"]),
        ("principal in Locum::Tenant::\"other\"", &["other tenant"]),
        ("principal in Locum::Owner::\"acme/platform\"", &["operator"]),
        ("principal in Locum::Owner::\"other/payments\"", &["other tenant"]),
        ("principal.owner.name == \"payments\" && context.depth == 2", &["deep"]),
        ("principal has model && principal.model.name == \"gpt\" && context.delegated", &["delegated"]),
        (
            "principal has model && principal.model.owner.name == \"platform\" && context.resources_all",
            &["all"],
        ),
        ("!(principal has model)", &["operator", "other tenant"]),
        ("resource in Locum::Connector::\"other/orders\"", &["other tenant"]),
        ("resource.connector.owner == principal.owner && action == Locum::Action::\"start_task\"", &["task"]),
        ("action == Locum::Action::\"authorize\" && resource.action == \"read\"", &["use"]),
        (
            "[\"order/7\", \"order/8\"].containsAll(context.resources) && principal.kind == Locum::Kind::\"service\"",
            &["operator"],
        ),
        (
            "[\"order/7\"].containsAll(context.resources) && resource.connector.check == Locum::Check::\"jwks\"",
            &["other tenant"],
        ),
        ("context.resources.contains(\"order/**\")", &["all"]),
        ("context.purpose == \"refund-orders\"", &[]),
        ("context.justification || context.proof", &[]),
    ];
    for (condition, expected) in table {
        let set =
            compiled(&format!("@id(\"p\") permit(principal, action, resource) when {{ {condition} }};"));
        for (called, wish) in &wishes {
            let decision = decide(&set, &registry, &wish.request());
            assert_eq!(decision.is_ok(), expected.contains(called), "{condition} for {called}: {decision:?}");
        }
    }
}

#[test]
fn a_permit_carries_what_was_asked_and_the_world() {
    let (set, registry) = (compiled(PERMIT), registry());
    let wish = Wish::of(&registry, 1, &[("orders:refund", &["order/*", "refund/1/2"]), ("mail:send", &[])]);
    let permit = decide(&set, &registry, &wish.request()).expect("permitted");
    assert_eq!(permit.scope(), &wish.scope);
    assert_eq!(permit.world(), crate::fixture::world());
    assert_eq!(permit.policies(), ["yes"]);
    assert_eq!(permit.obligations(), &Obligations::default());
}

#[test]
fn what_is_not_registered_is_refused_by_its_first_operation() {
    let (set, registry) = (compiled(PERMIT), registry());
    let cases: [(Lines, Reason, &str); 7] = [
        (&[("ledger:read", &[])], Reason::ConnectorUnknown, "no connector `ledger` in tenant `acme`"),
        (&[("orders:drop", &[])], Reason::ScopeUnknown, "connector `orders` has no action `drop`"),
        (
            &[("orders:read", &["invoice/1"])],
            Reason::ScopeUnknown,
            "`orders:read` has no resource `invoice/1`",
        ),
        (&[("orders:read", &["order/1", "**"])], Reason::ScopeUnknown, "`orders:read` has no resource `**`"),
        (
            &[("orders:refund", &["order/1/2"])],
            Reason::ScopeUnknown,
            "`orders:refund` has no resource `order/1/2`",
        ),
        (&[("orders:count", &["order/1"])], Reason::ScopeUnknown, "`orders:count` takes no resource"),
        (
            &[("mail:send", &[]), ("vault:peek", &[])],
            Reason::ScopeUnknown,
            "connector `vault` has no action `peek`",
        ),
    ];
    for (scope, reason, detail) in cases {
        let denial = denied(&set, &Wish::of(&registry, 1, scope));
        assert_eq!((denial.reason(), denial.detail()), (reason, detail));
        assert!(denial.operation().is_some() && denial.policies().is_empty());
    }
    let denial = denied(&set, &Wish::of(&registry, 3, &[("vault:read", &[])]));
    assert_eq!(denial.reason(), Reason::ConnectorUnknown, "another tenant's connector does not exist");
}

#[test]
fn no_permit_and_a_forbid_deny_and_name_the_operation() {
    let registry = registry();
    let wish = Wish::of(&registry, 1, &[("mail:send", &[]), ("orders:read", &[])]);
    let partly =
        compiled("@id(\"a\") permit(principal, action, resource in Locum::Connector::\"acme/mail\");");
    let denial = denied(&partly, &wish);
    let read: Operation = "orders:read".parse().expect("good");
    assert_eq!((denial.reason(), denial.operation()), (Reason::PolicyDenied, Some(&read)));
    assert_eq!(denial.detail(), "`orders:read` is not permitted for purpose `refund-order`");
    assert!(denial.policies().is_empty());
    let task = Wish { ask: Ask::StartTask, ..wish.clone() };
    assert_eq!(denied(&partly, &task).reason(), Reason::IntentNotAllowed);
    assert_eq!(denied(&compiled(""), &task).reason(), Reason::IntentNotAllowed);

    let forbidden = compiled(&format!(
        "{PERMIT} @id(\"no-b\") forbid(principal, action, resource == Locum::Operation::\"acme/orders:read\");
         @id(\"no-a\") forbid(principal, action, resource) when {{ resource.effect == Locum::Effect::\"read\" }};"
    ));
    let denial = denied(&forbidden, &wish);
    assert_eq!((denial.reason(), denial.operation()), (Reason::PolicyDenied, Some(&read)));
    assert_eq!(denial.policies(), ["no-a", "no-b"]);
    assert!(!denial.detail().contains("no-a"), "callers are not told names of policies");
    assert_eq!(denied(&forbidden, &task).reason(), Reason::IntentNotAllowed);
}

#[test]
fn a_validated_policy_that_fails_denies_whatever_else_permits() {
    let registry = registry();
    let overflow = "context.depth + 9223372036854775807 > 0";
    for failing in [
        format!("@id(\"bad\") forbid(principal, action, resource) when {{ {overflow} }};"),
        format!("@id(\"bad\") permit(principal, action, resource) when {{ {overflow} }};"),
        format!("@id(\"bad\") forbid(principal, action, resource) unless {{ {overflow} }};"),
        "@id(\"bad\") forbid(principal, action, resource) when { context.depth * -9223372036854775807 * 2 == 1 };".into(),
        "@id(\"bad\") forbid(principal, action, resource) when { -9223372036854775808 - context.depth == 1 };".into(),
        "@id(\"bad\") forbid(principal, action, resource) when {
         datetime(\"9999-12-31\").offset(duration(\"106751991000d\")) == datetime(\"2026-01-01\") };".into(),
    ] {
        let set = compiled(&format!("{PERMIT} {failing}"));
        let wish = Wish { depth: 1, ..Wish::of(&registry, 1, READ) };
        let denial = denied(&set, &wish);
        assert_eq!((denial.reason(), denial.policies()), (Reason::PolicyError, &["bad".to_owned()][..]), "{failing}");
        assert_eq!(denial.operation().map(ToString::to_string).as_deref(), Some("orders:read"));
    }
    let harmless = compiled(&format!(
        "{PERMIT} @id(\"bad\") forbid(principal, action, resource) when {{ {overflow} }};"
    ));
    let wish = Wish::of(&registry, 1, READ);
    assert_eq!(
        denied(&harmless, &wish).reason(),
        Reason::PolicyDenied,
        "at depth 0 nothing overflows: it forbids"
    );
}

/// Validation refuses these texts; should one get past it, it still denies.
#[test]
fn a_policy_that_was_never_validated_denies_when_it_fails() {
    let registry = registry();
    let wish = Wish::of(&registry, 1, READ);
    for condition in [
        "principal.nickname == \"a\"",
        "context.nothing",
        "context.purpose < 3",
        "context.purpose",
        "context.resources.containsAll(1)",
        "resource.connector.owner.boss.name == \"a\"",
        "Locum::Tenant::\"nowhere\".name == \"a\"",
        "if context.purpose then true else false",
        "{a: 1}.b == 1",
        "principal.name like \"*\" && 1",
        "ip(\"999.0.0.1\").isLoopback()",
        "ip(context.purpose).isLoopback()",
        "decimal(\"1.23456\") == decimal(\"1.0\")",
        "datetime(\"2026-02-31\") == datetime(context.purpose)",
    ] {
        let bad = format!("forbid(principal, action, resource) when {{ {condition} }};");
        let set = unvalidated(&[("yes", "permit(principal, action, resource);"), ("bad", &bad)]);
        let denial = denied(&set, &wish);
        assert_eq!(
            (denial.reason(), denial.policies()),
            (Reason::PolicyError, &["bad".to_owned()][..]),
            "{condition}"
        );
    }
}

#[test]
fn a_workload_made_again_under_its_name_is_another() {
    let old = registry();
    let set = compiled(
        "@id(\"number\") permit(principal == Locum::Workload::\"1\", action, resource in Locum::Tenant::\"acme\");",
    );
    let wish = Wish::of(&old, 1, READ);
    assert!(decide(&set, &old, &wish.request()).is_ok());

    let mut entries = entries();
    let removed = entries.workloads.remove(&wish.workload.number).expect("there");
    let again = workload(9, removed.tenant, ("refunder", WorkloadKind::Plugin), (1, Some(1)));
    entries.workloads.insert(again.number, again);
    let new = Registry::of(entries);
    let remade = decide(&set, &new, &Wish::of(&new, 9, READ).request()).expect_err("another workload");
    assert_eq!(remade.reason(), Reason::PolicyDenied);
    let stale = decide(&set, &new, &wish.request()).expect_err("the old registration is gone");
    assert_eq!(stale.reason(), Reason::WorkloadUnregistered);
}

#[test]
fn a_request_that_disagrees_with_the_registry_is_refused() {
    let (set, registry) = (compiled(PERMIT), registry());
    let base = || Wish::of(&registry, 1, READ);
    let moved = |tenant| {
        let mut wish = base();
        wish.workload.tenant = tenant;
        wish
    };
    for wish in [
        Wish { tenant: name("other"), ..base() },
        Wish { owner: name("platform"), ..base() },
        Wish { model: None, ..base() },
        Wish { model: Some(name("other-model")), ..base() },
        moved(TenantNo(2)),
        moved(TenantNo(77)),
        Wish {
            workload: workload(1, TenantNo(1), ("operator", WorkloadKind::Service), (1, Some(1))),
            ..base()
        },
    ] {
        assert_eq!(denied(&set, &wish).reason(), Reason::WorkloadUnregistered, "{wish:?}");
    }
}

#[test]
fn a_registry_that_does_not_hold_together_denies() {
    let set = compiled(PERMIT);
    for tenant in [None, Some(TenantNo(2))] {
        let mut entries = entries();
        let orders =
            entries.connectors.values_mut().find(|connector| connector.number.0 == 1).expect("there");
        orders.owner = tenant.map_or(OwnerNo(99), |_| OwnerNo(3));
        let registry = Registry::of(entries);
        let denial =
            decide(&set, &registry, &Wish::of(&registry, 1, READ).request()).expect_err("incoherent");
        assert_eq!(denial.reason(), Reason::PolicyError);
    }
}

#[test]
fn a_denial_is_bounded_whatever_the_names() {
    let registry = registry();
    let long: Name = name(&"a".repeat(63));
    let operation = format!("{long}:{long}");
    let scope: &[(&str, &[&str])] = &[(&operation, &[])];
    let denial = denied(&compiled(PERMIT), &Wish { purpose: long, ..Wish::of(&registry, 1, scope) });
    assert!(denial.to_string().len() <= 256 && denial.to_string() == denial.detail());
}
