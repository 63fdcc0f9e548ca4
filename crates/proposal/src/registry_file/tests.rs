//! The sample file, and every way to get one wrong.

use std::time::Duration;

use super::*;

const SAMPLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/registry/registry.toml"));

fn refusal(text: &str) -> String {
    parse(Path::new("r.toml"), text).expect_err(text).to_string()
}

#[test]
fn the_sample_reads() {
    let proposal = parse(Path::new("registry.toml"), SAMPLE).expect("the sample is right");
    assert_eq!(proposal.tenants.iter().map(Name::as_str).collect::<Vec<_>>(), ["acme"]);
    assert_eq!(proposal.models.len(), 1);
    let workloads: Vec<_> =
        proposal.workloads.iter().map(|w| (w.name.as_str(), w.identity.as_str())).collect();
    assert_eq!(
        workloads,
        [
            ("refunder", "spiffe://acme.test/agents/refunder"),
            ("orders-api", "spiffe://acme.test/services/orders-api"),
            ("mail-api", "spiffe://acme.test/services/mail-api"),
        ]
    );
    let orders = &proposal.connectors[0];
    assert_eq!((orders.name.as_str(), orders.ttl_max), ("orders", Duration::from_secs(120)));
    let effects: Vec<_> =
        orders.actions.iter().map(|(name, action)| (name.as_str(), action.effect)).collect();
    assert_eq!(effects, [("read", Effect::Read), ("refund", Effect::Send)]);
    let resources: Vec<_> = orders.actions.values().flat_map(|a| &a.resources).map(|r| r.as_str()).collect();
    assert_eq!(resources, ["order/*", "order/*"]);
}

#[test]
fn problems_name_file_line_and_key() {
    let table = [
        ("[[tenant]]\n", "r.toml:1: `tenant[0].name`: is missing"),
        ("[[tenant]]\nname = \"Acme\"\n", "r.toml:2: `tenant[0].name`: `Acme` is not a name"),
        ("[[tenant]]\nname = 1\n", "r.toml:2: "),
        ("[[tenant]]\nname = \"a\"\nextra = 1\n", "r.toml:3: unknown field `extra`"),
        ("[tenants]\n", "r.toml:1: unknown field `tenants`"),
        ("\nname = \n", "r.toml:2: "),
        ("[[model]]\ntenant = \"a\"\nname = \"m\"\n", "r.toml:1: `model[0].owner`: is missing"),
        (
            "[[workload]]\ntenant=\"a\"\nname=\"w\"\nidentity=\"spiffe://acme.test\"\nkind=\"plugin\"\nowner=\"o\"",
            "r.toml:4: `workload[0].identity`: the path must have segments",
        ),
        (
            "[[workload]]\ntenant=\"a\"\nname=\"w\"\nidentity=\"spiffe://a.b/c\"\nkind=\"bot\"\nowner=\"o\"",
            "r.toml:5: `workload[0].kind`: `bot` is none of `plugin`, `agent`, `service`, `gateway`",
        ),
        (
            "[[workload]]\ntenant=\"a\"\nname=\"w\"\nidentity=\"spiffe://a.b/c\"\nkind=\"agent\"\nowner=\"o\"\nserves=[\"ok\",\n\"No\"]",
            "r.toml:8: `workload[0].serves`: `No` is not a name",
        ),
    ];
    for (text, expected) in table {
        let said = refusal(text);
        assert!(said.contains(expected), "{text:?}\n  said: {said}\n  not:  {expected}");
    }
}

#[test]
fn connectors_are_read_strictly() {
    let good = [
        ("tenant", "\"acme\""),
        ("name", "\"orders\""),
        ("audience", "\"https://orders.acme.test\""),
        ("owner", "\"payments\""),
        ("tier", "\"high\""),
        ("check", "\"online\""),
        ("ttl_max", "\"60s\""),
        ("staleness_bound", "\"500ms\""),
    ];
    let written = |wrong: Option<(&str, &str)>| {
        let mut text = String::from("[[connector]]\n");
        for (key, value) in good {
            let value = wrong.filter(|(k, _)| *k == key).map_or(value, |(_, value)| value);
            if !value.is_empty() {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text + "[connector.actions.read]\neffect = \"read\"\n"
    };
    let bound =
        |text: &str| parse(Path::new("r.toml"), text).expect("right").connectors.remove(0).staleness_bound;
    assert_eq!(bound(&written(None)), Duration::from_millis(500));
    assert_eq!(bound(&written(Some(("staleness_bound", "")))), STALENESS_BOUND_DEFAULT);
    let table = [
        ("owner", "", "`connector[0].owner`: is missing"),
        ("audience", "\"with space\"", "visible ASCII"),
        ("audience", "\"\"", "visible ASCII"),
        ("tier", "\"huge\"", "none of `low`, `medium`, `high`"),
        ("check", "\"never\"", "none of `online`, `feed`, `jwks`"),
        ("ttl_max", "\"-1s\"", "not a duration"),
        ("ttl_max", "\"1e9d\"", "not a duration"),
        ("ttl_max", "\"16m\"", "between 1 s and 900 s"),
        ("ttl_max", "\"0s\"", "between 1 s and 900 s"),
        ("ttl_max", "60", "r.toml:8: "),
        ("staleness_bound", "\"499ms\"", "between 500 ms and 600 s"),
        ("staleness_bound", "\"601s\"", "between 500 ms and 600 s"),
        ("staleness_bound", "\"-2s\"", "not a duration"),
        ("staleness_bound", "2", "r.toml:9: "),
    ];
    for (key, value, expected) in table {
        let said = refusal(&written(Some((key, value))));
        assert!(said.contains(expected), "{key} = {value}: {said}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let said = refusal("[[tenant]]\nname = \"A\"\n[[model]]\ntenant = \"B\"\n[[connector]]\nname = \"C\"\n");
    for key in
        ["tenant[0].name", "model[0].tenant", "model[0].owner", "connector[0].name", "connector[0].actions"]
    {
        assert!(said.contains(key), "{key} in\n{said}");
    }
}

#[test]
fn actions_need_names_effects_and_resources_of_the_right_shape() {
    let with = |action: &str| {
        format!(
            "[[connector]]\ntenant=\"a\"\nname=\"c\"\naudience=\"u\"\nowner=\"o\"\ntier=\"low\"\ncheck=\"feed\"\nttl_max=\"60s\"\n{action}"
        )
    };
    let table = [
        ("", "`connector[0].actions`: 1 to 256"),
        ("[connector.actions.Read]\neffect=\"read\"\n", "`Read` is not a name"),
        ("[connector.actions.read]\n", "`connector[0].actions.read.effect`: is missing"),
        ("[connector.actions.read]\neffect=\"delete\"\n", "`delete` is none of"),
        ("[connector.actions.read]\neffect=\"read\"\nresources=[\"a//b\"]\n", "is not a resource"),
        ("[connector.actions.read]\neffect=\"read\"\nresource=[\"a\"]\n", "unknown field `resource`"),
    ];
    for (action, expected) in table {
        let said = refusal(&with(action));
        assert!(said.contains(expected), "{action}: {said}");
    }
}
