//! What `compile` refuses, and where it says the fault is.

use locum_model::Reason;
use locum_model::event::PolicyText;
use locum_model::limits::{
    POLICIES_MAX, POLICY_BYTES_MAX, POLICY_MESSAGE_CHARS_MAX, POLICY_NESTING_MAX, POLICY_OPERATORS_MAX,
    POLICY_PROBLEMS_MAX,
};
use proptest::prelude::*;

use crate::fixture::{Wish, compiled, decide, problems, registry, text};
use crate::{Denial, compile};

/// A policy that permits reading `orders`, under `condition`.
fn with_condition(condition: &str) -> String {
    format!(
        "@id(\"p\") permit(principal, action, resource == Locum::Operation::\"acme/orders:read\") when {{ {condition} }};"
    )
}

#[test]
fn what_the_schema_does_not_know_is_refused() {
    for (condition, part) in [
        ("principal.nickname == \"a\"", "nickname"),
        ("principal.model.name == \"gpt\"", "model"),
        ("context.text like \"*refund*\"", "text"),
        ("context.justification == \"because\"", "Bool"),
        ("context.depth == \"1\"", "Long"),
        ("context.depth < 9223372036854775808", "9223372036854775808"),
        ("resource.effect == \"read\"", "Effect"),
        ("resource.effect == Locum::Effect::\"reed\"", "reed"),
        ("resource in Locum::Team::\"a\"", "Team"),
        ("context.resources.contains(1)", "String"),
        ("principal == resource", ""),
        ("ip(context.purpose).isLoopback()", "non-literal"),
        ("ip(\"999.0.0.1\").isLoopback()", "IP address"),
        ("Locum::Tenant::\"acme\".name == principal.name", "dereference"),
        ("principal.owner in Locum::Owner::\"acme/a\".tenant", "dereference"),
        ("decimal(\"1.23456\").lessThan(decimal(\"2.0\"))", "decimal"),
        ("datetime(\"2026-02-31\") < datetime(\"2026-03-01\")", "datetime"),
        ("principal.unknownMethod()", ""),
        ("false", "impossible"),
        ("context.purpose == \"refund\u{430}\"", "script"),
    ] {
        let told = problems(&with_condition(condition));
        assert!(told.contains(part) && told.starts_with("test.cedar:1:"), "{condition}: {told:?}");
    }
    for (policy, part) in [
        ("@id(\"p\") permit(principal == Locum::User::\"1\", action, resource);", "User"),
        ("@id(\"p\") permit(principal, action == Locum::Action::\"issue\", resource);", "issue"),
        ("@id(\"p\") permit(principal == Locum::Tenant::\"acme\", action, resource);", ""),
        ("@id(\"p\") permit(principal in ?principal, action, resource);", "template"),
        ("@id(\"p\") permit(principal == ?principal, action, resource);", "template"),
        ("@id(\"p\") permit(principal, action, resource in ?any);", "template"),
        ("@id(\"p\") allow(principal, action, resource);", "allow"),
        ("@id(\"p\") permit(principal, action);", ""),
        ("@id(\"p\") @id(\"q\") permit(principal in Locum::Tenant::\"a\", action, resource);", ""),
        ("permit(principal in Locum::Tenant::\"a\", action, resource);", "@id"),
        (
            "@id(\"p\") @approval(\"four\") permit(principal in Locum::Tenant::\"a\", action, resource);",
            "@approval",
        ),
        ("@id(\"p\") @single_use(\"true\") forbid(principal, action, resource);", "forbid"),
    ] {
        let told = problems(policy);
        assert!(told.contains(part) && told.starts_with("test.cedar:1:"), "{policy}: {told:?}");
    }
}

