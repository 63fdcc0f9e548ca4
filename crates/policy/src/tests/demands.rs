//! What permits demand: merged to the strictest over all that decided, and judged.

use std::time::Duration;

use locum_model::{Obligations, Reason};

use crate::fixture::{Wish, compiled, decide, registry};
use crate::{Ask, Justification, PolicySet, Proof};

const BOTH: &[(&str, &[&str])] = &[("mail:send", &[]), ("orders:read", &[])];

fn set() -> PolicySet {
    compiled(
        "@id(\"everywhere\") @ttl_max(\"5m\") permit(principal in Locum::Tenant::\"acme\", action, resource);
         @id(\"mail\") @ttl_max(\"90s\") @single_use(\"true\") @justification(\"required\")
         permit(principal, action, resource in Locum::Connector::\"acme/mail\");
         @id(\"read\") @ttl_max(\"2m\") @proof_of_possession(\"required\")
         permit(principal, action, resource == Locum::Operation::\"acme/orders:read\");
         @id(\"idle\") @ttl_max(\"1s\")
         permit(principal, action, resource) when { context.depth > 7 };",
    )
}

#[test]
fn the_strictest_of_all_permits_of_all_operations_holds() {
    let registry = registry();
    let wish =
        Wish { justification: Justification::Given, proof: Proof::Proved, ..Wish::of(&registry, 1, BOTH) };
    let permit = decide(&set(), &registry, &wish.request()).expect("permitted");
    let expected = Obligations {
        ttl_max: Some(Duration::from_secs(90)),
        single_use: true,
        proof_of_possession: true,
        justification: true,
    };
    assert_eq!(permit.obligations(), &expected);
    assert_eq!(permit.policies(), ["everywhere", "mail", "read"]);
}

#[test]
fn a_demand_that_is_not_met_denies_with_its_operation_and_policy() {
    use Justification::{Given, Missing};
    use Proof::{Proved, Unproved};
    let registry = registry();
    let justification = Err((Reason::JustificationRequired, "mail:send", "mail"));
    let proof = Err((Reason::ProofRequired, "orders:read", "read"));
    for (ask, given, proved, expected) in [
        (Ask::StartTask, Missing, Proved, justification),
        (Ask::StartTask, Given, Unproved, Ok(())),
        (Ask::IssueToken, Missing, Unproved, justification),
        (Ask::IssueToken, Missing, Proved, justification),
        (Ask::IssueToken, Given, Unproved, proof),
        (Ask::IssueToken, Given, Proved, Ok(())),
        (Ask::Authorize, Missing, Proved, justification),
        (Ask::Authorize, Given, Unproved, proof),
        (Ask::Authorize, Given, Proved, Ok(())),
    ] {
        let wish = Wish { ask, justification: given, proof: proved, ..Wish::of(&registry, 1, BOTH) };
        let decision = decide(&set(), &registry, &wish.request());
        let told = decision.as_ref().map(|_| ()).map_err(|denial| {
            let operation = denial.operation().map(ToString::to_string).unwrap_or_default();
            (denial.reason(), operation, denial.policies().to_vec())
        });
        let expected = expected
            .map_err(|(reason, operation, policy)| (reason, operation.to_owned(), vec![policy.to_owned()]));
        assert_eq!(told, expected, "{ask:?} {given:?} {proved:?}");
    }
}

#[test]
fn a_denial_of_a_later_operation_comes_before_an_unmet_demand() {
    let registry = registry();
    let wish = Wish::of(&registry, 3, &[("orders:count", &[]), ("orders:read", &[])]);
    let set = compiled(
        "@id(\"a\") @justification(\"required\")
         permit(principal, action, resource == Locum::Operation::\"other/orders:count\");",
    );
    let denial = decide(&set, &registry, &wish.request()).expect_err("not permitted");
    assert_eq!(denial.reason(), Reason::PolicyDenied);
    assert_eq!(denial.operation().map(ToString::to_string).as_deref(), Some("orders:read"));
}
