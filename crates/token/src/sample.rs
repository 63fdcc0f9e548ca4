//! Records, rings and tokens for the tests of this crate.

use locum_jose::base64url;
use locum_model::event::{By, KeyMoved, KeyPurpose};
use locum_model::registry::Algorithm;
use locum_model::standing::Actor;
use locum_model::{
    Confirmation, ConnectorNo, Event, Grant, IssueRecord, KeyId, Live, ModelNo, OwnerNo, PolicyRevision,
    Position, RegistryRevision, Resources, Scope, Standing, TaskId, TenantNo, Timestamp, TokenId, WorkloadNo,
};
use proptest::prelude::*;

use crate::key_store::{KeyStore, MemoryKeyStore};
use crate::{KeyRing, RingKey, generate, sign, subject_key};

pub(crate) const ISSUER: &str = "https://locum.test";
pub(crate) const ISSUED_AT: Timestamp = Timestamp::from_seconds(1_795_305_279);
pub(crate) const EXPIRES_AT: Timestamp = Timestamp::from_seconds(1_795_305_399);

/// A ring with one active token key of each algorithm.
pub(crate) fn ring() -> KeyRing {
    let (mut ring, store) = (KeyRing::default(), MemoryKeyStore::default());
    for algorithm in [Algorithm::Es256, Algorithm::Ed25519] {
        let kid = publish(&mut ring, &store, KeyPurpose::Token, algorithm);
        ring.apply(&Event::KeyActivated(moved(kid)), &store).expect("just published");
    }
    ring
}

/// Adds a published key whose private half is in `store`.
pub(crate) fn publish(
    ring: &mut KeyRing,
    store: &MemoryKeyStore,
    purpose: KeyPurpose,
    algorithm: Algorithm,
) -> KeyId {
    let (event, pkcs8) = generate(algorithm, purpose, By::Broker, ISSUED_AT).expect("entropy");
    let kid = event.kid;
    store.save(&kid, &pkcs8).expect("memory");
    ring.apply(&Event::KeyPublished(event), store).expect("new");
    kid
}

pub(crate) fn moved(kid: KeyId) -> KeyMoved {
    KeyMoved { kid, by: By::Broker, at: ISSUED_AT }
}

pub(crate) fn signer(ring: &KeyRing, algorithm: Algorithm) -> &RingKey {
    ring.signer(KeyPurpose::Token, algorithm).expect("an active key")
}

/// A plain record, to be signed with `kid`.
pub(crate) fn record(kid: KeyId) -> IssueRecord {
    IssueRecord {
        jti: TokenId([0x5a; 16]),
        tasks: vec![TaskId::new(1, 42)],
        standing: Standing {
            actors: vec![Actor { workload: WorkloadNo(7), owner: OwnerNo(3), model: Some(ModelNo(2)) }],
            tenant: TenantNo(1),
            connector: ConnectorNo(4),
            connector_owner: OwnerNo(5),
            policy_revision: PolicyRevision(6),
        },
        subject: "spiffe://acme.test/agents/refunder".to_owned(),
        subject_key: subject_key(TenantNo(1), "spiffe://acme.test/agents/refunder"),
        client_id: "spiffe://acme.test/agents/refunder".parse().expect("good"),
        audience: "https://orders.acme.test".to_owned(),
        scope: scope(&[("orders:read", &[])]),
        at: ISSUED_AT,
        issued_at: ISSUED_AT,
        not_before: Timestamp::from_seconds(ISSUED_AT.as_seconds() - 5),
        expires_at: EXPIRES_AT,
        uses_max: None,
        confirmation: None,
        kid,
        decided_at: Position { home: 1, epoch: 2, sequence: 345_678 },
        registry_revision: RegistryRevision(1),
        policies: vec!["refunds".to_owned()],
        request: None,
    }
}

pub(crate) fn scope(lines: &[(&str, &[&str])]) -> Scope {
    let grant = |(operation, resources): &(&str, &[&str])| Grant {
        operation: operation.parse().expect("a good operation"),
        resources: Resources::of(resources.iter().map(|r| r.parse().expect("good"))).expect("few"),
    };
    Scope::of(lines.iter().map(grant)).expect("a good scope")
}

