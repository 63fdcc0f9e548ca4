//! Peers: what people would use instead, started here on the same core as ours, on loopback, without TLS.
//!
//! `benches/run` installs them below `target/tools/peers`, at pinned versions; a peer that is not there
//! is passed over, and its rows are missing. Where a peer brings a load generator of its own, that one is
//! used (`redis-benchmark`, `pgbench`), so that nobody can say that our client held it back.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Process, built};

pub mod nats;
pub mod oidc_provider;
pub mod openbao;
pub mod postgres;
pub mod redis;

/// Questions in flight at every peer, as at ours.
pub const IN_FLIGHT: usize = 64;

/// What a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Is this token good?
    Check,
    /// A new token.
    Issue,
    /// An end to a token.
    Revoke,
}

/// A running peer with tokens in it.
pub trait Peer: Send + Sync + 'static {
    /// Its process.
    fn process(&self) -> &Process;

    /// Answers a second over `span`; none when it is not asked that here.
    fn rate(&self, call: Call, span: Duration) -> impl Future<Output = Option<f64>> + Send;
}

/// The folder of a peer's programs.
pub(crate) fn folder(name: &str) -> PathBuf {
    let built = built("locumd");
    let target = built.ancestors().nth(2).expect("target/PROFILE/locumd");
    target.join("tools/peers").join(name)
}

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound")
}

/// Waits until somebody listens.
///
/// # Panics
///
/// When nobody does within 20 s.
pub(crate) fn await_listener(address: SocketAddr) {
    for _ in 0..400 {
        if std::net::TcpStream::connect(address).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let listens = std::net::TcpStream::connect(address).is_ok();
    assert!(listens, "nobody listens at {address}");
}

/// Runs a command to its end and gives what it says on stdout.
///
/// # Panics
///
/// When it fails: then with what it says on stderr.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
