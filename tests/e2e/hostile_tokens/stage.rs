//! Three checks of the same issuer, and everything that a corpus is made from.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_jose::{SigningKey, base64url, jwks};
use locum_model::registry::Algorithm;
use locum_sdk::{
    CheckAnswer, Checker, Client, Decision, Error, Figures, Presentation, PresentedCertificate, Verifier,
};
use locum_tests::backend::{ISSUER, options, orders, ready};
use locum_tests::hostile::{Entry, Seeds, Shown, Verdict, corpus, kid_of, proofs, stranger};
use locum_tests::naive::Naive;
use locum_tests::work::{Held, begin, grant, issue, now, revoke, seconds};
use locum_tests::{Daemon, Party, Relay, Site, plain_http};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::LOCUMD;

/// Longer than this is not sent to a daemon: the SDK's own online check says so before it asks.
const SENT_BYTES_MAX: usize = 16 * 1024;
/// So many ask at once.
const ASKING: usize = 8;

/// A connector whose tokens are attacked, and another of the same issuer.
pub(super) struct Attacked {
    name: &'static str,
    audience: &'static str,
    algorithm: Algorithm,
    operation: &'static str,
    elsewhere: &'static str,
}

pub(super) const ORDERS: Attacked = Attacked {
    name: "orders",
    audience: "https://orders.acme.test",
    algorithm: Algorithm::Es256,
    operation: "orders:read",
    elsewhere: "ledger:book",
};

pub(super) const LEDGER: Attacked = Attacked {
    name: "ledger",
    audience: "https://ledger.acme.test",
    algorithm: Algorithm::Ed25519,
    operation: "ledger:book",
    elsewhere: "orders:read",
};

/// A daemon of our own, with a wire to it that can be cut.
pub(super) struct Stage {
    pub(super) daemon: Daemon,
    pub(super) relay: Relay,
    /// Where tokens say that keys are.
    trap: TcpListener,
}

/// Three checks for one connector, and its tokens.
pub(super) struct Scene<'a> {
    stage: &'a Stage,
    connector: &'a Attacked,
    task: Held,
    backend: Party,
    pub(super) online: Checker,
    pub(super) offline: Offline,
    pub(super) naive: Naive,
    pub(super) good: String,
    pub(super) other: String,
    pub(super) bound: String,
    elsewhere: String,
    pub(super) certificate: [u8; 32],
}

/// The verifier in this process.
pub(super) struct Offline(Verifier);

impl Stage {
    pub(super) async fn up(variables: &[(&str, &str)]) -> Self {
        let site = Site::new();
        for (connector, life) in [("orders", "120s"), ("ledger", "60s")] {
            let text = site.text("registry.toml");
            let row = text.split("\n[[").find(|row| row.contains(&format!("\nname = \"{connector}\"\n")));
            let row = row.expect("registered").to_owned();
            // The whole corpus is asked about within the life of its seeds.
            let longer = row.replace(&format!("ttl_max = \"{life}\""), "ttl_max = \"900s\"");
            site.edit("registry.toml", &row, &longer);
        }
        let daemon = Daemon::start_under(LOCUMD, site, variables).await;
        let relay = Relay::to(daemon.addresses().grpc.port()).await;
        let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
        trap.set_nonblocking(true).expect("a socket");
        Self { daemon, relay, trap }
    }

    /// Whether anybody came for keys since this was asked last.
    pub(super) fn is_sprung(&self) -> bool {
        self.trap.accept().is_ok()
    }

    pub(super) fn trap(&self) -> String {
        format!("http://{}", self.trap.local_addr().expect("bound"))
    }

    pub(super) async fn jwks(&self) -> Value {
        let document = plain_http::get(&self.daemon, "/.well-known/jwks.json", &[]).await.body;
        serde_json::from_str(&document).expect("JSON")
    }

