//! `locumd` put together: settings in, a running server out, and an orderly end.
//!
//! Order of coming up: time, keys and journal; replay; writer; keys and files in force; listeners;
//! ready. Order of going down: not ready, listeners drained, what was summed written down, writer
//! emptied and sealed, time persisted. A writer that fails ends the process at once.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use locum_api::Role;
use locum_broker::{Broker, JournalFailed, Operator, Options, StartError, Surroundings, Tenants};
use locum_identity::{CurrentTrust, Trust};
use locum_journal::DiskFiles;
use locum_model::evidence::Login;
use locum_model::{Clock, Entropy, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::accept::{Accept, AcceptOptions, Observer, WithoutAlpn};
use crate::archive::Keeper;
use crate::beside::Beside;
use crate::clock::SystemClock;
use crate::config::{self, OperatorIdentity, Problems, Settings};
use crate::entropy::OsEntropy;
use crate::grpc;
use crate::http::{self, Documents, Readiness};
use crate::key_files::FileKeyStore;
use crate::metrics::Metrics;
use crate::quarantine::Quarantine;
use crate::reload::Reload;
use crate::service::feed::{Around, HistoryLost, Hub};
use crate::service::first_keys::FirstKeys;
use crate::service::gate::{Gate, MethodSeries, OperatorEntry, Who};
use crate::service::request_id::RequestIds;
use crate::service::{Wiring, router};
use crate::supervisor::{Supervisor, Vital, supervision};
use crate::tasks::{Fatal, Tasks, blocking, writer_thread};
use crate::tls::{ClientCertificates, OwnCertificate, grpc_config, https_config};
use crate::traces::Traces;

/// How long the loops may take to end when the server stops: a moment more than requests have.
const DRAIN: Duration = grpc::DRAIN.saturating_add(Duration::from_secs(1));

/// The server could not come up.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The settings, or what they point at.
    #[error("{0}")]
    Settings(#[from] Problems),
    /// The data directory.
    #[error("`{}`: {cause}", .path.display())]
    Data {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The journal.
    #[error(transparent)]
    Broker(#[from] StartError),
    /// The journal was put back to an earlier state, and nobody has accepted that.
    #[error("`{}` is quarantined: {why}", .path.display())]
    Quarantined {
        /// The data directory.
        path: PathBuf,
        /// What proved it.
        why: String,
    },
    /// A listener.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The server stopped for a reason that nobody asked for.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A loop broke its promise.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalFailed),
    /// The journal is not the one that verifiers followed.
    #[error(transparent)]
    HistoryLost(#[from] HistoryLost),
    /// The writer's thread is gone.
    #[error("the journal's writer is gone")]
    WriterGone,
}

/// A server that has come up.
pub struct Running {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where the public documents are served.
    pub http: Option<SocketAddr>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    broker: Arc<Broker>,
    clock: Arc<SystemClock>,
    readiness: Readiness,
    tasks: Tasks,
    writer: oneshot::Receiver<Result<(), JournalFailed>>,
    loss: Loss,
    reload: Arc<Reload>,
    reaper_turns: Arc<AtomicU64>,
}

/// How the feed tells that the journal has lost history, and where that is kept for the next start.
struct Loss {
    told: mpsc::Receiver<HistoryLost>,
    quarantine: Quarantine,
}

/// Comes up.
///
/// # Errors
///
/// [`NotStarted`]; nothing is left running then but a writer that ends by itself.
pub async fn start(settings: Settings) -> Result<Running, NotStarted> {
    locum_jose::provider::install().map_err(|cause| NotStarted::Other(cause.to_string()))?;
    let clock = Arc::new(open_clock(&settings)?);
    let quarantine = open_quarantine(&settings)?;
    let shared_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let now = shared_clock.now().map_err(|unsettled| NotStarted::Other(unsettled.to_string()))?;
    let own = config::own_certificate(&settings)?;
    let trust = Arc::new(ArcSwap::from_pointee(open_trust(&settings, now)?));
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy::new());
    let metrics = Arc::new(Metrics::new(now));
    let around = (Arc::clone(&shared_clock), Arc::clone(&entropy));
    let (broker, writer) = open_broker(&settings, around, &metrics).await?;
    let around = Around {
        broker: Arc::clone(&broker),
        clock: Arc::clone(&shared_clock),
        entropy: Arc::clone(&entropy),
        metrics: Arc::clone(&metrics),
    };
    let (losing, told) = mpsc::channel(1);
    let (feed, loss) = (Hub::new(around, losing), Loss { told, quarantine });
    if let Some(newest) = broker.newest_event_at() {
        clock.raise(newest);
    }
    let reload = reload_of(&settings, &broker, (&trust, &own), &shared_clock);
    put_in_force(&broker, &reload).await?;
    let readiness = Readiness::new();
    let mut tasks = Tasks::new();
    let around = (Arc::clone(&shared_clock), Arc::clone(&entropy));
    let traces = start_traces(&settings, around, &metrics, &mut tasks)?;
    let current = current_trust(Arc::clone(&trust));
    let gate = Gate {
        trust: Arc::clone(&current),
        operators: settings.operators.iter().map(operator_entry).collect(),
        clock: Arc::clone(&shared_clock),
        request_ids: RequestIds::new(&*entropy),
        metrics: Arc::clone(&metrics),
        series: MethodSeries::default(),
        first_keys: FirstKeys::default(),
        traces,
        stopping: tasks.stopping(),
    };
    let wiring = Wiring {
        broker: Arc::clone(&broker),
        archive_retention: settings.archive.retention,
        feed: Arc::clone(&feed),
        metrics: Arc::clone(&metrics),
        readiness: readiness.clone(),
        reload: Arc::clone(&reload),
        stopping: tasks.stopping(),
    };
    let mut doors = Doors { tasks: &mut tasks, own: &own, metrics: &metrics };
    let grpc = doors.open_grpc(settings.server.grpc, current, gate, wiring).await?;
    let (http, metrics_at) = doors.open_others(&settings, documents(&settings, &broker, &readiness)).await?;
    let reaper_turns = Beside::of(&broker, &clock, &metrics, &reload).start(&mut tasks);
    tasks.start("feed", feed.run(tasks.stopping()));
    if let Some(keeper) = Keeper::of(&settings, &broker, (shared_clock, entropy)) {
        tasks.start("archive", keeper.run(tasks.stopping()));
    }
    readiness.ready();
    let metrics = metrics_at;
    Ok(Running { grpc, http, metrics, broker, clock, readiness, tasks, writer, loss, reload, reaper_turns })
}

impl Running {
    /// The broker, for those who embed a server.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Tells `supervisor` from now on that the commit path and the reaper live, and how it is.
    pub fn report_to(&mut self, supervisor: &Arc<Supervisor>) {
        let (broker, reaper) = (Arc::clone(&self.broker), Arc::clone(&self.reaper_turns));
        let vitals = vec![
            Vital::new("commit", move || broker.commit_turns()),
            Vital::new("reaper", move || reaper.load(Ordering::Relaxed)),
        ];
        let broker = Arc::clone(&self.broker);
        let work =
            supervision(Arc::clone(supervisor), vitals, move || broker.status(), self.tasks.stopping());
        self.tasks.start("supervision", work);
    }

    /// What reads files again.
    pub fn reload(&self) -> Arc<Reload> {
        Arc::clone(&self.reload)
    }

    /// Serves until `signal`, then ends in order.
    ///
    /// # Errors
    ///
    /// [`Stopped`]; the process should then end with a failure.
    pub async fn run(self, signal: impl Future<Output = ()>) -> Result<(), Stopped> {
        let Self { broker, clock, readiness, tasks, mut writer, mut loss, .. } = self;
        let signal = async {
            signal.await;
            readiness.not_ready();
        };
        let served = tokio::select! {
            biased;
            // Nothing more can be acknowledged: what still runs is dropped where it stands.
            ended = &mut writer => return Err(stopped_early(ended)),
            // Nothing that is known here is to be believed.
            Some(lost) = loss.told.recv() => {
                if let Err(cause) = loss.quarantine.impose(&lost.to_string()) {
                    tracing::error!(%cause, "the quarantine could not be written: the next start knows nothing of it");
                }
                return Err(lost.into());
            }
            served = tasks.run(signal, DRAIN) => served,
        };
        broker.close().await;
        let ended = writer.await.map_err(|_gone| Stopped::WriterGone)?;
        if let Err(cause) = clock.persist() {
            tracing::error!(%cause, "the clock's mark could not be written");
        }
        ended?;
        Ok(served?)
    }
}

/// Why a writer ended that nobody asked to.
fn stopped_early(ended: Result<Result<(), JournalFailed>, oneshot::error::RecvError>) -> Stopped {
    match ended {
        Ok(Err(failed)) => failed.into(),
        Ok(Ok(())) | Err(_) => Stopped::WriterGone,
    }
}

// === coming up ===

fn open_clock(settings: &Settings) -> Result<SystemClock, NotStarted> {
    let dir = &settings.data_dir;
    let refused = |cause: String| NotStarted::Data { path: dir.clone(), cause };
    crate::private_file::private_dir(dir).map_err(|cause| refused(cause.to_string()))?;
    SystemClock::open(&dir.join("clock")).map_err(|cause| refused(cause.to_string()))
}

/// Refuses to start on a journal that is known to have lost history.
fn open_quarantine(settings: &Settings) -> Result<Quarantine, NotStarted> {
    let path = settings.data_dir.clone();
    let quarantine = Quarantine::of(&path);
    match quarantine.reason() {
        Ok(None) => Ok(quarantine),
        Ok(Some(why)) => Err(NotStarted::Quarantined { path, why }),
        Err(cause) => Err(NotStarted::Data { path, cause: cause.to_string() }),
    }
}

fn open_trust(settings: &Settings, now: Timestamp) -> Result<Trust, NotStarted> {
    Trust::of(config::trust_options(settings)?, now).map_err(|problem| NotStarted::Other(problem.to_string()))
}

async fn open_broker(
    settings: &Settings,
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Broker>, oneshot::Receiver<Result<(), JournalFailed>>), NotStarted> {
    let path = settings.data_dir.join("journal");
    let data = |cause: String| NotStarted::Data { path: path.clone(), cause };
    crate::private_file::private_dir(&path).map_err(|cause| data(cause.to_string()))?;
    let files = DiskFiles::open(&path).map_err(|cause| data(cause.to_string()))?;
    let keys =
        FileKeyStore::open(&settings.data_dir.join("keys")).map_err(|cause| data(cause.to_string()))?;
    let options = Options {
        issuer: settings.issuer.url.clone(),
        journal: locum_journal::Options {
            segment_bytes: settings.journal.segment_bytes,
            reserve_bytes: settings.journal.reserve_bytes,
            home: 1,
        },
        key_publish_ahead: settings.issuer.publish_ahead,
        key_rotate_every: settings.issuer.rotate_every,
        proofs_max: locum_model::limits::PROOFS_REMEMBERED_MAX,
    };
    let around = Surroundings { clock, entropy, files: Arc::new(files), keys: Arc::new(keys) };
    let opened = blocking(move || Broker::open(options, around)).await.map_err(NotStarted::Other)?;
    let (broker, committer) = opened?;
    let metrics = Arc::clone(metrics);
    let committer = committer.observed(Box::new(move |events, took| metrics.batch_committed(events, took)));
    let writer = writer_thread(move || committer.run()).map_err(|cause| data(cause.to_string()))?;
    Ok((broker, writer))
}

/// What records requests, and the loop that tells a collector of them.
fn start_traces(
    settings: &Settings,
    around: (Arc<dyn Clock>, Arc<dyn Entropy>),
    metrics: &Arc<Metrics>,
    tasks: &mut Tasks,
) -> Result<Option<Arc<Traces>>, NotStarted> {
    let Some(wanted) = &settings.traces else { return Ok(None) };
    let (traces, exporter) = Traces::new(wanted, around, metrics)?;
    tasks.start("traces", exporter.run(tasks.stopping()));
    Ok(Some(traces))
}

fn current_trust(trust: Arc<ArcSwap<Trust>>) -> CurrentTrust {
    Arc::new(move || trust.load_full())
}

/// What a reload puts in force, and where.
fn reload_of(
    settings: &Settings,
    broker: &Arc<Broker>,
    (trust, own): (&Arc<ArcSwap<Trust>>, &OwnCertificate),
    clock: &Arc<dyn Clock>,
) -> Arc<Reload> {
    Arc::new(Reload {
        settings: settings.clone(),
        broker: Arc::clone(broker),
        trust: Arc::clone(trust),
        own: own.clone(),
        clock: Arc::clone(clock),
    })
}

/// Keys and files. Files that are refused leave the last good ones in force, where there are any.
async fn put_in_force(broker: &Broker, reload: &Reload) -> Result<(), NotStarted> {
    broker.prepare_keys().await.map_err(|refusal| NotStarted::Other(refusal.to_string()))?;
    let before = broker.status();
    match reload.files(locum_model::event::By::Broker).await {
        Ok(activated) => {
            tracing::info!(registry = activated.registry.0, policy = activated.policy.0, "in force");
            Ok(())
        }
        Err(cause) if before.registry.0 > 0 && before.policy.0 > 0 => {
            tracing::error!(%cause, "the files are refused; running on the last good ones");
            Ok(())
        }
        Err(cause) => Err(NotStarted::Other(cause.to_string())),
    }
}

fn operator_entry(operator: &config::Operator) -> OperatorEntry {
    let who = match &operator.identity {
        OperatorIdentity::Spiffe(id) => Who::Spiffe(id.clone()),
        OperatorIdentity::Login { issuer, subject } => {
            Who::Login(Login { issuer: issuer.clone(), subject: subject.clone() })
        }
    };
    let role = match operator.role {
        config::Role::Viewer => Role::Viewer,
        config::Role::Operator => Role::Operator,
        config::Role::Approver => Role::Approver,
        config::Role::Policy => Role::Policy,
        config::Role::Admin => Role::Admin,
    };
    let tenants = match &operator.tenants {
        config::Tenants::All => Tenants::All,
        config::Tenants::Only(names) => Tenants::Only(names.iter().cloned().collect()),
    };
    OperatorEntry { who, role, operator: Operator { name: operator.name.to_string(), tenants } }
}

fn documents(settings: &Settings, broker: &Arc<Broker>, readiness: &Readiness) -> Documents {
    let broker = Arc::clone(broker);
    let jwks: http::Current = Arc::new(move || broker.jwks().into());
    Documents::new(&settings.issuer.url, settings.issuer.publish_ahead, jwks, readiness.clone())
}

/// Opens listeners and starts what serves them.
struct Doors<'a> {
    tasks: &'a mut Tasks,
    own: &'a OwnCertificate,
    metrics: &'a Arc<Metrics>,
}

impl Doors<'_> {
    async fn open_grpc(
        &mut self,
        address: SocketAddr,
        trust: CurrentTrust,
        gate: Gate,
        wiring: Wiring,
    ) -> Result<SocketAddr, NotStarted> {
        let clients = ClientCertificates::Asked(locum_identity::client_certs(trust));
        let tls = grpc_config(self.own, clients).map_err(|cause| NotStarted::Other(cause.to_string()))?;
        let (listener, bound) = bind(address).await?;
        let (accept, incoming) = Accept::new(listener, tls, AcceptOptions::default(), self.observer());
        let services = Arc::new(router(gate, wiring).map_err(NotStarted::Other)?);
        self.tasks.start("grpc accept", accept.run(self.tasks.stopping()));
        self.tasks.start("grpc", grpc::serve(services, incoming, self.tasks.stopping()));
        Ok(bound)
    }

    /// The listeners that settings may leave out: of public documents and of metrics.
    async fn open_others(
        &mut self,
        settings: &Settings,
        documents: Documents,
    ) -> Result<(Option<SocketAddr>, Option<SocketAddr>), NotStarted> {
        let http = match settings.server.http {
            Some(address) => Some(self.open_https(address, documents).await?),
            None => None,
        };
        let metrics = match settings.metrics {
            Some(address) => Some(self.open_metrics(address).await?),
            None => None,
        };
        Ok((http, metrics))
    }

    async fn open_https(
        &mut self,
        address: SocketAddr,
        documents: Documents,
    ) -> Result<SocketAddr, NotStarted> {
        let tls = https_config(self.own, ClientCertificates::NotAsked)
            .map_err(|cause| NotStarted::Other(cause.to_string()))?;
        let (listener, bound) = bind(address).await?;
        let options = AcceptOptions { without_alpn: WithoutAlpn::Http1, ..AcceptOptions::default() };
        let (accept, incoming) = Accept::new(listener, tls, options, self.observer());
        self.tasks.start("https accept", accept.run(self.tasks.stopping()));
        self.tasks.start("https", http::serve(documents, incoming, self.tasks.stopping()));
        Ok(bound)
    }

    async fn open_metrics(&mut self, address: SocketAddr) -> Result<SocketAddr, NotStarted> {
        let (listener, bound) = bind(address).await?;
        let served = http::serve_metrics(Arc::clone(self.metrics), listener, self.tasks.stopping());
        self.tasks.start("metrics", served);
        Ok(bound)
    }

    fn observer(&self) -> Observer {
        let metrics = Arc::clone(self.metrics);
        Arc::new(move |attempt| metrics.connection(attempt))
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), NotStarted> {
    let refused = |cause| NotStarted::Listen { address, cause };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}