#[test]
fn a_permit_without_any_constraint_is_refused() {
    let everything = "permits everything to everybody";
    for policy in [
        "permit(principal, action, resource);",
        "permit(principal, action, resource) when { true };",
        "permit(principal, action, resource) unless { 1 == 2 };",
        "permit(principal is Locum::Workload, action, resource is Locum::Operation);",
        "permit(principal, action in [Locum::Action::\"start_task\", Locum::Action::\"issue_token\", \
         Locum::Action::\"authorize\"], resource);",
    ] {
        let told = problems(&format!("@id(\"p\") {policy}"));
        assert!(told.contains(everything), "{policy}: {told:?}");
    }
    for policy in [
        "forbid(principal, action, resource);",
        "permit(principal, action == Locum::Action::\"start_task\", resource);",
        "permit(principal in Locum::Tenant::\"acme\", action, resource);",
        "permit(principal, action, resource) when { context.proof };",
    ] {
        assert_eq!(problems(&format!("@id(\"p\") {policy}")), "", "{policy}");
    }
}

#[test]
fn problems_name_file_line_and_column_and_come_together() {
    let good = text("a.cedar", "@id(\"a\") forbid(principal, action, resource);\n");
    let bad = text(
        "b.cedar",
        "// first\n  @id(\"a\") forbid(principal, action, resource);\n\
         @id(\"b\") forbid(principal, action, resource) when {\n  context.nothing\n};\n\
         @id(\"c\") forbid(principal, akt, resource);\n",
    );
    let told: Vec<String> =
        compile(&[good, bad]).expect_err("three problems").iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("b.cedar:2:3: `@id(\"a\")` stands twice, first in a.cedar:1"), "{told:?}");
    assert!(told[1].starts_with("b.cedar:4:3: "), "{told:?}");
    assert!(told[2].starts_with("b.cedar:6:2"), "{told:?}");
}

#[test]
fn sizes_are_judged_before_anything_is_parsed() {
    let megabytes = "x".repeat(10 * 1024 * 1024);
    assert!(problems(&megabytes).contains(&POLICY_BYTES_MAX.to_string()));
    let half = text("half.cedar", &" ".repeat(POLICY_BYTES_MAX / 2));
    assert!(compile(&[half.clone(), half.clone()]).is_err(), "names count too");
    assert!(compile(&[half]).is_ok());
    let many = "forbid(principal,action,resource);".repeat(POLICIES_MAX + 1);
    let told = problems(&many);
    assert_eq!(told.lines().count(), POLICY_PROBLEMS_MAX);
    let files = vec![text("a", ""); POLICIES_MAX + 1];
    assert!(compile(&files).is_err());
}

#[test]
fn one_policy_more_than_the_limit_is_refused() {
    let numbered = |n: usize| -> String {
        (0..n)
            .map(|at| {
                format!("@id(\"p{at}\") forbid(principal == Locum::Workload::\"{at}\",action,resource);\n")
            })
            .collect()
    };
    let told = problems(&numbered(POLICIES_MAX + 1));
    assert_eq!(
        told.trim_end(),
        format!("test.cedar:{}:1: more than {POLICIES_MAX} policies", POLICIES_MAX + 1)
    );
}