    /// How many connections the daemon has had, those for its documents too.
    pub(super) async fn connections(&self) -> u64 {
        let page = plain_http::metrics(&self.daemon).await.body;
        let counts = page.lines().filter(|line| line.starts_with("locum_connections_total{"));
        counts.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a count")).sum()
    }

    pub(super) async fn revoke_key(&self, kid: &str) {
        let request = revoke(Target::SigningKey(kid.to_owned()));
        self.daemon.operator("admin").revocation().revoke(request).await.expect("revoked");
    }

    pub(super) async fn scene<'a>(&'a self, connector: &'a Attacked) -> Scene<'a> {
        let daemon = &self.daemon;
        let mut followed = orders(daemon, &self.relay).await;
        followed.connector = connector.name.to_owned();
        followed.audience = connector.audience.to_owned();
        let offline = Offline(ready(followed).await);
        let client =
            Client::connect(&options(daemon, "services/orders-api", &self.relay.addr())).expect("good");
        let refunder = daemon.at("agents/refunder");
        let scope = vec![grant("orders:read", &[]), grant("ledger:book", &[])];
        let task = begin(daemon, &refunder, scope).await.expect("allowed");
        let ask = |operation: &str| wire::IssueTokenRequest { ttl: seconds(600), ..task.ask(operation, &[]) };
        let token = async |request| issue(daemon, &refunder, request).await.expect("issued").token;
        let bound = wire::IssueTokenRequest { bind_to_certificate: true, ..ask(connector.operation) };
        let naive = Naive {
            issuer: ISSUER.to_owned(),
            audience: connector.audience.to_owned(),
            jwks: self.jwks().await,
            dead: BTreeSet::new(),
            heard: true,
            proofs: Arc::default(),
            defect: None,
        };
        Scene {
            good: token(ask(connector.operation)).await,
            other: token(ask(connector.operation)).await,
            elsewhere: token(ask(connector.elsewhere)).await,
            bound: token(bound).await,
            certificate: refunder.certificate_sha256,
            backend: daemon.at("services/orders-api"),
            online: Checker::online(client),
            stage: self,
            connector,
            task,
            offline,
            naive,
        }
    }

    /// Where the private key of this `kid` is.
    pub(super) fn key_file(&self, kid: &str) -> PathBuf {
        let kid = base64url::parse_kid(kid).expect("a thumbprint");
        self.daemon.site.path("data").join("keys").join(format!("{kid}.pk8"))
    }

    /// The private key that signs under this `kid`: a signer's misuse, which nobody outside could do.
    pub(super) fn own_key(&self, algorithm: Algorithm, kid: &str) -> SigningKey {
        SigningKey::from_pkcs8(algorithm, &std::fs::read(self.key_file(kid)).expect("a key")).expect("a key")
    }
}

impl Scene<'_> {
    pub(super) fn corpus(&self) -> Vec<Entry> {
        self.of_seeds(corpus)
    }

    /// Entries that are good for a minute.
    pub(super) fn proofs(&self) -> Vec<Entry> {
        self.of_seeds(|seeds| proofs(seeds, now()))
    }

    fn of_seeds(&self, entries: impl FnOnce(&Seeds<'_>) -> Vec<Entry>) -> Vec<Entry> {
        let algorithm = self.connector.algorithm;
        let own = self.stage.own_key(algorithm, &kid_of(&self.good));
        entries(&Seeds {
            good: &self.good,
            other: &self.other,
            elsewhere: &self.elsewhere,
            bound: &self.bound,
            certificate: self.certificate,
            own: &own,
            stranger: &stranger(algorithm),
            trap: &self.stage.trap(),
        })
    }

    /// Another token of this life in seconds.
    pub(super) async fn issue_for(&self, life: i64) -> String {
        let daemon = &self.stage.daemon;
        let ask = self.task.ask(self.connector.operation, &[]);
        let request = wire::IssueTokenRequest { ttl: seconds(life), ..ask };
        issue(daemon, &daemon.at("agents/refunder"), request).await.expect("issued").token
    }

    /// What all three say: offline, online, naive.
    pub(super) async fn ask(&self, token: &str, certificate: Option<[u8; 32]>) -> [Verdict; 3] {
        let shown = Shown { certificate, proof: None };
        let offline = self.offline.verdict(token, shown);
        let online = self.online.introspect(presentation(token, shown), self.connector.name).await;
        let online = match online {
            Ok(Some(_)) => Verdict::Active,
            Ok(None) => Verdict::Inactive,
            Err(_) => Verdict::Unknown,
        };
        [offline, online, self.naive.check(token, shown, now())]
    }
}

