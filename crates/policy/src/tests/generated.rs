//! Generated policies against a second, naive way to decide: plain Cedar over the whole set, with
//! the whole registry as entities (written as JSON, checked against the schema) and the action
//! hierarchy of the schema. Permits, forbids and failures have to be the same.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId,
    PolicySet as CedarSet, Request as CedarRequest, Response, Schema,
};
use locum_model::registry::{Connector, Workload};
use locum_model::scope::Operation;
use locum_model::{Grant, Obligations, Reason, Registry, Resources, Scope};
use proptest::prelude::*;

use crate::annotation::Terms;
use crate::candidates::Verdict;
use crate::case::{Asked, Case};
use crate::decide::{registered, tenant_of};
use crate::explain::judged;
use crate::fixture::{Wish, known, name, registry, scope_of};
use crate::parts::Parts;
use crate::set::Source;
use crate::vocabulary::{self, schema};
use crate::{Ask, Justification, PolicySet, Proof, RegistryEntities, Request, Subject, decide, explain};

// === the naive way ===

fn owner_json(registry: &Registry, number: locum_model::OwnerNo) -> String {
    let owner = registry.owner(number).expect("there");
    let tenant = &registry.tenant(owner.tenant).expect("there").name;
    format!("{{\"type\":\"Locum::Owner\",\"id\":\"{tenant}/{}\"}}", owner.name)
}

fn workload_json(registry: &Registry, workload: &Workload) -> String {
    let tenant = &registry.tenant(workload.tenant).expect("there").name;
    let (tenant_ref, owner) =
        (format!("{{\"type\":\"Locum::Tenant\",\"id\":\"{tenant}\"}}"), owner_json(registry, workload.owner));
    let model = workload.model.map(|number| registry.model(number).expect("there"));
    let model =
        model.map(|model| format!("{{\"type\":\"Locum::Model\",\"id\":\"{tenant}/{}\"}}", model.name));
    let (attribute, parent) = match model {
        Some(model) => (format!(",\"model\":{model}"), format!(",{model}")),
        None => (String::new(), String::new()),
    };
    format!(
        "{{\"uid\":{{\"type\":\"Locum::Workload\",\"id\":\"{}\"}},\"attrs\":{{\"name\":\"{}\",\"kind\":{{\"type\":\
         \"Locum::Kind\",\"id\":\"{}\"}},\"tenant\":{tenant_ref},\"owner\":{owner}{attribute}}},\"parents\":\
         [{tenant_ref},{owner}{parent}]}}",
        workload.number,
        workload.name,
        vocabulary::kind(workload.kind)
    )
}

