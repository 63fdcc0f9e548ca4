//! Why a decision came out as it did.

use locum_model::Reason;

use crate::fixture::{Wish, compiled, known, registry};
use crate::{Explanation, PolicyStory, explain};

const POLICIES: &str = "@id(\"far\") permit(principal in Locum::Tenant::\"acme\", action, resource)
  when { context.proof && context.justification && context.purpose == \"explore\" };
@id(\"near\")
permit(principal in Locum::Tenant::\"acme\", action, resource)
  when {
    principal.name == \"refunder\" &&
    context.purpose == \"explore\"
  }
  unless { context.depth > 3 };
@id(\"elsewhere\") permit(principal in Locum::Tenant::\"other\", action, resource);
@id(\"model-owner\") permit(principal, action, resource == Locum::Operation::\"acme/mail:send\")
  when { principal has model && principal.model.owner.name == \"nobody\" };
@id(\"never\") forbid(principal, action, resource == Locum::Operation::\"acme/vault:read\")
  when { principal.name == \"refunder\" } unless { context.proof };
";

fn told(number: u32, operation: &str) -> Explanation {
    let wish = Wish::of(&registry(), number, &[(operation, &[])]);
    explain(&compiled(POLICIES), &known(), &wish.request())
}

fn shown(stories: &[PolicyStory]) -> Vec<String> {
    let lines = stories.iter().flat_map(|story| {
        story.conditions.iter().map(|condition| {
            let facts: Vec<_> =
                condition.facts.iter().map(|(path, value)| format!("{path}={value}")).collect();
            let judged = if condition.judged { "" } else { " (not judged)" };
            format!("{} {}: {} [{}]{judged}", story.policy, condition.line, condition.text, facts.join(" "))
        })
    });
    lines.collect()
}

#[test]
fn the_nearest_permit_comes_first_with_what_it_misses() {
    let explanation = told(1, "orders:read");
    assert_eq!(explanation.decision.expect_err("denied").reason(), Reason::PolicyDenied);
    let [story] = explanation.operations.as_slice() else { panic!("one operation") };
    let expected = [
        "near 7: context.purpose == \"explore\" [context.purpose=\"refund-order\"]",
        "far 2: context.proof [context.proof=false]",
        "far 2: context.justification [context.justification=false]",
        "far 2: context.purpose == \"explore\" [context.purpose=\"refund-order\"]",
    ];
    assert_eq!(shown(&story.near), expected);
    assert!(story.permits.is_empty() && story.forbids.is_empty() && story.failed.is_empty());
}

#[test]
fn what_cannot_be_judged_is_told_so() {
    let explanation = told(2, "orders:read");
    assert!(shown(&explanation.operations[0].near)[0].starts_with("near 6: principal.name"));
    let wish = Wish::of(&registry(), 2, &[("mail:send", &[])]);
    let set = compiled(
        "@id(\"m\") permit(principal, action, resource == Locum::Operation::\"acme/mail:send\")
         when { principal has model && principal.model.owner.name == \"nobody\" };",
    );
    let story = explain(&set, &known(), &wish.request()).operations.remove(0);
    assert_eq!(
        shown(&story.near),
        [
            "m 2: principal has model []",
            "m 2: principal.model.owner.name == \"nobody\" [principal.model.owner.name=not there] (not judged)",
        ]
    );
}

#[test]
fn a_forbid_is_told_with_the_conditions_that_held() {
    let explanation = told(1, "vault:read");
    assert_eq!(explanation.decision.expect_err("denied").policies(), ["never"]);
    let expected = [
        "never 14: principal.name == \"refunder\" [principal.name=\"refunder\"]",
        "never 14: !(context.proof) [context.proof=false]",
    ];
    assert_eq!(shown(&explanation.operations[0].forbids), expected);
}

#[test]
fn what_could_be_asked_otherwise_comes_before_what_is_registered() {
    let set = compiled(
        "@id(\"a\") permit(principal in Locum::Tenant::\"acme\", action, resource) when { principal.name == \"x\" };
         @id(\"b\") permit(principal in Locum::Tenant::\"acme\", action, resource) when { context.depth > 1 };",
    );
    let wish = Wish::of(&registry(), 1, &[("orders:read", &[])]);
    let story = explain(&set, &known(), &wish.request()).operations.remove(0);
    assert_eq!(story.near.iter().map(|near| near.policy.as_str()).collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn what_is_not_registered_has_no_story() {
    let explanation = told(1, "ledger:read");
    assert_eq!(explanation.decision.expect_err("denied").reason(), Reason::ConnectorUnknown);
    assert!(explanation.operations.is_empty());
}
