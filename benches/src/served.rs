//! [`Served`]: a real `locumd` on a core of its own, with plugins, backends, an operator and policies.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use locum_api::broker::v1 as wire;
use locum_tests::{Identity, Party, Site};
use prost::Message as _;
use prost::bytes::Bytes;
use serde_json::Value;

use crate::parts::policies;
use crate::process::{Cores, Process, built};
use crate::wire::{Door, Line, framed};

/// Plugins that are registered: tasks and held streams have bounds for each.
pub const PLUGINS: usize = 12;
/// Backends that are registered, all for the same connector: followers of the feed have a bound each.
pub const BACKENDS: usize = 6;

/// Events since the last snapshot, if any, from which a server writes one.
const SNAPSHOT_FROM: u64 = 200_000;
/// Far longer than it takes.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(300);

/// The method that most is about.
pub const INTROSPECT: &str = "https://localhost/locum.broker.v1.CheckService/IntrospectToken";
/// Its form on a stream.
pub const INTROSPECT_STREAM: &str = "https://localhost/locum.broker.v1.CheckService/IntrospectTokens";
/// Tokens.
pub const ISSUE: &str = "https://localhost/locum.broker.v1.TokenService/IssueToken";
/// Tasks.
pub const START_TASK: &str = "https://localhost/locum.broker.v1.TaskService/StartTask";
/// Leases of tasks.
pub const HOLD_TASK: &str = "https://localhost/locum.broker.v1.TaskService/HoldTask";
/// The revocation feed.
pub const FEED: &str = "https://localhost/locum.broker.v1.FeedService/WatchRevocations";
/// Revocation by selector.
pub const REVOKE: &str = "https://localhost/locum.admin.v1.RevocationService/Revoke";

/// An installation and the process that serves it.
pub struct Served {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub grpc: SocketAddr,
    /// The installation, which outlives a restart.
    pub site: Site,
}

/// A task with its secret, ready to ask for tokens.
#[derive(Clone, Debug)]
pub struct OpenTask {
    /// Its id.
    pub id: String,
    /// Its holder secret.
    pub secret: Vec<u8>,
}

impl Served {
    /// A server on a new, empty installation.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn start(cores: Cores) -> Self {
        Self::start_on(installation(), cores)
    }

    /// A server on an installation that may have a history.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn start_on(site: Site, cores: Cores) -> Self {
        let mut command = Command::new(built("locumd"));
        command.arg("serve").arg("--config").arg(site.config()).env_clear();
        let (process, grpc) = Process::start_until("locumd", &mut command, cores, listening);
        Self { process, grpc, site }
    }

    /// Waits for the snapshot that a server writes soon after it has started from a journal of so many events without
    /// one: what comes after is to be measured beside nothing.
    ///
    /// # Panics
    ///
    /// When there is none after five minutes.
    pub async fn snapshot_after(&self, events: u64) {
        let journal = self.site.path("data/journal");
        let there = || {
            let mut files = fs::read_dir(&journal).expect("a journal").flatten();
            files.any(|file| file.file_name().to_string_lossy().starts_with("snapshot-"))
        };
        let written = async {
            while events >= SNAPSHOT_FROM && !there() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(SNAPSHOT_WITHIN, written).await.expect("a snapshot");
    }

    /// Somebody's way in.
    pub fn door(&self, path: &str) -> Door {
        door(&self.site, self.grpc, path)
    }

    /// The way in of the `number`-th plugin.
    pub fn plugin(&self, number: usize) -> Door {
        self.door(&format!("agents/agent-{number}"))
    }

    /// The way in of the first backend, which asks about tokens.
    pub fn backend(&self) -> Door {
        self.door("services/backend-0")
    }

    /// The way in of an operator who may revoke.
    pub fn operator(&self) -> Door {
        self.door("operators/admin")
    }

    /// The generated clients of somebody, for what is not measured.
    pub fn party(&self, path: &str) -> Party {
        let identity = identity(&self.site, path);
        Party::new(self.grpc.port(), &self.site.authority.pem(), Some(&identity))
    }

    /// Starts `count` tasks of the `number`-th plugin.
    ///
    /// # Panics
    ///
    /// When one is refused.
    pub async fn tasks(&self, number: usize, count: usize) -> Vec<OpenTask> {
        let lines = self.plugin(number).lines(2).await;
        let asks: Vec<(OpenTask, Bytes)> = (0..count)
            .map(|_| {
                let secret = locum_tests::work::random::<32>().to_vec();
                let scope = vec![locum_tests::work::grant("orders:read", &[])];
                let mut request = locum_tests::work::start(scope, &secret);
                request.lease = locum_tests::work::seconds(600);
                (OpenTask { id: String::new(), secret }, framed(&request))
            })
            .collect();
        let bodies = asks.iter().map(|(_, body)| body.clone()).collect();
        let answers = ask_all(&lines, START_TASK, bodies).await;
        let opened = asks.into_iter().zip(answers).map(|((task, _), answer)| {
            let answer = wire::StartTaskResponse::decode(answer).expect("a good answer");
            OpenTask { id: answer.task.expect("a task").task_id, ..task }
        });
        opened.collect()
    }

    /// Issues `count` tokens, ten to a task, for the `number`-th plugin.
    ///
    /// # Panics
    ///
    /// When one is refused.
    pub async fn tokens(&self, number: usize, count: usize) -> Vec<String> {
        let tasks = self.tasks(number, count.div_ceil(10)).await;
        let lines = self.plugin(number).lines(2).await;
        let bodies = (0..count).map(|n| framed(&tasks[n / 10].ask())).collect();
        let answers = ask_all(&lines, ISSUE, bodies).await;
        let token = |answer| wire::IssueTokenResponse::decode(answer).expect("a good answer").token;
        answers.into_iter().map(token).collect()
    }
}

