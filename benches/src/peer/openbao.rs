//! OpenBao (the open continuation of Vault): service tokens on its own raft storage, on disk.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Call, IN_FLIGHT, Peer, await_listener, folder, free_port};
use crate::drive::flat_out;
use crate::http1::{Asks, Plain, Question};
use crate::process::{Cores, Process, broken};

/// Tokens that are asked about.
const TOKENS: usize = 500;
/// How long it may take to come into office, as looks and the pause after each: with the multiplier below it
/// waits for ten to twenty seconds before it stands for election.
const LOOKS_FOR_OFFICE: usize = 1_200;
const LOOK_FOR_OFFICE: Duration = Duration::from_millis(50);

/// A running, unsealed server.
pub struct OpenBao {
    address: SocketAddr,
    root: String,
    /// A question about each of some tokens.
    checks: Arc<[Question]>,
    process: Process,
    _dir: TempDir,
}

impl OpenBao {
    /// Starts one, where it is installed, with service tokens in it.
    pub async fn start() -> Option<Self> {
        let binary = folder("openbao/bao");
        binary.exists().then_some(())?;
        let dir = tempfile::tempdir().expect("a directory");
        let (address, cluster) = (free_port(), free_port());
        let storage = dir.path().join("raft");
        std::fs::create_dir(&storage).expect("made");
        let config = format!(
            // The multiplier lets it keep its office while its one core is full.
            "storage \"raft\" {{\n path = \"{}\"\n node_id = \"one\"\n performance_multiplier = 10\n}}\n\
             listener \"tcp\" {{\n address = \"{address}\"\n tls_disable = true\n}}\n\
             api_addr = \"http://{address}\"\ncluster_addr = \"http://{cluster}\"\n",
            storage.display()
        );
        let file = dir.path().join("bao.hcl");
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(binary);
        command.arg("server").arg("-config").arg(&file);
        let process = Process::start("bao", &mut command, Cores::One);
        await_listener(address);
        let mut line = Plain::open(address).await.expect("a connection");
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let keys = said(&mut line, question("", "PUT", "/v1/sys/init", &shares)).await;
        let key = json!({"key": keys["keys"][0]});
        said(&mut line, question("", "PUT", "/v1/sys/unseal", &key)).await;
        let root = keys["root_token"].as_str().expect("a root token").to_owned();
        let mut bao = Self { address, root, checks: [].into(), process, _dir: dir };
        bao.await_active(&mut line).await;
        let mut checks = Vec::new();
        for _ in 0..TOKENS {
            let token = bao.create(&mut line, &bao.root, None).await;
            checks.push(question(&token, "GET", "/v1/auth/token/lookup-self", &Value::Null));
        }
        bao.checks = checks.into();
        Some(bao)
    }

    /// How long it takes to revoke a token that has `children`, until the last child is refused.
    pub async fn revoke_tree(&self, children: usize) -> Duration {
        let mut line = Plain::open(self.address).await.expect("a connection");
        let parent = self.create(&mut line, &self.root, Some("root")).await;
        let mut making = tokio::task::JoinSet::new();
        for slot in 0..IN_FLIGHT {
            let (address, parent) = (self.address, parent.clone());
            making.spawn(async move {
                let mut line = Plain::open(address).await.expect("a connection");
                let mut last = String::new();
                for _ in (slot..children).step_by(IN_FLIGHT) {
                    let create = question(&parent, "POST", "/v1/auth/token/create", &token(None));
                    last = client_token(&said(&mut line, create).await);
                }
                last
            });
        }
        let made = making.join_all().await;
        let begun = now();
        let revoke = question(&self.root, "POST", "/v1/auth/token/revoke", &json!({"token": parent}));
        let (status, _) = line.ask(&revoke).await.expect("an answer");
        assert!((200..300).contains(&status), "{status}");
        for child in made.iter().filter(|child| !child.is_empty()) {
            let lookup = question(child, "GET", "/v1/auth/token/lookup-self", &Value::Null);
            while line.ask(&lookup).await.expect("an answer").0 == 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        begun.elapsed()
    }

    async fn create(&self, line: &mut Plain, by: &str, policy: Option<&str>) -> String {
        client_token(&said(line, question(by, "POST", "/v1/auth/token/create", &token(policy))).await)
    }

    async fn await_active(&self, line: &mut Plain) {
        let lookup = question(&self.root, "GET", "/v1/auth/token/lookup-self", &Value::Null);
        for _ in 0..LOOKS_FOR_OFFICE {
            if line.ask(&lookup).await.is_ok_and(|(status, _)| status == 200) {
                return;
            }
            tokio::time::sleep(LOOK_FOR_OFFICE).await;
        }
        broken("OpenBao has not become active");
    }
}

impl Peer for OpenBao {
    fn process(&self) -> &Process {
        &self.process
    }

    /// `lookup-self` and service tokens; how it revokes is asked by [`OpenBao::revoke_tree`].
    async fn rate(&self, call: Call, span: Duration) -> Option<f64> {
        let questions = match call {
            Call::Check => Arc::clone(&self.checks),
            Call::Issue => [question(&self.root, "POST", "/v1/auth/token/create", &token(None))].into(),
            Call::Revoke => return None,
        };
        let slots = Asks::slots(self.address, IN_FLIGHT, &questions, |body| !body.is_empty()).await;
        Some(flat_out(slots, span, || {}).await.rate())
    }
}

fn token(policy: Option<&str>) -> Value {
    let policy = policy.unwrap_or("default");
    // Children may make children only under root's policy.
    json!({"policies": [policy], "ttl": "1h"})
}

fn client_token(answer: &Value) -> String {
    answer["auth"]["client_token"].as_str().expect("a token").to_owned()
}

fn question(token: &str, method: &str, path: &str, body: &Value) -> Question {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let question = Question::new(method, path, ("application/json", &text));
    if token.is_empty() { question } else { question.header("x-vault-token", token) }
}

async fn said(line: &mut Plain, question: Question) -> Value {
    let (status, body) = line.ask(&question).await.expect("an answer");
    assert!((200..300).contains(&status), "{}: {status}: {}", question.path, String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}
