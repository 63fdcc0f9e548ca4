//! `docs/reference/policy.md`, rendered from the schema, the annotations and the limits.
//!
//! The page is compared with what it is rendered from; write it again with
//! `cargo test -p locum-policy -- --ignored write_the_policy_page`.

use std::fmt::Write as _;

use locum_model::limits::{
    POLICIES_MAX, POLICY_BYTES_MAX, POLICY_NESTING_MAX, POLICY_OPERATORS_MAX, POLICY_STATEMENT_BYTES_MAX,
    TASK_DEPTH_MAX, TOKEN_TTL_MAX, TOKEN_TTL_MIN,
};

use crate::fixture::compiled;
use crate::{Ask, SCHEMA};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/policy.md");

/// Every annotation: whether a forbid may have it, a value, and what it says.
const ANNOTATIONS: [(&str, bool, &str, &str); 6] = [
    ("id", true, "refunds-1", "Required. How the policy is called in the record; unique in the set."),
    ("description", true, "One line.", "One line for people."),
    ("ttl_max", false, "30s", "The token lives no longer."),
    ("single_use", false, "true", "The token may be used once."),
    (
        "proof_of_possession",
        false,
        "required",
        "The token is bound to a key that the caller proved on the same request.",
    ),
    (
        "justification",
        false,
        "required",
        "The task was started with a justification. What it says is no input.",
    ),
];

fn page() -> String {
    let mut page = String::from(
        "# Policy\n\nPolicies are written in [Cedar](https://docs.cedarpolicy.com) 4, in `*.cedar` files of one directory. They are validated strictly \
         against the schema below and come into force all together or not at all. This page is rendered from the code and compared with it by a test; \
         how to write and test policies is told in [write policies](../operating/write-policies.md).\n\n\
         ## Decisions\n\n\
         Nothing is permitted that no policy permits. A request is permitted when each operation of its scope is: some permit applies, no forbid does, and \
         every policy whose scope matches can be evaluated. One that cannot denies (`POLICY_ERROR`), whatever else permits. What the permits demand is merged to the \
         strictest. A permit covers exactly what was asked for; nothing is narrowed.\n\n",
    );
    page.push_str("| action | asks |\n|---|---|\n");
    for ask in Ask::ALL {
        let asks = match ask {
            Ask::StartTask => "May a task with this intent exist? Refused with `INTENT_NOT_ALLOWED`.",
            Ask::IssueToken => "May a token of this scope be issued? Refused with `POLICY_DENIED`.",
            Ask::Authorize => {
                "May a presented token be used for this operation now? Refused with `POLICY_DENIED`."
            }
        };
        let _fits = writeln!(page, "| `Locum::Action::\"{}\"` | {asks} |", ask.as_str());
    }
    page.push_str("\n## Annotations\n\nAn annotation that is not in this table refuses the whole set.\n\n| annotation | on | says |\n|---|---|---|\n");
    for (name, on_forbid, value, says) in ANNOTATIONS {
        let on = if on_forbid { "every policy" } else { "permits" };
        let _fits = writeln!(page, "| `@{name}(\"{value}\")` | {on} | {says} |");
    }
    let bounds = [
        ("policies in one set", POLICIES_MAX.to_string()),
        ("bytes of all files", POLICY_BYTES_MAX.to_string()),
        ("bytes of one policy", POLICY_STATEMENT_BYTES_MAX.to_string()),
        ("brackets within brackets", POLICY_NESTING_MAX.to_string()),
        ("operators, member accesses and clauses of one policy", POLICY_OPERATORS_MAX.to_string()),
        ("`@ttl_max`", format!("{} s to {} s", TOKEN_TTL_MIN.as_secs(), TOKEN_TTL_MAX.as_secs())),
        ("tasks in a chain, so `context.depth` is below", TASK_DEPTH_MAX.to_string()),
    ];
    page.push_str("\n## Bounds\n\n| of | at most |\n|---|---|\n");
    for (of, most) in bounds {
        let _fits = writeln!(page, "| {of} | {most} |");
    }
    page.push_str(
        "\nA permit that leaves nobody and nothing out (no condition, and a scope without principal, action and resource) is refused, as is a policy that can never apply, \
         a template, and an invisible character anywhere.\n\n## Schema\n\n```text\n",
    );
    page.push_str(SCHEMA);
    page.push_str("```\n");
    page
}

#[test]
fn the_policy_page_says_what_the_code_says() {
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    let again = "run `cargo test -p locum-policy -- --ignored write_the_policy_page`";
    assert!(written == page(), "docs/reference/policy.md is out of date: {again}");
}

#[test]
#[ignore = "rewrites docs/reference/policy.md"]
fn write_the_policy_page() {
    std::fs::write(PAGE, page()).expect("docs/reference can be written");
}

#[test]
fn every_annotation_of_the_page_is_one_and_there_are_no_others() {
    let all: String =
        ANNOTATIONS.iter().map(|(name, _, value, _)| format!("@{name}(\"{value}\") ")).collect();
    let set = compiled(&format!("{all} permit(principal, action, resource) when {{ context.proof }};"));
    assert_eq!(set.len(), 1);
    for (name, on_forbid, value, _) in ANNOTATIONS.iter().filter(|(name, ..)| *name != "id") {
        let text = format!(
            "@id(\"a\") @{name}(\"{value}\") forbid(principal, action, resource) when {{ context.proof }};"
        );
        let texts = [crate::fixture::text("a", &text)];
        assert_eq!(crate::compile(&texts).is_ok(), *on_forbid, "{name}");
    }
    let told = crate::fixture::problems(
        "@id(\"a\") @other permit(principal, action, resource) when { context.proof };",
    );
    let known = told.split("known are").nth(1).expect("the known ones are told");
    assert_eq!(known.matches("`@").count(), ANNOTATIONS.len(), "{told}");
    assert!(ANNOTATIONS.iter().all(|(name, ..)| known.contains(&format!("`@{name}`"))), "{told}");
}
