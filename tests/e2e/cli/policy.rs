//! What a broker recorded, replayed and explained from its record alone.

use super::{Desk, OPERATOR, REFUNDER, text};

#[tokio::test]
async fn recorded_decisions_are_replayed_and_explained() {
    let mut desk = Desk::new().await;
    let (task, _tokens) = desk.busy(REFUNDER, 1);
    let denied = desk.run(REFUNDER, &["task", "start", "mischief", "--scope", "orders:refund=order/7"]);
    assert_eq!(denied.status.code(), Some(4), "{}", text(&denied.stderr));
    // Denials are summed up for a while; an orderly end writes them down.
    desk.daemon.terminate().await;
    desk.daemon.up().await;

    let site = &desk.daemon.site;
    let path = |name: &str| site.path(name).to_string_lossy().into_owned();
    let (policies, registry) = (path("policies"), path("registry.toml"));
    let same = desk.says(OPERATOR, &["policy", "simulate", &policies, "--registry", &registry]);
    assert_eq!(same, "3 decisions replayed, 0 come out otherwise, 0 left out");

    // An export tells the same as the broker does.
    let exported = desk.site_file("record.jsonl", &desk.says(OPERATOR, &["audit", "export"]));
    let replay = ["policy", "simulate", &policies, "--registry", &registry, "--record", &exported];
    assert_eq!(desk.says(OPERATOR, &replay), same);

    // Whoever asked for mischief may, and nobody else.
    std::fs::create_dir(site.path("proposed")).expect("made");
    site.put(
        "proposed/all.cedar",
        &site.text("policies/all.cedar").replace("!= \"mischief\"", "== \"mischief\""),
    );
    let simulate = ["policy", "simulate", &path("proposed"), "--registry", &registry];
    let flips = desk.document(OPERATOR, &simulate)["simulation"].clone();
    assert_eq!((flips["decisions"].as_u64(), flips["left_out"].as_u64()), (Some(3), Some(0)));
    let told: Vec<_> = flips["flips"].as_array().expect("a list").iter().collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    let denial = told.iter().find(|flip| flip["was"]["permitted"] == false).expect("there");
    assert_eq!(denial["was"]["reason"], "INTENT_NOT_ALLOWED");
    assert_eq!(denial["now"]["decision"]["policies"], serde_json::json!(["acme-works"]));

    let position = denial["position"].as_str().expect("a position");
    let explain = |what| ["policy", "explain", what, "--policies", &policies, "--registry", &registry];
    let why = desk.says(OPERATOR, &explain(position));
    for part in [
        "start_task by `acme/refunder` for `mischief`: orders:refund=order/7",
        "recorded: denied, INTENT_NOT_ALLOWED",
        "permit `acme-works` would apply, had this been so:",
        "context.purpose != \"mischief\"   [context.purpose is \"mischief\"]",
    ] {
        assert!(why.contains(part), "no {part:?} in\n{why}");
    }
    assert!(desk.says(OPERATOR, &explain(&task)).contains("now: permitted by acme-works"));
}
