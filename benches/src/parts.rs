//! What `IssueToken` cannot do without, each by itself: one decision, one signature, one `fdatasync`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use locum_model::event::{By, KeyMoved, KeyPurpose, PolicyText};
use locum_model::evidence::WorldPin;
use locum_model::registry::{
    Action, Algorithm, Check, Connector, Effect, Entries, Owner, Registry, Tenant, Tier, Workload,
    WorkloadKind,
};
use locum_model::{
    ConnectorNo, Event, IssueRecord, Live, OwnerNo, PolicyRevision, Position, RegistryRevision, TaskId,
    TenantNo, WorkloadNo,
};
use locum_policy::{Ask, Justification, Proof, RegistryEntities, Request, Subject};
use locum_token::{Draft, KeyRing, KeyStore as _, MemoryKeyStore};

/// The issuer of the tokens here.
const ISSUER: &str = "https://locum.acme.test";

use crate::{ISSUED, jti, nanos, record, timed};

/// One ES256 signature of one of our tokens, serialising included, in nanoseconds.
pub fn signature() -> f64 {
    let mut sign = signing();
    nanos(500, |_| sign())
}

/// What signs one of our tokens, ready to be called.
///
/// # Panics
///
/// When the system gives no randomness.
pub fn signing() -> impl FnMut() {
    let (ring, live) = signer();
    move || {
        black_box(locum_token::sign(&ring, ISSUER, black_box(&live))).expect("signed");
    }
}

/// What writes the claims of one of our tokens before its record is committed, ready to be called.
///
/// # Panics
///
/// When the system gives no randomness.
pub fn drafting() -> impl FnMut() {
    let (_ring, live) = signer();
    move || {
        black_box(Draft::of(ISSUER, black_box(live.shared()))).expect("it fits");
    }
}

/// What verifies one of our tokens by its signature, ready to be called.
///
/// # Panics
///
/// When the system gives no randomness.
pub fn verifying() -> impl FnMut() {
    let (ring, live) = signer();
    let token = locum_token::sign(&ring, ISSUER, &live).expect("signed");
    let now = ISSUED.plus(Duration::from_secs(1));
    move || {
        black_box(locum_token::verify(&ring, ISSUER, black_box(token.compact()), now)).expect("verified");
    }
}

/// What reads the claims of a token that the table has recognised, ready to be called.
///
/// # Panics
///
/// When the system gives no randomness.
pub fn reading() -> impl FnMut() {
    let (ring, live) = signer();
    let token = locum_token::sign(&ring, ISSUER, &live).expect("signed");
    move || {
        black_box(locum_token::Recognised::read(black_box(token.compact()))).expect("read");
    }
}

fn signer() -> (KeyRing, Live<IssueRecord>) {
    let store = MemoryKeyStore::default();
    let (published, private) =
        locum_token::generate(Algorithm::Es256, KeyPurpose::Token, By::Broker, ISSUED).expect("a key");
    store.save(&published.kid, &private).expect("stored");
    let (kid, mut ring) = (published.kid, KeyRing::default());
    ring.apply(&Event::KeyPublished(published), &store).expect("published");
    ring.apply(&Event::KeyActivated(KeyMoved { kid, by: By::Broker, at: ISSUED }), &store).expect("active");
    let mut allowed = record(jti(1), TaskId::new(1, 1));
    allowed.kid = kid;
    (ring, Live::assertion(allowed))
}

/// One decision over the policies of the benches' installation, in nanoseconds.
pub fn decision() -> f64 {
    let mut decide = deciding();
    nanos(1_000, |_| decide())
}