impl Offline {
    fn verdict(&self, token: &str, shown: Shown<'_>) -> Verdict {
        match self.0.check(presentation(token, shown)) {
            CheckAnswer::Active(_) => Verdict::Active,
            CheckAnswer::Inactive(_) => Verdict::Inactive,
            CheckAnswer::Unknown(_) => Verdict::Unknown,
        }
    }

    pub(super) fn believes(&self, token: &str) -> bool {
        self.verdict(token, Shown::default()) == Verdict::Active
    }

    pub(super) fn figures(&self) -> Figures {
        self.0.figures()
    }

    pub(super) fn lease_left(&self) -> Option<Duration> {
        self.0.figures().lease_left
    }

    pub(super) async fn ready(&self) {
        self.0.ready(Duration::from_secs(20)).await.expect("the feed is heard");
    }

    pub(super) fn checker(&self) -> Checker {
        Checker::offline(self.0.clone())
    }

    pub(super) async fn authorize(
        &self,
        token: &str,
        operation: &str,
        on: Option<&str>,
    ) -> Result<Decision, Error> {
        self.checker().authorize(token, operation, on).await
    }
}

fn presentation<'a>(token: &'a str, shown: Shown<'a>) -> Presentation<'a> {
    let mut presentation = Presentation::bearer(token);
    if let Some(sha256) = shown.certificate {
        presentation = presentation.with_certificate(PresentedCertificate(sha256));
    }
    match shown.proof {
        Some((proof, method, uri)) => presentation.with_proof(proof, method, uri),
        None => presentation,
    }
}

/// Asks all three about every entry; what anybody said that is not as the line demands.
pub(super) async fn agreed(scene: &Scene<'_>, corpus: &[Entry]) -> Vec<String> {
    let entries: Arc<Vec<Entry>> = Arc::new(corpus.to_vec());
    let mut asking = JoinSet::new();
    for first in 0..ASKING {
        let (backend, entries) = (scene.backend.clone(), Arc::clone(&entries));
        let (online, connector) = (scene.online.clone(), scene.connector.name.to_owned());
        asking.spawn(async move {
            let mut said = Vec::new();
            for (at, entry) in entries.iter().enumerate().skip(first).step_by(ASKING) {
                if entry.is_replay {
                    let first = of_daemon(&backend, &online, &connector, entry).await;
                    assert_eq!(first, Verdict::Active, "{}, the first time", entry.name);
                }
                said.push((at, of_daemon(&backend, &online, &connector, entry).await));
            }
            said
        });
    }
    let mut online = vec![Verdict::Unknown; corpus.len()];
    while let Some(said) = asking.join_next().await {
        said.expect("no panic").into_iter().for_each(|(at, verdict)| online[at] = verdict);
    }
    let mut wrong = Vec::new();
    for (entry, online) in corpus.iter().zip(online) {
        let here = || {
            let (token, shown) = (&entry.token, entry.shown());
            [scene.offline.verdict(token, shown), scene.naive.check(token, shown, now())]
        };
        if entry.is_replay {
            assert_eq!(here(), [Verdict::Active; 2], "{}, the first time", entry.name);
        }
        let [offline, naive] = here();
        let said = [offline, online, naive];
        if said != [entry.expected; 3] {
            wrong.push(format!("{}: offline, online, naive: {said:?}, not {:?}", entry.name, entry.expected));
        }
    }
    wrong
}

