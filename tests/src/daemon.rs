//! [`Daemon`]: one process of `locumd`, from its start to its end.
//!
//! Signals go to the very process that was started, by its id. What a test declares as a secret is
//! searched for in everything that the process said, when it goes.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use locum_jose::base64url;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::authority::Identity;
use crate::party::Party;
use crate::site::Site;
use crate::stopped::{go_on, stop};
use crate::wait::{eventually, within};

/// Where a running daemon listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// The public documents.
    pub http: SocketAddr,
    /// Metrics.
    pub metrics: SocketAddr,
}

/// A site with the process that runs on it.
pub struct Daemon {
    /// The installation.
    pub site: Site,
    binary: PathBuf,
    variables: Vec<(String, String)>,
    running: Option<Running>,
    said: Arc<Mutex<Vec<String>>>,
    secrets: Mutex<Vec<Vec<u8>>>,
}

struct Running {
    child: Child,
    reader: JoinHandle<()>,
    addresses: Addresses,
}

/// The one daemon that tests share who break nothing; it goes with the last of them.
static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());

impl Daemon {
    /// A daemon on `site`, once it listens.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start(binary: &str, site: Site) -> Self {
        Self::start_under(binary, site, &[]).await
    }

    /// A daemon on `site` with these environment variables and no others, once it listens.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start_under(binary: &str, site: Site, variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut daemon = Self {
            site,
            binary: binary.into(),
            variables: variables.iter().map(owned).collect(),
            running: None,
            said: Arc::default(),
            secrets: Mutex::default(),
        };
        daemon.up().await;
        daemon
    }

    /// The daemon that is shared by whoever asks at the same time. For tests that keep to tasks and
    /// tokens of their own.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn shared(binary: &str) -> Arc<Self> {
        let mut shared = lock(&SHARED);
        if let Some(daemon) = shared.upgrade() {
            return daemon;
        }
        let binary = binary.to_owned();
        // Tests come with a runtime of their own each, and none of them may own this process.
        let starting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(Self::start(&binary, Site::new()))
        });
        let daemon = Arc::new(starting.join().expect("it came up"));
        *shared = Arc::downgrade(&daemon);
        daemon
    }

    /// Starts the process again on the same site.
    ///
    /// # Panics
    ///
    /// When it is up already or does not come up.
    pub async fn up(&mut self) {
        assert!(self.running.is_none(), "it is up already");
        let from = lock(&self.said).len();
        let mut command = command(&self.binary, &self.site.config());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let (mut child, reader) = spawn(command, &self.said);
        let said = Arc::clone(&self.said);
        let addresses = eventually("the line `listening`", || {
            let found = lock(&said).iter().skip(from).find_map(|line| listening(line));
            let ended = child.try_wait().expect("a child").is_some();
            assert!(found.is_some() || !ended, "it ended: {}", lock(&said).join("\n"));
            std::future::ready(found)
        });
        let addresses = addresses.await;
        self.running = Some(Running { child, reader, addresses });
    }

    /// What a process on `site` says when it does not come up, and how it ended.
    ///
    /// # Panics
    ///
    /// When it does come up.
    pub async fn refused(binary: &str, site: &Site, variables: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut command = command(Path::new(binary), &site.config());
        command.envs(variables.iter().copied());
        let ended = tokio::task::spawn_blocking(move || command.output().expect("started"));
        let output = within("an end of what was to be refused", ended).await.expect("not cancelled");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn addresses(&self) -> Addresses {
        self.running.as_ref().expect("it is up").addresses.clone()
    }

    /// Memory of the process that is resident, in bytes.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn resident_bytes(&self) -> u64 {
        let running = self.running.as_ref().expect("it is up");
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id()));
        let status = status.expect("a process of ours");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Connections that the process has begun, as [`sockets::begun`](crate::sockets::begun) sees them.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn connections_begun(&self) -> Vec<String> {
        let running = self.running.as_ref().expect("it is up");
        let Addresses { grpc, http, metrics } = &running.addresses;
        crate::sockets::begun(running.child.id(), &[grpc.port(), http.port(), metrics.port()])
    }

    /// Kills the process as a power cut would.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Sends the kill and does not wait: for those who share the daemon. [`Daemon::kill`] waits.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn kill_now(&self) {
        let running = self.running.as_ref().expect("it is up");
        kill_process(pid(&running.child), Signal::KILL).expect("signalled");
    }

    /// Ends the process in order.
    ///
    /// # Panics
    ///
    /// When it does not end well.
    pub async fn terminate(&mut self) {
        let status = self.end(Signal::TERM).await;
        assert!(status.success(), "it ended badly: {status}\n{}", self.log());
    }

    /// Stops the process where it stands; its connections stay.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn freeze(&self) {
        stop(pid(&self.running.as_ref().expect("it is up").child));
    }

    /// Lets a frozen process go on.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn thaw(&self) {
        go_on(pid(&self.running.as_ref().expect("it is up").child));
    }

    /// Tells the process to read its files again. Wait for what the log says.
    ///
    /// # Panics
    ///
    /// When it is down.
    pub fn hang_up(&self) {
        let running = self.running.as_ref().expect("it is up");
        kill_process(pid(&running.child), Signal::HUP).expect("signalled");
    }

    /// Everything that was said so far.
    pub fn log(&self) -> String {
        lock(&self.said).join("\n")
    }

    /// Declares a secret: it may stand in no line of the log, in no spelling.
    pub fn secret(&self, bytes: impl AsRef<[u8]>) {
        lock(&self.secrets).push(bytes.as_ref().to_vec());
    }

    /// Who proves `spiffe_id` by a certificate.
    pub fn workload(&self, spiffe_id: &str) -> Party {
        self.party(Some(&self.site.authority.workload(spiffe_id)))
    }

    /// The workload `spiffe://acme.test/<path>`.
    pub fn at(&self, path: &str) -> Party {
        self.workload(&format!("spiffe://acme.test/{path}"))
    }

    /// The operator of this name (see [`crate::site::OPERATORS`]).
    pub fn operator(&self, name: &str) -> Party {
        self.at(&format!("operators/{name}"))
    }

    /// Who shows this certificate, or none.
    pub fn party(&self, identity: Option<&Identity>) -> Party {
        if let Some(identity) = identity {
            let body: String = identity.key_pem.lines().filter(|line| !line.starts_with('-')).collect();
            self.secret(body);
        }
        Party::new(self.addresses().grpc.port(), &self.site.authority.pem(), identity)
    }

    /// The workload `spiffe://acme.test/<path>`, who reads no more than it asks for.
    pub fn narrow(&self, path: &str) -> Party {
        self.at_window(path, 16 * 1024)
    }

    /// The workload `spiffe://acme.test/<path>`, who lets no more than so many bytes come on a stream that it
    /// has not read.
    pub fn at_window(&self, path: &str, bytes: u32) -> Party {
        let identity = self.site.authority.workload(&format!("spiffe://acme.test/{path}"));
        let port = self.addresses().grpc.port();
        Party::with_window(port, &self.site.authority.pem(), Some(&identity), Some(bytes))
    }

    async fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(pid(&self.running.as_ref().expect("it is up").child), signal).expect("signalled");
        self.ended().await
    }

    /// Waits for its end, that nobody here asked for.
    ///
    /// # Panics
    ///
    /// When it is not up, or does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let Running { mut child, reader, .. } = self.running.take().expect("it is up");
        let ended =
            eventually("the process's end", || std::future::ready(child.try_wait().expect("a child")));
        let status = ended.await;
        reader.join().expect("the log was read");
        status
    }

    /// Searches the log for the secrets.
    fn search(&self) {
        let log = self.log();
        for secret in lock(&self.secrets).iter() {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            for spelling in [String::from_utf8_lossy(secret).into_owned(), hex, base64url::encode(secret)] {
                assert!(!log.contains(&spelling), "a secret stands in the log: {spelling}");
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(Running { mut child, reader, .. }) = self.running.take() {
            child.kill().expect("killed");
            child.wait().expect("gone");
            reader.join().expect("the log was read");
        }
        if std::thread::panicking() {
            tell(&self.log());
        } else {
            self.search();
        }
    }
}

fn command(binary: &Path, config: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("serve").arg("--config").arg(config).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn spawn(mut command: Command, said: &Arc<Mutex<Vec<String>>>) -> (Child, JoinHandle<()>) {
    let mut child = command.spawn().expect("started");
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    let said = Arc::clone(said);
    let reader = std::thread::spawn(move || {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            lock(&said).push(String::from_utf8_lossy(&line).into_owned());
        }
    });
    (child, reader)
}

fn listening(line: &str) -> Option<Addresses> {
    let event: Value = serde_json::from_str(line).ok()?;
    let at = |name: &str| event[name].as_str().and_then(|text| text.parse().ok());
    (event["message"] == "listening").then_some(())?;
    Some(Addresses { grpc: at("grpc")?, http: at("http")?, metrics: at("metrics")? })
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The newest lines beside a failed test, without what only debugging needs.
#[expect(clippy::print_stderr, reason = "the output of a test that failed")]
fn tell(log: &str) {
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains(r#""level":"DEBUG""#)).collect();
    eprintln!("--- the daemon said\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
}