/// The deepest texts within the limits do not exhaust a small stack in any step, dropping included.
#[test]
fn bombs_are_refused_and_the_deepest_text_within_limits_is_safe() {
    let bomb = |n: usize| with_condition(&format!("{}true{}", "(".repeat(n), ")".repeat(n)));
    for n in [POLICY_NESTING_MAX, 1_000, 10_000, 100_000] {
        assert!(problems(&bomb(n)).contains("nest deeper"), "{n}");
    }
    let deep = POLICY_NESTING_MAX - 1;
    let long = POLICY_OPERATORS_MAX - 2;
    let nots = |n: usize| format!("{}context.proof{}", "!(".repeat(n), ")".repeat(n));
    let ifs = "if context.proof then context.proof else ";
    for condition in [
        format!("{}context.proof{}", "(".repeat(deep), ")".repeat(deep)),
        nots(deep),
        format!("context.proof{}", " || context.proof".repeat(long / 2)),
        format!("context.depth{} < 3", " + 1".repeat(long - 1)),
        format!("context.depth{} < 3", " * 1".repeat(long - 1)),
        format!("{}context.proof", ifs.repeat(long / 3 - 1)),
        format!("context.proof{}", "}when{context.proof".repeat(long / 2 - 1)),
        format!("{}context.proof{}", "[[[[".repeat(deep / 4), "]]]]".repeat(deep / 4)),
        format!(
            "{}{}{}",
            "(if true then (".repeat(deep / 2),
            "context.proof",
            ") else false)".repeat(deep / 2)
        ),
        format!("{}1{} == 1", "-(".repeat(deep), ")".repeat(deep)),
        format!("context{}", "[\"a\"]".repeat(long)),
        format!("principal{} == principal", ".owner".repeat(long)),
        format!("{}1{} == {{}}", "{a:".repeat(deep), "}".repeat(deep)),
    ] {
        let policy = with_condition(&condition);
        let small = std::thread::Builder::new().stack_size(1536 * 1024);
        let told = small.spawn(move || problems(&policy)).expect("a thread").join().expect("no overflow");
        assert!(!told.contains("operators in one policy") && !told.contains("nest deeper"), "{told}");
    }
}

#[test]
fn an_empty_set_compiles_and_a_debug_text_shows_no_policy() {
    let set = compile(&[]).expect("nothing is a set");
    assert!(set.is_empty() && set.ids().len() == 0);
    let set = compiled("@id(\"secret-plan\") forbid(principal, action, resource);");
    assert!(!format!("{set:?}").contains("secret-plan"));
    assert_eq!(set.ids().collect::<Vec<_>>(), ["secret-plan"]);
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&set);
}

fn fragments() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "@id(\"a\")",
        "@id(\"b\")",
        "@ttl_max(\"60s\")",
        "@x",
        "permit",
        "forbid",
        "(",
        ")",
        "principal",
        "action",
        "resource",
        ",",
        ";",
        "==",
        "in",
        "is",
        "has",
        "like",
        "when",
        "unless",
        "{",
        "}",
        "[",
        "]",
        "true",
        "!",
        "-",
        "1",
        "9223372036854775807",
        "+",
        "*",
        "&&",
        "||",
        "context",
        ".",
        "proof",
        "depth",
        "Locum::Tenant::\"acme\"",
        "?principal",
        "\"",
        "\\",
        "//",
        "\n",
        "if",
        "then",
        "else",
        "\"*a*a*\"",
        "é",
        "permit(principal,action,resource)",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_compile_panic_and_every_problem_is_one_bounded_line(policy in fragments(), file in ".{0,8}") {
        if let Err(problems) = compile(&[PolicyText { name: file, text: policy }]) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1);
                prop_assert!(problem.message.chars().count() <= POLICY_MESSAGE_CHARS_MAX + 1);
                prop_assert!(!problem.to_string().chars().any(char::is_control));
            }
        }
    }
}

/// Test threads have the smallest stack that a thread of the server may have.
#[test]
fn policies_on_both_sides_of_the_depth_that_is_taken_apart_compile_and_decide() {
    let registry = registry();
    for count in [1, 20, 28, 29, 30, 31, 32, 33, 64, 200] {
        let chain = vec!["context.proof"; count / 2 + 1].join(" || ");
        let deep = count.min(POLICY_NESTING_MAX - 1);
        let nested = format!("{}true{}", "(context.depth == 9 || ".repeat(deep), ")".repeat(deep));
        for condition in [format!("{chain} || true"), nested] {
            let set =
                compiled(&format!("@id(\"p\") permit(principal, action, resource) when {{ {condition} }};"));
            let wish = Wish::of(&registry, 1, &[("orders:read", &[])]);
            // Far down a chain the evaluator gives up, and that denies.
            let gave_up = |denial: Denial| count > 64 && denial.reason() == Reason::PolicyError;
            assert!(decide(&set, &registry, &wish.request()).map_or_else(gave_up, |_| true), "{condition}");
        }
    }
}
