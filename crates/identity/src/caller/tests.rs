//! Certificate and bearer, together and alone.

use locum_jose::provider;
use locum_model::registry::Algorithm;
use locum_model::{Reason, Timestamp};
use serde_json::json;

use super::caller;
use crate::authority::{
    AUDIENCE, Authority, NOW, REFUNDER, Signer, domain, logins, reason, set_time, trust, workloads,
};
use crate::{Peer, Trust, peer};

const PEOPLE: &str = "https://people.acme.test";
const CI: &str = "https://ci.acme.test";

struct World {
    root: Authority,
    svids: Signer,
    people: Signer,
    ci: Signer,
    trust: Trust,
}

fn world() -> World {
    provider::install().expect("ours alone");
    let root = Authority::root("acme root");
    let [svids, people, ci] = ["svids", "people", "ci"].map(|kid| Signer::new(Algorithm::Es256, kid));
    let mut options = domain("acme.test", &root);
    options.jwt_keys = Some(svids.jwks("jwt-svid"));
    let issuers = vec![logins(PEOPLE, &people), workloads(CI, &ci, "spiffe://ci.acme.test/{job}")];
    let trust = trust(vec![options], issuers);
    World { root, svids, people, ci, trust }
}

impl World {
    fn peer(&self, id: &str) -> Peer {
        peer(&self.trust, &self.root.svid(id).chain, NOW).expect("a good SVID")
    }

    fn bearer(&self, id: &str, seconds: i64) -> String {
        self.svids.sign(&json!({"sub": id, "aud": AUDIENCE, "exp": NOW.as_seconds() + seconds}))
    }

    fn login(&self) -> String {
        self.people.sign(&json!({"iss": PEOPLE, "sub": "ann", "aud": AUDIENCE, "exp": NOW.as_seconds() + 60}))
    }
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW.as_seconds() + seconds)
}

#[test]
fn nobody_is_missing() {
    let world = world();
    assert_eq!(reason(caller(&world.trust, None, None, NOW)), Some(Reason::IdentityMissing));
    assert_eq!(reason(caller(&world.trust, None, Some(""), NOW)), Some(Reason::IdentityInvalid));
}

#[test]
fn the_key_is_the_certificates_alone() {
    let world = world();
    let shown = world.peer(REFUNDER);
    let by_certificate = caller(&world.trust, Some(&shown), None, NOW).expect("a caller");
    assert_eq!(by_certificate.spiffe_id().map(|id| id.as_str()), Some(REFUNDER));
    assert_eq!(by_certificate.confirmation(), Some(shown.confirmation()));
    assert_eq!((by_certificate.login(), by_certificate.expires_at()), (None, after(3_600)));
    // A `cnf` in the assertion proves nothing here.
    let cnf =
        json!({"sub": REFUNDER, "aud": AUDIENCE, "exp": NOW.as_seconds() + 60, "cnf": {"x5t#S256": "A"}});
    let by_bearer = caller(&world.trust, None, Some(&world.svids.sign(&cnf)), NOW).expect("a caller");
    assert_eq!(by_bearer.spiffe_id().map(|id| id.as_str()), Some(REFUNDER));
    assert_eq!((by_bearer.confirmation(), by_bearer.expires_at()), (None, after(60)));
}

#[test]
fn a_login_has_no_spiffe_id() {
    let world = world();
    let operator = caller(&world.trust, None, Some(&world.login()), NOW).expect("a caller");
    let login = operator.login().expect("a login");
    assert_eq!((login.issuer.as_str(), login.subject.as_str()), (PEOPLE, "ann"));
    assert_eq!((operator.spiffe_id(), operator.confirmation()), (None, None));
}

#[test]
fn certificate_and_bearer_name_the_same_workload() {
    let world = world();
    let shown = world.peer(REFUNDER);
    for seconds in [60, 3_599, 3_600, 3_605] {
        let bearer = world.bearer(REFUNDER, seconds);
        let both = caller(&world.trust, Some(&shown), Some(&bearer), NOW).expect("a caller");
        assert_eq!(both.spiffe_id().map(|id| id.as_str()), Some(REFUNDER));
        assert_eq!(both.confirmation(), Some(shown.confirmation()));
        assert_eq!(both.expires_at(), after(seconds.min(3_600)), "the first end counts");
    }
    let ci = json!({"iss": CI, "sub": "j", "aud": AUDIENCE, "exp": NOW.as_seconds() + 60, "job": "deploy"});
    for other in [world.bearer("spiffe://acme.test/agents/refunder2", 60), world.login(), world.ci.sign(&ci)]
    {
        let mixed = caller(&world.trust, Some(&shown), Some(&other), NOW);
        assert_eq!(reason(mixed), Some(Reason::IdentityMismatch));
    }
    // A bad bearer is not forgiven for the sake of a good certificate, nor the reverse.
    let expired = world.bearer(REFUNDER, 0);
    assert_eq!(
        reason(caller(&world.trust, Some(&shown), Some(&expired), NOW)),
        Some(Reason::IdentityExpired)
    );
    let late = world.bearer(REFUNDER, 3_605);
    let past = caller(&world.trust, Some(&shown), Some(&late), after(3_601));
    assert_eq!(reason(past), Some(Reason::IdentityExpired));
}

#[test]
fn a_connection_ends_with_its_certificate_or_its_authority() {
    let world = world();
    let shown = world.peer(REFUNDER);
    assert!(caller(&world.trust, Some(&shown), None, after(3_599)).is_ok());
    assert_eq!(reason(caller(&world.trust, Some(&shown), None, after(3_600))), Some(Reason::IdentityExpired));
    // A reload that drops the CA, the domain, or swaps the CA's key under the same name.
    let untrusted = Some(Reason::IdentityUntrustedIssuer);
    let swapped = trust(vec![domain("acme.test", &Authority::root("acme root"))], Vec::new());
    assert_eq!(reason(caller(&swapped, Some(&shown), None, NOW)), untrusted);
    assert_eq!(reason(caller(&trust(Vec::new(), Vec::new()), Some(&shown), None, NOW)), untrusted);
    let moved = trust(vec![domain("moved.test", &world.root)], Vec::new());
    assert_eq!(reason(caller(&moved, Some(&shown), None, NOW)), untrusted);
    // A reload that keeps it, next to another.
    let mut kept = domain("acme.test", &world.root);
    kept.bundle_pem.extend(Authority::root_with("next", |params| set_time(params, -60, 600)).pem());
    assert!(caller(&trust(vec![kept], Vec::new()), Some(&shown), None, NOW).is_ok());
}
