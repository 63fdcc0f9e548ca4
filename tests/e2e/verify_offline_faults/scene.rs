//! A daemon, verifiers in processes of their own, work that never stops, and a history of it all.

use std::future::ready as now;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use locum_api::admin::v1 as admin;
use locum_api::admin::v1::selector::Target;
use locum_api::broker::v1 as wire;
use locum_tests::backend::orders;
use locum_tests::clock::boottime;
use locum_tests::history::{Coverage, Death, Healing, History, Outage, TokenNo, Verdict};
use locum_tests::work::{Held, grant, random, revoke, seconds, start};
use locum_tests::{Answering, Daemon, Line, Party, Relay, Site, eventually};
use tokio::task::JoinHandle;

use crate::{ANSWERING, LOCUMD};

/// The staleness bound of `orders` here: the shortest there is.
pub(super) const BOUND: Duration = Duration::from_millis(500);
/// Silence is noticed within 2 s. A try that began on a bad wire is given up after 5 s, the longest pause before another
/// is 3 s, and a machine that runs other tests besides takes its time for a handshake.
const HEALS_WITHIN: Duration = Duration::from_secs(15);
/// So long a token of the work lives at least.
const LIFE: Duration = Duration::from_millis(20);
/// One in so many revocations is waited for until it is everywhere.
const WAITED: usize = 5;

/// Everything but the daemon, which tests kill.
pub(super) struct Scene {
    pub(super) relays: Vec<Relay>,
    /// The way of whoever works.
    pub(super) door: Relay,
    refunder: Party,
    operator: Party,
    verifiers: Mutex<Vec<Answering>>,
    history: Mutex<History>,
    /// A token that nobody revokes.
    live: TokenNo,
    tokens: AtomicUsize,
    /// Revocations that were acknowledged.
    revoked: AtomicUsize,
    over: AtomicBool,
}

/// A token, and the task that it is for.
struct Issued {
    number: TokenNo,
    jti: String,
    token: String,
    task: Held,
}

impl Scene {
    /// A daemon, and so many verifiers that hear it, each over a wire of its own.
    pub(super) async fn new(verifiers: usize) -> (Daemon, Arc<Self>) {
        let site = Site::new();
        let audience = "audience = \"https://orders.acme.test\"";
        site.edit("registry.toml", audience, &format!("{audience}\nstaleness_bound = \"500ms\""));
        let daemon = Daemon::start(LOCUMD, site).await;
        let port = daemon.addresses().grpc.port();
        let (mut relays, mut processes) = (Vec::new(), Vec::new());
        for number in 0..verifiers {
            let relay = Relay::to(port).await;
            processes.push(Answering::start(ANSWERING, number, &orders(&daemon, &relay).await));
            relays.push(relay);
        }
        let door = Relay::to(port).await;
        let through = |path: &str| {
            let identity = daemon.site.authority.workload(&format!("spiffe://acme.test/{path}"));
            Party::new(door.port(), &daemon.site.authority.pem(), Some(&identity))
        };
        let (refunder, operator) = (through("agents/refunder"), through("operators/operator"));
        let mut scene = Self {
            relays,
            door,
            refunder,
            operator,
            verifiers: Mutex::new(processes),
            history: Mutex::new(History {
                staleness_bound: BOUND,
                heals_within: HEALS_WITHIN,
                ..History::default()
            }),
            live: 0,
            tokens: AtomicUsize::new(0),
            revoked: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        };
        scene.live = scene.issue().await.expect("issued").number;
        let scene = Arc::new(scene);
        scene.heal(0..verifiers).await;
        (daemon, scene)
    }

    // === work ===

    /// Starts tasks, has tokens issued and takes them back by every way there is, until the end.
    pub(super) fn work(self: &Arc<Self>) -> JoinHandle<()> {
        let scene = Arc::clone(self);
        tokio::spawn(async move {
            for turn in 0.. {
                if scene.over.load(Ordering::Relaxed) {
                    return;
                }
                // A broker that is away issues nothing.
                if let Some(issued) = scene.issue().await {
                    tokio::time::sleep(LIFE).await;
                    scene.take_back(turn, issued).await;
                } else {
                    tokio::time::sleep(LIFE).await;
                }
            }
        })
    }

    async fn issue(&self) -> Option<Issued> {
        let secret = random::<32>().to_vec();
        let request = start(vec![grant("orders:read", &[])], &secret);
        let answer = self.refunder.tasks().start_task(request).await.ok()?.into_inner();
        let task = Held { task_id: answer.task.expect("a task").task_id, secret };
        let request = task.ask("orders:read", &["order/1"]);
        let answer = self.refunder.tokens().issue_token(request).await.ok()?.into_inner();
        let number = TokenNo::try_from(self.tokens.fetch_add(1, Ordering::Relaxed)).expect("few");
        for verifier in lock(&self.verifiers).iter_mut() {
            verifier.ask_about(number, &answer.token);
        }
        Some(Issued { number, jti: answer.jti, token: answer.token, task })
    }

