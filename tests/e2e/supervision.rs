//! What a supervisor such as systemd is told, in the order in which it happens.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use locum_tests::plain_http;
use locum_tests::{Daemon, Site};

use crate::LOCUMD;

/// The supervisor's end.
struct Ear(UnixDatagram);

impl Ear {
    /// An ear within the site's folder, and its address.
    fn new(site: &Site) -> (Self, String) {
        let path = site.path("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        (Self(socket), path.display().to_string())
    }

    /// The next datagram that begins so; signs of life and reports between are passed over.
    async fn hears(&self, beginning: &'static str) -> String {
        let socket = self.0.try_clone().expect("cloned");
        let heard = tokio::task::spawn_blocking(move || {
            loop {
                let mut bytes = [0; 4096];
                let length = socket.recv(&mut bytes).expect("a datagram in time");
                let text = String::from_utf8(bytes[..length].to_vec()).expect("text");
                if text.starts_with(beginning) {
                    return text;
                }
                let periodic = text.starts_with("WATCHDOG=1") || text.starts_with("STATUS=");
                assert!(periodic, "instead of {beginning}: {text}");
            }
        });
        heard.await.expect("heard")
    }
}

#[tokio::test]
async fn ready_alive_reloading_and_stopping_are_told() {
    let site = Site::new();
    let (ear, socket) = Ear::new(&site);
    let variables = [("NOTIFY_SOCKET", socket.as_str()), ("WATCHDOG_USEC", "3000000")];
    let mut daemon = Daemon::start_under(LOCUMD, site, &variables).await;
    assert_eq!(ear.hears("READY=1").await, "READY=1\n");
    let probe = plain_http::get(&daemon, "/readyz", &[]).await;
    assert_eq!(probe.status, 200, "ready was told before it was so");
    ear.hears("WATCHDOG=1").await;
    let status = ear.hears("STATUS=").await;
    assert!(status.starts_with("STATUS=0 tokens, 0 tasks; registry 1, policy 1"), "{status}");
    daemon.hang_up();
    assert!(ear.hears("RELOADING=1").await.contains("\nMONOTONIC_USEC="));
    ear.hears("READY=1").await;
    daemon.terminate().await;
    ear.hears("STOPPING=1").await;
}

#[tokio::test]
async fn a_probe_says_whether_traffic_is_taken() {
    let mut daemon = Daemon::start(LOCUMD, Site::new()).await;
    let probe = |http: String| {
        let mut command = std::process::Command::new(LOCUMD);
        command.arg("probe").arg("--config").arg(daemon.site.config()).env_clear();
        command.args(["--set", &format!("server.http={http}")]);
        tokio::task::spawn_blocking(move || command.output().expect("started"))
    };
    let (http, metrics) = (daemon.addresses().http, daemon.addresses().metrics);
    let ready = probe(http.to_string()).await.expect("asked");
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    let everywhere = probe(format!("0.0.0.0:{}", http.port())).await.expect("asked");
    assert!(everywhere.status.success(), "{}", String::from_utf8_lossy(&everywhere.stderr));
    let no_tls = probe(metrics.to_string()).await.expect("asked");
    assert!(!no_tls.status.success(), "metrics are no TLS");
    daemon.terminate().await;
    let mut command = std::process::Command::new(LOCUMD);
    command.arg("probe").arg("--config").arg(daemon.site.config()).env_clear();
    let output = command.args(["--set", &format!("server.http={http}")]).output().expect("started");
    assert!(!output.status.success());
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_is_never_ready() {
    let site = Site::new();
    let (ear, socket) = Ear::new(&site);
    site.put("policies/all.cedar", "permit");
    let (status, log) = Daemon::refused(LOCUMD, &site, &[("NOTIFY_SOCKET", &socket)]).await;
    assert!(!status.success(), "{log}");
    let said = ear.hears("STATUS=failed: ").await;
    assert!(said.contains("all.cedar"), "{said}");
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_meant_is_refused() {
    for (name, value, said) in [
        ("NOTIFY_SOCKET", "relative/path", "NOTIFY_SOCKET: is neither"),
        ("WATCHDOG_USEC", "1000", "WATCHDOG_USEC: is less than 3 s"),
    ] {
        let (status, log) = Daemon::refused(LOCUMD, &Site::new(), &[(name, value)]).await;
        assert!(!status.success() && log.contains(said), "{log}");
    }
}
