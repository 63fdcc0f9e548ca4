//! Tokens that are bound to a key by DPoP (RFC 9449): issued for a proof, and worth nothing without one,
//! online and offline, by hand and through the SDK's layers.

use std::convert::Infallible;

use http::{Request as HttpRequest, Response as HttpResponse};
use locum_api::broker::v1 as wire;
use locum_model::{Reason, Timestamp};
use locum_sdk::{BearerLayer, CheckAnswer, CheckLayer, Checker, Client, Presentation, Verifier};
use locum_tests::backend::{ISSUER, options, orders, ready};
use locum_tests::refused::{fields, reason};
use locum_tests::work::{Held, begin, grant, now, random};
use locum_tests::{Daemon, Party, Relay, Site};
use locum_token::dpop::ProofKey;
use tonic::{Request, Status};
use tower::{Layer as _, Service as _, ServiceExt as _};

use crate::LOCUMD;

const ISSUE: &str = "/locum.broker.v1.TokenService/IssueToken";
const ORDER: (&str, &str) = ("GET", "https://orders.acme.test/order/1");

fn prove(key: &ProofKey, target: (&str, &str), token: Option<&str>) -> String {
    prove_at(key, target, token, now())
}

fn prove_at(key: &ProofKey, target: (&str, &str), token: Option<&str>, at: i64) -> String {
    key.prove(target, token, random(), Timestamp::from_seconds(at)).expect("randomness")
}

/// Asks for a token with these proofs.
async fn issue(
    daemon: &Daemon,
    party: &Party,
    ask: wire::IssueTokenRequest,
    proofs: &[&str],
) -> Result<String, Status> {
    let mut request = Request::new(ask);
    for proof in proofs {
        request.metadata_mut().append("dpop", proof.parse().expect("ASCII"));
    }
    let token = party.tokens().issue_token(request).await?.into_inner().token;
    daemon.secret(&token);
    Ok(token)
}

struct Stage {
    daemon: Daemon,
    relay: Relay,
    refunder: Party,
    backend: Party,
    task: Held,
    offline: Verifier,
}

impl Stage {
    async fn up() -> Self {
        let daemon = Daemon::start(LOCUMD, Site::new()).await;
        let relay = Relay::to(daemon.addresses().grpc.port()).await;
        let refunder = daemon.at("agents/refunder");
        let scope = vec![grant("orders:read", &[]), grant("ledger:close", &[])];
        let task = begin(&daemon, &refunder, scope).await.expect("allowed");
        let offline = ready(orders(&daemon, &relay).await).await;
        let backend = daemon.at("services/orders-api");
        Self { daemon, relay, refunder, backend, task, offline }
    }

    fn ask(&self) -> wire::IssueTokenRequest {
        self.task.ask("orders:read", &["order/1"])
    }

    async fn bound(&self, key: &ProofKey) -> String {
        let proof = prove(key, ("POST", &format!("{ISSUER}{ISSUE}")), None);
        issue(&self.daemon, &self.refunder, self.ask(), &[&proof]).await.expect("issued")
    }

    async fn online(
        &self,
        token: &str,
        shown: Option<(&str, (&str, &str))>,
    ) -> wire::IntrospectTokenResponse {
        let proof = shown.map(|(proof, (method, uri))| wire::PresentedProof {
            proof: proof.to_owned(),
            method: method.to_owned(),
            uri: uri.to_owned(),
        });
        let request = wire::IntrospectTokenRequest {
            token: token.to_owned(),
            connector: "orders".to_owned(),
            presented: Some(wire::Presented { certificate_sha256: Vec::new(), proof }),
        };
        self.backend.checks().introspect_token(request).await.expect("an answer").into_inner()
    }