    /// Ends a token. That it was not acknowledged says nothing: it may be dead or not.
    async fn take_back(&self, turn: usize, issued: Issued) {
        let begun_at = boottime();
        let everywhere = match turn % 3 {
            _ if usize::is_multiple_of(turn, WAITED) => {
                let request = admin::RevokeRequest { wait: seconds(15), ..revoke(Target::Token(issued.jti)) };
                let answer = self.operator.revocation().revoke(request).await;
                answer.map(|answer| answer.into_inner().everywhere)
            }
            0 => self.refunder.tasks().end_task(issued.task.end()).await.map(|_| false),
            1 => {
                let request = wire::RevokeTokenRequest { token: issued.token };
                self.refunder.tokens().revoke_token(request).await.map(|_| false)
            }
            _ => {
                let request = revoke(Target::Task(issued.task.task_id));
                self.operator.revocation().revoke(request).await.map(|_| false)
            }
        };
        let told_at = boottime();
        let death = Death {
            token: issued.number,
            begun_at,
            acknowledged_at: everywhere.is_ok().then_some(told_at),
            everywhere_at: everywhere.as_ref().is_ok_and(|is_so| *is_so).then_some(told_at),
        };
        lock(&self.history).deaths.push(death);
        self.revoked.fetch_add(usize::from(everywhere.is_ok()), Ordering::Relaxed);
    }

    /// Waits until so many more revocations were acknowledged.
    pub(super) async fn goes_on(&self, more: usize) {
        let until = self.revoked.load(Ordering::Relaxed) + more;
        let done = || now((self.revoked.load(Ordering::Relaxed) >= until).then_some(()));
        eventually("the work to go on", done).await;
    }

    // === verifiers ===

    /// Waits until these verifiers, asked from now on, answer for what lives.
    pub(super) async fn heal(&self, verifiers: impl IntoIterator<Item = usize>) {
        let from = boottime();
        for verifier in verifiers {
            self.says(verifier, Verdict::Active, from).await;
            lock(&self.history).healings.push(Healing { verifier, token: self.live, from });
        }
    }

    /// Waits until these verifiers answer for nothing any more, and a little longer; then it is over.
    pub(super) async fn cut_off(&self, verifiers: impl IntoIterator<Item = usize>, from: Duration) {
        let cut: Vec<usize> = verifiers.into_iter().collect();
        for verifier in &cut {
            self.says(*verifier, Verdict::Unknown, from + BOUND).await;
        }
        let until = boottime();
        lock(&self.history).outages.extend(cut.iter().map(|&verifier| Outage { verifier, from, until }));
    }

    async fn says(&self, verifier: usize, verdict: Verdict, asked_after: Duration) {
        let said = || now(lock(&self.verifiers)[verifier].last(self.live, asked_after));
        eventually("a verifier to say so", || async { said().await.filter(|said| *said == verdict) }).await;
    }

    pub(super) fn freeze(&self, verifier: usize) {
        lock(&self.verifiers)[verifier].freeze();
    }

    pub(super) fn thaw(&self, verifier: usize) {
        lock(&self.verifiers)[verifier].thaw();
    }

    /// Changes the wires of these verifiers.
    pub(super) fn lines(&self, lines: &[(usize, Line)]) {
        lines.iter().for_each(|(verifier, line)| self.relays[*verifier].set(*line));
    }

    /// Leads everybody to the daemon where it is now.
    pub(super) fn lead_to(&self, daemon: &Daemon) {
        let port = daemon.addresses().grpc.port();
        self.relays.iter().chain([&self.door]).for_each(|relay| relay.lead_to(port));
    }

    // === the end ===

    /// Ends the work, waits until every verifier refuses everything that is dead for certain, and judges.
    pub(super) async fn judge(self: Arc<Self>, work: JoinHandle<()>) -> Coverage {
        self.over.store(true, Ordering::Relaxed);
        work.await.expect("it worked to the end");
        let dead: Vec<_> = lock(&self.history)
            .deaths
            .iter()
            .filter(|d| d.acknowledged_at.is_some())
            .map(|d| d.token)
            .collect();
        let from = boottime();
        for verifier in 0..self.relays.len() {
            let refuses = |token: &TokenNo| {
                lock(&self.verifiers)[verifier].last(*token, from) == Some(Verdict::Inactive)
            };
            eventually("all that is dead to be refused", || now(dead.iter().all(refuses).then_some(())))
                .await;
        }
        let mut history = std::mem::take(&mut *lock(&self.history));
        for verifier in std::mem::take(&mut *lock(&self.verifiers)) {
            history.answers.extend(verifier.finish());
        }
        let judged = history.judge();
        let first = judged.as_ref().err().map(|violations| &violations[..violations.len().min(10)]);
        assert!(judged.is_ok(), "the first violations: {first:#?}");
        judged.expect("asserted just above")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