fn connector_json(registry: &Registry, connector: &Connector) -> String {
    let tenant = &registry.tenant(connector.tenant).expect("there").name;
    let tenant_ref = format!("{{\"type\":\"Locum::Tenant\",\"id\":\"{tenant}\"}}");
    let owner = owner_json(registry, connector.owner);
    let tier = format!("{{\"type\":\"Locum::Tier\",\"id\":\"{}\"}}", vocabulary::tier(connector.tier));
    let uid = format!("{{\"type\":\"Locum::Connector\",\"id\":\"{tenant}/{}\"}}", connector.name);
    let mut all = format!(
        "{{\"uid\":{uid},\"attrs\":{{\"name\":\"{}\",\"tenant\":{tenant_ref},\"owner\":{owner},\"tier\":{tier},\
         \"check\":{{\"type\":\"Locum::Check\",\"id\":\"{}\"}},\"audience\":\"{}\"}},\"parents\":[{tenant_ref},{owner}]}}",
        connector.name,
        vocabulary::check(connector.check),
        connector.audience
    );
    for (action, its) in &connector.actions {
        all += &format!(
            ",{{\"uid\":{{\"type\":\"Locum::Operation\",\"id\":\"{tenant}/{}:{action}\"}},\"attrs\":{{\"connector\":{uid},\
             \"action\":\"{action}\",\"effect\":{{\"type\":\"Locum::Effect\",\"id\":\"{}\"}},\"tier\":{tier}}},\
             \"parents\":[{uid}]}}",
            connector.name,
            vocabulary::effect(its.effect)
        );
    }
    all
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(schema);
static KNOWN: LazyLock<RegistryEntities> = LazyLock::new(known);
static EVERYTHING: LazyLock<Entities> = LazyLock::new(|| everything(&registry()));

/// The whole registry and the actions, checked against the schema.
fn everything(registry: &Registry) -> Entities {
    let entries = registry.entries();
    let mut all = Vec::new();
    for tenant in entries.tenants.values() {
        let named = format!("{{\"type\":\"Locum::Tenant\",\"id\":\"{}\"}}", tenant.name);
        all.push(format!("{{\"uid\":{named},\"attrs\":{{\"name\":\"{}\"}},\"parents\":[]}}", tenant.name));
        for owner in entries.owners.values().filter(|owner| owner.tenant == tenant.number) {
            let uid = owner_json(registry, owner.number);
            let attributes = format!("{{\"name\":\"{}\",\"tenant\":{named}}}", owner.name);
            all.push(format!("{{\"uid\":{uid},\"attrs\":{attributes},\"parents\":[{named}]}}"));
        }
        for model in entries.models.values().filter(|model| model.tenant == tenant.number) {
            let owner = owner_json(registry, model.owner);
            let uid = format!("{{\"type\":\"Locum::Model\",\"id\":\"{}/{}\"}}", tenant.name, model.name);
            let attributes = format!("{{\"name\":\"{}\",\"tenant\":{named},\"owner\":{owner}}}", model.name);
            all.push(format!("{{\"uid\":{uid},\"attrs\":{attributes},\"parents\":[{named}]}}"));
        }
    }
    all.extend(entries.workloads.values().map(|workload| workload_json(registry, workload)));
    all.extend(entries.connectors.values().map(|connector| connector_json(registry, connector)));
    Entities::from_json_str(&format!("[{}]", all.join(",")), Some(&SCHEMA))
        .expect("it conforms to the schema")
}

fn entity(kind: &str, id: &str) -> EntityUid {
    format!("Locum::{kind}::\"{id}\"").parse().expect("an entity")
}

/// The request for one operation, checked against the schema.
fn put(registry: &Registry, wish: &Wish, operation: &Operation, resources: &Resources) -> CedarRequest {
    let connector = registry.connector_named(wish.workload.tenant, &operation.connector).expect("registered");
    let manifest = &connector.actions[&operation.action].resources;
    let (patterns, all): (Vec<_>, _) = match resources {
        Resources::All => (manifest.iter().map(|p| format!("\"{p}\"")).collect(), true),
        Resources::Only(patterns) => {
            let all = manifest.iter().all(|wanted| patterns.iter().any(|asked| wanted.is_within(asked)));
            (patterns.iter().map(|p| format!("\"{p}\"")).collect(), all)
        }
    };
    let exact = patterns.iter().all(|pattern| !pattern.contains('*'));
    let context = format!(
        "{{\"purpose\":\"{}\",\"resources\":[{}],\"resources_all\":{all},\"resources_exact\":{exact},\"depth\":{},\"justification\":{},\
         \"proof\":{},\"delegated\":{},\"weekday\":1,\"minute_of_day\":720}}",
        wish.purpose,
        patterns.join(","),
        wish.depth,
        wish.justification == Justification::Given,
        wish.proof == Proof::Proved,
        wish.subject == Subject::Other
    );
    let action = entity("Action", wish.ask.as_str());
    let context =
        Context::from_json_str(&context, Some((&SCHEMA, &action))).expect("it conforms to the schema");
    let principal = entity("Workload", &wish.workload.number.to_string());
    let resource = entity("Operation", &format!("{}/{operation}", wish.tenant));
    CedarRequest::new(principal, action, resource, context, Some(&SCHEMA)).expect("it conforms to the schema")
}

/// What all policies together say to one operation: ids, ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    permits: BTreeSet<String>,
    forbids: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl Told {
    /// What Cedar says over the whole set.
    fn of(response: &Response) -> Self {
        let mut told = Self::default();
        let satisfied = match response.decision() {
            Decision::Allow => &mut told.permits,
            Decision::Deny => &mut told.forbids,
        };
        satisfied.extend(response.diagnostics().reason().map(ToString::to_string));
        told.failed.extend(response.diagnostics().errors().map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        }));
        told
    }
}