/// What decides over them, ready to be called.
///
/// # Panics
///
/// When the policies do not compile.
pub fn deciding() -> impl FnMut() {
    let text = PolicyText { name: "all.cedar".to_owned(), text: policies(10) };
    let policies = locum_policy::compile(&[text]).expect("they compile");
    let known = RegistryEntities::of(Arc::new(registry()));
    let owner = "support".parse().expect("plain");
    let purpose = "refund-order".parse().expect("plain");
    let scope = record(jti(1), TaskId::new(1, 1)).scope;
    let position = Position { home: 1, epoch: 1, sequence: 1 };
    let world = WorldPin { position, policy: PolicyRevision(1), registry: RegistryRevision(1) };
    move || {
        let registry = known.registry();
        let request = Request {
            ask: Ask::IssueToken,
            tenant: &registry.tenant(TenantNo(1)).expect("there").name,
            workload: registry.workload(WorkloadNo(1)).expect("there"),
            owner: &owner,
            model: None,
            purpose: &purpose,
            scope: &scope,
            depth: 0,
            justification: Justification::Missing,
            proof: Proof::Proved,
            subject: Subject::Workload,
            now: ISSUED,
            world,
        };
        black_box(locum_policy::decide(&policies, &known, black_box(&request))).expect("permitted");
    }
}

/// Durations of one write of a record's size and one `fdatasync` each, into a file that has its size
/// already.
///
/// # Panics
///
/// When the disk does not take it.
pub fn bare_syncs(dir: &Path, times: usize) -> Vec<Duration> {
    let mut file = File::create(dir.join("bare")).expect("a file");
    file.write_all(&vec![0; 4 << 20]).and_then(|()| file.sync_all()).expect("written");
    (0..times as u64)
        .map(|n| {
            let write = || {
                file.seek(SeekFrom::Start(n % 8_000 * 512)).expect("sought");
                file.write_all(&[1; 400]).and_then(|()| file.sync_data()).expect("synced");
            };
            timed(write).1
        })
        .collect()
}

fn registry() -> Registry {
    let name = |text: &str| text.parse().expect("plain");
    let (tenant, owner) = (TenantNo(1), OwnerNo(1));
    let mut entries = Entries { revision: RegistryRevision(1), ..Entries::default() };
    entries.tenants.insert(tenant, Tenant { number: tenant, name: name("acme") });
    entries.owners.insert(owner, Owner { number: owner, tenant, name: name("support") });
    let workload = Workload {
        number: WorkloadNo(1),
        tenant,
        name: name("agent-0"),
        identity: "spiffe://acme.test/agents/agent-0".parse().expect("plain"),
        kind: WorkloadKind::Plugin,
        owner,
        model: None,
        serves: [].into(),
    };
    entries.workloads.insert(workload.number, workload);
    let action = Action { effect: Effect::Read, resources: Vec::new().into_iter().collect() };
    let connector = Connector {
        number: ConnectorNo(1),
        tenant,
        name: name("orders"),
        audience: "https://orders.acme.test".to_owned(),
        owner,
        tier: Tier::Low,
        check: Check::Feed,
        algorithm: Algorithm::Es256,
        ttl_max: Duration::from_secs(900),
        staleness_bound: Duration::from_secs(2),
        actions: BTreeMap::from([(name("read"), action)]),
    };
    entries.connectors.insert(connector.number, connector);
    Registry::of(entries)
}

/// One policy that lets the plugins read orders, among others that are looked at and do not apply.
pub(crate) fn policies(count: usize) -> String {
    let mut text = String::from(
        "@id(\"read-orders\")\npermit (\n  principal in Locum::Tenant::\"acme\",\n  action,\n  \
         resource in Locum::Tenant::\"acme\"\n) when {\n  resource.effect == Locum::Effect::\"read\"\n};\n",
    );
    for n in 1..count {
        write!(
            text,
            "\n@id(\"other-{n}\")\npermit (\n  principal in Locum::Tenant::\"acme\",\n  action,\n  \
             resource in Locum::Tenant::\"acme\"\n) when {{\n  context.purpose == \"purpose-{n}\"\n}};\n"
        )
        .expect("a string grows");
    }
    text
}