pub(crate) fn token(ring: &KeyRing, record: &IssueRecord) -> String {
    sign(ring, ISSUER, &Live::assertion(record.clone())).expect("it fits").compact().to_owned()
}

/// A compact token of any header and payload, well signed by `key`.
pub(crate) fn forged(key: &RingKey, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", base64url::encode(header), base64url::encode(payload));
    let signature = key.sign(input.as_bytes()).expect("it can sign");
    format!("{input}.{}", base64url::encode(signature))
}

/// The JSON of a part of a token.
pub(crate) fn part(compact: &str, at: usize) -> String {
    let bytes = base64url::decode(compact.split('.').nth(at).expect("three parts")).expect("canonical");
    String::from_utf8(bytes).expect("JSON")
}

fn any_scope() -> impl Strategy<Value = Scope> {
    let resource = prop_oneof![Just("order/1"), Just("order/*"), Just("invoice/**"), Just("a.b~c@d:e")];
    let resources = prop::collection::btree_set(resource, 0..3);
    prop::collection::btree_map(("[a-c]{1,2}", "[a-c]{1,2}"), resources, 1..5).prop_map(|lines| {
        let grants = lines.into_iter().map(|((connector, action), resources)| Grant {
            operation: format!("{connector}:{action}").parse().expect("good"),
            resources: Resources::of(resources.into_iter().map(|r| r.parse().expect("good"))).expect("few"),
        });
        Scope::of(grants).expect("few, no repeats")
    })
}

fn any_confirmation() -> impl Strategy<Value = Option<Confirmation>> {
    prop::option::of(prop_oneof![
        any::<[u8; 32]>().prop_map(Confirmation::Certificate),
        any::<[u8; 32]>().prop_map(Confirmation::Key),
    ])
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let actor = any::<(u32, u32, Option<u32>)>().prop_map(|(workload, owner, model)| Actor {
        workload: WorkloadNo(workload),
        owner: OwnerNo(owner),
        model: model.map(ModelNo),
    });
    let actors = prop::collection::vec(actor, 1..=3);
    (actors, any::<(u32, u32, u32, u32)>()).prop_map(|(actors, numbers)| Standing {
        actors,
        tenant: TenantNo(numbers.0),
        connector: ConnectorNo(numbers.1),
        connector_owner: OwnerNo(numbers.2),
        policy_revision: PolicyRevision(numbers.3),
    })
}

/// Any record that can be signed, but for its `kid`.
pub(crate) fn any_record() -> impl Strategy<Value = IssueRecord> {
    let position = (any::<u16>(), any::<u32>(), 0_u64..1 << 48);
    let position = position.prop_map(|(home, epoch, sequence)| Position { home, epoch, sequence });
    let tasks = prop::collection::vec(any::<u64>().prop_map(TaskId::from_u64), 1..=8);
    let times = (10_i64..253_402_300_799 - 900, 0_i64..=5, 1_i64..=900);
    let who = ("\\PC{1,20}|[\\x00-\\x7f]{1,10}", "spiffe://[a-z.]{1,9}/[a-zA-Z0-9_-]{1,9}", "\\PC{1,20}");
    let what = (any_scope(), any_confirmation(), prop::option::of(1_u32..4));
    (any::<[u8; 16]>(), any_standing(), position, tasks, times, who, what).prop_map(
        |(jti, standing, decided_at, tasks, (iat, back, life), (subject, client_id, audience), what)| {
            IssueRecord {
                jti: TokenId(jti),
                subject_key: subject_key(standing.tenant, &subject),
                standing,
                decided_at,
                tasks,
                subject,
                client_id: client_id.parse().expect("good"),
                audience,
                scope: what.0,
                confirmation: what.1,
                uses_max: what.2,
                at: Timestamp::from_seconds(iat),
                issued_at: Timestamp::from_seconds(iat),
                not_before: Timestamp::from_seconds(iat - back),
                expires_at: Timestamp::from_seconds(iat + life),
                ..record(KeyId([0; 32]))
            }
        },
    )
}