fn naive(registry: &Registry, policies: &[(String, String)], wish: &Wish) -> Vec<Told> {
    let parsed =
        policies.iter().map(|(id, text)| Policy::parse(Some(PolicyId::new(id)), text).expect("it parses"));
    let set = CedarSet::from_policies(parsed).expect("ids are unique");
    let answer = |(operation, resources)| {
        let request = put(registry, wish, operation, resources);
        Told::of(&Authorizer::new().is_authorized(&request, &set, &EVERYTHING))
    };
    wish.scope.grants().map(answer).collect()
}

// === ours ===

fn ours(set: &PolicySet, request: &Request<'_>) -> Vec<Told> {
    let known = &*KNOWN;
    let tenant = tenant_of(known.registry(), request).expect("registered");
    let asked = |line| registered(known.registry(), tenant, line).expect("registered");
    let case = Case::of(known, request).expect("coherent");
    let told = |asked: Asked<'_>| {
        let answer = case.answer(set, &asked).expect("askable");
        let names = |numbers: &[_]| set.names(numbers).into_iter().collect();
        Told {
            permits: names(&answer.permits),
            forbids: names(&answer.forbids),
            failed: names(&answer.failed),
        }
    };
    request.scope.grants().map(asked).map(told).collect()
}

fn only(scope: &Scope, operation: &Operation) -> Scope {
    let (_, resources) = scope.grants().find(|(its, _)| *its == operation).expect("of the scope");
    Scope::of([Grant { operation: operation.clone(), resources: resources.clone() }]).expect("one")
}

fn set_of(policies: &[(String, String)]) -> PolicySet {
    let made = policies.iter().map(|(id, text)| {
        let policy = Policy::parse(Some(PolicyId::new(id)), text).expect("it parses");
        let source = Source { file: "t".into(), line: 1, text: (*text).to_string() };
        (policy, Terms { id: name(id), obligations: Obligations::default() }, source)
    });
    PolicySet::of(made.collect())
}

// === generators ===