    fn is_active_offline(&self, token: &str, shown: Option<(&str, (&str, &str))>) -> bool {
        let mut presentation = Presentation::bearer(token);
        if let Some((proof, (method, uri))) = shown {
            presentation = presentation.with_proof(proof, method, uri);
        }
        match self.offline.check(presentation) {
            CheckAnswer::Active(_) => true,
            CheckAnswer::Inactive(_) => false,
            CheckAnswer::Unknown(unknown) => unreachable!("the feed is there: {unknown}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_issued_for_the_key_that_was_proved() {
    let stage = Stage::up().await;
    let (daemon, refunder) = (&stage.daemon, &stage.refunder);
    let (key, other) = (ProofKey::generate().expect("a key"), ProofKey::generate().expect("a key"));
    let uri = format!("{ISSUER}{ISSUE}");
    let here = ("POST", &*uri);
    let token = stage.bound(&key).await;
    let proof = prove(&key, ORDER, Some(&token));
    let answer = stage.online(&token, Some((&proof, ORDER))).await;
    let cnf = answer.token.expect("active").confirmation.expect("bound").key.expect("a key");
    assert_eq!(cnf, wire::confirmation::Key::KeySha256(key.thumbprint().0.to_vec()));
    // Every attempt has a proof of its own, and it has to be for this.
    let once = prove(&key, here, None);
    issue(daemon, refunder, stage.ask(), &[&once]).await.expect("the first time");
    let elsewhere = format!("https://evil.test{ISSUE}");
    let good = prove(&key, here, None);
    for (what, proofs) in [
        ("replayed", vec![once]),
        ("for another method", vec![prove(&key, ("GET", &uri), None)]),
        ("for another server", vec![prove(&key, ("POST", &elsewhere), None)]),
        ("for another call", vec![prove(&key, ("POST", &format!("{uri}s")), None)]),
        ("too old", vec![prove_at(&key, here, None, now() - 70)]),
        ("too early", vec![prove_at(&key, here, None, now() + 30)]),
        ("none", vec![String::new()]),
        ("no proof", vec!["a.b.c".to_owned()]),
        ("huge", vec!["e".repeat(4_097)]),
        ("two", vec![good.clone(), good]),
    ] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let refused = issue(daemon, refunder, stage.ask(), &proofs).await;
        assert_eq!(reason(refused), Reason::ProofInvalid, "{what}");
    }
    let both = wire::IssueTokenRequest { bind_to_certificate: true, ..stage.ask() };
    assert_eq!(
        fields(issue(daemon, refunder, both, &[&prove(&key, here, None)]).await),
        ["bind_to_certificate"]
    );
    // A retry is the same request with the same key, and the same token.
    let again = wire::IssueTokenRequest { request_id: "r-1".to_owned(), ..stage.ask() };
    let claims = |token: &str| token.rsplit_once('.').expect("a signature").0.to_owned();
    let first = issue(daemon, refunder, again.clone(), &[&prove(&key, here, None)]).await.expect("issued");
    let second = issue(daemon, refunder, again.clone(), &[&prove(&key, here, None)]).await.expect("issued");
    assert_eq!(claims(&first), claims(&second));
    for proofs in [vec![prove(&other, here, None)], vec![]] {
        let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
        let refused = issue(daemon, refunder, again.clone(), &proofs).await;
        assert_eq!(reason(refused), Reason::RequestIdReused, "another key, another request");
    }
    // Where policy demands a key and there is no certificate, a proof is one.
    let keyless =
        daemon.party(None).bearer(&daemon.site.jwt_svid("spiffe://acme.test/agents/refunder", now()));
    let close = || stage.task.ask("ledger:close", &[]);
    assert_eq!(reason(issue(daemon, &keyless, close(), &[]).await), Reason::ProofRequired);
    issue(daemon, &keyless, close(), &[&prove(&key, here, None)]).await.expect("proved");
}

#[tokio::test]
async fn a_bound_token_is_worth_nothing_without_a_proof_of_its_own() {
    let stage = Stage::up().await;
    let (key, other) = (ProofKey::generate().expect("a key"), ProofKey::generate().expect("a key"));
    let (token, unlike) = (stage.bound(&key).await, stage.bound(&key).await);
    let bearer = issue(&stage.daemon, &stage.refunder, stage.ask(), &[]).await.expect("issued");
    let uri = ORDER.1;
    let fresh = || prove(&key, ORDER, Some(&token));
    for (what, proof, target, active) in [
        ("good", fresh(), ORDER, true),
        ("with a query", fresh(), ("GET", "https://orders.acme.test/order/1?full=true"), true),
        ("another method", fresh(), ("POST", uri), false),
        ("another path", fresh(), ("GET", "https://orders.acme.test/order/2"), false),
        ("another host", fresh(), ("GET", "https://evil.test/order/1"), false),
        ("no token in it", prove(&key, ORDER, None), ORDER, false),
        ("another token in it", prove(&key, ORDER, Some(&unlike)), ORDER, false),
        ("another key", prove(&other, ORDER, Some(&token)), ORDER, false),
        ("old", prove_at(&key, ORDER, Some(&token), now() - 70), ORDER, false),
        ("early", prove_at(&key, ORDER, Some(&token), now() + 30), ORDER, false),
        ("no proof", "a.b.c".to_owned(), ORDER, false),
        ("huge", "e".repeat(5_000), ORDER, false),
    ] {
        let shown = Some((&*proof, target));
        assert_eq!(stage.is_active_offline(&token, shown), active, "{what}, offline");
        assert!(!stage.is_active_offline(&token, shown), "{what}, offline, again");
        assert_eq!(stage.online(&token, shown).await.active, active, "{what}, online");
        assert_eq!(
            stage.online(&token, shown).await,
            wire::IntrospectTokenResponse::default(),
            "{what}, again"
        );
        assert!(!stage.online(&bearer, shown).await.active, "{what}, beside a token that is not bound");
        assert!(!stage.is_active_offline(&bearer, shown), "{what}, beside a token that is not bound");
    }
    assert!(!stage.online(&token, None).await.active && !stage.is_active_offline(&token, None));
    assert!(stage.online(&bearer, None).await.active && stage.is_active_offline(&bearer, None));
    // Shown to one backend, it is known to all that ask.
    let proof = fresh();
    assert!(stage.online(&token, Some((&proof, ORDER))).await.active);
    let clone = Stage { backend: stage.daemon.at("services/orders-api"), ..stage };
    assert!(!clone.online(&token, Some((&proof, ORDER))).await.active, "another replica");
    // What is malformed is the backend's mistake, not the presenter's.
    for (method, uri, field) in [("", uri, "presented.proof.method"), ("GET", "", "presented.proof.uri")] {
        let proof = wire::PresentedProof { proof: fresh(), method: method.to_owned(), uri: uri.to_owned() };
        let request = wire::IntrospectTokenRequest {
            token: token.clone(),
            connector: "orders".to_owned(),
            presented: Some(wire::Presented { certificate_sha256: Vec::new(), proof: Some(proof) }),
        };
        assert_eq!(fields(clone.backend.checks().introspect_token(request).await), [field]);
    }
}

#[tokio::test]
async fn the_sdk_carries_proofs_from_end_to_end() {
    let stage = Stage::up().await;
    let addr = stage.relay.addr();
    let plugin = Client::connect(&options(&stage.daemon, "agents/refunder", &addr)).expect("good");
    assert_eq!(plugin.who_am_i().await.expect("known").issuer, ISSUER);
    let task = plugin.task("refund-order").scope("orders:read", ["order/1"]).start().await.expect("started");
    let describe = || task.token("orders").scope("orders:read", ["order/1"]);
    let source = describe().bind_to_key().source().expect("a source");
    let backend = Client::connect(&options(&stage.daemon, "services/orders-api", &addr)).expect("good");
    for checker in [Checker::online(backend), Checker::offline(stage.offline.clone())] {
        let layer = |origin: Option<&str>| {
            let layer = CheckLayer::operation(checker.clone(), "orders:read").expect("an operation");
            let layer = layer.resource(|parts| Some(parts.uri.path().trim_start_matches('/').to_owned()));
            let layer = match origin {
                Some(origin) => layer.origin(origin),
                None => layer,
            };
            layer.layer(tower::service_fn(|_: HttpRequest<()>| async {
                Ok::<_, Infallible>(HttpResponse::new("done".to_owned()))
            }))
        };
        let api = layer(Some("https://orders.acme.test/"));
        let get = |uri: &str| HttpRequest::get(uri).body(()).expect("a request");
        let mut calls =
            BearerLayer::new(source.clone()).origin("https://orders.acme.test").layer(api.clone());
        for _ in 0..3 {
            let answer = calls.ready().await.expect("ready").call(get("/order/1?a=b")).await.expect("called");
            assert_eq!((answer.status().as_u16(), answer.body().as_str()), (200, "done"), "a proof for each");
        }
        // A whole URI says by itself where it goes.
        let mut whole = BearerLayer::new(source.clone()).layer(api.clone());
        let answer = whole.ready().await.expect("ready").call(get(ORDER.1)).await.expect("called");
        assert_eq!(answer.status(), 200);
        // By hand: what is refused, and how that is told.
        let token = source.get().await.expect("kept");
        let proof = |uri: &str| token.proof("GET", uri).expect("randomness").expect("bound");
        let (once, theirs) = (proof(ORDER.1), proof("https://evil.test/order/1"));
        let text = token.expose();
        let algs = "algs=\"ES256 ES384 EdDSA RS256\"";
        let dpop = |error: &str| vec![format!("DPoP error=\"{error}\", {algs}")];
        let bearer = |error: &str| vec![format!("Bearer{error}"), format!("DPoP {algs}")];
        for (scheme, proof, path, status, challenge) in [
            ("DPoP", Some(&once), "/order/1", 200, vec![]),
            ("DPoP", Some(&once), "/order/1", 401, dpop("invalid_token")),
            ("DPoP", Some(&theirs), "/order/1", 401, dpop("invalid_dpop_proof")),
            ("DPoP", None, "/order/1", 401, dpop("invalid_dpop_proof")),
            ("Bearer", None, "/order/1", 401, bearer(" error=\"invalid_token\"")),
            ("", None, "/order/1", 401, bearer("")),
        ] {
            let mut request = get(path);
            if !scheme.is_empty() {
                let value = format!("{scheme} {text}").parse().expect("a header");
                request.headers_mut().insert("authorization", value);
            }
            if let Some(proof) = proof {
                request.headers_mut().insert("dpop", proof.clone());
            }
            let answer = api.clone().oneshot(request).await.expect("answered");
            let told = answer.headers().get_all("www-authenticate").iter();
            let told: Vec<_> = told.map(|value| value.to_str().expect("ASCII").to_owned()).collect();
            assert_eq!((answer.status().as_u16(), told), (status, challenge), "{scheme} {path}");
        }
        // An API that does not know its origin takes no proofs, and says so.
        let mut deaf = BearerLayer::new(source.clone()).origin("https://orders.acme.test").layer(layer(None));
        let answer = deaf.ready().await.expect("ready").call(get("/order/1")).await.expect("called");
        let told = answer.headers()["www-authenticate"].to_str().expect("ASCII");
        assert_eq!((answer.status().as_u16(), told), (401, "Bearer error=\"invalid_token\""));
    }
    let plain = describe().source().expect("a source").get().await.expect("issued");
    assert!(plain.proof("GET", ORDER.1).expect("nothing to do").is_none());
    assert!(plain.header().to_str().expect("ASCII").starts_with("Bearer "));
    let short = describe().bind_to_key().ttl(std::time::Duration::from_secs(5)).source().expect("a source");
    assert!(short.get().await.expect("issued").header().to_str().expect("ASCII").starts_with("DPoP "));
}