impl Served {
    /// Asks about each of `tokens` once: after a start the first answer takes a signature's verification.
    ///
    /// # Panics
    ///
    /// When one is not active.
    pub async fn recognise(&self, tokens: &[String]) {
        let lines = self.backend().lines(2).await;
        let answers = ask_all(&lines, INTROSPECT, questions(tokens).to_vec()).await;
        assert!(answers.iter().all(|answer| says_active(answer)), "every token is alive");
    }
}

impl OpenTask {
    /// A request for a token with the longest life.
    pub fn ask(&self) -> wire::IssueTokenRequest {
        wire::IssueTokenRequest {
            task_id: self.id.clone(),
            holder_secret: self.secret.clone(),
            scope: vec![locum_tests::work::grant("orders:read", &[])],
            ttl: locum_tests::work::seconds(900),
            ..Default::default()
        }
    }
}

// === free functions ===

/// A question about a token.
pub fn question(token: &str) -> wire::IntrospectTokenRequest {
    wire::IntrospectTokenRequest { token: token.to_owned(), connector: "orders".to_owned(), presented: None }
}

/// A question about each token, framed.
pub fn questions(tokens: &[String]) -> Arc<[Bytes]> {
    tokens.iter().map(|token| framed(&question(token))).collect()
}

/// Whether an answer of `IntrospectToken` says active: its first field is `true`.
pub fn says_active(answer: &[u8]) -> bool {
    answer.starts_with(&[8, 1])
}

/// Asks all, 64 at a time, and gives the answers in order.
///
/// # Panics
///
/// When one is refused.
pub async fn ask_all(lines: &[Line], path: &'static str, bodies: Vec<Bytes>) -> Vec<Bytes> {
    let bodies: Arc<[Bytes]> = bodies.into();
    let mut asking = tokio::task::JoinSet::new();
    const SLOTS: usize = 64;
    for slot in 0..SLOTS.min(bodies.len()) {
        let (line, bodies) = (lines[slot % lines.len()].clone(), Arc::clone(&bodies));
        asking.spawn(async move {
            let mut answers = Vec::new();
            for at in (slot..bodies.len()).step_by(SLOTS) {
                answers.push((at, line.unary(path, bodies[at].clone()).await.expect("a good answer")));
            }
            answers
        });
    }
    let mut answers: Vec<(usize, Bytes)> = asking.join_all().await.into_iter().flatten().collect();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// An installation for benches: no debugging in its log, its own registry and ten policies, and no
/// archive: no peer keeps an index for search, and one of a past of ten million tokens would be made for
/// minutes behind everything that is measured.
///
/// # Panics
///
/// When the disk does not take it.
pub fn installation() -> Site {
    let site = with_archive();
    site.put("locumd.toml", &format!("{}\n[archive]\nenabled = false\n", site.text("locumd.toml")));
    site
}

/// The same with the archive, as a server has it that nobody has set otherwise.
///
/// # Panics
///
/// When the disk does not take it.
pub fn with_archive() -> Site {
    let site = Site::new();
    site.edit("locumd.toml", "level = \"debug\"", "level = \"info\"");
    site.edit("locumd.toml", "segment_bytes = 33554432\nreserve_bytes = 1048576", "");
    site.put("registry.toml", &registry());
    site.put("policies/all.cedar", &policies(10));
    site
}

/// Somebody's way in to whoever listens at `address` with the site's certificate.
pub fn door(site: &Site, address: SocketAddr, path: &str) -> Door {
    let identity = identity(site, path);
    Door::new(address, &site.authority.pem(), (&identity.cert_pem, &identity.key_pem))
}

fn identity(site: &Site, path: &str) -> Identity {
    site.authority.workload(&format!("spiffe://acme.test/{path}"))
}

/// The addresses in the line `listening`.
pub fn listening(line: &str) -> Option<SocketAddr> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["message"] == "listening").then_some(())?;
    event["grpc"].as_str()?.parse().ok()
}

fn registry() -> String {
    let mut text = String::from("[[tenant]]\nname = \"acme\"\n");
    for n in 0..PLUGINS {
        workload(&mut text, ("agent", "agents/agent"), n, "kind = \"plugin\"");
    }
    for n in 0..BACKENDS {
        workload(&mut text, ("backend", "services/backend"), n, "kind = \"service\"\nserves = [\"orders\"]");
    }
    text.push_str(
        "\n[[connector]]\ntenant = \"acme\"\nname = \"orders\"\naudience = \"https://orders.acme.test\"\n\
         owner = \"payments\"\ntier = \"low\"\ncheck = \"feed\"\nttl_max = \"900s\"\n\n\
         [connector.actions.read]\neffect = \"read\"\n\n[connector.actions.refund]\neffect = \"write\"\n",
    );
    text
}

fn workload(text: &mut String, (name, path): (&str, &str), n: usize, kind: &str) {
    write!(
        text,
        "\n[[workload]]\ntenant = \"acme\"\nname = \"{name}-{n}\"\n\
         identity = \"spiffe://acme.test/{path}-{n}\"\nowner = \"support\"\n{kind}\n"
    )
    .expect("a string grows");
}
