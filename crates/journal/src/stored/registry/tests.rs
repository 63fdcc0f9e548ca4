//! Round trips of registries.

use std::time::Duration;

use locum_model::Name;
use proptest::prelude::*;

use super::super::by::tests::any_by;
use super::super::key::tests::{any_algorithm, any_time};
use super::super::scope::tests::{any_name, any_patterns};
use super::super::selector::tests::{any_spiffe_pattern, any_target};
use super::super::tests::check_round_trip;
use super::*;

fn by_number<T: std::fmt::Debug, K: Ord + std::fmt::Debug>(
    entry: impl Strategy<Value = T>,
    number: fn(&T) -> K,
) -> impl Strategy<Value = BTreeMap<K, T>> {
    prop::collection::vec(entry, 0..4)
        .prop_map(move |entries| entries.into_iter().map(|entry| (number(&entry), entry)).collect())
}

fn any_tenant() -> impl Strategy<Value = Tenant> {
    (any::<u32>(), any_name()).prop_map(|(number, name)| Tenant { number: TenantNo(number), name })
}

fn any_owner() -> impl Strategy<Value = Owner> {
    (any::<u32>(), any::<u32>(), any_name()).prop_map(|(number, tenant, name)| Owner {
        number: OwnerNo(number),
        tenant: TenantNo(tenant),
        name,
    })
}

fn any_model() -> impl Strategy<Value = Model> {
    (any::<(u32, u32, u32)>(), any_name()).prop_map(|(numbers, name)| Model {
        number: ModelNo(numbers.0),
        tenant: TenantNo(numbers.1),
        name,
        owner: OwnerNo(numbers.2),
    })
}

fn any_workload() -> impl Strategy<Value = Workload> {
    let kind = prop_oneof![
        Just(WorkloadKind::Plugin),
        Just(WorkloadKind::Agent),
        Just(WorkloadKind::Service),
        Just(WorkloadKind::Gateway),
    ];
    let serves = prop::collection::btree_set(any::<u32>().prop_map(ConnectorNo), 0..4);
    let model = prop::option::of(any::<u32>().prop_map(ModelNo));
    (any::<(u32, u32, u32)>(), any_name(), any_spiffe_pattern(), kind, model, serves).prop_map(
        |(numbers, name, identity, kind, model, serves)| Workload {
            number: WorkloadNo(numbers.0),
            tenant: TenantNo(numbers.1),
            name,
            identity,
            kind,
            owner: OwnerNo(numbers.2),
            model,
            serves,
        },
    )
}

fn any_actions() -> impl Strategy<Value = BTreeMap<Name, Action>> {
    let effect =
        prop_oneof![Just(Effect::Read), Just(Effect::Write), Just(Effect::Send), Just(Effect::Admin)];
    let action = (effect, any_patterns()).prop_map(|(effect, resources)| Action { effect, resources });
    prop::collection::btree_map(any_name(), action, 0..4)
}

fn any_connector() -> impl Strategy<Value = Connector> {
    let tier = prop_oneof![Just(Tier::Low), Just(Tier::Medium), Just(Tier::High)];
    let check = prop_oneof![Just(Check::Online), Just(Check::Feed), Just(Check::Jwks)];
    let kinds = (tier, check, any_algorithm());
    (any::<(u32, u32, u32)>(), any_name(), any::<String>(), kinds, any::<[Duration; 2]>(), any_actions())
        .prop_map(
            |(numbers, name, audience, (tier, check, algorithm), [ttl_max, staleness_bound], actions)| {
                Connector {
                    number: ConnectorNo(numbers.0),
                    tenant: TenantNo(numbers.1),
                    name,
                    audience,
                    owner: OwnerNo(numbers.2),
                    tier,
                    check,
                    algorithm,
                    ttl_max,
                    staleness_bound,
                    actions,
                }
            },
        )
}

fn any_entries() -> impl Strategy<Value = Entries> {
    let last = any::<(u32, u32, u32, u32, u32)>().prop_map(|last| LastNumbers {
        tenant: last.0,
        owner: last.1,
        model: last.2,
        workload: last.3,
        connector: last.4,
    });
    (
        any::<u32>(),
        last,
        by_number(any_tenant(), |entry| entry.number),
        by_number(any_owner(), |entry| entry.number),
        by_number(any_model(), |entry| entry.number),
        by_number(any_workload(), |entry| entry.number),
        by_number(any_connector(), |entry| entry.number),
    )
        .prop_map(|(revision, last, tenants, owners, models, workloads, connectors)| Entries {
            revision: RegistryRevision(revision),
            last,
            tenants,
            owners,
            models,
            workloads,
            connectors,
        })
}

pub(crate) fn any_activated() -> impl Strategy<Value = RegistryActivated> {
    let removed = prop::collection::vec(any_target(), 0..4);
    (any_entries(), any::<[u8; 32]>(), removed, any_by(), any_time())
        .prop_map(|(entries, digest, removed, by, at)| RegistryActivated { entries, digest, removed, by, at })
}

proptest! {
    #[test]
    fn survives(event in any_activated()) {
        check_round_trip(&event);
    }

    #[test]
    fn an_entry_that_stands_twice_is_refused(entries in any_entries(), workload in any_workload()) {
        let mut form = entries.to_form();
        form.workloads = vec![workload.to_form(), workload.to_form()];
        prop_assert_eq!(Entries::from_form(form), Err(DecodeError::Repeated("entries.workloads")));
    }

    #[test]
    fn an_unknown_kind_is_refused(workload in any_workload(), kind in any::<i32>()) {
        let mut form = workload.to_form();
        form.kind = kind;
        prop_assert_eq!(Workload::from_form(form).is_ok(), (1..=4).contains(&kind));
    }

    #[test]
    fn an_unknown_check_is_refused(connector in any_connector(), check in any::<i32>()) {
        let mut form = connector.to_form();
        form.check = check;
        prop_assert_eq!(Connector::from_form(form).is_ok(), (1..=3).contains(&check));
    }
}
