//! A backend that checks offline, as its owner would set it up: files, a pin, the feed.

use std::time::Duration;

use locum_api::admin::v1::ListKeysRequest;
use locum_model::KeyId;
use locum_sdk::{Options, Verifier, VerifierOptions};

use crate::{Daemon, Relay};

/// The issuer of every site.
pub const ISSUER: &str = "https://locum.acme.test";

/// The thumbprint of the keyset root, as operators see it.
///
/// # Panics
///
/// When the daemon has none.
pub async fn root_of(daemon: &Daemon) -> KeyId {
    let keys = daemon.operator("viewer").control().list_keys(ListKeysRequest {}).await.expect("listed");
    let roots = keys.into_inner().keys.into_iter().filter(|key| key.purpose == "keyset-root");
    let root = roots.into_iter().find(|key| key.state == "active").expect("a root");
    locum_jose::base64url::parse_kid(&root.kid).expect("a thumbprint")
}

/// How the SDK reaches a broker at `addr` as `spiffe://acme.test/<path>`.
pub fn options(daemon: &Daemon, path: &str, addr: &str) -> Options {
    let identity = daemon.site.authority.workload(&format!("spiffe://acme.test/{path}"));
    let name = path.replace('/', "-");
    let key: String = identity.key_pem.lines().filter(|line| !line.starts_with('-')).collect();
    daemon.secret(key);
    let ca = daemon.site.put("backend-ca.pem", &daemon.site.authority.pem());
    let cert = daemon.site.put(&format!("{name}.pem"), &identity.cert_pem);
    let key = daemon.site.put(&format!("{name}.key"), &identity.key_pem);
    Options::new(addr, ca).certificate(cert, key)
}

/// What a verifier of `orders` is pinned to, over this wire.
pub async fn orders(daemon: &Daemon, relay: &Relay) -> VerifierOptions {
    VerifierOptions {
        connector: "orders".to_owned(),
        audience: "https://orders.acme.test".to_owned(),
        issuer: ISSUER.to_owned(),
        root: root_of(daemon).await,
        brokers: vec![options(daemon, "services/orders-api", &relay.addr())],
        version: "orders-api/1".to_owned(),
    }
}

/// A verifier that is ready.
///
/// # Panics
///
/// When it does not get there.
pub async fn ready(options: VerifierOptions) -> Verifier {
    let verifier = Verifier::start(options).expect("good options");
    verifier.ready(Duration::from_secs(20)).await.expect("the feed is heard");
    verifier
}
