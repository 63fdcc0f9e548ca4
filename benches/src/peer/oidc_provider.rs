//! node `oidc-provider`: client credentials, opaque and JWT access tokens, introspection, all in memory.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::{Call, IN_FLIGHT, Peer, folder, free_port};
use crate::drive::flat_out;
use crate::http1::{Asks, Plain, Question};
use crate::process::{Cores, Process};

/// The program that starts it.
const SCRIPT: &str = include_str!("../../peers/oidc_provider.mjs");
/// `bench:bench`.
const CREDENTIALS: &str = "Basic YmVuY2g6YmVuY2g=";
/// Tokens that are asked about.
const TOKENS: usize = 500;

/// A running server.
pub struct OidcProvider {
    address: SocketAddr,
    /// A question about each of some tokens.
    checks: Arc<[Question]>,
    /// An end to each of some others.
    revocations: Arc<[Question]>,
    process: Process,
}

impl OidcProvider {
    /// Starts one, where it is installed, with opaque tokens in it.
    pub async fn start() -> Option<Self> {
        let home = folder("oidc-provider");
        home.join("node_modules/oidc-provider").exists().then_some(())?;
        let script = home.join("bench.mjs");
        std::fs::write(&script, SCRIPT).expect("written");
        let address = free_port();
        let mut command = Command::new("node");
        command.arg(script).arg(address.port().to_string()).env("NODE_ENV", "production");
        let process = Process::start("node", &mut command, Cores::One);
        super::await_listener(address);
        let mut line = Plain::open(address).await.expect("a connection");
        let (mut checks, mut revocations) = (Vec::new(), Vec::new());
        let ask = form("/token", "grant_type=client_credentials&scope=read&resource=urn:opaque");
        for n in 0..2 * TOKENS {
            let (status, body) = line.ask(&ask).await.expect("an answer");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let answer: Value = serde_json::from_slice(&body).expect("JSON");
            let token = answer["access_token"].as_str().expect("a token");
            let question = |path| form(path, &format!("token={token}"));
            if n < TOKENS {
                checks.push(question("/token/introspection"))
            } else {
                revocations.push(question("/token/revocation"))
            }
        }
        Some(Self { address, checks: checks.into(), revocations: revocations.into(), process })
    }
}

impl Peer for OidcProvider {
    fn process(&self) -> &Process {
        &self.process
    }

    /// What it issues are JWTs.
    async fn rate(&self, call: Call, span: Duration) -> Option<f64> {
        let questions = match call {
            Call::Check => Arc::clone(&self.checks),
            Call::Issue => {
                [form("/token", "grant_type=client_credentials&scope=read&resource=urn:jwt")].into()
            }
            // Revoking again is success too, and costs the same lookup and write.
            Call::Revoke => Arc::clone(&self.revocations),
        };
        let slots = Asks::slots(self.address, IN_FLIGHT, &questions, not_inactive).await;
        Some(flat_out(slots, span, || {}).await.rate())
    }
}

fn form(path: &str, body: &str) -> Question {
    Question::new(Method::POST, path, ("application/x-www-form-urlencoded", body))
        .header("authorization", CREDENTIALS)
}

/// A token that is not known would be answered faster.
fn not_inactive(body: &[u8]) -> bool {
    !body.starts_with(br#"{"active":false"#)
}