fn policy() -> impl Strategy<Value = String> {
    let tenant = "in Locum::Tenant::\"acme\"";
    let principals = vec![
        "",
        "",
        tenant,
        "in Locum::Tenant::\"other\"",
        "== Locum::Workload::\"1\"",
        "== Locum::Workload::\"2\"",
        "in Locum::Workload::\"3\"",
        "in Locum::Owner::\"acme/payments\"",
        "in Locum::Owner::\"acme/platform\"",
        "in Locum::Model::\"acme/gpt\"",
        "is Locum::Workload",
        "is Locum::Tenant",
        "is Locum::Workload in Locum::Tenant::\"acme\"",
        "is Locum::Owner in Locum::Tenant::\"acme\"",
        "== Locum::Tenant::\"acme\"",
        "in Locum::Connector::\"acme/orders\"",
    ];
    let actions = vec![
        "",
        "",
        "== Locum::Action::\"issue_token\"",
        "== Locum::Action::\"start_task\"",
        "in Locum::Action::\"authorize\"",
        "in [Locum::Action::\"start_task\", Locum::Action::\"issue_token\"]",
        "in []",
        "== Locum::Action::\"other\"",
    ];
    let resources = vec![
        "",
        "",
        tenant,
        "in Locum::Connector::\"acme/orders\"",
        "in Locum::Connector::\"other/orders\"",
        "== Locum::Operation::\"acme/orders:read\"",
        "== Locum::Operation::\"acme/mail:send\"",
        "in Locum::Owner::\"acme/payments\"",
        "is Locum::Operation",
        "is Locum::Connector",
        "is Locum::Operation in Locum::Owner::\"acme/platform\"",
        "in Locum::Operation::\"acme/vault:rotate\"",
        "== Locum::Connector::\"acme/orders\"",
        "in Locum::Workload::\"1\"",
    ];
    let conditions = vec![
        "",
        "",
        "",
        "when { resource.effect == Locum::Effect::\"read\" }",
        "when { principal.owner == resource.connector.owner }",
        "unless { context.proof }",
        "when { context.depth + 9223372036854775807 > 0 }",
        "when { context.depth > 1 }",
        "when { context.depth > 1 && context.proof && resource.tier == Locum::Tier::\"high\" }",
        "when { context.depth > 1 || context.proof && resource.tier == Locum::Tier::\"high\" }",
        "when { context.proof } unless { context.depth > 2 || principal.owner == resource.connector.owner }",
        "unless { context.delegated && context.justification } when { if context.proof then context.delegated && true else false }",
        "unless { context.depth + 9223372036854775807 > 0 || context.proof }",
        "when { context.delegated } when { context.proof && (context.depth > 0 || context.justification) }",
        "when { principal.model.owner.name == \"platform\" }",
        "when { principal has model && principal.model.owner.tenant.name == \"acme\" }",
        "when { context.nothing }",
        "when { context.purpose }",
        "when { principal in resource.connector.owner }",
        "unless { resource.connector.tenant.name == principal.tenant.name }",
        "when { resource in principal.tenant }",
        "when { context.resources.contains(\"order/**\") || context.resources_all }",
        "when { action in Locum::Action::\"authorize\" }",
        "unless { Locum::Owner::\"acme/nobody\".name == \"x\" }",
        "when { resource.connector.owner.tenant == principal.tenant }",
    ];
    let pick = prop::sample::select::<&str>;
    let effect = prop::sample::select(vec!["permit", "permit", "forbid"]);
    (effect, pick(principals), pick(actions), pick(resources), pick(conditions)).prop_map(
        |(effect, principal, action, resource, condition)| {
            format!("{effect}(principal {principal}, action {action}, resource {resource}) {condition};")
        },
    )
}

fn policies() -> impl Strategy<Value = Vec<(String, String)>> {
    let numbered = |texts: Vec<String>| {
        texts.into_iter().enumerate().map(|(at, text)| (format!("p{at}"), text)).collect()
    };
    prop::collection::vec(policy(), 0..24).prop_map(numbered)
}