async fn of_daemon(backend: &Party, online: &Checker, connector: &str, entry: &Entry) -> Verdict {
    if entry.token.len() > SENT_BYTES_MAX {
        let said = online.introspect(presentation(&entry.token, entry.shown()), connector).await;
        return if matches!(said, Ok(None)) { Verdict::Inactive } else { Verdict::Unknown };
    }
    let proof = entry.proof.as_ref().map(|shown| wire::PresentedProof {
        proof: shown.proof.clone(),
        method: shown.method.to_owned(),
        uri: shown.uri.to_owned(),
    });
    let certificate_sha256 = entry.certificate.map(Vec::from).unwrap_or_default();
    let request = wire::IntrospectTokenRequest {
        token: entry.token.clone(),
        connector: connector.to_owned(),
        presented: Some(wire::Presented { certificate_sha256, proof }),
    };
    match backend.checks().introspect_token(request).await.map(tonic::Response::into_inner) {
        Ok(answer) if answer.active => Verdict::Active,
        // Nothing but the one bit, to the byte.
        Ok(answer) if answer == wire::IntrospectTokenResponse::default() => Verdict::Inactive,
        _ => Verdict::Unknown,
    }
}

/// `exp` of a token.
pub(super) fn ends_at(token: &str) -> i64 {
    let body = base64url::decode(token.split('.').nth(1).expect("claims")).expect("base64url");
    serde_json::from_slice::<Value>(&body).expect("JSON")["exp"].as_i64().expect("a number")
}

/// When the proofs of a corpus without a daemon are made: two seconds before its tokens end.
pub(super) const MADE_UP_NOW: i64 = 1_800_000_598;

/// A corpus without any daemon, of tokens as RFC 9068 has them, and the naive check that knows their issuer.
pub(super) fn made_up(algorithm: Algorithm) -> (Vec<Entry>, Naive) {
    let (own, strange) = (stranger(algorithm), stranger(algorithm));
    let (public, certificate) = (own.public(), [7; 32]);
    let sign = |jti: &str, audience: &str, cnf: Option<Value>| {
        let kid = base64url::kid_text(&public.thumbprint());
        let header = format!(r#"{{"alg":"{}","kid":"{kid}","typ":"at+jwt"}}"#, public.algorithm());
        let cnf = cnf.map(|cnf| format!(r#","cnf":{cnf}"#)).unwrap_or_default();
        let claims = format!(
            r#"{{"jti":"{jti}","iss":"{ISSUER}","aud":"{audience}","sub":"alice","client_id":"spiffe://acme.test/a","iat":1800000000,"nbf":1799999995,"exp":1800000600,"scope":"orders:read"{cnf},"locum":"AA"}}"#
        );
        let input = format!("{}.{}", base64url::encode(header), base64url::encode(claims));
        let signature = own.sign(input.as_bytes()).expect("randomness");
        format!("{input}.{}", base64url::encode(signature))
    };
    let audience = "https://orders.acme.test";
    let seeds = Seeds {
        good: &sign("1", audience, None),
        other: &sign("2", audience, None),
        elsewhere: &sign("3", "https://ledger.acme.test", None),
        bound: &sign("4", audience, Some(json!({"x5t#S256": base64url::encode(certificate)}))),
        certificate,
        own: &own,
        stranger: &strange,
        trap: "http://127.0.0.1:1",
    };
    let entries = [corpus(&seeds), proofs(&seeds, MADE_UP_NOW)].concat();
    let jwks = serde_json::from_str(&jwks::write([public])).expect("JSON");
    let (issuer, audience) = (ISSUER.to_owned(), audience.to_owned());
    let (dead, proofs) = (BTreeSet::new(), Arc::default());
    (entries, Naive { issuer, audience, jwks, dead, heard: true, proofs, defect: None })
}
