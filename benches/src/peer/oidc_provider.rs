//! node `oidc-provider`: client credentials, opaque and JWT access tokens, introspection, all in memory.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::{IN_FLIGHT, Rates, folder, free_port};
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
    _process: Process,
}

impl OidcProvider {
    /// Starts one, where it is installed.
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
        Some(Self { address, _process: process })
    }

    /// Its rates; `issue` is of JWTs.
    pub async fn rates(&self, span: Duration) -> Rates {
        let issue = form("/token", "grant_type=client_credentials&scope=read&resource=urn:jwt");
        let issue = self.drive(vec![issue], span).await;
        let mut line = Plain::open(self.address).await.expect("a connection");
        let (mut asks, mut ends) = (Vec::new(), Vec::new());
        let ask = form("/token", "grant_type=client_credentials&scope=read&resource=urn:opaque");
        for n in 0..2 * TOKENS {
            let (status, body) = line.ask(&ask).await.expect("an answer");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
            let answer: Value = serde_json::from_slice(&body).expect("JSON");
            let token = answer["access_token"].as_str().expect("a token");
            let question = |path| form(path, &format!("token={token}"));
            if n < TOKENS {
                asks.push(question("/token/introspection"))
            } else {
                ends.push(question("/token/revocation"))
            }
        }
        let check = self.drive(asks, span).await;
        // Revoking again is success too, and costs the same lookup and write.
        let revoke = self.drive(ends, span).await;
        Rates { check, issue, revoke }
    }

    async fn drive(&self, questions: Vec<Question>, span: Duration) -> f64 {
        let questions: Arc<[Question]> = questions.into();
        let slots = Asks::slots(self.address, IN_FLIGHT, &questions, not_inactive).await;
        flat_out(slots, span, || {}).await.rate()
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
