use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use locum_broker::{Broker, Options, Surroundings};
use locum_journal::{FileLayer, MemoryFiles, OpenFile};
use locum_token::MemoryKeyStore;
use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::*;
use crate::clock::WallClock;
use crate::entropy::OsEntropy;
use crate::tasks::{Tasks, writer_thread};

/// Longer than an idle writer's half second.
const WATCHDOG: Duration = Duration::from_millis(2_400);

/// What a supervisor hears.
struct Ear {
    socket: UnixDatagram,
    _dir: TempDir,
}

impl Ear {
    fn new(watchdog: Option<Duration>) -> (Self, Arc<Supervisor>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        let supervised = Supervised { socket: Some(NotifySocket::Path(path)), watchdog };
        let supervisor = Supervisor::connect(&supervised).expect("connected");
        (Self { socket, _dir: dir }, Arc::new(supervisor))
    }

    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a datagram in time");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// Waits for this datagram; what came before it.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.next() {
                heard if heard == wanted => return before,
                other => before.push(other),
            }
        }
    }
}

/// A disk whose flushes wait while it is shut.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn shut(&self, shut: bool) {
        *self.0.0.lock() = shut;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        self.0.1.wait_while(&mut self.0.0.lock(), |shut| *shut);
    }
}

struct SlowDisk(MemoryFiles, Gate);

struct SlowFile(Arc<dyn OpenFile>, Gate);

impl FileLayer for SlowDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(SlowFile(self.0.create(name, bytes)?, self.1.clone())))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(SlowFile(self.0.open(name)?, self.1.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }

    fn available_bytes(&self) -> io::Result<u64> {
        self.0.available_bytes()
    }
}

impl OpenFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_at(bytes, at)
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        self.0.grow(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.pass();
        self.0.sync()
    }
}

fn broker(gate: &Gate) -> Arc<Broker> {
    let options = Options {
        issuer: "https://locum.acme.test".into(),
        journal: locum_journal::Options { segment_bytes: 32 << 20, reserve_bytes: 1 << 20, home: 1 },
        key_publish_ahead: Duration::from_secs(3600),
        key_rotate_every: Duration::from_secs(86400),
        proofs_max: 1,
    };
    let around = Surroundings {
        clock: Arc::new(WallClock),
        entropy: Arc::new(OsEntropy::new()),
        files: Arc::new(SlowDisk(MemoryFiles::new(), gate.clone())),
        keys: Arc::new(MemoryKeyStore::default()),
    };
    let (broker, committer) = Broker::open(options, around).expect("opened");
    writer_thread(move || committer.run()).expect("a thread");
    broker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_hangs_in_a_flush_gives_no_sign_of_life() {
    let gate = Gate::default();
    let broker = broker(&gate);
    let (ear, supervisor) = Ear::new(Some(WATCHDOG));
    let (counted, shown) = (Arc::clone(&broker), Arc::clone(&broker));
    let mut tasks = Tasks::new();
    let vitals = vec![Vital::new("commit", move || counted.commit_turns())];
    let work = supervision(supervisor, vitals, move || shown.status(), tasks.stopping());
    tasks.start("supervision", work);
    let heard = tokio::task::spawn_blocking(move || {
        // Idle it lives.
        ear.until("WATCHDOG=1\n");
        ear.until("WATCHDOG=1\n");
        ear
    });
    let ear = heard.await.expect("heard");
    gate.shut(true);
    let waiting = Arc::clone(&broker);
    let prepared = tokio::spawn(async move { waiting.prepare_keys().await });
    let heard = tokio::task::spawn_blocking(move || {
        ear.until("STATUS=stuck: commit\n");
        for _ in 0..3 {
            assert_eq!(ear.next(), "STATUS=stuck: commit\n");
        }
        gate.shut(false);
        let between = ear.until("WATCHDOG=1\n");
        assert!(between.iter().all(|heard| heard == "STATUS=stuck: commit\n"), "{between:?}");
        assert!(ear.next().starts_with("STATUS=0 tokens, 0 tasks; registry 0, policy 0; degraded: "));
    });
    heard.await.expect("heard");
    prepared.await.expect("not cancelled").expect("committed in the end");
    broker.close().await;
    tasks.run(async {}, Duration::from_secs(5)).await.expect("stopped in order");
}

#[tokio::test]
async fn any_one_that_is_stuck_is_enough() {
    let (ear, supervisor) = Ear::new(Some(Duration::from_millis(30)));
    let turning = Arc::new(AtomicBool::new(true));
    let (turns, goes) = (AtomicU64::new(0), Arc::clone(&turning));
    let vitals = vec![
        Vital::new("reaper", move || {
            if goes.load(Ordering::Relaxed) { turns.fetch_add(1, Ordering::Relaxed) } else { 0 }
        }),
        Vital::new("commit", {
            let turns = AtomicU64::new(0);
            move || turns.fetch_add(1, Ordering::Relaxed)
        }),
    ];
    let broker = broker(&Gate::default());
    let mut tasks = Tasks::new();
    tasks.start("supervision", supervision(supervisor, vitals, move || broker.status(), tasks.stopping()));
    let heard = tokio::task::spawn_blocking(move || {
        ear.until("WATCHDOG=1\n");
        turning.store(false, Ordering::Relaxed);
        ear.until("STATUS=stuck: reaper\n");
        assert_eq!(ear.next(), "STATUS=stuck: reaper\n");
    });
    heard.await.expect("heard");
    tasks.run(async {}, Duration::from_secs(5)).await.expect("stopped in order");
}

#[test]
fn text_cannot_add_an_assignment() {
    let told = Notice::Status("refused\nMAINPID=1\r\u{1b}[31m\0").datagram();
    assert_eq!(told, "STATUS=refused MAINPID=1  [31m \n");
    let long = Notice::Status(&"ä".repeat(10_000)).datagram();
    assert_eq!(long.chars().count(), "STATUS=\n".len() + STATUS_CHARS_MAX);
}

#[test]
fn what_systemd_reads() {
    let reloading = Notice::Reloading(Duration::from_micros(1_234_567)).datagram();
    assert_eq!(reloading, "RELOADING=1\nMONOTONIC_USEC=1234567\n");
    assert_eq!(Notice::Ready.datagram(), "READY=1\n");
    assert_eq!(Notice::Stopping.datagram(), "STOPPING=1\nSTATUS=draining\n");
}

#[test]
fn abstract_sockets_are_reached_and_missing_ones_refused() {
    let name = format!("locum-supervisor-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let ear = UnixDatagram::bind_addr(&address).expect("bound");
    let supervised = Supervised { socket: Some(NotifySocket::Abstract(name.into_bytes())), watchdog: None };
    Supervisor::connect(&supervised).expect("connected").tell(&Notice::Ready);
    let mut bytes = [0; 64];
    let length = ear.recv(&mut bytes).expect("heard");
    assert_eq!(&bytes[..length], b"READY=1\n");
    let nowhere = NotifySocket::Path("/nonexistent/notify".into());
    assert!(Supervisor::connect(&Supervised { socket: Some(nowhere), watchdog: None }).is_err());
    Supervisor::connect(&Supervised::default()).expect("nobody supervises").tell(&Notice::Ready);
}