fn wish() -> impl Strategy<Value = Wish> {
    let acme: Vec<(&str, &[&str])> = vec![
        ("orders:read", &["order/1"]),
        ("orders:refund", &[]),
        ("orders:count", &[]),
        ("vault:read", &["secret/*"]),
        ("vault:rotate", &[]),
        ("mail:send", &[]),
    ];
    let other: Vec<(&str, &[&str])> =
        vec![("orders:read", &[]), ("orders:refund", &["order/1"]), ("orders:count", &[])];
    let scope = prop_oneof![
        (1..3_u32, prop::sample::subsequence(acme, 1..=4)),
        (Just(3_u32), prop::sample::subsequence(other, 1..=3)),
    ];
    (scope, prop::sample::select(Ask::ALL.to_vec()), 0..4_u32, any::<[bool; 3]>()).prop_map(
        |((number, scope), ask, depth, facts)| {
            let [justified, proved, delegated] = facts;
            Wish {
                ask,
                depth,
                justification: if justified { Justification::Given } else { Justification::Missing },
                proof: if proved { Proof::Proved } else { Proof::Unproved },
                subject: if delegated { Subject::Other } else { Subject::Workload },
                scope: scope_of(&scope),
                ..Wish::of(&registry(), number, &[("orders:read", &[])])
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn picked_candidates_answer_as_the_whole_set_does(policies in policies(), wish in wish()) {
        let registry = registry();
        let set = set_of(&policies);
        let answers = ours(&set, &wish.request());
        prop_assert_eq!(&answers, &naive(&registry, &policies, &wish));
        let decision = decide(&set, &KNOWN, &wish.request());
        let first_bad = answers.iter().find(|a| !a.failed.is_empty() || !a.forbids.is_empty() || a.permits.is_empty());
        match (decision, first_bad) {
            (Ok(permit), None) => {
                prop_assert_eq!(permit.scope(), &wish.scope);
                let ids: BTreeSet<_> = answers.iter().flat_map(|a| a.permits.clone()).collect();
                prop_assert_eq!(permit.policies().to_vec(), ids.into_iter().collect::<Vec<_>>());
            }
            (Err(denial), Some(bad)) => {
                prop_assert_eq!(denial.reason() == Reason::PolicyError, !bad.failed.is_empty());
                prop_assert!(denial.operation().is_some());
            }
            (decision, bad) => prop_assert!(false, "{decision:?} but {bad:?}"),
        }
    }

    /// The parts of a policy, one after the other, come to what Cedar says of the whole; and a permit that
    /// is told as near permits once the conditions that are told as missing are taken out of it.
    #[test]
    fn parts_are_the_whole_and_what_is_near_is_near(policies in policies(), wish in wish()) {
        let (set, request) = (set_of(&policies), wish.request());
        let tenant = tenant_of(KNOWN.registry(), &request).expect("registered");
        let case = Case::of(&KNOWN, &request).expect("coherent");
        for line in request.scope.grants() {
            let asked = registered(KNOWN.registry(), tenant, line).expect("registered");
            let mut pairs = Vec::new();
            case.ask(&asked, |question| for number in set.candidates.matching(question) {
                let conditions = Parts::of(&set.source(number).text).conditions;
                let verdicts = conditions.iter().map(|c| judged(&c.expression(), question));
                let parts = verdicts.into_iter().find(|v| *v != Verdict::Satisfied).unwrap_or(Verdict::Satisfied);
                pairs.push((set.source(number).text.clone(), parts, set.candidates.judge(number, question)));
            }).expect("askable");
            for (text, parts, whole) in pairs {
                prop_assert_eq!(parts, whole, "{}", text);
            }
        }
        for story in explain(&set, &KNOWN, &request).operations {
            for near in story.near {
                let (_, text) = policies.iter().find(|(id, _)| *id == near.policy).expect("of the set");
                let parts = Parts::of(text);
                let missing = |text: &String| near.conditions.iter().any(|c| c.text == *text);
                let held: Vec<_> = parts.conditions.iter().map(|c| c.expression()).filter(|c| !missing(c)).collect();
                let rest = if held.is_empty() { String::new() } else { format!("when {{ {} }}", held.join(" && ")) };
                let loosened = format!("permit({}) {rest};", parts.scope);
                let alone = set_of(&[("p".to_owned(), loosened)]);
                let one = Wish { scope: only(&wish.scope, &story.operation), ..wish.clone() };
                prop_assert!(decide(&alone, &KNOWN, &one.request()).is_ok(), "{}", text);
            }
        }
    }

    /// What passed validation can fail by overflow alone: the slice holds all that it can reach.
    #[test]
    fn a_validated_set_fails_by_overflow_alone(policies in policies(), wish in wish()) {
        let whole = |(id, text): &(String, String)| format!("@id(\"{id}\") {text}\n");
        let lines: String = policies.iter().map(whole).collect();
        let problems = crate::compile(&[crate::fixture::text("t", &lines)]).err().unwrap_or_default();
        let bad: BTreeSet<usize> = problems.iter().map(|problem| problem.line - 1).collect();
        let kept = policies.into_iter().enumerate().filter(|(at, _)| !bad.contains(at));
        let valid: Vec<_> = kept.map(|(_, policy)| policy).collect();
        let text: String = valid.iter().map(whole).collect();
        let set = crate::fixture::compiled(&text);
        prop_assert_eq!(set.len(), valid.len());
        let failed = match decide(&set, &KNOWN, &wish.request()) {
            Err(denial) if denial.reason() == Reason::PolicyError => denial.policies().to_vec(),
            _ => Vec::new(),
        };
        for id in failed {
            let text = valid.iter().find(|(its, _)| *its == id).map_or("", |(_, text)| text);
            prop_assert!(text.contains("9223372036854775807"), "{text}");
        }
    }
}
